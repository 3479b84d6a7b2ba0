"""What runs come to: median, 90th percentile, worst and number of each figure, and the ratio to the baseline."""

import statistics
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from benchmarks.failover.faults import FAULTS
from benchmarks.failover.results import Passage, Results, Run

Figure = Callable[[Run], float | None]


def _of_probes(name: str, key: str, *, back: bool = False) -> Figure:
    def figure(run: Run) -> float | None:
        found: Passage | None = (run.back if back else run.during).get(name)
        return None if found is None else float(getattr(found, key))

    return figure


FIGURES: Final[dict[str, tuple[str, Figure]]] = {
    "outage_ms": ("outage, ping, ms", _of_probes("icmp", "outage_ms")),
    "udp_outage_ms": ("outage, UDP, ms", _of_probes("udp", "outage_ms")),
    "connect_outage_ms": ("outage, TCP connect, ms", _of_probes("connect", "outage_ms")),
    "flow_outage_ms": ("standstill of a TCP flow, ms", _of_probes("flow", "outage_ms")),
    "flow_connections": ("connections of the flow, 1: it survived", _of_probes("flow", "connections")),
    "lost": ("lost pings", _of_probes("icmp", "lost")),
    "detection_ms": ("detection, ms", lambda run: run.detection_ms),
    "excess_ms": ("excess over the bound, ms", lambda run: run.excess_ms),
    "announced_ms": ("first advert to first announcement, ms", lambda run: run.announced_ms),
    "two_masters_ms": ("two masters, ms", lambda run: run.two_masters_ms),
    "flaps": ("flaps", lambda run: float(run.flaps)),
    "back_outage_ms": ("outage, ping, while undone, ms", _of_probes("icmp", "outage_ms", back=True)),
    "back_lost": ("lost pings while undone", _of_probes("icmp", "lost", back=True)),
    "back_two_masters_ms": ("two masters while undone, ms", lambda run: run.back_two_masters_ms),
}
"""By key: for people, and how it is had of a run."""


class Summary(Struct, frozen=True):
    """One figure of one cell."""

    n: int
    median: float
    p90: float
    worst: float
    ratio: float | None
    """Median of the ratios to the baseline's run of the same number; None: there is none, or it was never above 0."""
    ratios: int = 0
    """How many pairs that is of."""


class Cell(Struct, frozen=True):
    """A speaker, an interval, a fault and a load."""

    speaker: str
    advert_int: float
    fault: str
    load: str
    figures: dict[str, Summary]
    noisy: int
    """Runs that do not count."""
    not_restored: int
    """Runs in which clients were not served again in time; their outage was longer than it says."""


def cells(results: Results) -> list[Cell]:
    """Every cell, by load, interval, fault and speaker."""
    groups: dict[tuple[str, float, str, str], list[Run]] = {}
    for run in results.runs:
        groups.setdefault((run.load, run.advert_int, run.fault, run.speaker), []).append(run)
    faults, speakers = list(FAULTS), results.speakers

    def order(key: tuple[str, float, str, str]) -> tuple[str, float, int, int]:
        load, advert_int, fault, speaker = key
        return load, -advert_int, faults.index(fault), speakers.index(speaker)

    found = []
    for key in sorted(groups, key=order):
        load, advert_int, fault, speaker = key
        runs, base = groups[key], groups.get((load, advert_int, fault, results.baseline), [])
        found.append(
            Cell(
                speaker=speaker,
                advert_int=advert_int,
                fault=fault,
                load=load,
                figures=_summaries(runs, [] if speaker == results.baseline else base),
                noisy=sum(run.noisy for run in runs),
                not_restored=sum(not run.restored for run in runs if not run.noisy),
            )
        )
    return found


def _summaries(runs: Sequence[Run], base: Sequence[Run]) -> dict[str, Summary]:
    found = {}
    quiet = {run.number: run for run in runs if not run.noisy}
    partners = {run.number: run for run in base if not run.noisy}
    for name, (_, figure) in FIGURES.items():
        values = [value for run in quiet.values() if (value := figure(run)) is not None]
        if not values:
            continue
        ratios = []
        for number, run in quiet.items():
            ours, theirs = figure(run), figure(partners[number]) if number in partners else None
            if ours is not None and theirs is not None and theirs > 0 <= ours:  # else it means nothing
                ratios.append(ours / theirs)
        found[name] = Summary(
            n=len(values),
            median=statistics.median(values),
            p90=percentile(values, 90),
            worst=max(values),
            ratio=statistics.median(ratios) if ratios else None,
            ratios=len(ratios),
        )
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
