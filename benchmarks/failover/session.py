"""One call of the program: what it was asked for, done, and written down whatever ends it."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.failover import scale
from benchmarks.failover.campaign import Plan, carry_out, progress, resumed
from benchmarks.failover.markdown import table
from benchmarks.failover.report import write_report
from benchmarks.failover.results import NAME, RUNS, SCHEMA, Results, ResultsError, load, machine, save
from benchmarks.failover.scratch import scratch
from benchmarks.failover.setting import REFERENCE, Setting
from benchmarks.failover.speakers import Speaker
from benchmarks.figures import Figure

IPVS_SIZES: Final = (100, 1000, 5000)
"""Virtual servers of ten real servers each."""
QUICK_SIZES: Final = scale.Sizes(
    instances=(1, 255), intervals=(0.1,), addresses=(1, 200), reloaded=(100,), started=(100,), runs=1
)


class Session:
    """What was asked for.

    Raises:
        ResultsError: there are results already, and going on was not asked for, or they are of something else.
    """

    def __init__(self, arguments: argparse.Namespace, speakers: list[Speaker], baseline: str, console: Console) -> None:
        self._arguments = arguments
        self._console = console
        self._directory: Path = arguments.out
        probes = dict.fromkeys((REFERENCE, *arguments.probe))
        self._plan = Plan(
            speakers=tuple(speakers),
            adverts=arguments.advert,
            faults=arguments.fault,
            runs=arguments.runs,
            setting=Setting(routers=arguments.routers, family=arguments.family, probes=tuple(probes)),
            loads=arguments.load,
            noise_limit=arguments.noise_limit / 1e3,
            captures=self._directory / "captures" if arguments.captures else None,
        )
        self._results = self._begin(speakers, baseline)

    def _begin(self, speakers: list[Speaker], baseline: str) -> Results:
        settings: dict[str, Any] = {
            "routers": self._plan.setting.routers,
            "family": self._plan.setting.family,
            "probe_interval_ms": self._plan.setting.probe_interval * 1e3,
            "noise_limit_ms": self._plan.noise_limit * 1e3,
        }
        there = (self._directory / NAME).exists() or (self._directory / RUNS).exists()
        if there and not self._arguments.resume:
            raise ResultsError(
                f"{self._directory} has results already: --resume goes on, --out names another directory"
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        versions = {speaker.name: speaker.version() for speaker in speakers}
        fresh = Results(SCHEMA, machine(), versions, settings, baseline)
        if not there:
            save(fresh, self._directory)
            return fresh
        results = load(self._directory)
        if results.settings != settings:
            raise ResultsError(
                f"{self._directory} was measured with {results.settings}, not {settings}: take another --out"
            )
        results.versions |= versions
        results.baseline = baseline
        resumed(results, self._directory)
        results.runs = [run for run in results.runs if not run.noisy]  # perhaps it is quieter now
        results.not_measured = []  # it is tried again
        return results

    def run(self) -> int:
        """Measure; whatever ends it, what is done is kept and reported. Returns the exit code."""
        whole = False
        try:
            whole = self._measure()
        finally:
            save(self._results, self._directory)
            (self._directory / RUNS).unlink(missing_ok=True)
            report(self._directory)
            print(table(self._results))
        for note in self._results.not_measured:
            self._console.print(f"not measured: {note}", markup=False, soft_wrap=True)
        return 0 if whole else 1

    def _measure(self) -> bool:
        arguments = self._arguments
        # An installed package comes with its bytecode; a checkout may be told to keep none.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with scratch("failover-bytecode-") as bytecode:
            os.environ["PYTHONPYCACHEPREFIX"] = str(bytecode)
            whole = carry_out(self._plan, self._results, self._directory, self._console)
            save(self._results, self._directory)
            if arguments.scale:
                self._scale(scale.Sizes() if arguments.scale == "full" else QUICK_SIZES)
            self._figures()
        return whole

    def _scale(self, sizes: scale.Sizes) -> None:
        todo = scale.jobs(self._plan.speakers, sizes)
        with scratch("failover-scale-") as place, progress(self._console, len(todo), "sizes") as step:
            scale.carry_out(todo, self._results, place, step)

    def _figures(self) -> None:
        """What the programs beside this one measure; what was measured of it before is replaced."""
        if not (self._arguments.figures or self._arguments.ipvs or self._arguments.kubernetes):
            return
        # They bring the tests' User-Mode Linux and API server along.
        from benchmarks import ipvs, kubernetes, speaker  # noqa: PLC0415

        if self._arguments.figures:
            counts = speaker.QUICK if self._arguments.figures == "quick" else {}
            measures = [
                (name, measure, counts.get(name, runs))
                for name, (measure, runs) in speaker.MEASUREMENTS.items()
                if not counts or name in counts
            ]
            with scratch("failover-") as place, progress(self._console, len(measures), "figures") as step:
                for name, measure, runs in measures:
                    self._keep(measure(place / name, runs))
                    step(name)
        if self._arguments.ipvs:
            with progress(self._console, len(IPVS_SIZES), "tables") as step:
                for services in IPVS_SIZES:
                    self._keep(ipvs.measure(services, 10, 3))
                    step(f"{services} virtual servers")
        if self._arguments.kubernetes:
            self._keep(kubernetes.measure(5000, 5))

    def _keep(self, figures: Sequence[Figure]) -> None:
        names = {figure.name for figure in figures}
        others = [one for one in self._results.figures if one["name"] not in names]
        self._results.figures = [*others, *(figure.as_dict() for figure in figures)]


def report(directory: Path) -> None:
    """Write the report of the results file in a directory.

    Raises:
        ResultsError: there is none.
    """
    for path in write_report(load(directory), directory):
        print(path)
