"""The pictures of a report, as SVG.

Colours are those of Okabe and Ito, for the colour-blind; marks, lines and hatches differ too, for black and white.
"""

import io
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from msgspec import Struct

from benchmarks.failover.results import Results, Run, Segment

mpl.use("svg")
mpl.rcParams |= {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "failover",  # the same file from the same results
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
}

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
HATCHES: Final = ("", "///", "...", "xxx", "---", "++")
_ANSWER: Final = ("#999999", "", "an answer")
_NO_ANSWER: Final = ("#000000", "", "no answer")
_ANNOUNCED: Final = "#555555"
_WIDTH: Final = 8.5
_PICTURED: Final = ("silent", "link", "kill-all", "freeze", "stop")
"""Faults of which one is shown as a timeline, the first that was measured."""
_MARGIN_MS: Final = 60.0


class Plot(Struct, frozen=True):
    """One picture."""

    name: str
    title: str
    caption: str
    svg: str


def plots(results: Results) -> list[Plot]:
    """All that the results have something for."""
    found = (timeline(results), outages(results), excess(results), processor(results))
    return [plot for plot in found if plot is not None]


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = out.getvalue()
    return text[text.index("<svg") :].strip()


def styles(results: Results) -> dict[str, dict[str, Any]]:
    """Colour and mark of each speaker."""
    return {
        speaker: {"color": COLOURS[number % 6], "marker": MARKERS[(number + number // 6) % 6]}
        for number, speaker in enumerate(results.speakers)
    }


def timeline(results: Results) -> Plot | None:
    """One failover of each speaker: probes, adverts and announcements on one axis."""
    pictured = [run for run in results.runs if run.timeline and not run.load]
    fault = next((name for name in _PICTURED if any(run.fault == name for run in pictured)), None)
    if fault is None:
        return None
    interval = min(run.advert_int for run in pictured if run.fault == fault)
    chosen = {run.speaker: run for run in pictured if (run.fault, run.advert_int) == (fault, interval)}
    runs = [chosen[speaker] for speaker in results.speakers if speaker in chosen]
    end = max(_interesting(run) for run in runs) + _MARGIN_MS
    figure = Figure(figsize=(_WIDTH, 0.6 + 1.9 * len(runs)))
    axes = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axis, run in zip(axes, runs, strict=True):
        _draw_timeline(axis, run)
        axis.set_xlim(-100, end)
        axis.set_title(run.speaker, loc="left", fontweight="bold")
    axes[-1].set_xlabel("ms after the fault")
    seen = {one.answered_by for run in runs if run.timeline for some in run.timeline.segments.values() for one in some}
    seen |= {router for run in runs if run.timeline for router in run.timeline.adverts}
    legend: list[Artist] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
        for colour, hatch, label in map(_fate, sorted(seen, key=_order))
    ]
    legend.append(Line2D([], [], marker="*", color=_ANNOUNCED, ls="", label="announcement"))
    figure.tight_layout()
    figure.legend(handles=legend, loc="lower right", bbox_to_anchor=(1, 1), ncols=min(5, len(legend)), frameon=False)
    caption = (
        f"The first run of “{fault}” at advert_int {interval:g} s. Each row of probes shows who answered, one a "
        "millisecond; of the flow only whether it was answered. Below: each advert and announcement of the address."
    )
    return Plot("timeline", f"One failover: {fault}", caption, _svg(figure))


def _number(router: str) -> int:
    """Of a router, from 0; of one that nobody knows: the last."""
    return int(router[1:]) - 1 if router[1:].isdigit() else 5


def _order(who: str | None) -> tuple[int, int]:
    """Routers, answers, no answers."""
    return (0, _number(who)) if who else (1 if who == "" else 2, 0)


def _fate(who: str | None) -> tuple[str, str, str]:
    """Of a probe, by who answered: colour, hatch, words."""
    if not who:
        return _NO_ANSWER if who is None else _ANSWER
    number = _number(who)
    return COLOURS[number % 6], HATCHES[number % 6], f"{who} answers, advertises" if not number else who


def _interesting(run: Run) -> float:
    """When the last outage ended, or the successor began, in ms."""
    assert run.timeline is not None
    ends = [one.end_ms for some in run.timeline.segments.values() for one in some if one.answered_by is None]
    ends += [min(times) for times in run.timeline.adverts.values() if min(times) > 0]
    return max([*ends, run.advert_int * 1e3])


def _draw_timeline(axis: Any, run: Run) -> None:
    assert run.timeline is not None
    rows = [*run.timeline.segments, "adverts", "announced"]
    for row, segments in enumerate(run.timeline.segments.values()):
        for who in {one.answered_by for one in segments}:
            colour, hatch, _ = _fate(who)
            bars = list(_bars(segments, who))
            if bars:
                axis.broken_barh(
                    bars, (row - 0.35, 0.7), facecolors=colour, hatch=hatch, edgecolor="white", linewidth=0
                )
    for router, times in run.timeline.adverts.items():
        number = _number(router)
        axis.vlines(
            times, len(rows) - 2 - 0.35, len(rows) - 2 + 0.35, color=COLOURS[number % 6], linestyles=LINES[number % 6]
        )
    announced = run.timeline.announcements
    axis.plot(announced, [len(rows) - 1] * len(announced), "*", color=_ANNOUNCED, markersize=7)
    axis.axvline(0, color="#000000", linewidth=1)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)


def _bars(segments: Sequence[Segment], who: str | None) -> Iterator[tuple[float, float]]:
    for one in segments:
        if one.answered_by == who:
            yield one.start_ms, max(one.end_ms - one.start_ms, 0.5)


def outages(results: Results) -> Plot | None:
    """Every run's outage, by fault and speaker; a panel an interval."""
    runs = [run for run in results.runs if not run.noisy and not run.load and "icmp" in run.during]
    if not runs:
        return None
    intervals = sorted({run.advert_int for run in runs}, reverse=True)
    faults = list(dict.fromkeys(run.fault for run in runs))
    looks = styles(results)
    figure = Figure(figsize=(_WIDTH, 0.8 + len(intervals) * (0.5 + 0.42 * len(faults))))
    axes = figure.subplots(len(intervals), 1, squeeze=False)[:, 0]
    for axis, interval in zip(axes, intervals, strict=True):
        for number, speaker in enumerate(results.speakers):
            offset = (number - (len(results.speakers) - 1) / 2) * min(0.22, 0.8 / len(results.speakers))
            for row, fault in enumerate(faults):
                values = [
                    run.during["icmp"].outage_ms
                    for run in runs
                    if (run.speaker, run.fault, run.advert_int) == (speaker, fault, interval)
                ]
                if values:
                    axis.plot(values, [row + offset] * len(values), ls="", alpha=0.45, ms=4, **looks[speaker])
                    axis.plot([statistics.median(values)], [row + offset], ls="", ms=7, mec="black", **looks[speaker])
        _logarithmic(axis)
        axis.set_xlim(-0.2, None)
        axis.set_yticks(range(len(faults)), faults)
        axis.set_ylim(len(faults) - 0.5, -0.5)
        axis.set_title(f"advert_int {interval:g} s", loc="left")
    axes[-1].set_xlabel("outage seen by pings, ms (linear below 1, logarithmic above)")
    figure.tight_layout()
    _legend(figure, results, looks)
    caption = "A small mark a run, a large one with a rim the median. 0: not one probe was lost."
    return Plot("outages", "Outage by fault and speaker", caption, _svg(figure))


def excess(results: Results) -> Plot | None:
    """How late takeovers were, as distribution functions."""
    by_speaker = {
        speaker: sorted(
            run.excess_ms
            for run in results.runs
            if run.speaker == speaker and not run.noisy and not run.load and run.excess_ms is not None
        )
        for speaker in results.speakers
    }
    if not any(by_speaker.values()):
        return None
    figure = Figure(figsize=(_WIDTH, 3.2))
    axis = figure.subplots()
    looks = styles(results)
    for number, (speaker, values) in enumerate(by_speaker.items()):
        if values:
            shares = [(rank + 1) / len(values) * 100 for rank in range(len(values))]
            axis.step(
                [values[0], *values],
                [0, *shares],
                where="post",
                ls=LINES[number % 6],
                color=looks[speaker]["color"],
                label=f"{speaker} ({len(values)})",
            )
            axis.plot(values, shares, ls="", ms=3, **looks[speaker])
    axis.axvline(0, color="#000000", linewidth=1)
    _logarithmic(axis)
    axis.set_xlabel("excess of detection over the protocol's bound, ms (linear between -1 and 1)")
    axis.set_ylabel("% of takeovers")
    axis.legend(frameon=False)
    figure.tight_layout()
    caption = (
        "From the last advert that was heard of the master to its successor's first, less 3 x advert_int + skew, or "
        "the skew after a resignation. All faults and intervals that were measured. Left of 0: before its time."
    )
    return Plot("excess", "Excess over the bound", caption, _svg(figure))


def processor(results: Results) -> Plot | None:
    """Processor time by instances."""
    found = [one for one in results.scale if one.what == "instances"]
    if not found:
        return None
    intervals = sorted({one.advert_int for one in found}, reverse=True)
    figure = Figure(figsize=(_WIDTH, 3.2))
    axes = figure.subplots(1, len(intervals), sharey=True, squeeze=False)[0]
    looks = styles(results)
    for axis, interval in zip(axes, intervals, strict=True):
        for speaker in results.speakers:
            for side, line in (("sender", "-"), ("receiver", ":")):
                sizes = sorted({one.size for one in found if (one.speaker, one.advert_int) == (speaker, interval)})
                medians = [
                    statistics.median(
                        one.values[f"{side}_cpu_percent"]
                        for one in found
                        if (one.speaker, one.advert_int, one.size) == (speaker, interval, size)
                    )
                    for size in sizes
                ]
                if sizes:
                    axis.plot(sizes, medians, ls=line, label=f"{speaker}, {side}", **looks[speaker])
        axis.set_title(f"advert_int {interval:g} s", loc="left")
        axis.set_xlabel("instances")
    axes[0].set_ylabel("% of a processor")
    axes[-1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    caption = "Who sends the adverts of so many virtual routers, and who hears them. Medians."
    return Plot("processor", "Processor time by instances", caption, _svg(figure))


def _logarithmic(axis: Any) -> None:
    """Linear around 0, which a logarithm has no place for; with numbers that are read at once."""
    axis.set_xscale("symlog", linthresh=1)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(figure: Figure, results: Results, looks: dict[str, dict[str, Any]]) -> None:
    handles = [Line2D([], [], ls="", label=speaker, **looks[speaker]) for speaker in results.speakers]
    figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=min(5, len(handles)), frameon=False)
