"""vrrpd beside a real keepalived, on this machine, now.

    python -m benchmarks.speaker [--only NAME] [--runs N] [--json]

Both run in network namespaces on a bridge. Whatever disturbs the machine disturbs both, because their runs alternate
or share the same seconds; what is compared are medians of many runs. See benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import REPORT_ONLY, Figure, Limit, Measure, Samples, table
from benchmarks.peers import BACKUP, MASTER, Daemon, Keepalived, RouterSettings, Vrrpd
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.hosts import Host, Lan
from vrrpd.lan.namespace import enter_user_namespace_if_needed

VRID: Final = 51
VIP: Final = "203.0.113.1"
MASTER_PRIORITY: Final = 200
BACKUP_PRIORITY: Final = 100
OWNER_PRIORITY: Final = 255

GARP_LIMIT: Final = Limit(0.3, Measure.ABSOLUTE)
KINDS: Final[tuple[type[Daemon], ...]] = (Vrrpd, Keepalived)
NETWORKS: Final = (("192.0.2.0/24", "2001:db8::/64"), ("198.51.100.0/24", "2001:db8:1::/64"))
STATE_TIMEOUT: Final = 20.0
SWITCH_SETTLES: Final = 1.5
"""Seconds until a switch knows that a new port has a carrier: the kernel looks once a second."""
CPU_WINDOW: Final = 10.0
"""Seconds over which processor time is counted."""
ROUTERS_MANY: Final = 255
MANY_INTERVAL: Final = 0.1


def takeover(directory: Path, runs: int, interval: float) -> list[Figure]:
    """Cut the master off so that the switch forwards nothing of it any more; see how late the BACKUP takes over."""
    excess = Figure(f"takeover at advert_int {interval:g}: excess over the bound", "ms", Limit(1.0, Measure.RATIO))
    garp = Figure(f"takeover at advert_int {interval:g}: first advert to first GARP", "ms", GARP_LIMIT)
    _cut_repeatedly(directory, runs, _pair(interval, addresses=1), (excess, garp))
    return [excess, garp]


def takeover_of_many_addresses(directory: Path, runs: int) -> list[Figure]:
    """The same for a router with 200 addresses, which the kernel needs milliseconds to add."""
    excess = Figure("takeover of 200 addresses: excess over the bound", "ms", REPORT_ONLY)
    garp = Figure("takeover of 200 addresses: first advert to first GARP", "ms", REPORT_ONLY)
    _cut_repeatedly(directory, runs, _pair(0.1, addresses=200), (excess, garp))
    return [excess, garp]


def _pair(interval: float, addresses: int) -> tuple[RouterSettings, RouterSettings]:
    """The virtual router as the master has it, and as the backup."""
    listed = _addresses(addresses)
    return (
        RouterSettings(VRID, listed, priority=MASTER_PRIORITY, advert_int=interval),
        RouterSettings(VRID, listed, priority=BACKUP_PRIORITY, advert_int=interval),
    )


def _cut_repeatedly(
    directory: Path, runs: int, pair: tuple[RouterSettings, RouterSettings], figures: tuple[Figure, Figure]
) -> None:
    interval = pair[0].advert_int
    bound = 3 * interval + (256 - BACKUP_PRIORITY) / 256 * interval
    with ExitStack() as lans:
        cables = {}
        for kind, networks in zip(KINDS, NETWORKS, strict=True):
            lan = lans.enter_context(Lan(*networks))
            hosts = lan.host("master"), lan.host("backup")
            for host, router, state in zip(hosts, pair, (MASTER, BACKUP), strict=True):
                daemon = kind(host, directory / f"{kind.name}-{host.name}", [router])
                daemon.start()
                daemon.wait_until(state, STATE_TIMEOUT)
            cables[kind] = (lan, *hosts)
        time.sleep(SWITCH_SETTLES)
        for _ in range(runs):
            for kind, (lan, master, backup) in cables.items():
                gaps = _cut(lan, master, backup, interval)
                for figure, gap in zip(figures, (gaps[0] - bound, gaps[1]), strict=True):
                    _samples_of(figure, kind).add(gap * 1e3)


def _cut(lan: Lan, master: Host, backup: Host, interval: float) -> tuple[float, float]:
    """Seconds from the old master's last advert to the new one's first, and from that to the first GARP."""
    old, new = master.mac(), backup.mac()
    with Capture(lan) as capture:
        # At a random moment between two adverts, and only when nothing is left of the last cut.
        quiet_since = time.monotonic()
        time.sleep(8 * interval + random.uniform(0, interval))
        while any(frame.source_mac == new and frame.time > quiet_since for frame in capture.adverts(VRID)):
            quiet_since = time.monotonic()
            time.sleep(8 * interval)
        master.silence()
        cut_at = time.monotonic()

        def is_takeover(frame: Frame) -> bool:
            return frame.is_advert and frame.source_mac == new

        def is_announcement(frame: Frame) -> bool:
            return frame.announces is not None and frame.source_mac == new

        first = capture.wait_for(is_takeover, 5 + 5 * interval, since=quiet_since)
        announcement = capture.wait_for(is_announcement, 5, since=first.time)
        last = max(frame.time for frame in capture.adverts(VRID) if frame.source_mac == old and frame.time < first.time)
        master.unsilence()
    assert first.time > cut_at - interval, "the backup took over from a live master"
    return first.time - last, announcement.time - first.time


def start(directory: Path, runs: int) -> list[Figure]:
    """From before fork and exec to the first advert of an owner, which need not wait for anybody."""
    first_advert = Figure("start to first advert", "ms", Limit(150, Measure.ABSOLUTE))
    with Lan() as lan:
        host = lan.host("owner")
        for run in range(runs + 1):
            for kind, samples in zip(KINDS, (first_advert.vrrpd, first_advert.keepalived), strict=True):
                # keepalived waits for a master unless it is told that it is the one.
                extra = ("state MASTER",) if kind is Keepalived else ()
                router = RouterSettings(VRID, _addresses(1), priority=OWNER_PRIORITY, extra=extra)
                daemon = kind(host, directory / f"{kind.name}-{run}", [router])
                with Capture(lan) as capture:
                    started = time.monotonic()
                    daemon.start()
                    advert = capture.wait_for(lambda frame: frame.is_advert, STATE_TIMEOUT, since=started)
                    if run:  # the first fills the caches of bytecode and of the disk
                        samples.add((advert.time - started) * 1e3)
                    daemon.wait_until(MASTER, STATE_TIMEOUT)
                    daemon.stop()
    return [first_advert]


def memory(directory: Path, runs: int) -> list[Figure]:
    """Resident and proportional set of the process that speaks VRRP and of its parent."""
    speaker = Figure("resident set of the speaker", "MB", Limit(30, Measure.ABSOLUTE))
    parent = Figure("resident set of its supervisor", "MB", REPORT_ONLY)
    proportional = Figure("proportional set of both", "MB", REPORT_ONLY)
    with Lan() as lan:
        for kind in KINDS:
            for run in range(runs):
                host = lan.host(f"{kind.name[:6]}{run}")
                daemon = kind(host, directory / f"{kind.name}-{run}", [RouterSettings(VRID, _addresses(1))])
                daemon.start()
                daemon.wait_until(BACKUP, STATE_TIMEOUT)
                time.sleep(0.5)
                outer, inner = daemon.pids()
                for figure, value in (
                    (speaker, _memory(inner, "Rss")),
                    (parent, _memory(outer, "Rss")),
                    (proportional, _memory(inner, "Pss") + _memory(outer, "Pss")),
                ):
                    _samples_of(figure, kind).add(value)
                daemon.stop()
    return [speaker, parent, proportional]


def many_routers(directory: Path, runs: int) -> list[Figure]:
    """255 routers at 100 ms on one interface: processor time of who sends and of who listens.

    A listener of either kind hears the same adverts in the same seconds, once from a vrrpd and once from a keepalived.
    """
    sender = Figure("255 routers at 100 ms: CPU of the sender", "%", Limit(1.0, Measure.RATIO))
    receiver = {
        kind: Figure(f"255 routers at 100 ms from {kind.name}: CPU of the receiver", "%", Limit(2.0, Measure.RATIO))
        for kind in KINDS
    }
    with Lan() as lan:
        sends = lan.host("sender")
        listens = {kind: lan.host(kind.name) for kind in KINDS}
        for run in range(runs):
            for kind in KINDS:
                place = directory / f"{run}-{kind.name}"  # what an earlier run has logged would be misleading
                sending = kind(sends, place / "sender", _routers(MASTER_PRIORITY))
                sending.start()
                for router in (sending.routers[0], sending.routers[-1]):
                    sending.wait_until(MASTER, STATE_TIMEOUT, router)
                listening = {
                    other: other(host, place / other.name, _routers(BACKUP_PRIORITY)) for other, host in listens.items()
                }
                for daemon in listening.values():
                    daemon.start()
                    daemon.wait_until(BACKUP, STATE_TIMEOUT, daemon.routers[-1])
                time.sleep(1)
                daemons = [sending, *listening.values()]
                before = [daemon.cpu_seconds for daemon in daemons]
                began = time.monotonic()
                time.sleep(CPU_WINDOW)
                after = [daemon.cpu_seconds for daemon in daemons]
                took = time.monotonic() - began
                used = [100 * (end - begin) / took for begin, end in zip(before, after, strict=True)]
                _samples_of(sender, kind).add(used[0])
                for other, share in zip(listening, used[1:], strict=True):
                    _samples_of(receiver[kind], other).add(share)
                for daemon in reversed(daemons):
                    daemon.stop()
    return [sender, *receiver.values()]


MEASUREMENTS: Final[dict[str, tuple[Callable[[Path, int], list[Figure]], int]]] = {
    "takeover-10ms": (lambda directory, runs: takeover(directory, runs, 0.01), 40),
    "takeover-100ms": (lambda directory, runs: takeover(directory, runs, 0.1), 25),
    "addresses": (takeover_of_many_addresses, 10),
    "start": (start, 12),
    "memory": (memory, 3),
    "routers": (many_routers, 3),
}
"""By name, with the number of runs that tells a difference from noise within a few minutes."""


def _samples_of(figure: Figure, kind: type[Daemon]) -> Samples:
    return figure.vrrpd if kind is Vrrpd else figure.keepalived


def _addresses(count: int) -> tuple[str, ...]:
    return tuple(f"203.0.113.{number}/32" for number in range(1, count + 1))


def _routers(priority: int) -> list[RouterSettings]:
    return [
        RouterSettings(vrid, (f"203.0.113.{vrid}/32",), priority=priority, advert_int=MANY_INTERVAL)
        for vrid in range(1, ROUTERS_MANY + 1)
    ]


def _memory(pid: int, field: str) -> float:
    found = re.search(
        rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"), re.MULTILINE
    )
    assert found, "the kernel tells no such size"
    return int(found[1]) / 1e3


def _machine() -> dict[str, str | int | float]:
    keepalived = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "processors": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "keepalived": keepalived.stderr.split("\n", 1)[0].split()[1],
    }


def main() -> int:
    """Measure and report; returns 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speaker", description=main.__doc__)
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="one measurement; may be repeated")
    parser.add_argument("--runs", type=int, help="of each; default: what noise demands")
    parser.add_argument("--json", action="store_true", help="every run, for machines")
    arguments = parser.parse_args()
    if not shutil.which("keepalived"):
        print("keepalived is missing: apt-get install keepalived", file=sys.stderr)
        return 2
    enter_user_namespace_if_needed()
    figures: list[Figure] = []
    machine = _machine()
    with tempfile.TemporaryDirectory(prefix="vrrpd-bench-") as name:
        # An installed package comes with its bytecode; a checkout may be told to keep none.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{name}/bytecode"
        for measurement in arguments.only or MEASUREMENTS:
            measure, runs = MEASUREMENTS[measurement]
            print(f"{measurement} ...", file=sys.stderr)
            figures += measure(Path(name) / measurement, arguments.runs or runs)
    if arguments.json:
        print(json.dumps({"machine": machine, "figures": [figure.as_dict() for figure in figures]}, indent=2))
    else:
        print("; ".join(f"{key} {value}" for key, value in machine.items()), end="\n\n")
        print(table(figures))
    return 0 if all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
