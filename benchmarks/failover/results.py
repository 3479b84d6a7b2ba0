"""The file that a campaign leaves: everything that was measured, and of what. docs/benchmarking.md has the schema."""

import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from benchmarks.failover.faults import FAULTS
from benchmarks.failover.setting import REFERENCE

SCHEMA: Final = 1
"""Goes up when a key changes its meaning or goes away."""
DEFAULT_DIRECTORY: Final = Path("failover-results")
NAME: Final = "results.json"
RUNS: Final = "runs.jsonl"
"""What is done so far, a line a run, while a campaign goes on."""


class ResultsError(ValueError):
    """A results file cannot be read, or not be added to; the message says why."""


class Passage(Struct, frozen=True):
    """What one kind of probes saw in a stretch of time. Milliseconds."""

    probes: int
    lost: int
    outage_ms: float
    """The longest time between two answered probes with unanswered ones between them; of `flow`: between two echoes."""
    resolution_ms: float = 0.0
    """How much longer than the true one that may be."""
    connections: int = 1
    """Of `flow`: how many it took; 1: the one that was there survived."""


class Segment(Struct, frozen=True):
    """Consecutive probes with the same fate. Milliseconds after the fault."""

    start_ms: float
    end_ms: float
    answered_by: str | None


class Timeline(Struct, frozen=True):
    """One run as a picture has it. Milliseconds after the fault."""

    segments: dict[str, list[Segment]]
    """By the name of the probes."""
    adverts: dict[str, list[float]]
    """By router."""
    announcements: list[float]
    """Gratuitous ARPs and neighbour advertisements of the virtual address."""


class Run(Struct, frozen=True):
    """One fault that befell one speaker, once."""

    speaker: str
    advert_int: float
    fault: str
    number: int
    load: str = ""
    noise_ms: float = 0.0
    """The longest pause of the prober, from the fault until it was undone."""
    noisy: bool = False
    """It was too long for this run to count."""
    during: dict[str, Passage] = field(default_factory=dict)
    """By the name of the probes: from the fault until service was steady."""
    back: dict[str, Passage] = field(default_factory=dict)
    """Likewise while the fault was undone."""
    successor: str | None = None
    detection_ms: float | None = None
    """From the last advert that was heard of the master to its successor's first; null: nobody took over."""
    bound_ms: float | None = None
    """What the protocol allows for it."""
    announced_ms: float | None = None
    """From the successor's first advert to the first announcement of the address."""
    two_masters_ms: float = 0.0
    """How long two advertised, from the fault until service was steady."""
    back_two_masters_ms: float = 0.0
    """Likewise while the fault was undone."""
    flaps: int = 0
    """Changes of the master beyond those that the fault demands."""
    restored: bool = True
    """Whether clients were served again within the time that is waited for it."""
    timeline: Timeline | None = None

    @property
    def key(self) -> tuple[str, float, str, str, int]:
        """What tells runs apart."""
        return self.speaker, self.advert_int, self.fault, self.load, self.number

    @property
    def excess_ms(self) -> float | None:
        """How much later than the bound."""
        return None if self.detection_ms is None or self.bound_ms is None else self.detection_ms - self.bound_ms


class Scale(Struct, frozen=True):
    """One measurement of something that grows with size."""

    what: str
    """`instances`, `addresses`, `reload` or `start`."""
    speaker: str
    size: int
    advert_int: float
    values: dict[str, float]
    """By name; docs/benchmarking.md has units and meaning."""
    number: int = 0


class Samples(Struct, frozen=True):
    """What was measured of one daemon."""

    median: float
    quartiles: tuple[float, float]
    runs: list[float]


class OtherFigure(Struct, frozen=True):
    """Of a program beside this one, as its `--json` has it."""

    name: str
    unit: str
    vrrpd: Samples
    keepalived: Samples | None
    ratio: float | None
    limit: float | None
    limit_is: str
    met: bool | None


class Results(Struct):
    """All of it."""

    schema: int
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    baseline: str
    runs: list[Run] = field(default_factory=list)
    scale: list[Scale] = field(default_factory=list)
    figures: list[OtherFigure] = field(default_factory=list)
    """Of `benchmarks.speaker`, `benchmarks.ipvs` and `benchmarks.kubernetes`."""
    not_measured: list[str] = field(default_factory=list)
    """What could not be measured here, and why."""

    @property
    def speakers(self) -> list[str]:
        """In the order in which they were named."""
        return list(self.versions)


def machine() -> dict[str, Any]:
    """What a reader must know of this one."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = {line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": ", ".join(sorted(models)) or "unknown",
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "nice": os.nice(0),
        "load_average": round(os.getloadavg()[0], 2),
        "idle_pause_ms": round(_idle_pause() * 1e3, 3),
    }


def _idle_pause(duration: float = 1.0) -> float:
    """The longest that a process was kept from running that asked for it every millisecond, in seconds."""
    worst, until = 0.0, time.monotonic() + duration
    before = time.monotonic()
    while before < until:
        time.sleep(0.001)
        now = time.monotonic()
        worst = max(worst, now - before - 0.001)
        before = now
    return worst


def load(path: Path) -> Results:
    """Read a results file, or the directory that has one.

    Raises:
        ResultsError: there is none, or it is of another kind.
    """
    file = path / NAME if path.is_dir() else path
    try:
        data = file.read_bytes()
        schema = msgspec.json.decode(data).get("schema")
        if schema != SCHEMA:
            raise ResultsError(f"{file} has schema {schema}, this program knows {SCHEMA}: measure again")
        found = msgspec.json.decode(data, type=Results)
    except OSError as error:
        raise ResultsError(f"{file}: {error.strerror}") from error
    except (msgspec.DecodeError, AttributeError, RecursionError) as error:
        raise ResultsError(f"{file} is no results file: {error}") from error
    if contradictions := list(_contradictions(found)):
        raise ResultsError(f"{file} is no results file: {'; '.join(contradictions)}")
    return found


def _contradictions(results: Results) -> Iterator[str]:
    named = [results.baseline, *(run.speaker for run in results.runs), *(one.speaker for one in results.scale)]
    yield from (f"{name} is not among the versions" for name in dict.fromkeys(named) if name not in results.versions)
    faults = dict.fromkeys(run.fault for run in results.runs)
    yield from (f"{name} is no fault" for name in faults if name not in FAULTS)
    if lacking := {"kernel", "processors", "date"} - results.machine.keys():
        yield f"its machine has no {', '.join(sorted(lacking))}"
    keys: dict[str, set[str]] = {one.what: set(one.values) for one in results.scale}
    odd = dict.fromkeys(one.what for one in results.scale if set(one.values) != keys[one.what])
    yield from (f"not all sizes of {what} have the same values" for what in odd)
    if any(REFERENCE not in passages for run in results.runs for passages in (run.during, run.back)):
        yield f"there are runs without {REFERENCE}"


def save(results: Results, directory: Path) -> None:
    """Write it as a whole; whoever reads meanwhile gets the old one."""
    data = msgspec.json.format(msgspec.json.encode(results), indent=1)
    temporary = directory / f".{NAME}"
    try:
        temporary.write_bytes(data + b"\n")
        temporary.replace(directory / NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
