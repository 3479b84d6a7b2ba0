"""The files that are made of a results file: an HTML page that needs nothing else, CSV, Markdown."""

import csv
import io
import statistics
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.failover.cells import FIGURES, Cell, cells
from benchmarks.failover.faults import FAULTS
from benchmarks.failover.markdown import everything, number, or_more, ratio, shown, spread
from benchmarks.failover.plots import Plot, plots
from benchmarks.failover.results import Results
from benchmarks.failover.tables import Table, figures, sizes

HTML: Final = "report.html"
CSV: Final = "cells.csv"
SIZES_CSV: Final = "sizes.csv"
FIGURES_CSV: Final = "figures.csv"
MARKDOWN: Final = "report.md"

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { text-align: left; vertical-align: bottom; border-bottom: 2px solid #333; white-space: normal; }
td:first-child, td.word, th.word { text-align: left; }
tr.first td { border-top: 1px solid #333; }
figure { margin: 1rem 0; break-inside: avoid; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: 0.9rem; max-width: 50rem; }
li { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
@media print { body { font-size: 9pt; margin: 0; max-width: none; } .wide { overflow: visible; }
  table { font-size: 6.5pt; } th, td { padding: 0.1rem 0.25rem; white-space: normal; }
  h2 { break-after: avoid; } tr { break-inside: avoid; }
  @page { size: A4 landscape; margin: 12mm; } }
"""

_SHOWN: Final = (
    "outage_ms",
    "udp_outage_ms",
    "connect_outage_ms",
    "flow_outage_ms",
    "flow_connections",
    "lost",
    "excess_ms",
    "announced_ms",
    "two_masters_ms",
    "flaps",
    "back_outage_ms",
)


def write_report(results: Results, directory: Path) -> list[Path]:
    """Write them; returns where they are."""
    files = {HTML: page(results), CSV: as_csv(results), MARKDOWN: everything(results) + "\n"}
    if results.scale:
        files[SIZES_CSV] = sizes_as_csv(results)
    if results.figures:
        files[FIGURES_CSV] = figures_as_csv(results)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in files]


def as_csv(results: Results) -> str:
    """A line a cell and figure."""
    heads = ("load", "advert_int", "fault", "speaker", "figure", "n", "median", "p90", "worst", "ratio", "pairs")
    return _csv((*heads, "noisy", "not_restored"), _cell_lines(results))


def _cell_lines(results: Results) -> Iterator[tuple[object, ...]]:
    for cell in cells(results):
        for name, one in cell.figures.items():
            ours = "" if one.ratio is None else round(one.ratio, 4)
            place = (cell.load, cell.advert_int, cell.fault, cell.speaker, name)
            yield (*place, one.n, one.median, one.p90, one.worst, ours, one.ratios, cell.noisy, cell.not_restored)


def sizes_as_csv(results: Results) -> str:
    """A line a run and value."""
    heads = ("what", "advert_int", "size", "speaker", "number", "value", "measured")
    return _csv(
        heads,
        (
            (one.what, one.advert_int, one.size, one.speaker, one.number, name, value)
            for one in results.scale
            for name, value in one.values.items()
        ),
    )


def figures_as_csv(results: Results) -> str:
    """A line a figure."""
    return "".join(_csv(one.heads, one.rows) for one in figures(results))


def _csv(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return out.getvalue()


def page(results: Results) -> str:
    """The HTML page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Failover of VRRP speakers</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Failover of VRRP speakers</h1>",
        _about(results),
        *(_figure(plot) for plot in plots(results)),
        _cells(results),
        _faults(results),
        _more("By size: medians of all runs; docs/benchmarking.md says what each is", sizes(results)),
        _more("vrrpd beside keepalived: the daemon, and large tables", figures(results)),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table; the first `words` columns are words, the rest numbers."""
    cls = [' class="word"' if column < words else "" for column in range(len(heads))]
    head = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(cls, heads, strict=True))
    lines, before = [], None
    for row in rows:
        first = ' class="first"' if row[0] != before else ""
        before = row[0]
        cells_ = "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(cls, row, strict=True))
        lines.append(f"<tr{first}>{cells_}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _about(results: Results) -> str:
    noises = [run.noise_ms for run in results.runs if not run.load]
    noisy = sum(run.noisy for run in results.runs)
    rows = [[name.replace("_", " "), str(value)] for name, value in results.machine.items()]
    rows += [["speakers", ", ".join(f"{name} {version}".strip() for name, version in results.versions.items())]]
    rows += [[name.replace("_", " "), str(value)] for name, value in results.settings.items()]
    rows += [["ratios are to", results.baseline], ["runs", f"{len(results.runs)}, of which {noisy} too noisy to count"]]
    if noises:
        middle, worst = number(statistics.median(noises)), number(max(noises))
        rows += [["noise", f"longest pause of the prober: {middle} ms in the median run, {worst} ms in the worst"]]
    text = "<h2>What was measured, and on what</h2>" + _table(("", ""), rows, words=2)
    if results.not_measured:
        items = "".join(f"<li>{escape(note)}</li>" for note in results.not_measured)
        text += f"<p>Not measured:</p><ul>{items}</ul>"
    return text


def _figure(plot: Plot) -> str:
    title, caption = escape(plot.title), escape(plot.caption)
    return (
        f'<h2>{title}</h2><figure id="{plot.name}" role="img" aria-label="{title}">{plot.svg}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _cells(results: Results) -> str:
    found = cells(results)
    if not found:
        return "<p>No run is there.</p>"
    heads = [
        "fault",
        "load",
        "advert_int",
        "speaker",
        "n",
        *(FIGURES[name][0] for name in _SHOWN),
        f"outage x {results.baseline}",
    ]
    rows = [_cell_row(cell) for cell in found]
    note = (
        "<p>Median / 90th percentile / worst; one number where they are the same. The ratio is the median of those to "
        "the baseline's run of the same number, in brackets of how many pairs: not of those in which that has 0.</p>"
    )
    return "<h2>All cells</h2>" + note + _table(heads, rows, words=4)


def _cell_row(cell: Cell) -> list[str]:
    outage = cell.figures.get("outage_ms")
    spreads = [spread(cell.figures.get(name)) for name in _SHOWN]
    counted = f"{outage.n if outage else 0}" + (f" ({cell.noisy} noisy)" if cell.noisy else "")
    return [
        cell.fault,
        cell.load,
        f"{cell.advert_int:g}",
        cell.speaker,
        counted,
        spreads[0] + or_more(cell),
        *spreads[1:],
        ratio(outage),
    ]


def _faults(results: Results) -> str:
    used = {run.fault for run in results.runs}
    rows = [[fault.name, fault.what] for fault in FAULTS.values() if fault.name in used]
    return "<h2>The faults</h2>" + _table(("fault", "what happens to the master"), rows, words=2) if rows else ""


def _more(title: str, tables: Iterable[Table]) -> str:
    found = "".join(_table(one.heads, shown(one), words=one.words) for one in tables)
    return f"<h2>{title}</h2>{found}" if found else ""
