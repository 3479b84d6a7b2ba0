"""What single packets say."""

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN, RouterAlert
from scapy.layers.l2 import CookedLinux, Dot1Q, Ether
from scapy.packet import Raw

from tests.namespaces.test_bad_packets import Crafter, bad_packets
from tests.sniff.crafted import R1, advert, advert_v2, discarded, heard, packet
from vrrpd.protocol.advert import ChecksumForm, DropReason, Family
from vrrpd.sniff.packets import Packet, Place, understand


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_bad_packets_have_the_reasons_that_the_daemon_counts(family: int) -> None:
    told = set()
    for reason, layers in bad_packets(Crafter(None, family)):  # type: ignore[arg-type]
        frame = Packet(0, bytes(Ether(src="02:00:00:00:02:66") / layers))
        outcome = understand(frame)
        if reason is DropReason.VRRPV2 and family == 4:
            continue  # it is recognised, see below
        assert outcome is not None
        assert discarded(frame).reason is reason
        told.add(reason)
    assert told >= {DropReason.TTL, DropReason.VERSION, DropReason.TYPE, DropReason.LENGTH, DropReason.CHECKSUM}


def test_an_advert_says_what_it_says() -> None:
    found = heard(advert(at=1.5))
    assert (found.time, str(found.sender), found.sender.mac) == (1.5, R1, "02:00:00:00:02:01")
    assert (found.version, found.virtual_router_id, found.priority, found.interval) == (3, 51, 100, 1.0)
    assert (found.addresses, found.checksum_form) == ((IPv4Address("192.0.2.100"),), ChecksumForm.PSEUDO_HEADER)
    assert (found.place, found.unicast, found.family) == (Place("eth0"), None, Family.IPV4)


def test_version_2_is_recognised_and_its_authentication_named() -> None:
    found = heard(advert_v2(adv=3, authtype=1, auth1=0x73656372, auth2=0x65740000))
    assert (found.version, found.interval, found.authentication) == (2, 3.0, "a password in clear")
    assert "secret" not in repr(found), "nobody asked for the password"
    assert heard(advert_v2()).authentication == "none"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chksum": 1}, DropReason.CHECKSUM),
        ({"adv": 0}, DropReason.INTERVAL),
        ({"type": 2}, DropReason.TYPE),
        ({"addrlist": []}, DropReason.ADDRESS_COUNT),
        ({"ipcount": 200}, DropReason.LENGTH),
    ],
)
def test_bad_packets_of_version_2_are_bad(change: dict[str, Any], reason: DropReason) -> None:
    found = discarded(advert_v2(**change))
    assert found.reason is reason
    assert "VRRPv2" in found.detail


def test_carp_is_named() -> None:
    assert "it is CARP" in discarded(packet(R1, Raw(bytes.fromhex("21339b0700010000") + bytes(28)))).detail


def test_another_group_is_a_wrong_destination_and_one_host_is_a_unicast_peer() -> None:
    message = bytes.fromhex("3133c8010064") + b"\0\0" + bytes([192, 0, 2, 100])
    whole = message[:6] + struct.pack("!H", 0xFFFF - _sum(message)) + message[8:]
    assert discarded(packet(R1, Raw(whole), dst="224.0.0.5")).reason is DropReason.DESTINATION
    assert str(heard(packet(R1, Raw(whole), dst="192.0.2.9")).unicast) == "192.0.2.9"


def _sum(message: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f"!{len(message) // 2}H", message)
    return sum(words) % 0xFFFF


def test_a_capture_that_has_not_the_whole_packet_is_to_blame() -> None:
    whole = advert()
    cut = replace(whole, data=whole.data[:40], length=len(whole.data))
    assert "capture whole packets" in discarded(cut).detail


def test_a_fragment_is_no_advert() -> None:
    assert "fragment" in discarded(packet(R1, Raw(bytes(16)), flags="MF")).detail


def test_what_is_no_vrrp_says_nothing() -> None:
    assert understand(Packet(0, bytes(Ether() / IP(src=R1) / Raw(b"x")))) is None
    assert understand(Packet(0, bytes(Ether(type=0x0806)))) is None


@given(st.binary(max_size=200), st.sampled_from([1, 101, 113, 276, 12, 0]))
def test_any_bytes_are_understood_or_not_but_harm_nothing(data: bytes, link_type: int) -> None:
    understand(Packet(0, data, link_type))


@given(st.binary(max_size=64))
def test_any_message_is_heard_or_discarded(message: bytes) -> None:
    assert understand(packet(R1, Raw(message))) is not None


def test_a_vlan_is_a_link_of_its_own() -> None:
    plain = Ether(advert().data)
    tagged = Ether(src=plain.src, dst=plain.dst) / Dot1Q(vlan=10) / Dot1Q(vlan=20) / plain.payload
    assert heard(Packet(0, bytes(tagged), interface="eth0")).place == Place("eth0", (10, 20))
    assert str(Place("eth0", (10, 20))) == "eth0.10.20"


def test_cooked_and_raw_captures_are_understood() -> None:
    ip = Ether(advert().data).payload
    cooked = CookedLinux(src=bytes.fromhex("020000000201") + b"\0\0", proto=0x0800) / ip
    assert str(heard(Packet(0, bytes(cooked), 113)).sender) == R1
    assert heard(Packet(0, bytes(cooked), 113)).sender.mac == "02:00:00:00:02:01"
    assert heard(Packet(0, bytes(ip), 101)).sender.mac == "00:00:00:00:00:00"


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        (0, IPv6ExtHdrHopByHop(nh=112, options=[RouterAlert()])),
        (0, IPv6ExtHdrHopByHop(nh=60) / IPv6ExtHdrDestOpt(nh=112, options=[PadN(optdata=bytes(12))])),
        (44, IPv6ExtHdrFragment(nh=112, offset=0, m=0)),
    ],
)
def test_an_advert_behind_extension_headers_is_heard_as_a_router_hears_it(first: int, headers: Any) -> None:
    plain = advert("fe80::1", addrlist=["fe80::100"])
    behind = packet("fe80::1", headers / Raw(plain.data[54:]), nh=first)
    assert heard(behind) == heard(plain)
    other = packet("fe80::1", IPv6ExtHdrHopByHop(nh=58) / Raw(bytes(8)), nh=0)
    assert [understand(replace(one, data=one.data[:60])) for one in (behind, other)] == [None, None]
