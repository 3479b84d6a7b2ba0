"""Settings that travel in adverts, or that the two must agree on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from benchmarks.peers import BACKUP, MASTER, Daemon, Vrrpd
from tests.interop.pair import Pair, Peer, peers
from tests.peers import ADVERT_INT, DEADLINE, Network, advert_of, eventually, families, ip_of, settings
from vrrpd.lan.capture import Capture, Frame

pytestmark = [pytest.mark.interop, pytest.mark.lan]

INTERVALS = (0.01, 1, 40.95)
"""Seconds; the last stays in force longest, so it comes last."""


def advertises_every(interval: float, daemon: Daemon) -> Callable[[Frame], bool]:
    """Whether a frame is an advert of the daemon's with that interval, in seconds."""
    sent = advert_of(daemon)
    return lambda frame: sent(frame) and int.from_bytes(frame.payload[4:6]) == round(interval * 100)


def status_with_interval(daemon: Vrrpd, interval: float) -> dict[str, Any]:
    """What vrrpd says of its router, once it follows a master with that interval; empty until then.

    A peer that was held up while it reloaded may have lost the mastership for a moment.
    """
    status = daemon.router_status()
    return status if (status["state"], status["master_advert_int"]) == (BACKUP, interval) else {}


def has_learned(peer: Peer, interval: float) -> bool:
    """Whether that is the interval which the peer, as BACKUP, follows."""
    return peer.learned_interval() == interval


@peers
@families
def test_each_learns_the_intervals_that_the_other_changes_to(network: Network, make: type[Peer], family: int) -> None:
    pair = Pair(network, make, settings(family, 100), settings(family, 200))
    ours, peer = pair.ours, pair.peer
    peer.start()
    peer.wait_until(MASTER, DEADLINE)
    ours.start()
    ours.wait_until(BACKUP, DEADLINE)
    pair.wait_until_we_heard(1)
    for interval in INTERVALS:
        peer.routers = [settings(family, 200, advert_int=interval)]
        with Capture(network.lan) as capture:
            peer.reload()
            capture.wait_for(advertises_every(interval, peer), DEADLINE)
        status = eventually(partial(status_with_interval, ours, interval), f"{interval} s is learned")
        assert status["advert_int"] == ADVERT_INT
        assert status["master_down_interval"] == pytest.approx(interval * (3 + (256 - 100) / 256))
    assert pair.our_counters()["anomalies"].keys() == {"interval_differs"}
    peer.stop()
    ours.stop()

    ours.start()
    ours.wait_until(MASTER, DEADLINE)
    peer.routers = [settings(family, 50)]
    peer.start()
    peer.wait_until(BACKUP, DEADLINE)
    pair.wait_until_peer_heard(1)
    for interval in INTERVALS:
        ours.routers = [settings(family, 100, advert_int=interval)]
        with Capture(network.lan) as capture:
            ours.reload()
            capture.wait_for(advertises_every(interval, ours), DEADLINE)
        eventually(partial(has_learned, peer, interval), f"{peer.name} learns {interval} s")
        assert peer.state() == BACKUP
    assert peer.objections() == []


@peers
def test_vrrpv2_in_the_vrid_is_counted_and_logged_once_and_never_acted_on(network: Network, make: type[Peer]) -> None:
    """vrrpd waits at a second too: a keepalived that hears v3 more often than it sends puts its own adverts off."""
    pair = Pair(network, make, settings(4, 100, advert_int=1), settings(4, 254, version=2, advert_int=1))
    ours, peer = pair.ours, pair.peer
    peer.start()
    peer.wait_until(MASTER, DEADLINE)
    ours.start()
    ours.wait_until(MASTER, DEADLINE)
    counters = pair.our_counters()
    assert counters["adverts_dropped"].keys() == {"vrrpv2"}
    assert counters["adverts_dropped"]["vrrpv2"] >= 2
    assert (counters["adverts_received"], counters["anomalies"]) == (0, {})
    assert counters["transitions"] == {BACKUP: 1, MASTER: 1}
    source = ip_of(str(peer.host.addresses()[0]))
    assert ours.log.count(f"dropped an advert from {source}") == 1
