"""What is on the wire, byte by byte: vrrpd's frames beside a peer's from the same host, and beside scapy's."""

from ipaddress import ip_interface

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from benchmarks.peers import MASTER, Daemon, Frr, Keepalived, RouterSettings
from tests.interop.pair import Peer, peers
from tests.peers import DEADLINE, VIPS, Network, advert_of, families, settings
from vrrpd.lan.capture import Capture, Frame

pytestmark = pytest.mark.interop

BROADCAST, NO_MAC = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
SEVERAL = {
    4: ("192.0.2.100/32", "192.0.2.7/32", "192.0.2.101/32"),
    6: ("fe80::100/128", "2001:db8::100/128", "2001:db8::7/128", "2001:db8::101/128"),
}
"""Not in numerical order."""


def sent_by(daemon: Daemon, capture: Capture) -> list[Frame]:
    """Start it, and stop it as MASTER: its frames up to its resignation."""
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    capture.wait_for(advert_of(daemon), DEADLINE)
    daemon.stop()
    capture.wait_for(advert_of(daemon, priority=0), DEADLINE)
    return [frame for frame in capture.frames if frame.source_mac == daemon.mac()]


def frames_of(network: Network, make: type[Peer], router: RouterSettings) -> tuple[list[Frame], list[Frame]]:
    """The peer's and vrrpd's, from the same host with the same address to send from."""
    peer = network.add(make, "peer", [router])
    host = peer.host
    with Capture(network.lan) as capture:
        theirs = sent_by(peer, capture)
    if isinstance(peer, Frr):
        host.netlink("link", "del", index=host.index(peer.macvlan()))
    source = str(next(frame.source for frame in theirs if frame.is_advert))
    if not host.has_address(source):  # FRR has a link-local address of its own on its macvlan
        host.delete_address(f"{host.link_local()}/64")
        host.add_address(f"{source}/64")
    with Capture(network.lan) as capture:
        ours = sent_by(network.vrrpd("ours", router, host=host), capture)
    return theirs, ours


def payloads(frames: list[Frame]) -> list[bytes]:
    """The different VRRP messages, in order."""
    return list(dict.fromkeys(frame.payload for frame in frames if frame.is_advert))


def whole_frames(frames: list[Frame]) -> set[bytes]:
    """The different adverts, from the Ethernet header on, without identification and header checksum, or flow label."""
    adverts = [frame for frame in frames if frame.is_advert]
    return {
        frame.data[:15] + frame.data[18:] if frame.is_ipv6 else frame.data[:18] + frame.data[20:24] + frame.data[26:]
        for frame in adverts
    }


def expected_advert(frame: Frame, mac: str) -> bytes:
    """The frame that must carry this VRRP message; what says nothing (identification, flow label) is taken over."""
    if frame.is_ipv6:
        label = int.from_bytes(frame.data[14:18]) & 0xFFFFF
        header = IPv6(tc=0xC0, fl=label, nh=112, hlim=255, src=str(frame.source), dst="ff02::12")
        return bytes(Ether(dst="33:33:00:00:00:12", src=mac) / header / Raw(frame.payload))
    identification = int.from_bytes(frame.data[18:20])
    header = IP(tos=0xC0, id=identification, ttl=255, proto=112, src=str(frame.source), dst="224.0.0.18")
    return bytes(Ether(dst="01:00:5e:00:00:12", src=mac) / header / Raw(frame.payload))


def announcement(address: str, mac: str, *, hwdst: str, router: int) -> Packet:
    """scapy's gratuitous ARP request or unsolicited NA."""
    vip = ip_interface(address).ip
    if vip.version == 4:
        return Ether(dst=BROADCAST, src=mac) / ARP(op=1, hwsrc=mac, psrc=str(vip), hwdst=hwdst, pdst=str(vip))
    return (
        Ether(dst="33:33:00:00:00:01", src=mac)
        / IPv6(src=str(vip), dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(R=router, S=0, O=1, tgt=str(vip))
        / ICMPv6NDOptDstLLAddr(lladdr=mac)
    )


@peers
@families
@pytest.mark.parametrize("several", [False, True], ids=["one-address", "several-addresses"])
def test_frames_are_the_peers_byte_by_byte(network: Network, make: type[Peer], family: int, several: bool) -> None:
    """But for what the RFCs leave open in announcements, or a peer gets wrong.

    Both peers fill the target hardware address of a request with ones, where RFC 5227 section 3 has zeros; receivers
    ignore it. keepalived sets the Router flag only where the host forwards, RFC 9568 section 6.4.2 always.
    """
    router = settings(family, 200, addresses=SEVERAL[family] if several else (VIPS[family],))
    theirs, ours = frames_of(network, make, router)
    assert len(payloads(ours)) == 2
    assert payloads(ours) == payloads(theirs)
    for frame in ours:
        if frame.is_advert:
            assert frame.data == expected_advert(frame, ours[0].source_mac)
    if make is Keepalived:
        assert whole_frames(ours) == whole_frames(theirs)

    for frames, hwdst, flag in (ours, NO_MAC, 1), (theirs, BROADCAST, int(make is Frr)):
        expected = {
            bytes(announcement(str(address), frames[0].source_mac, hwdst=hwdst, router=flag))
            for address in router.advertised
        }
        assert {frame.data for frame in frames if frame.announces} == expected


def test_a_gratuitous_arp_reply_byte_by_byte(network: Network) -> None:
    router = network.vrrpd("ours", settings(4, 200, 'garp_form = "reply"'))
    with Capture(network.lan) as capture:
        frames = sent_by(router, capture)
    mac, vip = router.mac(), "192.0.2.100"
    expected = Ether(dst=BROADCAST, src=mac) / ARP(op=2, hwsrc=mac, psrc=vip, hwdst=mac, pdst=vip)
    assert {frame.data for frame in frames if frame.announces} == {bytes(expected)}
