"""Large tables of virtual servers: vrrpd beside a real keepalived, on a real IPVS kernel.

    python -m benchmarks.ipvs [--services N] [--real-servers N] [--runs N] [--json]

What a change costs vrrpd to find and to encode is measured natively, with a stand-in for the kernel that takes every
message. How late its adverts are meanwhile is measured natively as well, everything on one processor; where the
machine's kernel has no IPVS, that covers all but the kernel's own part. How long that keeps the processor at a time,
and what both take to program a table and to follow a change of their file, is measured in the User-Mode Linux that the
tests boot. There system calls are slow for both, and a speaker is late whatever it is beside: that is printed, and held
to nothing.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from unittest import mock

from msgspec.structs import replace

from benchmarks.figures import REPORT_ONLY, Figure, Limit, Measure, Samples, table
from benchmarks.peers import MASTER, Daemon, Keepalived, RouterSettings, Vrrpd
from tests.ipvs import uml
from vrrpd.channel import SetBurdens
from vrrpd.config.model import Config
from vrrpd.config.services import Masquerade, NodeSettings, RealServerSettings, TcpCheck, VirtualServerSettings
from vrrpd.director.director import Director
from vrrpd.director.service import Health, Service
from vrrpd.ipvs.kernel import Ipvs, request_of
from vrrpd.ipvs.model import Protocol, ServiceAddress, VirtualServer, VirtualServerKey
from vrrpd.ipvs.plan import Step
from vrrpd.ipvs.reconciler import Reconciler
from vrrpd.ipvs.wire import read_real_server
from vrrpd.lan.hosts import Host, Lan
from vrrpd.net.netlink import Batch, transact

VIP: Final = "192.0.2.100"
ADVERT_INT: Final = 0.01
TIMEOUT: Final = 300.0
SETTLED: Final = 5.0
"""Seconds after a reload in which a new standby is forked, and everything else that follows is over."""
INSIDE: Final = "--inside"
RESULT: Final = "result: "
PROJECT: Final = Path(__file__).parent.parent


class Encoder:
    """A kernel that takes everything, encoded as the real one would get it, has nothing, and counts."""

    def __init__(self) -> None:
        self.messages = 0

    def table(self) -> dict[VirtualServerKey, VirtualServer]:
        """Part of `Ipvs`."""
        return {}

    def each(self) -> Iterator[VirtualServer]:
        """Part of `Ipvs`."""
        return iter(())

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        """Part of `Ipvs`."""
        self.messages += len([request_of(step, 0) for step in steps])
        return []

    def close(self) -> None:
        """Part of `Ipvs`."""


def one_change(services: int, real_servers: int, runs: int) -> Samples:
    """Processor time, in ms, that a director takes from a check's verdict to the encoded message."""
    samples, kernel = Samples(), Encoder()

    async def measure_it(directory: Path) -> None:
        settings = tuple(_settings(number, real_servers) for number in range(services))
        socket = directory / "vrrpd.sock"
        config = Config((), control_socket=socket, virtual_servers=settings, node_settings=NodeSettings.OFF)
        with mock.patch("vrrpd.director.director.Ipvs", return_value=kernel):
            empty = replace(config, virtual_servers=())
            director, applied = (
                Director(asyncio.get_running_loop(), empty, frozenset(), SetBurdens({}), lambda _: None),
                asyncio.Event(),
            )
            director.start()
            director.apply(config, applied.set)
            await applied.wait()
        changed = settings[services // 2]
        place = changed.name, changed.real_servers[0].key
        gc.freeze()
        for run in range(runs):
            before, started = kernel.messages, time.process_time()
            director.heard(place, Health(up=bool(run % 2)))
            director.flush()
            samples.add((time.process_time() - started) * 1e3)
            if kernel.messages != before + 1:
                raise RuntimeError(f"one change took {kernel.messages - before} messages")
        await director.shutdown()

    logging.disable()  # a director that this process has for once would warn in the midst of what it shows
    try:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(measure_it(Path(directory)))
    finally:
        logging.disable(logging.NOTSET)
    return samples


def _settings(number: int, real_servers: int) -> VirtualServerSettings:
    port = number + 1
    check = TcpCheck(delay_loop=86400)
    reals = tuple(
        RealServerSettings(ip_address(f"198.51.100.{last}"), port, checks=(check,))
        for last in range(1, real_servers + 1)
    )
    key = ServiceAddress(Protocol.TCP, ip_address(VIP), port)
    return VirtualServerSettings(str(number), (key,), reals, masquerade=Masquerade.NEVER)


class BigVrrpd(Vrrpd):
    """With virtual servers, as docs/operation.md has it for short intervals."""

    def __init__(self, host: Host, directory: Path, routers: Sequence[RouterSettings]) -> None:
        super().__init__(host, directory, routers)
        self.top = ["realtime_priority = 50", 'node_settings = "off"']

    weights: tuple[int, int, int] = (0, 0, 1)
    """Virtual servers, real servers of each, weight of the first."""

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        super().write_configuration()
        services, real_servers, weight = self.weights
        lines: list[str] = []
        for number, last in itertools.product(range(services), range(real_servers)):
            if not last:
                # keepalived does not masquerade, and this kernel would have vrrpd call iptables for that.
                lines += ["[[virtual_server]]", f'address = "{VIP}"', f"port = {number + 1}", "masquerade = false"]
            lines += ["[[virtual_server.real_server]]", f'address = "198.51.100.{last + 1}"']
            lines += [f"weight = {weight}"] if not number and not last else []
        with self.configuration.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


class BigKeepalived(Keepalived):
    """With virtual servers, and the process that sees to them."""

    weights: tuple[int, int, int] = (0, 0, 1)

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        super().write_configuration()
        services, real_servers, weight = self.weights
        lines: list[str] = []
        for number in range(services):
            lines += [f"virtual_server {VIP} {number + 1} {{", "lvs_sched wlc", "lvs_method NAT", "protocol TCP"]
            for last in range(real_servers):
                own = weight if not number and not last else 1
                lines += [f"real_server 198.51.100.{last + 1} {number + 1} {{", f"weight {own}", "}"]
            lines.append("}")
        with (self.directory / "keepalived.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def start(self) -> None:
        """Part of `Daemon`."""
        self.write_configuration()
        pid_files = {"--pid": "keepalived.pid", "--vrrp_pid": "vrrp.pid", "--checkers_pid": "checkers.pid"}
        self._popen(
            [
                *("keepalived", "--dont-fork", "--log-console", "--no-syslog"),
                *("--use-file", str(self.directory / "keepalived.conf")),
                *(word for option, file in pid_files.items() for word in (option, str(self.directory / file))),
            ]
        )


_KINDS: tuple[type[BigVrrpd] | type[BigKeepalived], ...] = (BigVrrpd, BigKeepalived)


def inside(services: int, real_servers: int, runs: int) -> dict[str, Any]:
    """In the kernel: seconds from the start to a whole table, and from a changed file to the changed entry."""
    found: dict[str, Any] = {"empty": {}, "change": {}, "late": [], "late_beside": [], "datagrams": []}
    with tempfile.TemporaryDirectory() as directory, Lan() as lan:
        for run, kind in itertools.product(range(runs), _KINDS):
            host = lan.host(f"{kind.name[:6]}{run}")
            router = RouterSettings(run * 2 + (kind is BigVrrpd) + 1, (f"{VIP}/32",), advert_int=ADVERT_INT)
            daemon = kind(host, Path(directory) / f"{kind.name}{run}", [router])
            for name, seconds in _measured(daemon, host, services, real_servers).items():
                found[name].setdefault(kind.name, []).append(seconds)
            if isinstance(daemon, BigVrrpd):
                found["late"].append(_worst(daemon))
            daemon.kill()
            if isinstance(daemon, BigVrrpd):
                found["late_beside"].append(_worst_beside_work(daemon))
                found["datagrams"] += _datagrams(lan.host(f"empty{run}"), services, real_servers)
    return found


def _worst(daemon: "BigVrrpd") -> float:
    """How late the speaker has been, in ms."""
    return float(daemon.status()["loop_lag_seconds"]["max"]) * 1e3


def _worst_beside_work(daemon: "BigVrrpd") -> float:
    """The same without virtual servers, beside a process that only computes."""
    daemon.weights = 0, 0, 1
    daemon.start()
    daemon.wait_until(MASTER, TIMEOUT)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as work:
        time.sleep(SETTLED)
        work.kill()
    worst = _worst(daemon)
    daemon.kill()
    return worst


def _datagrams(host: Host, services: int, real_servers: int) -> list[float]:
    """How long the kernel takes for each datagram of a whole table, in ms."""
    kernel, took = host.call(Ipvs), list[float]()
    servers = [Service(_settings(number, real_servers)).table() for number in range(services)]
    table = {key: server for each in servers for key, server in each.items()}

    def timed(netlink: socket.socket, batch: Batch) -> dict[int, OSError]:
        started = time.monotonic()
        failed = transact(netlink, batch)
        took.append((time.monotonic() - started) * 1e3)
        return failed

    with mock.patch("vrrpd.ipvs.kernel.transact", timed):
        Reconciler(kernel).want(table)
    kernel.close()
    return took


def _measured(daemon: "BigVrrpd | BigKeepalived", host: Host, services: int, real_servers: int) -> dict[str, float]:
    kernel = host.call(Ipvs)
    last = ServiceAddress(Protocol.TCP, ip_address(VIP), services)
    daemon.weights = services, real_servers, 1
    started = time.monotonic()
    daemon.start()
    _wait(daemon, lambda: len(kernel.activity_of(last)) == real_servers)
    empty = time.monotonic() - started
    daemon.wait_until(MASTER, TIMEOUT)
    daemon.weights = services, real_servers, 7
    daemon.write_configuration()
    started = time.monotonic()
    os.kill(daemon.pids()[0], daemon.reload_signal)
    _wait(daemon, lambda: 7 in _weights(kernel))
    change = time.monotonic() - started
    kernel.close()
    return {"empty": empty, "change": change}


def _weights(kernel: Ipvs) -> set[int]:
    """Of the real servers of the first virtual server; to call a program would take the processor from the daemons."""
    key = ServiceAddress(Protocol.TCP, ip_address(VIP), 1)
    return {read_real_server(payload, key.family).weight for payload in kernel._real_servers(key)}  # noqa: SLF001


def _wait(daemon: Daemon, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            if condition():
                return
        except OSError:  # the virtual server is not there yet
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(daemon.log[-2000:])
        time.sleep(0.05)


def lateness(services: int, real_servers: int, runs: int) -> Samples:
    """The worst, in ms, of a speaker at advert_int 0.01 while so many virtual servers are read and reloaded.

    Everything runs on one processor, this program as well.
    """
    samples, processors = Samples(), os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as directory, Lan() as lan, contextlib.ExitStack() as stack:
        os.sched_setaffinity(0, {max(processors)})
        stack.callback(os.sched_setaffinity, 0, processors)
        for run in range(runs):
            host = lan.host(f"late{run}")
            router = RouterSettings(run + 1, (f"{VIP}/32",), advert_int=ADVERT_INT)
            daemon = BigVrrpd(host, Path(directory) / host.name, [router])
            for weight in (1, 2, 3):
                daemon.weights = services, real_servers, weight
                if weight == 1:
                    daemon.start()
                    daemon.wait_until(MASTER, TIMEOUT)
                else:
                    daemon.write_configuration()
                    daemon.ask("reload", TIMEOUT)
                time.sleep(SETTLED)
            samples.add(_worst(daemon))
            daemon.stop()
    return samples


def measure(services: int, real_servers: int, runs: int) -> list[Figure]:
    """All figures; those of the kernel come from a machine that is booted for them."""
    what = f"{services} x {real_servers}"
    native = Figure(f"{what}: CPU from a verdict to one encoded message", "ms", Limit(5, Measure.ABSOLUTE))
    native.vrrpd = one_change(services, real_servers, 20 * runs)
    late = Figure(
        f"{what}: worst lateness of the speaker meanwhile, on one processor", "ms", Limit(5, Measure.ABSOLUTE)
    )
    late.vrrpd = lateness(services, real_servers, runs)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.ipvs", INSIDE, f"--services={services}"]
        command += [f"--real-servers={real_servers}", f"--runs={runs}"]
        code, printed = uml.run(command, PROJECT, Path(scratch), TIMEOUT * (1 + 2 * runs), PYTHONDONTWRITEBYTECODE="1")
    result = next((line for line in printed.splitlines() if line.startswith(RESULT)), None)
    if code or result is None:
        raise RuntimeError(f"the machine failed:\n{printed}")
    found = json.loads(result.removeprefix(RESULT))
    empty = Figure(f"{what}: from the start to a whole table", "s", REPORT_ONLY)
    change = Figure(f"{what}: from a changed file to the changed entry", "s", REPORT_ONLY)
    for figure, name in ((empty, "empty"), (change, "change")):
        figure.vrrpd = Samples(found[name]["vrrpd"])
        figure.keepalived = Samples(found[name]["keepalived"])
    datagram = Figure(f"{what}: the kernel is busy with a datagram", "ms", Limit(5, Measure.ABSOLUTE))
    datagram.vrrpd = Samples(found["datagrams"])
    there = Figure(f"{what}: worst lateness in User-Mode Linux, programming included", "ms", REPORT_ONLY)
    there.vrrpd = Samples(found["late"])
    beside = Figure("no virtual servers: worst lateness there, beside a process that computes", "ms", REPORT_ONLY)
    beside.vrrpd = Samples(found["late_beside"])
    return [native, late, datagram, empty, change, there, beside]


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--real-servers", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every run, for machines")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = arguments.services, arguments.real_servers, arguments.runs
    if arguments.inside:
        print(RESULT + json.dumps(inside(*size)), flush=True)
        return 0
    figures = measure(*size)
    print(json.dumps([figure.as_dict() for figure in figures], indent=2) if arguments.json else table(figures))
    return 0 if all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
