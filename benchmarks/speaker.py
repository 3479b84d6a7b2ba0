"""vrrpd beside a real keepalived, on this machine, now.

    python -m benchmarks.speaker [--only NAME] [--runs N] [--json]

Both run in network namespaces on a bridge. Whatever disturbs the machine disturbs both, because their runs alternate
or share the same seconds; what is compared are medians of many runs. See benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.contest import (
    BACKUP_PRIORITY,
    KINDS,
    MASTER_PRIORITY,
    OWNER_PRIORITY,
    STATE_TIMEOUT,
    VRID,
    samples_of,
    virtual_addresses,
)
from benchmarks.figures import REPORT_ONLY, Figure, Limit, Measure, table
from benchmarks.hitless import busy, crash
from benchmarks.peers import BACKUP, MASTER, Keepalived, RouterSettings
from benchmarks.takeover import first_takeover, takeover, takeover_of_many_addresses
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Lan
from vrrpd.lan.namespace import enter_user_namespace_if_needed

CPU_WINDOW: Final = 10.0
"""Seconds over which processor time is counted."""
ROUTERS_MANY: Final = 255
MANY_INTERVAL: Final = 0.1


def start(directory: Path, runs: int) -> list[Figure]:
    """From before fork and exec to the first advert of an owner, which need not wait for anybody."""
    first_advert = Figure("start to first advert", "ms", Limit(150, Measure.ABSOLUTE))
    with Lan() as lan:
        host = lan.host("owner")
        for run in range(runs + 1):
            for kind, samples in zip(KINDS, (first_advert.vrrpd, first_advert.keepalived), strict=True):
                # keepalived waits for a master unless it is told that it is the one.
                extra = ("state MASTER",) if kind is Keepalived else ()
                router = RouterSettings(VRID, virtual_addresses(1), priority=OWNER_PRIORITY, extra=extra)
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
                daemon = kind(host, directory / f"{kind.name}-{run}", [RouterSettings(VRID, virtual_addresses(1))])
                daemon.start()
                daemon.wait_until(BACKUP, STATE_TIMEOUT)
                time.sleep(0.5)
                outer, inner, *_ = daemon.pids()  # vrrpd's third one is its standby
                for figure, value in (
                    (speaker, _memory(inner, "Rss")),
                    (parent, _memory(outer, "Rss")),
                    (proportional, _memory(inner, "Pss") + _memory(outer, "Pss")),
                ):
                    samples_of(figure, kind).add(value)
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
                samples_of(sender, kind).add(used[0])
                for other, share in zip(listening, used[1:], strict=True):
                    samples_of(receiver[kind], other).add(share)
                for daemon in reversed(daemons):
                    daemon.stop()
    return [sender, *receiver.values()]


MEASUREMENTS: Final[dict[str, tuple[Callable[[Path, int], list[Figure]], int]]] = {
    "takeover-10ms": (lambda directory, runs: takeover(directory, runs, 0.01), 40),
    "takeover-100ms": (lambda directory, runs: takeover(directory, runs, 0.1), 25),
    "takeover-first": (first_takeover, 10),
    "takeover-addresses": (takeover_of_many_addresses, 10),
    "start": (start, 12),
    "memory": (memory, 3),
    "routers": (many_routers, 3),
    "crash": (crash, 50),
    "busy": (busy, 1),
}
"""By name, with the number of runs that tells a difference from noise within a few minutes."""
QUICK: Final = {"takeover-10ms": 20, "takeover-first": 5, "takeover-addresses": 5, "start": 6, "memory": 1, "crash": 8}
"""Those that a first look needs, with fewer runs."""


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
