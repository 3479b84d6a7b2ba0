"""Counts of durations by their size, as Prometheus has histograms."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds in seconds; what is above the last one is counted in a bucket without a bound."""


class Histogram:
    """Of durations in seconds.

    Args:
        bounds: upper ones, ascending.
    """

    def __init__(self, bounds: Sequence[float] = BUCKETS) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Seconds, all observations added up."""
        self.worst = 0.0
        """Seconds."""

    def observe(self, duration: float) -> None:
        """Count one of `duration` seconds."""
        self.counts[bisect_left(self._bounds, duration)] += 1
        self.total += duration
        self.worst = max(self.worst, duration)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `buckets` are cumulative, by their upper bound in seconds."""
        cumulative, buckets = 0, {}
        for bound, count in zip((*(f"{bound:g}" for bound in self._bounds), "+Inf"), self.counts, strict=True):
            cumulative += count
            buckets[bound] = cumulative
        return {"buckets": buckets, "count": cumulative, "sum": round(self.total, 6), "max": round(self.worst, 6)}
