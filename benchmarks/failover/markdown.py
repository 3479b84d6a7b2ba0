"""Results as Markdown tables: all of them for the terminal, and the few that the README has."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from benchmarks.failover.cells import Cell, Summary, cells
from benchmarks.failover.faults import FAULTS
from benchmarks.failover.results import Results, load
from benchmarks.failover.tables import Table, figures, sizes

BEGIN: Final = "<!-- figures: begin; `python -m benchmarks.failover.markdown` writes them -->"
END: Final = "<!-- figures: end -->"
PROJECT: Final = Path(__file__).parent.parent.parent
COMMITTED: Final = PROJECT / "benchmarks" / "results" / "failover.json"
"""What the figures in the README are of."""
SILENT: Final = "silent"
"""The fault that a router finds out by nothing but its timer."""
_FULL: Final = (
    ("outage_ms", "outage, ms"),
    ("flow_outage_ms", "TCP flow stands, ms"),
    ("lost", "lost"),
    ("excess_ms", "excess, ms"),
    ("announced_ms", "announced, ms"),
    ("two_masters_ms", "two masters, ms"),
    ("flaps", "flaps"),
    ("back_outage_ms", "undone, ms"),
)


def number(value: float) -> str:
    """Three digits that matter, and no more than one after the point."""
    return (
        f"{value:.0f}"
        if abs(value) >= 100 or value == int(value)
        else f"{value:.1f}"
        if abs(value) >= 1
        else f"{value:.2f}"
    )


def spread(summary: Summary | None) -> str:
    """Median, 90th percentile and worst; only one number where they are the same."""
    if summary is None:
        return ""
    numbers = [number(value) for value in (summary.median, summary.p90, summary.worst)]
    return numbers[0] if len(set(numbers)) == 1 else " / ".join(numbers)


def ratio(summary: Summary | None) -> str:
    """That to the baseline, and of how many pairs it is: not of those in which the baseline has 0."""
    return "" if summary is None or summary.ratio is None else f"{number(summary.ratio)} ({summary.ratios})"


def rows_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that a terminal shows as well."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (heads, *rows)
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def table(results: Results) -> str:
    """Every cell: median / 90th percentile / worst."""
    found = cells(results)
    heads = ["fault", "advert_int", "speaker", "n", *(title for _, title in _FULL), f"outage x {results.baseline}"]
    return rows_of(heads, [_row(cell) for cell in found]) if found else "nothing was measured"


def everything(results: Results) -> str:
    """All that there is: every cell, what grows with size, and the other figures."""
    more = [rows_of(one.heads, shown(one)) for one in (*sizes(results), *figures(results))]
    return "\n\n".join([table(results), *more])


def shown(one: Table) -> list[list[str]]:
    """Its rows as words."""
    return [
        ["" if each is None else each if isinstance(each, str) else number(each) for each in row] for row in one.rows
    ]


def or_more(cell: Cell) -> str:
    """What follows an outage that was longer than it says in some of the runs."""
    return " (or more)" if cell.not_restored else ""


def _row(cell: Cell) -> list[str]:
    outage = cell.figures.get("outage_ms")
    name = f"{cell.fault}, {cell.load}" if cell.load else cell.fault
    noisy = f" ({cell.noisy} noisy)" if cell.noisy else ""
    counted = f"{outage.n if outage else 0}{noisy}"
    return [
        name,
        f"{cell.advert_int:g}",
        cell.speaker,
        counted,
        *(spread(cell.figures.get(key)) + (or_more(cell) if key == _FULL[0][0] else "") for key, _ in _FULL),
        ratio(outage),
    ]


def for_readme(results: Results) -> str:
    """Outage by fault and speaker, a table for each interval that was measured, and what it was measured on."""
    found = [cell for cell in cells(results) if not cell.load]
    intervals = sorted({cell.advert_int for cell in found}, reverse=True)
    tables = [_outages(results, [cell for cell in found if cell.advert_int == each], each) for each in intervals]
    machine = results.machine
    runs = sorted({cell.figures["outage_ms"].n for cell in found if "outage_ms" in cell.figures})
    about = (
        f"Median / 90th percentile / worst of {' to '.join(map(str, runs[:1] + runs[1:][-1:]))} runs, a ping every "
        "millisecond; one number where they are the same. Undone: while the fault is undone and the master comes back, "
        "if anything is lost then. "
        f"Linux {machine['kernel']}, {machine['processors']} processors, {machine['date'][:10]}."
    )
    return "\n\n".join([*tables, about])


def _outages(results: Results, found: Sequence[Cell], interval: float) -> str:
    by_place = {(cell.fault, cell.speaker): cell for cell in found}
    faults = [name for name in FAULTS if any(fault == name for fault, _ in by_place)]
    speakers = [name for name in results.speakers if any(speaker == name for _, speaker in by_place)]
    heads = [f"outage in ms, advert_int {interval:g} s", *(f"{name} {results.versions[name]}" for name in speakers)]
    rows = [
        [f"{fault}: {FAULTS[fault].what}", *(_outage(by_place.get((fault, speaker))) for speaker in speakers)]
        for fault in faults
    ]
    late = [_excess(by_place.get((SILENT, speaker))) for speaker in speakers]
    if SILENT in faults:
        rows.append([f"{SILENT}: how much later than the protocol wants it is taken over", *late])
    return rows_of(heads, rows)


def _outage(cell: Cell | None) -> str:
    if cell is None or "outage_ms" not in cell.figures:
        return "-"
    during = spread(cell.figures["outage_ms"]) + or_more(cell)
    back = cell.figures.get("back_outage_ms")
    return f"{during}; undone {spread(back)}" if back and back.worst else during


def _excess(cell: Cell | None) -> str:
    return spread(cell.figures["excess_ms"]) if cell and "excess_ms" in cell.figures else "-"


def in_readme(text: str, written: str) -> str:
    """The README with these figures in their place.

    Raises:
        ValueError: there is no such place.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{written}\n{END}{after}"


def main() -> None:
    """Write the figures of the committed results into the README; with a directory: its results become those first."""
    if sys.argv[1:]:
        chosen = load(Path(sys.argv[1]))
        chosen.runs = [run if run.fault == SILENT else replace(run, timeline=None) for run in chosen.runs]
        COMMITTED.write_bytes(msgspec.json.format(msgspec.json.encode(chosen), indent=0) + b"\n")
    path = PROJECT / "README.md"
    path.write_text(in_readme(path.read_text(encoding="utf-8"), for_readme(load(COMMITTED))), encoding="utf-8")


if __name__ == "__main__":
    main()
