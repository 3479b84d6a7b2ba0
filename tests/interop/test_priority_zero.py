"""Who resigns says so, and is replaced after skew_time, not after the whole down interval."""

import pytest

from benchmarks.peers import BACKUP, MASTER, Daemon
from tests.interop.pair import Pair, Peer, peers
from tests.peers import DEADLINE, Network, advert_of, eventually, families, settings
from vrrpd.lan.capture import Capture

pytestmark = pytest.mark.interop

ADVERT_INT = 0.3
"""Seconds; long enough for a skew_time to be told from a down interval on a busy machine."""
RESOLUTION = 0.01
"""Seconds. FRR cuts its skew_time to whole centiseconds."""


def assert_replaced_after_skew_time(capture: Capture, gone: Daemon, successor: Daemon, priority: int) -> None:
    """By the capture: one advert of priority 0, then nothing until the successor's skew_time is over."""
    resigned = capture.wait_for(advert_of(gone, priority=0), DEADLINE)
    took_over = capture.wait_for(advert_of(successor, priority=priority), DEADLINE, since=resigned.time)
    until_then = [frame for frame in capture.adverts() if frame.time <= took_over.time]
    assert until_then[-2:] == [resigned, took_over]
    assert [frame.priority for frame in until_then].count(0) == 1
    skew_time = (256 - priority) * ADVERT_INT / 256
    assert skew_time - RESOLUTION <= took_over.time - resigned.time < 3 * ADVERT_INT


@peers
@families
def test_priority_zero_is_sent_and_acted_on_both_ways(network: Network, make: type[Peer], family: int) -> None:
    pair = Pair(
        network,
        make,
        settings(family, 100, advert_int=ADVERT_INT),
        settings(family, 200, advert_int=ADVERT_INT),
    )
    ours, peer = pair.ours, pair.peer
    peer.start()
    peer.wait_until(MASTER, DEADLINE)
    ours.start()
    ours.wait_until(BACKUP, DEADLINE)
    pair.wait_until_we_heard(1)
    with Capture(network.lan) as capture:
        capture.wait_for(advert_of(peer), DEADLINE)
        peer.stop()
        assert_replaced_after_skew_time(capture, peer, ours, priority=100)
    assert ours.router_status()["reason"] == "the master resigned"

    peer.routers = [settings(family, 50, advert_int=ADVERT_INT)]
    peer.start()
    peer.wait_until(BACKUP, DEADLINE)
    pair.wait_until_peer_heard(1)
    with Capture(network.lan) as capture:
        capture.wait_for(advert_of(ours), DEADLINE)
        ours.stop()
        assert_replaced_after_skew_time(capture, ours, peer, priority=50)
    eventually(lambda: peer.state() == MASTER, "the peer says so as well")
