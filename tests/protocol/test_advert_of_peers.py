"""The codec against others: bytes captured from keepalived and FRR, and scapy as an independent oracle."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRPv3
from scapy.utils import checksum

from tests.protocol.adverts import adverts_ipv4, adverts_ipv6, sources_ipv4, sources_ipv6
from tests.protocol.samples import GROUP, GROUP_IPV6, OWN, OWN_IPV6, VIPS_IPV6
from vrrpd.protocol.advert import (
    Advert,
    AdvertError,
    ChecksumForm,
    DropReason,
    Family,
    IPAddress,
    decode,
    encode,
    ones_complement_sum,
)
from vrrpd.protocol.timing import Centiseconds

VIP = IPv4Address("192.0.2.100")
VIPS_OF: dict[Family, tuple[IPAddress, ...]] = {Family.IPV4: (VIP,), Family.IPV6: VIPS_IPV6}

# Captured with `tcpdump -xx` at the far end of a veth pair between two network namespaces; the router's interface had
# 192.0.2.11/24 and fe80::11/64, VRID 51, priority 200, advert_int 10 cs, and was stopped by SIGTERM for the second of
# each pair. keepalived 2.2.7 with `vrrp_version 3`; FRR 8.4.4 with `vrrp 51 version 3` over two macvlans. FRR sends
# IPv6 from the first link-local address of its macvlan, which here was the virtual one.
VIPS_IPV6_HEX = "fe800000000000000000000000000100 20010db8000000000000000000000100"
CAPTURED = {
    "keepalived-ipv4": ("192.0.2.11", 200, "3133c801000aa1c1 c0000264"),
    "keepalived-ipv4-resigns": ("192.0.2.11", 0, "31330001000a69c2 c0000264"),
    "keepalived-ipv6": ("fe80::11", 200, f"3133c802000ada46 {VIPS_IPV6_HEX}"),
    "keepalived-ipv6-resigns": ("fe80::11", 0, f"31330002000aa247 {VIPS_IPV6_HEX}"),
    "frr-ipv4": ("192.0.2.11", 200, "3133c801000aa1c1 c0000264"),
    "frr-ipv4-resigns": ("192.0.2.11", 0, "31330001000a69c2 c0000264"),
    "frr-ipv6": ("fe80::100", 200, f"3133c802000ad957 {VIPS_IPV6_HEX}"),
    "frr-ipv6-resigns": ("fe80::100", 0, f"31330002000aa158 {VIPS_IPV6_HEX}"),
}


def address(text: str) -> IPAddress:
    return IPv6Address(text) if ":" in text else IPv4Address(text)


@pytest.mark.parametrize(("sender", "priority", "captured"), CAPTURED.values(), ids=CAPTURED)
def test_captured_bytes_mean_what_was_configured(sender: str, priority: int, captured: str) -> None:
    source = address(sender)
    family = Family.of(source)
    advert = Advert(51, priority, Centiseconds(10), VIPS_OF[family])
    message = bytes.fromhex(captured)
    assert decode(message, source=source, destination=family.group) == (advert, ChecksumForm.PSEUDO_HEADER)
    assert encode(advert, source) == message


@pytest.mark.parametrize(("sender", "priority", "captured"), CAPTURED.values(), ids=CAPTURED)
def test_captured_bytes_from_another_source_are_dropped(sender: str, priority: int, captured: str) -> None:
    source = address(sender)
    with pytest.raises(AdvertError) as caught:
        decode(bytes.fromhex(captured), source=source + 1, destination=Family.of(source).group)
    assert caught.value.reason is DropReason.CHECKSUM
    assert bytes.fromhex(captured)[2] == priority


class TestScapysChecksum:
    """What scapy 2.8 puts into the checksum of a VRRPv3 message that has none.

    - under IP: with the pseudo-header, as keepalived and FRR do and RFC 9568 does not; its length is what `IP.len`
      says where that is given, even if it is wrong;
    - under IPv6: with the pseudo-header, as RFC 9568 demands;
    - under neither: 0 and a warning, and the addresses as text. It never makes the RFC's own IPv4 form; for that one
      the oracle is `scapy.utils.checksum` over the message.
    """

    def test_under_ip_it_has_the_pseudo_header(self) -> None:
        assert crafted_ipv4() == encode(Advert(51, 200, Centiseconds(10), (VIP,)), OWN)
        assert crafted_ipv4() != encode(Advert(51, 200, Centiseconds(10), (VIP,)), OWN, form=ChecksumForm.MESSAGE)

    def test_under_ip_a_wrong_length_spoils_it(self) -> None:
        with pytest.raises(AdvertError) as caught:
            decode(crafted_ipv4(len=100), source=OWN, destination=GROUP)
        assert caught.value.reason is DropReason.CHECKSUM

    def test_under_ipv6_it_has_the_pseudo_header(self) -> None:
        layers = IPv6(src=str(OWN_IPV6), dst=str(GROUP_IPV6), hlim=255) / VRRPv3(
            vrid=51, priority=200, adv=10, addrlist=[str(vip) for vip in VIPS_IPV6]
        )
        assert bytes(layers)[40:] == encode(Advert(51, 200, Centiseconds(10), VIPS_IPV6), OWN_IPV6)

    def test_under_neither_there_is_none(self) -> None:
        message = bytes(VRRPv3(vrid=51, priority=200, adv=10, ipcount=1, addrlist=VIP.packed))
        assert message == bytes.fromhex("3133c801000a0000c0000264")


def crafted_ipv4(**ip_fields: int) -> bytes:
    """Scapy's VRRP message, without the IP header that it was under."""
    layers = IP(src=str(OWN), dst=str(GROUP), ttl=255, **ip_fields) / VRRPv3(
        vrid=51, priority=200, adv=10, addrlist=[str(VIP)]
    )
    return bytes(layers)[20:]


@given(adverts_ipv4, sources_ipv4)
def test_scapy_makes_the_same_bytes(advert: Advert, source: IPv4Address) -> None:
    layers = IP(src=str(source), dst=str(GROUP), ttl=255) / as_scapy_has_it(advert)
    assert bytes(layers)[20:] == encode(advert, source)


@given(adverts_ipv6, sources_ipv6)
def test_scapy_makes_the_same_bytes_ipv6(advert: Advert, source: IPv6Address) -> None:
    layers = IPv6(src=str(source), dst=str(GROUP_IPV6), hlim=255) / as_scapy_has_it(advert)
    assert bytes(layers)[40:] == encode(advert, source)


def as_scapy_has_it(advert: Advert) -> VRRPv3:
    return VRRPv3(
        vrid=advert.virtual_router_id,
        priority=advert.priority,
        adv=int(advert.max_advertise_interval),
        addrlist=[str(address) for address in advert.addresses],
    )


@given(st.binary(max_size=2000))
def test_scapy_sums_any_bytes_to_the_same_odd_lengths_too(data: bytes) -> None:
    assert checksum(data) == 0xFFFF - ones_complement_sum(data)


def test_scapy_agrees_on_the_message_form() -> None:
    message = encode(Advert(51, 200, Centiseconds(10), (VIP,)), OWN, form=ChecksumForm.MESSAGE)
    assert checksum(message) == 0
    assert checksum(message[:6] + b"\0\0" + message[8:]) == int.from_bytes(message[6:8])


@pytest.mark.parametrize("form", ChecksumForm)
def test_scapy_reads_what_is_encoded(form: ChecksumForm) -> None:
    message = encode(Advert(255, 1, Centiseconds(4095), (VIP, OWN)), OWN, form=form)
    seen = IP(bytes(IP(src=str(OWN), dst=str(GROUP), ttl=255, proto=112) / message))[VRRPv3]
    assert (seen.version, seen.type, seen.vrid, seen.priority, seen.res, seen.adv) == (3, 1, 255, 1, 0, 4095)
    assert (seen.ipcount, seen.addrlist) == (2, [str(VIP), str(OWN)])


def test_scapy_reads_what_is_encoded_ipv6() -> None:
    message = encode(Advert(255, 1, Centiseconds(4095), VIPS_IPV6), OWN_IPV6)
    seen = IPv6(bytes(IPv6(src=str(OWN_IPV6), dst=str(GROUP_IPV6), hlim=255, nh=112) / message))[VRRPv3]
    assert (seen.version, seen.type, seen.vrid, seen.priority, seen.res, seen.adv) == (3, 1, 255, 1, 0, 4095)
    assert (seen.ipcount, seen.addrlist) == (2, [str(vip) for vip in VIPS_IPV6])
