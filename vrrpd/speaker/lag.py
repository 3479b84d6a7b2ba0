"""How late the speaker's loop runs: a histogram of the time between a deadline and the moment it was looked at."""

from bisect import bisect_left
from typing import Any

BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds in seconds; what is above the last one is counted in a bucket without a bound."""


class LagHistogram:
    """Counts of latenesses, as Prometheus has histograms."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        """Seconds, all observations added up."""
        self.worst = 0.0
        """Seconds."""

    def observe(self, lateness: float) -> None:
        """Count one wake-up that was `lateness` seconds late."""
        self.counts[bisect_left(BUCKETS, lateness)] += 1
        self.total += lateness
        self.worst = max(self.worst, lateness)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `buckets` are cumulative, by their upper bound in seconds."""
        cumulative, buckets = 0, {}
        for bound, count in zip((*(f"{bound:g}" for bound in BUCKETS), "+Inf"), self.counts, strict=True):
            cumulative += count
            buckets[bound] = cumulative
        return {"buckets": buckets, "count": cumulative, "sum": round(self.total, 6), "max": round(self.worst, 6)}
