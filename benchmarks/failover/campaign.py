"""All runs, speakers interleaved run by run, so that whatever drifts on this machine hits all of them alike."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.failover.arena import Arena, ArenaError
from benchmarks.failover.faults import FAULTS, Fault
from benchmarks.failover.load import Load, LoadError
from benchmarks.failover.measure import NOISE_LIMIT, Conditions, measure
from benchmarks.failover.results import RUNS, Results, Run
from benchmarks.failover.scratch import scratch
from benchmarks.failover.setting import Setting
from benchmarks.failover.speakers import Speaker

NOISY_RETRIES: Final = 3
"""How often a noisy run is done again before it is left at that."""


class Plan(Struct, frozen=True):
    """What is to be measured."""

    speakers: tuple[Speaker, ...]
    adverts: tuple[float, ...]
    faults: tuple[str, ...]
    runs: int
    setting: Setting
    """`advert_int` is replaced by each of `adverts`."""
    loads: tuple[Load, ...] = ()
    """None of them: an idle machine alone."""
    noise_limit: float = NOISE_LIMIT
    """Seconds."""
    captures: Path | None = None
    """A directory for the capture of each run; None: they are not kept."""

    def cells(self, advert_int: float) -> Iterator[tuple[int, Fault, Speaker]]:
        """Each run of one interval, in order: a fault hits one speaker after the other, first another one each time."""
        speakers = [one for one in self.speakers if self.refusal(one, advert_int) is None]
        for number in range(self.runs):
            first = number % max(1, len(speakers))
            for name in self.faults:
                for speaker in (*speakers[first:], *speakers[:first]):
                    if speaker.can_reload or not FAULTS[name].needs_reload:
                        yield number, FAULTS[name], speaker

    def refusal(self, speaker: Speaker, advert_int: float) -> str | None:
        """Why a speaker is not measured at that interval; None: it is."""
        if advert_int < speaker.shortest_interval:
            return f"{speaker.name} at {advert_int:g} s: its shortest interval is {speaker.shortest_interval:g} s"
        if self.setting.family not in speaker.families:
            return f"{speaker.name}: it has no IPv{self.setting.family}"
        return None

    @property
    def burdens(self) -> tuple[Load | None, ...]:
        """What each run is done under."""
        return (None, *self.loads)

    @property
    def total(self) -> int:
        """Runs, noisy ones not counted twice."""
        return len(self.burdens) * sum(1 for advert_int in self.adverts for _ in self.cells(advert_int))


def carry_out(plan: Plan, results: Results, directory: Path, console: Console) -> bool:
    """Do what is not done yet, and keep each run as soon as it is over; whether every speaker came up.

    Args:
        plan: what.
        results: what is there already, and what comes.
        directory: for the runs, one by one.
        console: for the progress.

    Raises:
        KeyboardInterrupt: somebody has had enough; what is done is in `results`.
    """
    notes = [plan.refusal(speaker, advert_int) for advert_int in plan.adverts for speaker in plan.speakers]
    if "reload" in plan.faults:
        notes += [f"{speaker.name}: it has no reload" for speaker in plan.speakers if not speaker.can_reload]
    for note in notes:
        _note(results, note)
    whole = True
    with progress(console, plan.total, "runs") as step, (directory / RUNS).open("ab") as kept:
        for load in plan.burdens:
            try:
                with load.applied() if load else nullcontext():
                    for advert_int in plan.adverts:
                        setting = msgspec.structs.replace(plan.setting, advert_int=advert_int)
                        leg = _Leg(plan, setting, load, results)
                        leg.carry_out(kept, step)
                        whole = whole and not leg.given_up
            except LoadError as error:
                _note(results, str(error))
    return whole


def _note(results: Results, text: str | None) -> None:
    if text is not None and text not in results.not_measured:
        results.not_measured.append(text)


class _Leg:
    """The runs of one interval under one load."""

    def __init__(self, plan: Plan, setting: Setting, load: Load | None, results: Results) -> None:
        self._plan = plan
        self._setting = setting
        self._load = load
        self._name = load.name if load else ""
        self._results = results
        self._arenas: dict[str, Arena] = {}
        self.given_up: set[tuple[str, str]] = set()
        """Speakers that did not come up, and faults that one did not survive: speaker, and fault or nothing."""
        self._scratch = Path()

    def carry_out(self, kept: IO[bytes], step: Callable[[str], None]) -> None:
        """Do what is not done yet."""
        done = {run.key for run in self._results.runs}
        interval = self._setting.advert_int
        with ExitStack() as stack:
            self._scratch = stack.enter_context(scratch("failover-"))
            stack.callback(self._close)
            for number, fault, speaker in self._plan.cells(interval):
                key = (speaker.name, interval, fault.name, self._name, number)
                if key not in done and not self.given_up & {(speaker.name, ""), (speaker.name, fault.name)}:
                    self._try(speaker, fault, number, kept)
                step(f"{speaker.name} {fault.name} {interval:g} s {self._name}".rstrip())

    def _try(self, speaker: Speaker, fault: Fault, number: int, kept: IO[bytes]) -> None:
        """Keep the run; or be done with that speaker, or with that fault of it, if even new routers fail."""
        try:
            run = self._quiet_run(speaker, fault, number)
        except ArenaError as error:
            came_up = speaker.name in self._arenas
            self._abandon(speaker)
            self.given_up.add((speaker.name, fault.name if came_up else ""))
            what = fault.name if came_up else "any fault"
            _note(self._results, f"{what} at {self._setting.advert_int:g} s {self._name}".rstrip() + f": {error}")
            return
        self._results.runs.append(run)
        kept.write(msgspec.json.encode(run) + b"\n")
        kept.flush()

    def _abandon(self, speaker: Speaker) -> None:
        if (broken := self._arenas.pop(speaker.name, None)) is not None:
            broken.close()

    def _close(self) -> None:
        for arena in self._arenas.values():
            arena.close()

    def _quiet_run(self, speaker: Speaker, fault: Fault, number: int) -> Run:
        """A run that is not noisy, if one can be had; routers that do not recover are replaced once."""
        run: Run | None = None
        failed = False
        limit = float("inf") if self._load else self._plan.noise_limit
        conditions = Conditions(self._name, limit, self._pcap(speaker, fault, number))
        for _ in range(1 + NOISY_RETRIES):
            try:
                run = measure(self._arena(speaker), fault, number, conditions)
            except ArenaError:
                if failed:
                    raise
                self._abandon(speaker)
                failed = True
                continue
            if not run.noisy:
                break
        assert run is not None
        return run

    def _pcap(self, speaker: Speaker, fault: Fault, number: int) -> Path | None:
        if self._plan.captures is None:
            return None
        self._plan.captures.mkdir(parents=True, exist_ok=True)
        words = (speaker.name, f"{self._setting.advert_int:g}", fault.name, self._name, str(number))
        return self._plan.captures / ("-".join(word for word in words if word) + ".pcap")

    def _arena(self, speaker: Speaker) -> Arena:
        if speaker.name not in self._arenas:
            place = self._scratch / f"{speaker.name}-{time.monotonic_ns()}"
            arena = self._arenas[speaker.name] = Arena(speaker, self._setting, place)
            if self._load:
                self._load.burden(arena)
        return self._arenas[speaker.name]


@contextmanager
def progress(console: Console, total: int, what: str) -> Iterator[Callable[[str], None]]:
    """A bar with the time that is left; where there is no terminal, a line now and then."""
    if not console.is_terminal:
        yield _lines(console, total, what)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text)

        yield step


def _lines(console: Console, total: int, what: str) -> Callable[[str], None]:
    began, done = time.monotonic(), 0

    def step(text: str) -> None:
        nonlocal done
        done += 1
        if done in {1, total} or done % max(1, total // 20) == 0:
            left = (time.monotonic() - began) / done * (total - done)
            console.print(f"{done} of {total} {what}, about {left / 60:.0f} min left; just now {text}", soft_wrap=True)

    return step


def resumed(results: Results, directory: Path) -> None:
    """Have the runs that an earlier campaign has kept one by one."""
    there = {run.key for run in results.runs}
    with suppress(FileNotFoundError), (directory / RUNS).open("rb") as kept:
        for line in kept:
            with suppress(msgspec.DecodeError):  # the last one, cut off
                run = msgspec.json.decode(line, type=Run)
                if run.key not in there:
                    there.add(run.key)
                    results.runs.append(run)
