"""What a report has besides its cells: sizes, and what the programs beside this one measure."""

import statistics
from collections.abc import Iterator, Sequence

from msgspec import Struct

from benchmarks.failover.results import Results


class Table(Struct, frozen=True):
    """One of them; numbers are as they were measured."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str | float | None, ...]]
    words: int
    """How many columns, from the first, are no figures."""


def sizes(results: Results) -> Iterator[Table]:
    """A table each of what grows with size: medians of all runs."""
    for what in dict.fromkeys(one.what for one in results.scale):
        some = [one for one in results.scale if one.what == what]
        names = tuple(some[0].values)
        groups: dict[tuple[int, float, str], list[dict[str, float]]] = {}
        for one in some:
            groups.setdefault((one.size, -one.advert_int, one.speaker), []).append(one.values)
        rows: list[tuple[str | float | None, ...]] = [
            (
                size,
                f"{-interval:g}",
                speaker,
                len(group),
                *(statistics.median(each[name] for each in group) for name in names),
            )
            for (size, interval, speaker), group in sorted(groups.items())
        ]
        yield Table((what, "advert_int", "speaker", "n", *(name.replace("_", " ") for name in names)), rows, words=4)


def figures(results: Results) -> Iterator[Table]:
    """One table of vrrpd beside keepalived, if any of that was measured."""
    rows = tuple(
        (
            one.name,
            one.unit,
            len(one.vrrpd.runs),
            one.vrrpd.median,
            one.keepalived.median if one.keepalived else None,
            one.ratio,
        )
        for one in results.figures
    )
    if rows:
        yield Table(("what", "unit", "n", "vrrpd, median", "keepalived, median", "ratio"), rows, words=3)
