"""A master that falls silent: how late its backup takes over, and how soon the link is told."""

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from benchmarks.contest import (
    BACKUP_PRIORITY,
    KINDS,
    MASTER_PRIORITY,
    STATE_TIMEOUT,
    VRID,
    samples_of,
    virtual_addresses,
)
from benchmarks.figures import REPORT_ONLY, Figure, Limit, Measure
from benchmarks.peers import BACKUP, MASTER, Daemon, RouterSettings
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.hosts import Lan

NETWORKS: Final = (("192.0.2.0/24", "2001:db8::/64"), ("198.51.100.0/24", "2001:db8:1::/64"))
SWITCH_SETTLES: Final = 1.5
"""Seconds until a switch knows that a new port has a carrier: the kernel looks once a second."""
QUIET_INTERVALS: Final = 8
"""Advert intervals without a word of the backup's before it counts as one."""
EXCESS_LIMIT: Final = Limit(1.0, Measure.RATIO)
GARP_LIMIT: Final = Limit(0.3, Measure.ABSOLUTE)


class Pair:
    """A master and a backup of one kind on a LAN of their own."""

    def __init__(self, kind: type[Daemon], lan: Lan, directory: Path, interval: float, addresses: int) -> None:
        self._kind = kind
        self._lan = lan
        self._directory = directory
        self._interval = interval
        self._addresses = virtual_addresses(addresses)
        self._master, self._backup = lan.host("master"), lan.host("backup")
        self._started = 0
        self._start(MASTER, MASTER_PRIORITY)
        self._backup_daemon = self._start(BACKUP, BACKUP_PRIORITY)

    def replace_backup(self) -> None:
        """Go on with a backup that has never been master."""
        self._backup_daemon.stop()
        self._backup_daemon = self._start(BACKUP, BACKUP_PRIORITY)

    def cut(self) -> tuple[float, float]:
        """Make the master silent; seconds from the bound to the first advert, and from that to the first GARP."""
        interval, old, new = self._interval, self._master.mac(), self._backup.mac()

        def is_takeover(frame: Frame) -> bool:
            return frame.is_advert and frame.source_mac == new

        def is_announcement(frame: Frame) -> bool:
            return frame.announces is not None and frame.source_mac == new

        with Capture(self._lan) as capture:
            began = time.monotonic()
            # At a random moment between two adverts, and only when nothing is left of the last cut.
            time.sleep((QUIET_INTERVALS + random.random()) * interval)
            while any(is_takeover(frame) and frame.time > began for frame in capture.frames):
                began = time.monotonic()
                time.sleep(QUIET_INTERVALS * interval)
            self._master.silence()
            try:
                first = capture.wait_for(is_takeover, STATE_TIMEOUT, since=began)
                garp = capture.wait_for(is_announcement, STATE_TIMEOUT, since=first.time)
            finally:
                self._master.unsilence()
            last = max(
                advert.time for advert in capture.adverts(VRID) if advert.source_mac == old and advert.time < first.time
            )
        bound = 3 * interval + (256 - BACKUP_PRIORITY) / 256 * interval
        return first.time - last - bound, garp.time - first.time

    def _start(self, state: str, priority: int) -> Daemon:
        self._started += 1
        router = RouterSettings(VRID, self._addresses, priority=priority, advert_int=self._interval)
        host = self._master if state == MASTER else self._backup
        daemon = self._kind(host, self._directory / f"{self._kind.name}-{self._started}", [router])
        daemon.start()
        daemon.wait_until(state, STATE_TIMEOUT)
        return daemon


class Scenario(Struct, frozen=True):
    """What is taken over, and what is demanded of it."""

    name: str
    interval: float = 0.1
    """advert_int in seconds."""
    addresses: int = 1
    fresh: bool = False
    """Each time by a process that never was master before."""
    excess: Limit = REPORT_ONLY
    garp: Limit = REPORT_ONLY


def takeover(directory: Path, runs: int, interval: float) -> list[Figure]:
    """Cut the master off so that the switch forwards nothing of it any more, while its carrier stays."""
    name = f"takeover at advert_int {interval:g}"
    return _measure(directory, runs, Scenario(name, interval, excess=EXCESS_LIMIT, garp=GARP_LIMIT))


def first_takeover(directory: Path, runs: int) -> list[Figure]:
    """The same for processes that never were master before, and whose code is cold."""
    return _measure(directory, runs, Scenario("first takeover of a process", fresh=True))


def takeover_of_many_addresses(directory: Path, runs: int) -> list[Figure]:
    """The same for a router with 200 addresses, which the kernel needs milliseconds to add."""
    return _measure(directory, runs, Scenario("takeover of 200 addresses", addresses=200))


def _measure(directory: Path, runs: int, scenario: Scenario) -> list[Figure]:
    figures = [
        Figure(f"{scenario.name}: excess over the bound", "ms", scenario.excess),
        Figure(f"{scenario.name}: first advert to first GARP", "ms", scenario.garp),
    ]
    with ExitStack() as lans:
        pairs = {
            kind: Pair(kind, lans.enter_context(Lan(*networks)), directory, scenario.interval, scenario.addresses)
            for kind, networks in zip(KINDS, NETWORKS, strict=True)
        }
        time.sleep(SWITCH_SETTLES)
        for _ in range(runs):
            for kind, pair in pairs.items():
                if scenario.fresh:
                    pair.replace_backup()
                for figure, seconds in zip(figures, pair.cut(), strict=True):
                    samples_of(figure, kind).add(seconds * 1e3)
    return figures
