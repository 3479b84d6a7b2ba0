"""A vrrpd that is stopped as master keeps answering until its successor, of whatever make, has told the link."""

import pytest

from benchmarks.peers import BACKUP, MASTER
from tests.interop.pair import Pair, Peer, peers
from tests.peers import DEADLINE, VIPS, Network, advert_of, families, ip_of, settings, wait_served_by
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober
from vrrpd.protocol.delays import HANDOVER_DELAY
from vrrpd.protocol.timing import seconds

pytestmark = pytest.mark.interop

ATTEMPTS = 5
"""A machine that keeps the successor from announcing for as long as vrrpd waits proves nothing; then once more."""


@peers
@families
def test_a_stop_loses_no_probe(network: Network, make: type[Peer], family: int) -> None:
    pair = Pair(network, make, settings(family, 200), settings(family, 100))
    ours, peer = pair.ours, pair.peer
    peer.start()
    vip = ip_of(VIPS[family])
    with Prober(network.lan.host("client"), vip) as prober:
        for _ in range(ATTEMPTS):
            ours.start()
            ours.wait_until(MASTER, DEADLINE)
            peer.wait_until(BACKUP, DEADLINE)
            wait_served_by(prober, ours)
            with Capture(network.lan) as capture:
                since = capture.wait_for(advert_of(ours), DEADLINE).time
                ours.stop()
                wait_served_by(prober, peer)
                took_over = capture.wait_for(advert_of(peer), DEADLINE)
                announced = capture.wait_for(
                    lambda frame: frame.source_mac == peer.mac() and str(frame.announces) == vip, DEADLINE
                )
            if announced.time - took_over.time < seconds(HANDOVER_DELAY):
                break
        else:
            pytest.fail(f"in {ATTEMPTS} attempts {peer.name} never announced within {seconds(HANDOVER_DELAY)} s")
    assert prober.result(since, until=announced.time + 1).lost == 0
