"""Packets that no router should send, crafted with scapy: none of them changes a state, each is counted."""

import random
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import IP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, advert_of, eventually, families, ip_of, settings
from tests.protocol.samples import sealed
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host
from vrrpd.net.adverts import AdvertSocket
from vrrpd.net.frames import frame_socket
from vrrpd.net.links import Link
from vrrpd.protocol.advert import IP_PROTOCOL, DropReason, Family
from vrrpd.speaker.rate_limit import LINES_MAX

pytestmark = pytest.mark.namespaces

GROUP_MAC = {4: "01:00:5e:00:00:12", 6: "33:33:00:00:00:12"}
VRID = 51
FLOOD = 10_000
RANDOM_PACKETS = 2_000
SENDERS = 400
SEED = 112


class Crafter:
    """A host of the LAN that sends whatever it is told to."""

    def __init__(self, host: Host, family: int) -> None:
        self.host = host
        self.family = family
        self.source = "192.0.2.66" if family == 4 else "fe80::66"
        self.group = str(Family(family).group)

    def ip(self, **fields: Any) -> Any:
        """The IP header of an advert, with some fields otherwise."""
        if self.family == 4:
            return IP(**({"src": self.source, "dst": self.group, "ttl": 255, "proto": IP_PROTOCOL} | fields))
        return IPv6(**({"src": self.source, "dst": self.group, "hlim": 255, "nh": IP_PROTOCOL} | fields))

    def advert(self, head: str = "31 33 c8 01 0064", addresses: bytes | None = None) -> bytes:
        """A VRRP message from its first six bytes in hexadecimal; its checksum is right."""
        if addresses is None:
            addresses = Family.IPV4.address(b"\xc0\0\2d").packed if self.family == 4 else link_local()
        packet = self.ip()
        source, group = Family(self.family).address, Family(self.family).group
        message = bytes.fromhex(head) + b"\0\0" + addresses
        packed = bytes(packet)[12:16] if self.family == 4 else bytes(packet)[8:24]
        return sealed(message, source(packed), group)

    def frame(self, packet: Any) -> bytes:
        """The packet in a frame to the group's hardware address."""
        return bytes(Ether(dst=GROUP_MAC[self.family], src=self.host.mac()) / packet)

    def send(self, packets: Iterable[Any]) -> None:
        """Send IP packets."""
        self.send_frames([self.frame(packet) for packet in packets])

    def send_frames(self, frames: Iterable[bytes]) -> None:
        """Send whole frames."""
        with self.host.call(frame_socket, "eth0") as wire:
            wire.setblocking(True)
            for frame in frames:
                wire.send(frame)

    def send_payloads(self, payloads: Iterable[bytes]) -> None:
        """Send adverts, or what claims to be some, with headers that the kernel makes: thousands a second."""
        link = Link(self.host.index("eth0"), "eth0", "", up=True)
        wire = self.host.call(AdvertSocket, link, Family(self.family))
        own = self.host.link_local() if self.family == 6 else ip_of(str(self.host.addresses()[0]))
        self.host.call(wire.send_from, ip_address(str(own)))
        for payload in payloads:
            wire.send(payload)
        wire.close()


def link_local() -> bytes:
    return bytes.fromhex("fe80000000000000 02005efffe000233")


def broken(message: bytes) -> bytes:
    return message[:6] + bytes([message[6] ^ 0x55, message[7]]) + message[8:]


def bad_packets(crafter: Crafter) -> Iterator[tuple[DropReason, Any]]:
    """Every reason of rows 9 to 17 and 49, most in several ways."""
    ip, advert, short_address = crafter.ip, crafter.advert, bytes(3)
    hops = "ttl" if crafter.family == 4 else "hlim"
    size = Family(crafter.family).address_size
    for ttl in (0, 1, 254):
        yield DropReason.TTL, ip(**{hops: ttl}) / Raw(advert())
    for version in (0, 1, 4, 15):
        yield DropReason.VERSION, ip() / Raw(advert(f"{version:x}1 33 c8 01 0064"))
    yield DropReason.VRRPV2, ip() / Raw(bytes.fromhex("2133 6401 0001 ba52 c0000264 0000000000000000"))
    for kind in (0, 2, 15):
        yield DropReason.TYPE, ip() / Raw(advert(f"3{kind:x} 33 c8 01 0064"))
    for length in (0, 1, 2, 7):
        yield DropReason.LENGTH, ip() / Raw(advert()[:length])
    yield DropReason.LENGTH, ip() / Raw(advert(addresses=bytes(size)[: size - 1]))
    yield DropReason.LENGTH, ip() / Raw(advert("31 33 c8 ff 0064"))
    yield DropReason.LENGTH, ip() / Raw(advert(addresses=short_address))
    yield DropReason.CHECKSUM, ip() / Raw(broken(advert()))
    yield DropReason.CHECKSUM, ip() / Raw(advert() + b"\1")
    yield DropReason.ADDRESS_COUNT, ip() / Raw(advert("31 33 c8 00 0064", b""))
    yield DropReason.ADDRESS_COUNT, ip() / Raw(advert("31 33 c8 00 0064"))
    for reserve in ("0", "f"):
        yield DropReason.INTERVAL, ip() / Raw(advert(f"31 33 c8 01 {reserve}000"))
    if crafter.family == 6:
        yield DropReason.NOT_LINK_LOCAL, ip() / Raw(advert(addresses=bytes.fromhex("20010db8" + "00" * 12)))
        yield DropReason.CHECKSUM, ip() / Raw(sealed(advert(), None))  # the message's alone is IPv4's other form
        yield DropReason.CHECKSUM, ip(nh=60) / IPv6ExtHdrDestOpt(nh=IP_PROTOCOL) / Raw(broken(advert()))


@families
@pytest.mark.parametrize("state", [MASTER, BACKUP])
def test_bad_packets_are_counted_by_reason_and_change_nothing(network: Network, family: int, state: str) -> None:
    """They claim priority 200, so that a router that believed one of them would step down or stay BACKUP."""
    router, _ = routers(network, family, state)
    crafter = Crafter(network.lan.host("mallory"), family)
    expected: dict[str, int] = {}
    packets = []
    for reason, packet in bad_packets(crafter):
        expected[reason] = expected.get(reason, 0) + 1
        packets.append(packet)
    before = router.router_status()
    crafter.send(packets)
    eventually(lambda: sum(dropped(router).values()) >= len(packets), "every packet was counted")
    assert dropped(router) == expected
    after = router.router_status()
    for key in ("state", "last_transition", "master_address", "vips"):
        assert after[key] == before[key]
    eventually(lambda: heard_or_sent(router) > heard_or_sent_of(after) + 3, "adverts go on")
    lines = [line for line in router.log.splitlines() if "dropped an advert" in line]
    assert len(lines) == len(expected)  # each reason once a minute
    if "vrrpv2" in expected:
        assert sum("VRRPv2" in line for line in lines) == 1


def routers(network: Network, family: int, state: str) -> tuple[Vrrpd, Vrrpd | None]:
    """A router in that state, and the better one that keeps it there."""
    better = None
    if state == BACKUP:
        better = network.vrrpd("r2", settings(family, 150))
        better.start()
        better.wait_until(MASTER, DEADLINE)
    router = network.vrrpd("r1", settings(family))
    router.start()
    router.wait_until(state, DEADLINE)
    eventually(lambda: router.router_status()["master_address"], "it knows the master")
    return router, better


def dropped(router: Vrrpd) -> dict[str, int]:
    counts: dict[str, int] = router.router_status()["counters"]["adverts_dropped"]
    return counts


def heard_or_sent(router: Vrrpd) -> int:
    return heard_or_sent_of(router.router_status())


def heard_or_sent_of(status: dict[str, Any]) -> int:
    return int(status["counters"]["adverts_sent"] + status["counters"]["adverts_received"])


@families
def test_a_packet_to_this_host_alone_is_refused(network: Network, family: int) -> None:
    router, _ = routers(network, family, MASTER)
    crafter = Crafter(network.lan.host("mallory"), family)
    target = "192.0.2.1" if family == 4 else str(router.router_status()["master_address"])
    crafter.send([crafter.ip(dst=target) / Raw(crafter.advert())])
    # Sent to the group's hardware address, it is not for us by ARP's rules; the kernel takes it all the same or not.
    crafter.send([crafter.ip() / Raw(broken(crafter.advert()))])
    eventually(lambda: dropped(router).get("checksum") == 1, "the second packet")
    assert router.state() == MASTER
    assert set(dropped(router)) <= {"checksum", "destination"}


def test_both_forms_of_the_ipv4_checksum_are_accepted_and_counted(network: Network) -> None:
    router, _ = routers(network, 4, MASTER)
    crafter = Crafter(network.lan.host("mallory"), 4)
    weak = crafter.advert("31 33 01 01 000a")
    crafter.send([crafter.ip() / Raw(weak)] * 3 + [crafter.ip() / Raw(sealed(weak, None))] * 2)
    forms = {"pseudo_header": 3, "message": 2}
    eventually(lambda: router.router_status()["counters"]["checksum_forms"] == forms, "both forms are counted")
    assert router.state() == MASTER
    crafter.send([crafter.ip() / Raw(sealed(crafter.advert(), None))])
    router.wait_until(BACKUP, DEADLINE)


@families
def test_fragments_and_giants(network: Network, family: int) -> None:
    router, _ = routers(network, family, MASTER)
    crafter = Crafter(network.lan.host("mallory"), family)
    weak = crafter.advert("31 33 01 01 000a")
    giant = weak + bytes(60_000)
    pieces = (
        fragment(crafter.ip() / Raw(giant), fragsize=1400)
        if family == 4
        else fragment6(crafter.ip(nh=44) / IPv6ExtHdrFragment(nh=IP_PROTOCOL) / Raw(giant), 1400)
    )
    crafter.send(pieces)
    # Its bytes behind the addresses are covered by the checksum, of which they change the length.
    eventually(lambda: sum(dropped(router).values()) == 1, "the giant was put together, counted and dropped")
    assert dropped(router) == {"checksum": 1}
    crafter.send(pieces[:-1])  # never complete
    crafter.send(pieces[5:6])
    crafter.send([crafter.ip() / Raw(broken(weak))])
    eventually(lambda: dropped(router) == {"checksum": 2}, "life goes on")
    assert router.state() == MASTER


@families
@pytest.mark.parametrize("state", [MASTER, BACKUP])
def test_random_bytes(network: Network, family: int, state: str) -> None:
    router, _ = routers(network, family, state)
    crafter = Crafter(network.lan.host("mallory"), family)
    noise = random.Random(SEED)
    before = router.router_status()
    payloads = [noise.randbytes(noise.randrange(80)) for _ in range(RANDOM_PACKETS)]
    payloads += [bytes([0x31, VRID]) + noise.randbytes(noise.randrange(80)) for _ in range(RANDOM_PACKETS)]
    crafter.send_payloads(payloads)
    ours = sum(len(payload) < 2 or payload[1] == VRID for payload in payloads)
    eventually(lambda: sum(dropped(router).values()) == ours, "all of them were counted")
    after = router.router_status()
    for key in ("state", "last_transition", "vips"):
        assert after[key] == before[key]
    eventually(lambda: heard_or_sent(router) > heard_or_sent_of(after) + 3, "adverts go on")
    assert router.status()["speaker_restarts"] == 0


@families
def test_a_flood_of_a_foreign_vrid_is_counted_and_costs_no_advert(network: Network, family: int) -> None:
    router, _ = routers(network, family, BACKUP)
    crafter = Crafter(network.lan.host("mallory"), family)
    foreign = crafter.frame(crafter.ip() / Raw(crafter.advert("31 63 c8 01 0064")))
    before = router.router_status()
    crafter.send_frames([foreign] * FLOOD)
    eventually(lambda: strangers(router) >= FLOOD, "every packet is counted under its reason")
    (entry,) = router.status()["strangers"]
    assert (entry["last_source"], entry["last_vrid"]) == (crafter.source, 0x63)
    after = router.router_status()
    for key in ("state", "last_transition", "master_address"):
        assert after[key] == before[key]
    assert dropped(router) == {}
    assert strangers(router) <= FLOOD + after["counters"]["adverts_received"]  # counted with them
    assert router.log.count("VRID 99, which is not configured here") == 1


def strangers(router: Vrrpd) -> int:
    return sum(entry["adverts_dropped"]["vrid"] for entry in router.status()["strangers"])


@families
def test_a_flood_from_ever_other_senders_does_not_fill_the_log(network: Network, family: int) -> None:
    router, _ = routers(network, family, MASTER)
    crafter = Crafter(network.lan.host("mallory"), family)
    message = broken(crafter.advert())
    sources = [f"198.51.{100 + n // 250}.{1 + n % 250}" if family == 4 else f"fe80::1:{n:x}" for n in range(SENDERS)]
    crafter.send(crafter.ip(src=source) / Raw(message) for source in sources)
    eventually(lambda: dropped(router) == {"checksum": len(sources)}, "all of them were counted")
    assert router.log.count("dropped an advert") <= LINES_MAX
    assert router.state() == MASTER


@families
def test_own_adverts_that_come_back_are_not_believed(network: Network, family: int) -> None:
    """A loop in the switches: the frame is ours to the last bit."""
    router, _ = routers(network, family, MASTER)
    mallory = Crafter(network.lan.host("mallory"), family)
    with Capture(network.lan) as capture:
        own = capture.wait_for(advert_of(router), DEADLINE)

    mallory.send_frames([own.data] * 20)
    sent = router.router_status()["counters"]["adverts_sent"]
    eventually(lambda: router.router_status()["counters"]["adverts_sent"] > sent + 3, "adverts go on")
    status = router.router_status()
    assert (status["state"], status["counters"]["transitions"]) == (MASTER, {"BACKUP": 1, "MASTER": 1})
    assert router.host.has_address(ip_of(VIPS[family]))
