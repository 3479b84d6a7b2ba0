"""Three routers elect a master; it fails in every way; the client is served again, and again when it is back."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, eventually, families, ip_of, settings, start_as, wait_served_by
from vrrpd.lan.probe import Prober

pytestmark = pytest.mark.namespaces

FAULT = "FAULT"


@dataclass(frozen=True)
class Fault:
    inflict: Callable[[Vrrpd], object]
    heal: Callable[[Vrrpd], object]
    leaves: str
    """The state of the router while the fault lasts; empty: nobody can be asked."""


FAULTS = {
    "stop": Fault(lambda router: router.stop(), lambda router: router.start(), ""),
    "crash": Fault(lambda router: router.kill(), lambda router: router.start(), ""),
    "carrier": Fault(
        lambda router: router.host.cut_carrier(),
        lambda router: router.host.restore_carrier(),
        FAULT,
    ),
    "silent": Fault(lambda router: router.host.silence(), lambda router: router.host.unsilence(), MASTER),
    "freeze": Fault(lambda router: router.freeze(), lambda router: router.thaw(), ""),
}


@families
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_next_best_router_serves_the_client_until_the_best_is_back(
    network: Network, family: int, fault: Fault
) -> None:
    routers = [network.vrrpd(f"r{priority}", settings(family, priority)) for priority in (200, 150, 100)]
    best, second, third = routers
    for router in routers:
        router.start()
    for router, state in zip(routers, (MASTER, BACKUP, BACKUP), strict=True):
        router.wait_until(state, DEADLINE)
    vip = ip_of(VIPS[family])
    with Prober(network.lan.host("client"), vip, interval=0.005) as prober:
        wait_served_by(prober, best)

        fault.inflict(best)
        second.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, second)
        assert third.state() == BACKUP
        assert not third.host.has_address(vip)
        if fault.leaves:
            best.wait_until(fault.leaves, DEADLINE)
        if fault.leaves == FAULT or fault is FAULTS["stop"]:
            assert not best.host.has_address(vip)

        fault.heal(best)
        eventually(lambda: second.state() == BACKUP and best.state() == MASTER, "the best router is back")
        wait_served_by(prober, best)
    assert [router.host.has_address(vip) for router in routers] == [True, False, False]
    assert [router.state() for router in routers] == [MASTER, BACKUP, BACKUP]


def test_a_restarted_speaker_goes_on_where_the_killed_one_was(network: Network) -> None:
    """The supervisor outlives it; the VIP that it leaves is taken away and comes back with the next election."""
    router = network.vrrpd("r1", settings(4))
    router.start()
    router.wait_until(MASTER, DEADLINE)
    speaker = router.status()["processes"]["speaker"]
    router.host.run(["kill", "-KILL", str(speaker)])
    eventually(lambda: router.state() and router.status()["speaker_restarts"] == 1, "another speaker")
    router.wait_until(MASTER, DEADLINE)
    assert router.status()["processes"]["speaker"] != speaker
    assert router.host.has_address(ip_of(VIPS[4]))


def test_a_speaker_whose_supervisor_was_killed_resigns(network: Network) -> None:
    """Nobody could stop or reload it any more."""
    router = network.vrrpd("r1", settings(4))
    router.start()
    router.wait_until(MASTER, DEADLINE)
    processes = router.status()["processes"]
    router.host.run(["kill", "-KILL", str(processes["supervisor"])])
    eventually(lambda: not router.host.has_address(ip_of(VIPS[4])), "the address is gone")


MUTE = """
table inet mute {
    chain output { type filter hook output priority 0; meta l4proto 112 drop; }
}
"""


@pytest.mark.lan
@families
def test_a_router_that_cannot_send_is_in_fault_instead_of_a_second_master(network: Network, family: int) -> None:
    """Its own firewall drops what it says, so that it hears no answer; it is the better one."""
    backup = network.vrrpd("r2", settings(family, 100))
    start_as(MASTER, backup)
    mute = network.vrrpd("r1", settings(family, 200))
    mute.host.call(partial(subprocess.run, ["nft", "-f", "-"], input=MUTE.encode(), check=True))
    mute.start()
    mute.wait_until(FAULT, DEADLINE)
    assert "no advert can be sent" in mute.router_status()["reason"]
    assert not mute.host.has_address(ip_of(VIPS[family]))
    backup.wait_until(MASTER, DEADLINE)
    mute.host.call(partial(subprocess.run, ["nft", "delete", "table", "inet", "mute"], check=True))
    mute.wait_until(MASTER, DEADLINE)
    backup.wait_until(BACKUP, DEADLINE)


@families
def test_another_hardware_address_is_announced(network: Network, family: int) -> None:
    """Who looks for the virtual address at the old one would else not find it until its neighbour entry ages."""
    master = network.vrrpd("r1", settings(family))
    start_as(MASTER, master)
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        prober.wait_answered(DEADLINE)
        master.host.set_link("eth0", address="02:00:00:00:02:77")
        since = time.monotonic()
        eventually(
            lambda: (latest := prober.latest_answered) is not None and latest.sent_at > since,
            "it is served at the new one",
        )
