"""VRRP daemons on hosts of a LAN, one interface for all, and vrrpd as one of them.

router = RouterSettings(51, ("192.0.2.100/32",), priority=200, advert_int=0.1)
daemon = Vrrpd(host, directory, [router])
daemon.start()
daemon.wait_until(MASTER, timeout=10)
daemon.kill()
"""

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct

from vrrpd.config.addresses import link_local_of
from vrrpd.supervisor.control import ControlError, result_of

if TYPE_CHECKING:
    from vrrpd.lan.hosts import Host

MASTER: Final = "MASTER"
BACKUP: Final = "BACKUP"

_POLL: Final = 0.005
_STOP_TIMEOUT: Final = 15.0
"""Seconds that a daemon gets to end after SIGTERM."""
_START_TIMEOUT: Final = 20.0
_PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")


class RouterSettings(Struct, frozen=True):
    """One virtual router, as all three daemons can be told of it."""

    virtual_router_id: int
    addresses: tuple[str, ...]
    """With prefix lengths, of one family."""
    interface: str = "eth0"
    priority: int = 100
    advert_int: float = 1.0
    """Seconds, a whole number of centiseconds."""
    preempt: bool = True
    version: int = 3
    """Of VRRP. vrrpd has no other than 3."""
    extra: tuple[str, ...] = ()
    """Lines of the daemon's own language to put among the router's."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return ipaddress.ip_interface(self.addresses[0]).version

    @property
    def name(self) -> str:
        """Unlike that of any other router on the host."""
        return f"V{self.family}_{self.interface}_{self.virtual_router_id}"

    @property
    def advertised(self) -> list[IPv4Interface | IPv6Interface]:
        """The addresses in the order of the advert: IPv6 starts with a link-local one, vrrpd's if none is named."""
        found = [ipaddress.ip_interface(address) for address in self.addresses]
        if self.family == 4:
            return found
        first = next((address for address in found if address.is_link_local), link_local_of(self.virtual_router_id))
        return [first, *(address for address in found if address != first)]


class Daemon(ABC):
    """A VRRP daemon on a host.

    Args:
        host: where it runs.
        directory: for its configuration, its log and what else it writes; made if it is missing.
        routers: what it takes part in.
    """

    name: ClassVar[str]
    """For people."""
    needs: ClassVar[dict[str, str]]
    """Programs it needs, and how to come by each."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    reload_signal: ClassVar[signal.Signals] = signal.SIGHUP

    def __init__(self, host: "Host", directory: Path, routers: Sequence[RouterSettings]) -> None:
        self.host = host
        self.directory = directory
        self.routers = list(routers)
        self.log_file = directory / f"{self.name}.log"
        self._roots: list[subprocess.Popen[bytes]] = []
        directory.mkdir(parents=True, exist_ok=True)
        self.log_file.touch()

    @classmethod
    def missing(cls) -> str:
        """What must be installed before it can run; empty: nothing."""
        return "; ".join(f"{what} is missing: {how}" for what, how in cls.needs.items() if not shutil.which(what))

    @abstractmethod
    def write_configuration(self) -> None:
        """Write the files that it will read, from `routers`."""

    @abstractmethod
    def start(self) -> None:
        """Write the configuration and start; returns when the processes exist, not when they are ready."""

    @abstractmethod
    def state(self, router: RouterSettings | None = None) -> str:
        """`MASTER`, `BACKUP` or another word of the daemon's; empty while unknown. Default: the first router."""

    def mac(self, router: RouterSettings | None = None) -> str:
        """The hardware address that its adverts come from, and that it announces. Default: the first router."""
        return self.host.mac((router or self.routers[0]).interface)

    def wait_until(self, state: str, timeout: float, router: RouterSettings | None = None) -> None:
        """Wait until the router is in that state.

        Raises:
            TimeoutError: it was not within `timeout` seconds; the message has the log.
        """
        deadline = time.monotonic() + timeout
        while (now := self.state(router)) != state:
            if time.monotonic() > deadline:
                where = f"{self.name} on {self.host.name}"
                raise TimeoutError(f"{where} is {now or 'silent'} after {timeout:g} s, not {state}\n{self.log}")
            time.sleep(_POLL)

    def stop(self) -> int:
        """`stop_signal`, as an administrator stops it; waits for the end and returns the exit code of what ended last.

        Raises:
            TimeoutError: it does not end; the message has the log.
        """
        code = 0
        for process in reversed(self._roots):
            process.send_signal(self.stop_signal)
            try:
                code = process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{self.name} did not stop in {_STOP_TIMEOUT:g} s\n{self.log}") from None
        self._roots.clear()
        return code

    def kill(self) -> None:
        """SIGKILL to every process, as when the machine loses its power; frozen first, so that none mourns another."""
        pids = self.freeze()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._roots:
            process.wait()
        self._roots.clear()

    def freeze(self) -> list[int]:
        """SIGSTOP to every process, parents first; returns them."""
        return self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Write the configuration again, from `routers` as they are now, and `reload_signal`."""
        self.write_configuration()
        for process in self._roots:
            process.send_signal(self.reload_signal)

    def pids(self) -> list[int]:
        """Every process of the daemon, parents first."""
        return [pid for root in self._roots if root.poll() is None for pid in _family_of(root.pid)]

    @property
    def rss(self) -> int:
        """Resident bytes of all its processes, shared pages counted in each."""
        return sum(int(_proc(pid, "statm").split()[1]) * _PAGE_SIZE for pid in self.pids())

    @property
    def cpu_seconds(self) -> float:
        """Processor time that its living processes have taken, user and system."""
        # Fields 14 and 15; the second is a name in parentheses, which may have spaces.
        return sum(
            sum(map(int, _proc(pid, "stat").rpartition(")")[2].split()[11:13])) / _CLOCK_TICKS for pid in self.pids()
        )

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def _signal(self, number: signal.Signals) -> list[int]:
        pids = self.pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def _popen(self, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            process = self.host.popen(argv, stdout=log, stderr=log, **kwargs)
        self._roots.append(process)
        return process

    def _wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not path.exists():
            if time.monotonic() > deadline or self._roots[-1].poll() is not None:
                raise TimeoutError(f"{self.name} on {self.host.name} made no {path}\n{self.log}")
            time.sleep(_POLL)


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")


def _family_of(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):  # it ended meanwhile
        for child in _proc(pid, f"task/{pid}/children").split():
            yield from _family_of(int(child))


class Vrrpd(Daemon):
    """The daemon of this repository."""

    name = "vrrpd"
    needs: ClassVar[dict[str, str]] = {}

    def __init__(
        self, host: "Host", directory: Path, routers: Sequence[RouterSettings], arguments: Sequence[str] = ()
    ) -> None:
        super().__init__(host, directory, routers)
        self.configuration = directory / "vrrpd.toml"
        self.control_socket = directory / "vrrpd.sock"
        self.arguments = list(arguments)
        """Further ones, after `vrrpd run -c FILE`."""
        self.top: list[str] = []
        """Lines to put above the instances."""

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        lines = [f"control_socket = {json.dumps(str(self.control_socket))}", *self.top]
        for router in self.routers:
            lines += [
                "[[vrrp_instance]]",
                f'name = "{router.name}"',
                f'interface = "{router.interface}"',
                f"virtual_router_id = {router.virtual_router_id}",
                f"priority = {router.priority}",
                f"advert_int = {router.advert_int}",
                f"nopreempt = {str(not router.preempt).lower()}",
                f"virtual_ipaddress = {json.dumps(router.addresses)}",
                *router.extra,
            ]
        self.configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Part of `Daemon`."""
        self.write_configuration()
        self.run()

    def run(self) -> subprocess.Popen[bytes]:
        """Start with the configuration as it lies there."""
        command = [sys.executable, "-m", "vrrpd", "run", "-c", str(self.configuration)]
        return self._popen([*command, *self.arguments])

    def ask(self, command: str, timeout: float = 10.0) -> dict[str, Any]:
        """Send a command to its control socket and return the result; `timeout` in seconds.

        Raises:
            ControlError: the daemon does not answer, or refuses.
        """
        return result_of(self.control_socket, command, timeout)

    def status(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints.

        Raises:
            ControlError: the daemon does not answer.
        """
        return self.ask("status")

    def router_status(self, router: RouterSettings | None = None) -> dict[str, Any]:
        """The router's entry in `status`; default: the first."""
        name = (router or self.routers[0]).name
        entry: dict[str, Any] = next(entry for entry in self.status()["routers"] if entry["name"] == name)
        return entry

    def glance(self, timeout: float) -> dict[str, Any] | None:
        """The first router's entry in `status`; None: the daemon does not answer within `timeout` seconds."""
        try:
            entry: dict[str, Any] = self.ask("status", timeout)["routers"][0]
        except ControlError:
            return None
        return entry

    def state(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`."""
        try:
            return str(self.router_status(router)["state"])
        except (ControlError, StopIteration):
            return ""
