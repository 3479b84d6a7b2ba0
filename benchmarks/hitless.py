"""What a client and the backup notice of a daemon that crashes, or of a machine that is busy.

`crash`: the process that speaks is killed while it is MASTER (keepalived has one such child, too).
`busy`: four busy loops beside the daemons; every takeover is a false one, for nobody fails.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contest import BACKUP_PRIORITY, KINDS, MASTER_PRIORITY, STATE_TIMEOUT, VRID, samples_of
from benchmarks.figures import Figure, Limit, Measure
from benchmarks.peers import BACKUP, MASTER, Daemon, Keepalived, RouterSettings, Vrrpd
from benchmarks.takeover import NETWORKS, SWITCH_SETTLES
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.hosts import Lan
from vrrpd.lan.probe import Prober

INTERVAL: Final = 0.01
VIP: Final = "203.0.113.1"
KEEPALIVED_KILLS_MAX: Final = 3
"""With the next it waits 32 s before it has another child."""
PAUSE_BETWEEN_KILLS: Final = 2.6
"""Seconds; 5 crashes in 10 s are a loop, which is another matter."""
HOGS: Final = 4
BUSY_SECONDS: Final = 60.0
REALTIME: Final = "realtime_priority = 50"


class _Pair:
    """A master and its backup of one kind, with a client, on a LAN of their own."""

    def __init__(self, kind: type[Daemon], lan: Lan, directory: Path, *top: str) -> None:
        self.lan = lan
        self.master, self.backup = (
            self._start(kind(lan.host(name), directory / f"{kind.name}-{name}", [_router(priority)]), *top)
            for name, priority in (("master", MASTER_PRIORITY), ("backup", BACKUP_PRIORITY))
        )
        self.client = lan.host("client")
        self.client.route(f"{VIP}/32", ifname="eth0")

    def takeovers(self) -> int:
        """How often the backup has become MASTER."""
        return self.backup.log.count("Entering MASTER STATE")

    def kill_speaker(self) -> None:
        """The process that speaks: keepalived's and vrrpd's first child."""
        os.kill(self.master.pids()[1], signal.SIGKILL)

    @staticmethod
    def _start(daemon: Daemon, *top: str) -> Daemon:
        if isinstance(daemon, Vrrpd):
            daemon.top = list(top)
        daemon.start()
        state = MASTER if daemon.routers[0].priority == MASTER_PRIORITY else BACKUP
        daemon.wait_until(state, STATE_TIMEOUT)
        return daemon


def _router(priority: int) -> RouterSettings:
    return RouterSettings(VRID, (f"{VIP}/32",), priority=priority, advert_int=INTERVAL)


def crash(directory: Path, runs: int) -> list[Figure]:
    """Kill the speaking process of a master again and again."""
    silence = Figure("speaker killed at advert_int 0.01: silence after the kill", "ms", Limit(30, Measure.ABSOLUTE))
    takeovers = Figure("... takeovers by the backup, all kills together", "", Limit(0, Measure.ABSOLUTE))
    lost = Figure("... probes lost by the client, one a millisecond", "", Limit(0, Measure.ABSOLUTE))
    with ExitStack() as stack:
        pairs = _pairs(stack, directory)
        captures = {kind: stack.enter_context(Capture(pair.lan)) for kind, pair in pairs.items()}
        probers = {kind: stack.enter_context(Prober(pair.client, VIP)) for kind, pair in pairs.items()}
        time.sleep(SWITCH_SETTLES)
        before = {kind: pair.takeovers() for kind, pair in pairs.items()}
        for run in range(runs):
            for kind, pair in pairs.items():
                if kind is Keepalived and run >= KEEPALIVED_KILLS_MAX:
                    time.sleep(PAUSE_BETWEEN_KILLS)
                    continue
                mac = pair.master.host.mac()

                def is_its_own(frame: Frame, mac: str = mac) -> bool:
                    return frame.is_advert and frame.source_mac == mac

                killed = time.monotonic()
                pair.kill_speaker()
                first = captures[kind].wait_for(is_its_own, STATE_TIMEOUT, since=killed)
                samples_of(silence, kind).add((first.time - killed) * 1e3)
                time.sleep(PAUSE_BETWEEN_KILLS)
                until = time.monotonic() - 0.5  # what was sent later may be answered yet
                samples_of(lost, kind).add(probers[kind].result(since=killed, until=until).lost)
        for kind, pair in pairs.items():
            samples_of(takeovers, kind).add(pair.takeovers() - before[kind])
    return [silence, takeovers, lost]


def busy(directory: Path, runs: int) -> list[Figure]:
    """Count takeovers while busy loops have both processors."""
    usual = Figure("4 busy loops, advert_int 0.01, 60 s: false takeovers", "", Limit(measure=Measure.NOT_MORE))
    realtime = Figure("... with realtime_priority = 50", "", Limit(0, Measure.ABSOLUTE))
    for run in range(runs):
        with ExitStack() as stack:
            pairs = list(_pairs(stack, directory / f"usual{run}").items())
            lan = stack.enter_context(Lan("203.0.113.128/25", "2001:db8:2::/64"))
            quick = _Pair(Vrrpd, lan, directory / f"realtime{run}", REALTIME)
            time.sleep(SWITCH_SETTLES)
            before = [pair.takeovers() for pair in (*(pair for _, pair in pairs), quick)]
            with _hogs():
                time.sleep(BUSY_SECONDS)
            after = [pair.takeovers() for pair in (*(pair for _, pair in pairs), quick)]
            false = [end - begin for begin, end in zip(before, after, strict=True)]
            for (kind, _), count in zip(pairs, false, strict=False):
                samples_of(usual, kind).add(count)
                if kind is Keepalived:
                    realtime.keepalived.add(count)
            realtime.vrrpd.add(false[-1])
    return [usual, realtime]


def _pairs(stack: ExitStack, directory: Path) -> dict[type[Daemon], _Pair]:
    return {
        kind: _Pair(kind, stack.enter_context(Lan(*networks)), directory)
        for kind, networks in zip(KINDS, NETWORKS, strict=True)
    }


@contextmanager
def _hogs() -> Iterator[None]:
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(HOGS)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _spin() -> None:
    until = time.monotonic() + 2 * BUSY_SECONDS
    while time.monotonic() < until:
        pass
