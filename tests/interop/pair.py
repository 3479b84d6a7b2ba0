"""A vrrpd and a peer of another make in one VRID."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.peers import Frr, Keepalived, RouterSettings, Vrrpd
from tests.peers import Network, advert_of, eventually
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host

Peer = Keepalived | Frr

peers = pytest.mark.parametrize("make", [Keepalived, Frr], ids=["keepalived", "frr"])

SEVERAL = 10
"""Adverts of a master after which a backup that wanted to take over would have: more than three intervals' worth."""


@dataclass
class Pair:
    """Both daemons, yet to be started, on hosts of one LAN."""

    network: Network
    make: type[Peer]
    our_settings: RouterSettings
    peer_settings: RouterSettings
    our_host: Host | None = None
    peer_host: Host | None = None
    ours: Vrrpd = field(init=False)
    peer: Peer = field(init=False)

    def __post_init__(self) -> None:
        self.ours = self.network.vrrpd("ours", self.our_settings, host=self.our_host)
        self.peer = self.network.add(self.make, "peer", [self.peer_settings], self.peer_host)

    def our_counters(self) -> dict[str, Any]:
        """Those of the router in vrrpd's status."""
        counters: dict[str, Any] = self.ours.router_status()["counters"]
        return counters

    def wait_until_we_heard(self, more: int = SEVERAL) -> None:
        """Wait until vrrpd has accepted that many more adverts."""
        before = self.our_counters()["adverts_received"]
        eventually(lambda: self.our_counters()["adverts_received"] >= before + more, f"{more} adverts of the peer")

    def wait_until_peer_heard(self, more: int = SEVERAL) -> None:
        """Wait until the peer has accepted that many more adverts."""
        before = self.peer.adverts_received()
        eventually(lambda: self.peer.adverts_received() >= before + more, f"{more} adverts of ours")

    def we_follow_in_silence(self, capture: Capture) -> None:
        """As a BACKUP, vrrpd accepts what the peer says, finds nothing odd in it, and says nothing."""
        self.wait_until_we_heard()
        counters = self.our_counters()
        assert (counters["anomalies"], counters["adverts_dropped"]) == ({}, {})
        assert not [frame for frame in capture.frames if advert_of(self.ours)(frame)]

    def peer_follows_in_silence(self, capture: Capture) -> None:
        """As a BACKUP, the peer accepts what vrrpd says, finds nothing wrong with it, and says nothing."""
        self.wait_until_peer_heard()
        assert self.peer.objections() == []
        assert not [frame for frame in capture.frames if advert_of(self.peer)(frame)]
