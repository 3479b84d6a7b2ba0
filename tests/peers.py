"""A LAN with routers and a client for the tests that run real daemons; pytest fixtures and hooks come with it."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from benchmarks.peers import BACKUP, MASTER, Daemon, RouterSettings, Vrrpd
from vrrpd.lan.capture import Frame
from vrrpd.lan.hosts import Host, Lan
from vrrpd.lan.probe import Prober

T = TypeVar("T")
D = TypeVar("D", bound=Daemon)

DEADLINE = 20.0
"""Seconds after which something will not happen any more, however busy the machine is."""
ADVERT_INT = 0.1
ADVERT_INT_ALONE = 0.05
"""For a router that has its LAN to itself: soon MASTER, and no harm if it yields a while on a busy machine."""
VIPS = {4: "192.0.2.100/32", 6: "2001:db8::100/128"}
"""The virtual address of a family that most tests use."""

families = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


class Network:
    """A LAN and the daemons on it; whatever a test leaves running ends with it."""

    def __init__(self, lan: Lan, directory: Path) -> None:
        self.lan = lan
        self.directory = directory
        self.daemons: list[Daemon] = []

    def add(self, daemon: type[D], name: str, routers: Sequence[RouterSettings], host: Host | None = None) -> D:
        """A daemon that is yet to be started, on a new host unless one is given."""
        made = daemon(host or self.lan.host(name), self.directory / name, routers)
        self.daemons.append(made)
        return made

    def vrrpd(self, name: str, *routers: RouterSettings, host: Host | None = None) -> Vrrpd:
        """The daemon of this repository, likewise."""
        return self.add(Vrrpd, name, routers, host)


def settings(family: int, priority: int = 100, *extra: str, vrid: int = 51, **changes: Any) -> RouterSettings:
    """A virtual router with the usual address of its family."""
    usual: dict[str, Any] = {"addresses": (VIPS[family],), "advert_int": ADVERT_INT}
    return RouterSettings(vrid, priority=priority, extra=extra, **(usual | changes))


def alone(family: int, *extra: str, **changes: Any) -> RouterSettings:
    """A virtual router that is MASTER soon, and that no other is to share."""
    return settings(family, 100, *extra, **({"advert_int": ADVERT_INT_ALONE} | changes))


def start_as(state: str, daemon: Daemon) -> None:
    """Start it, and wait until it is that."""
    daemon.start()
    daemon.wait_until(state, DEADLINE)


def start_as_master_soon(daemon: Vrrpd) -> None:
    """Start it with short intervals, and give its routers, once they are MASTER, those that they are to have."""
    wanted = daemon.routers
    daemon.routers = [replace(router, advert_int=ADVERT_INT_ALONE) for router in wanted]
    daemon.start()
    for router in daemon.routers:
        daemon.wait_until(MASTER, DEADLINE, router)
    daemon.routers = wanted
    daemon.reload()
    for router in wanted:
        eventually(lambda: daemon.router_status(router)["advert_int"] == router.advert_int, "its own interval")  # noqa: B023


def master_and_backup(
    network: Network, family: int, *extra: str, advert_int: float = ADVERT_INT
) -> tuple[Vrrpd, Vrrpd]:
    """A vrrpd that is MASTER, with further lines of configuration, and its BACKUP."""
    master = network.vrrpd("r1", settings(family, 200, *extra, advert_int=advert_int))
    backup = network.vrrpd("r2", settings(family, 100, advert_int=advert_int))
    if advert_int > ADVERT_INT:
        start_as_master_soon(master)
    else:
        start_as(MASTER, master)
    start_as(BACKUP, backup)
    return master, backup


def ip_of(address: str) -> str:
    """The address without its prefix length."""
    return address.partition("/")[0]


def eventually(condition: Callable[[], T], what: str) -> T:
    """Wait until the condition holds; what it returned then."""
    deadline = time.monotonic() + DEADLINE
    while not (outcome := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.005)
    return outcome


def wait_served_by(prober: Prober, daemon: Daemon) -> None:
    """Wait until probes that are sent from now on are answered by that daemon's host."""
    since = time.monotonic()

    def served() -> bool:
        answer = prober.latest_answered
        return answer is not None and answer.sent_at > since and answer.answered_by == daemon.host.mac()

    eventually(served, f"{daemon.host.name} answers the client")


def advert_of(daemon: Daemon, priority: int | None = None) -> Callable[[Frame], bool]:
    """Whether a frame is an advert from that daemon's hardware, with that priority if one is given."""
    mac = daemon.mac()
    return lambda frame: (
        frame.is_advert and frame.source_mac == mac and (priority is None or frame.priority == priority)
    )


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Lan() as lan:
        yield Network(lan, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show the daemons' logs with a failure."""
    report = yield
    network = getattr(item, "funcargs", {}).get("network")
    if report.failed and network:
        report.sections += [(f"log of {daemon.directory.name}", daemon.log) for daemon in network.daemons]
    return report
