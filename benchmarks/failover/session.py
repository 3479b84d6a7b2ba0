"""One call of the program: what it was asked for, done, and written down whatever ends it."""

import argparse
import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from benchmarks.failover import scale
from benchmarks.failover.campaign import Plan, carry_out, progress, resumed
from benchmarks.failover.markdown import everything
from benchmarks.failover.report import write_report
from benchmarks.failover.results import NAME, RUNS, SCHEMA, OtherFigure, Results, ResultsError, load, machine, save
from benchmarks.failover.scratch import scratch
from benchmarks.failover.setting import REFERENCE, Setting
from benchmarks.failover.speakers import BUILT_IN, Speaker
from benchmarks.figures import Figure

IPVS_SIZES: Final = (100, 1000, 5000)
"""Virtual servers of ten real servers each."""
_SAME_MACHINE: Final = ("kernel", "architecture", "processor", "processors", "memory_gib", "python")
"""What of a machine must be the same for runs to be compared."""
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
        if differences := _differences(results, fresh):
            raise ResultsError(f"{self._directory} was measured with {'; '.join(differences)}: take another --out")
        results.versions |= versions
        results.baseline = baseline
        resumed(results, self._directory)
        results.runs = [run for run in results.runs if not run.noisy]  # perhaps it is quieter now
        results.not_measured = []  # it is tried again
        save(results, self._directory)
        (self._directory / RUNS).unlink(missing_ok=True)
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
            print(everything(self._results))
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
            return self._figures() and whole

    def _scale(self, sizes: scale.Sizes) -> None:
        for speaker in self._plan.speakers:
            if speaker.name not in BUILT_IN:
                self._note(f"sizes of {speaker.name}: of one that a file describes there is but one instance")
        todo = scale.jobs(self._plan.speakers, sizes)
        with scratch("failover-scale-") as place, progress(self._console, len(todo), "sizes") as step:

            def kept(text: str) -> None:
                save(self._results, self._directory)
                step(text)

            scale.carry_out(todo, self._results, place, kept)

    def _figures(self) -> bool:
        """What the programs beside this one measure, in the place of what they did before; whether all could."""
        arguments = self._arguments
        if not (arguments.figures or arguments.ipvs or arguments.kubernetes):
            return True
        # They bring the tests' User-Mode Linux and API server along.
        from benchmarks import ipvs, kubernetes, speaker  # noqa: PLC0415

        with scratch("failover-") as place:
            todo: dict[str, Callable[[], Sequence[Figure]]] = {}
            if arguments.figures:
                counts = speaker.QUICK if arguments.figures == "quick" else {}
                for name, (measure, runs) in speaker.MEASUREMENTS.items():
                    if not counts or name in counts:
                        todo[name] = partial(measure, place / name, counts.get(name, runs))
            if arguments.ipvs:
                for services in IPVS_SIZES:
                    todo[f"{services} virtual servers"] = partial(ipvs.measure, services, 10, 3)
            if arguments.kubernetes:
                todo["list of EndpointSlices"] = partial(kubernetes.measure, 5000, 5)
            return self.keep_each(todo)

    def keep_each(self, todo: dict[str, Callable[[], Sequence[Figure]]]) -> bool:
        """Each for itself: what cannot be had is noted; whether all could."""
        whole = True
        with progress(self._console, len(todo), "figures") as step:
            for name, measure in todo.items():
                try:
                    self._keep(measure())
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    whole = False
                    self._note(f"{name}: {str(error).partition(chr(10))[0]}")
                step(name)
        return whole

    def _note(self, text: str) -> None:
        if text not in self._results.not_measured:
            self._results.not_measured.append(text)

    def _keep(self, figures: Sequence[Figure]) -> None:
        names = {figure.name for figure in figures}
        others = [one for one in self._results.figures if one.name not in names]
        self._results.figures = [*others, *(msgspec.convert(figure.as_dict(), OtherFigure) for figure in figures)]
        save(self._results, self._directory)


def _differences(there: Results, now: Results) -> list[str]:
    """What keeps runs of both from being of the same thing: settings, machine, versions of the speakers in both."""
    pairs = [
        *((name, there.settings.get(name), value) for name, value in now.settings.items()),
        *((name, there.machine.get(name), now.machine[name]) for name in _SAME_MACHINE),
        *((name, there.versions.get(name, version), version) for name, version in now.versions.items()),
    ]
    return [f"{name.replace('_', ' ')} {before}, not {value}" for name, before, value in pairs if before != value]


def report(source: Path, directory: Path | None = None) -> None:
    """Write the report of a results file.

    Args:
        source: the file, or the directory that has one.
        directory: where it is written; None: there.

    Raises:
        ResultsError: there is none.
    """
    for path in write_report(load(source), directory or (source if source.is_dir() else source.parent)):
        print(path)
