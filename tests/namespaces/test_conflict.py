"""After two masters met, the winner is announced again, and clients that believed the loser follow."""

import time

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import (
    DEADLINE,
    VIPS,
    Network,
    eventually,
    families,
    ip_of,
    master_and_backup,
    settings,
    start_as,
    wait_served_by,
)
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober

pytestmark = pytest.mark.namespaces


def two_masters(network: Network, family: int, interval: float) -> tuple[Vrrpd, Vrrpd]:
    """A better one that nobody can hear, and one that has taken its place."""
    better, worse = master_and_backup(network, family, advert_int=interval)
    better.host.silence()
    worse.wait_until(MASTER, DEADLINE)
    assert better.state() == MASTER
    return better, worse


@families
@pytest.mark.parametrize("interval", [0.1, 0.01])
def test_a_client_of_the_loser_follows_without_a_lost_probe(network: Network, family: int, interval: float) -> None:
    """Before it follows, the loser goes on to answer: no probe after the heal is lost."""
    better, worse = two_masters(network, family, interval)
    vip = ip_of(VIPS[family])
    with Prober(network.lan.host("client"), vip) as prober, Capture(network.lan) as capture:
        wait_served_by(prober, worse)
        healed = time.monotonic()
        better.host.unsilence()
        worse.wait_until(BACKUP, DEADLINE)
        wait_served_by(prober, better)
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
    result = prober.result(since=healed, until=until)
    assert result.lost == 0
    # The winner announced at least once after the loser had let go of the addresses.
    mac = better.host.mac()
    last_of_loser = max(
        probe.answered_at for probe in result.probes if probe.answered_at and probe.answered_by == worse.host.mac()
    )
    assert [
        frame
        for frame in capture.frames
        if str(frame.announces) == vip and frame.source_mac == mac and frame.time > last_of_loser - interval
    ]
    eventually(lambda: not worse.host.has_address(vip), "the loser has let go of it")


@families
def test_the_conflict_is_counted_and_the_other_is_named(network: Network, family: int) -> None:
    better, worse = two_masters(network, family, 0.1)
    other = worse.router_status()["master_address"]
    better.host.unsilence()
    worse.wait_until(BACKUP, DEADLINE)
    eventually(lambda: better.router_status()["counters"]["anomalies"].get("conflicting_master"), "it is counted")
    assert f"{other} is MASTER too" in better.log


@families
def test_one_who_is_heard_and_hears_nothing_yields_when_it_hears_again(network: Network, family: int) -> None:
    """One-way loss: the worse one does not hear the better, and takes over beside it."""
    better, worse = master_and_backup(network, family)
    worse.host.deafen()
    worse.wait_until(MASTER, DEADLINE)
    eventually(lambda: better.router_status()["counters"]["anomalies"].get("conflicting_master"), "it is counted")
    assert better.state() == MASTER
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        worse.host.undeafen()
        worse.wait_until(BACKUP, DEADLINE)
        wait_served_by(prober, better)
    eventually(lambda: not worse.host.has_address(ip_of(VIPS[family])), "the loser has let go of it")


def test_the_owner_of_the_address_is_heard_by_who_holds_it_meanwhile(network: Network) -> None:
    """It advertises from that address: the kernel drops what comes from one of its own, unless it is told not to."""
    owner, backup = (network.vrrpd(f"r{p}", settings(4, p, addresses=("192.0.2.1/24",))) for p in (255, 100))
    start_as(MASTER, owner)
    start_as(BACKUP, backup)
    assert owner.router_status()["master_address"] == "192.0.2.1"
    owner.host.cut_carrier()
    backup.wait_until(MASTER, DEADLINE)
    owner.host.restore_carrier()
    owner.wait_until(MASTER, DEADLINE)
    backup.wait_until(BACKUP, DEADLINE)
