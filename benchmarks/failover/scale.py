"""What grows with size: processor time, memory and lateness by instances; transition by addresses; reload; start."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.failover.cells import percentile
from benchmarks.failover.results import Results, Scale
from benchmarks.failover.speakers import BUILT_IN, Speaker
from benchmarks.peers import Daemon, RouterSettings
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.hosts import Host, Lan

MASTER_PRIORITY: Final = 200
BACKUP_PRIORITY: Final = 100
HIGHEST_PRIORITY: Final = 254
"""Not an owner's: FRR knows none."""
WINDOW: Final = 5.0
"""Seconds over which processor time is counted and adverts are watched."""
QUICK: Final = 0.01
"""Seconds between adverts where only the speaker's own time is to count."""
TRANSITION_INTERVAL: Final = 0.1
PATIENCE: Final = 60.0
SETTLED: Final = 1.5
_POLL: Final = 0.05


class ScaleError(RuntimeError):
    """A speaker does not do what is to be measured; the message has its log."""


class Job(Struct, frozen=True):
    """One measurement."""

    what: str
    speaker: Speaker
    size: int
    advert_int: float
    number: int

    @property
    def key(self) -> tuple[str, str, int, float, int]:
        """What tells measurements apart."""
        return self.what, self.speaker.name, self.size, self.advert_int, self.number


class Sizes(Struct, frozen=True):
    """How large."""

    instances: tuple[int, ...] = (1, 50, 255)
    intervals: tuple[float, ...] = (1.0, 0.1)
    addresses: tuple[int, ...] = (1, 20, 200)
    reloaded: tuple[int, ...] = (1, 100)
    started: tuple[int, ...] = (1, 100)
    runs: int = 3


def jobs(speakers: Sequence[Speaker], sizes: Sizes) -> list[Job]:
    """All of them, speakers interleaved."""
    cells = [("instances", size, interval) for size in sizes.instances for interval in sizes.intervals]
    cells += [("addresses", size, TRANSITION_INTERVAL) for size in sizes.addresses]
    cells += [("reload", size, TRANSITION_INTERVAL) for size in sizes.reloaded]
    cells += [("start", size, QUICK if size == 1 else TRANSITION_INTERVAL) for size in sizes.started]
    return [
        Job(what, speaker, size, interval, number)
        for what, size, interval in cells
        for number in range(sizes.runs)
        for speaker in speakers
        if speaker.name in BUILT_IN
    ]


def carry_out(todo: Sequence[Job], results: Results, directory: Path, step: Callable[[str], None]) -> None:
    """Do what is not done yet.

    Args:
        todo: what.
        results: what is there already, and what comes; what fails is noted there.
        directory: for configurations and logs.
        step: told of each.
    """
    done = {(one.what, one.speaker, one.size, one.advert_int, one.number) for one in results.scale}
    for job in todo:
        name = f"{job.what}, {job.speaker.name}, {job.size}"
        if job.key not in done:
            place = directory / f"{job.what}-{job.speaker.name}-{job.size}-{job.advert_int}-{job.number}"
            try:
                with Lan("203.0.113.0/24", "2001:db8::/64") as lan:
                    values = _MEASURES[job.what](lan, job, place)
                results.scale.append(
                    Scale(job.what, job.speaker.name, job.size, job.advert_int, values, number=job.number)
                )
            except (ScaleError, TimeoutError) as error:
                note = f"{name} at {job.advert_int:g} s: {str(error).splitlines()[0]}"
                if note not in results.not_measured:
                    results.not_measured.append(note)
        step(name)


def _instances(lan: Lan, job: Job, place: Path) -> dict[str, float]:
    """Percent of a processor, megabytes, and milliseconds by which adverts are late."""
    sender, receiver = (
        _daemon(job, lan.host(name), place / name, _routers(job, priority))
        for name, priority in (("sender", MASTER_PRIORITY), ("receiver", BACKUP_PRIORITY))
    )
    with Capture(lan) as capture:
        sender.start()
        _wait(lambda: len(_speaking(capture.frames, sender)) >= job.size, sender)
        receiver.start()
        time.sleep(max(SETTLED, 4 * job.advert_int))
        began, before = time.monotonic(), [each.cpu_seconds for each in (sender, receiver)]
        time.sleep(max(WINDOW, 5 * job.advert_int))
        ended, after = time.monotonic(), [each.cpu_seconds for each in (sender, receiver)]
        frames = [frame for frame in capture.frames if began <= frame.time <= ended]
    sent, received = ((end - begin) / (ended - began) * 100 for begin, end in zip(before, after, strict=True))
    late = list(lateness(_sent_by(frames, sender), job.advert_int))
    false = _speaking(frames, receiver)
    values = {
        "sender_cpu_percent": sent,
        "receiver_cpu_percent": received,
        "sender_pss_mb": _pss(sender),
        "receiver_pss_mb": _pss(receiver),
        "late_p99_ms": percentile(late, 99) if late else 0.0,
        "late_worst_ms": max(late, default=0.0),
        "false_masters": float(len(false)),
    }
    for each in (sender, receiver):
        each.kill()
    return {name: round(value, 3) for name, value in values.items()}


def lateness(frames: Sequence[Frame], interval: float) -> Iterator[float]:
    """Milliseconds by which each advert came later than an interval after the one before; `interval` in seconds."""
    times: dict[int, list[float]] = defaultdict(list)
    for frame in frames:
        times[frame.virtual_router_id].append(frame.time)
    for sent in times.values():
        yield from (max(0.0, (after - before - interval) * 1e3) for before, after in pairwise(sent))


def _addresses(lan: Lan, job: Job, place: Path) -> dict[str, float]:
    """Milliseconds from a successor's first advert until the first and the last address were announced."""
    addresses = tuple(f"203.0.113.{number}/32" for number in range(20, 20 + job.size))
    master, backup = (
        _daemon(
            job,
            lan.host(name),
            place / name,
            [RouterSettings(51, addresses, priority=priority, advert_int=job.advert_int)],
        )
        for name, priority in (("master", MASTER_PRIORITY), ("backup", BACKUP_PRIORITY))
    )
    wanted = {address.partition("/")[0] for address in addresses}
    with Capture(lan) as capture:
        master.start()
        _wait(lambda: wanted <= _announced(capture.frames, 0.0).keys(), master)
        backup.start()
        time.sleep(SETTLED)
        began = time.monotonic()
        master.host.silence()
        _wait(lambda: wanted <= _announced(capture.frames, began).keys(), backup)
        first = next(frame.time for frame in _sent_by(capture.frames, backup) if frame.time > began)
        announced = [at - first for address, at in _announced(capture.frames, began).items() if address in wanted]
    for each in (master, backup):
        each.kill()
    return {"first_ms": round(min(announced) * 1e3, 3), "last_ms": round(max(announced) * 1e3, 3)}


def _reload(lan: Lan, job: Job, place: Path) -> dict[str, float]:
    """Milliseconds from the order until the kernel has an address that the changed file adds, of the last instance."""
    daemon = _daemon(job, lan.host("router"), place, _routers(job, MASTER_PRIORITY))
    with Capture(lan) as capture:
        daemon.start()
        _wait(lambda: len(_speaking(capture.frames, daemon)) >= job.size, daemon)
        time.sleep(SETTLED)
        last = daemon.routers[-1]
        daemon.routers[-1] = replace(last, addresses=(*last.addresses, "198.51.100.1/32"))
        began = time.monotonic()
        daemon.reload()
        _wait(lambda: "198.51.100.1" in _announced(capture.frames, began), daemon)
        at = _announced(capture.frames, began)["198.51.100.1"]
    daemon.kill()
    return {"announced_ms": round((at - began) * 1e3, 3)}


def _start(lan: Lan, job: Job, place: Path) -> dict[str, float]:
    """Milliseconds from before fork and exec to the last instance's first advert, the protocol's wait taken off."""
    daemon = _daemon(job, lan.host("router"), place, _routers(job, HIGHEST_PRIORITY))
    with Capture(lan) as capture:
        began = time.monotonic()
        daemon.start()
        _wait(lambda: len(_speaking(capture.frames, daemon)) >= job.size, daemon)
        first: dict[int, float] = {}
        for frame in capture.adverts():
            first.setdefault(frame.virtual_router_id, frame.time)
    daemon.kill()
    wait = (3 + 2 / 256) * job.advert_int
    return {"first_advert_ms": round((max(first.values()) - began - wait) * 1e3, 3)}


_MEASURES: Final[dict[str, Callable[[Lan, Job, Path], dict[str, float]]]] = {
    "instances": _instances,
    "addresses": _addresses,
    "reload": _reload,
    "start": _start,
}


def _daemon(job: Job, host: Host, place: Path, routers: Sequence[RouterSettings]) -> Daemon:
    return job.speaker.kind(host, place, routers)


def _routers(job: Job, priority: int) -> list[RouterSettings]:
    return [
        RouterSettings(vrid, (f"192.0.2.{vrid}/32",), priority=priority, advert_int=job.advert_int)
        for vrid in range(1, job.size + 1)
    ]


def _sent_by(frames: Sequence[Frame], daemon: Daemon) -> list[Frame]:
    """Its adverts, by the address of its host, for FRR's routers share their hardware addresses."""
    own = daemon.host.addresses()[0].ip
    return [frame for frame in frames if frame.is_advert and frame.source == own]


def _speaking(frames: Sequence[Frame], daemon: Daemon) -> set[int]:
    return {frame.virtual_router_id for frame in _sent_by(frames, daemon)}


def _announced(frames: Sequence[Frame], since: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for frame in frames:
        if frame.time >= since and (address := frame.announces) is not None:
            found.setdefault(str(address), frame.time)
    return found


def _wait(condition: Callable[[], bool], daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise ScaleError(f"not within {PATIENCE:g} s\n{daemon.log}")
        time.sleep(_POLL)


def _pss(daemon: Daemon) -> float:
    """Proportional set of all its processes, in MB."""
    total = 0
    for pid in daemon.pids():
        with suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
    return total / 1e3
