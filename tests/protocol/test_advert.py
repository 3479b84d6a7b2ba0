"""The codec: what it encodes, what it refuses to encode, and that what it decodes is what was meant."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.protocol.adverts import adverts_ipv4, adverts_ipv6, sources_ipv4, sources_ipv6
from tests.protocol.samples import GROUP, GROUP_IPV6, OWN, OWN_IPV6, VIPS, VIPS_IPV6, sealed
from vrrpd.protocol.advert import (
    IP_PROTOCOL,
    Advert,
    AdvertError,
    ChecksumForm,
    Family,
    IPAddress,
    decode,
    encode,
    ones_complement_sum,
)
from vrrpd.protocol.timing import Centiseconds

ADVERT = Advert(51, 200, Centiseconds(10), VIPS[:1])

forms = st.sampled_from(ChecksumForm)


def test_encode_is_the_diagram() -> None:
    message = encode(Advert(51, 200, Centiseconds(0xABC), VIPS), OWN)
    assert message[:6] == bytes([0x31, 51, 200, 2, 0x0A, 0xBC])
    assert message[8:] == VIPS[0].packed + VIPS[1].packed
    assert message == sealed(message, OWN)


def test_encode_ipv6_is_the_diagram() -> None:
    message = encode(Advert(1, 0, Centiseconds(1), VIPS_IPV6), OWN_IPV6)
    assert message[:6] == bytes([0x31, 1, 0, 2, 0x00, 0x01])
    assert message[8:] == VIPS_IPV6[0].packed + VIPS_IPV6[1].packed
    assert message == sealed(message, OWN_IPV6, GROUP_IPV6)


def test_the_message_form_is_over_the_message_alone() -> None:
    message = encode(ADVERT, OWN, form=ChecksumForm.MESSAGE)
    assert message == sealed(message, None)
    assert message == encode(ADVERT, IPv4Address("203.0.113.1"), form=ChecksumForm.MESSAGE)


def test_ipv6_has_the_pseudo_header_in_either_form() -> None:
    advert = replace(ADVERT, addresses=VIPS_IPV6)
    assert encode(advert, OWN_IPV6, form=ChecksumForm.MESSAGE) == encode(advert, OWN_IPV6)


def test_the_pseudo_header_has_the_unicast_destination() -> None:
    peer = IPv4Address("192.0.2.12")
    message = encode(ADVERT, OWN, peer)
    assert message == sealed(message, OWN, peer)
    assert decode(message, source=OWN, destination=peer) == (ADVERT, ChecksumForm.PSEUDO_HEADER)


def test_constants_of_the_protocol() -> None:
    assert IP_PROTOCOL == 112
    assert (Family.IPV4.group, Family.IPV6.group) == (GROUP, GROUP_IPV6)
    assert (Family.of(OWN), Family.of(OWN_IPV6)) == (Family.IPV4, Family.IPV6)


@pytest.mark.parametrize(
    ("advert", "field"),
    [
        (replace(ADVERT, virtual_router_id=0), "virtual_router_id"),
        (replace(ADVERT, virtual_router_id=256), "virtual_router_id"),
        (replace(ADVERT, priority=-1), "priority"),
        (replace(ADVERT, priority=256), "priority"),
        (replace(ADVERT, max_advertise_interval=Centiseconds(0)), "max_advertise_interval"),
        (replace(ADVERT, max_advertise_interval=Centiseconds(4096)), "max_advertise_interval"),
        (replace(ADVERT, max_advertise_interval=Centiseconds(1.5)), "max_advertise_interval"),
        (replace(ADVERT, addresses=()), "addresses"),
        (replace(ADVERT, addresses=VIPS[:1] * 256), "addresses"),
        (replace(ADVERT, addresses=(*VIPS, *VIPS_IPV6)), "addresses"),
        (replace(ADVERT, addresses=VIPS_IPV6[::-1]), "addresses"),
    ],
)
def test_encode_refuses_what_the_wire_has_no_room_for(advert: Advert, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is .*; it must be "):
        encode(advert, OWN)


@pytest.mark.parametrize(
    "advert",
    [
        replace(ADVERT, virtual_router_id=1),
        replace(ADVERT, virtual_router_id=255),
        replace(ADVERT, priority=0),
        replace(ADVERT, priority=255),
        replace(ADVERT, max_advertise_interval=Centiseconds(4095.0)),
        replace(ADVERT, addresses=VIPS[:1] * 255),
    ],
)
def test_encode_takes_the_ends_of_the_ranges(advert: Advert) -> None:
    assert decode(encode(advert, OWN), source=OWN, destination=GROUP) == (advert, ChecksumForm.PSEUDO_HEADER)


@pytest.mark.parametrize(
    ("data", "total"),
    [
        (b"", 0),
        (b"\x12", 0x1200),
        (bytes.fromhex("0001f203f4f5f6f7"), 0xDDF2),  # the example of RFC 1071 section 3
        (b"\xff" * 64, 0xFFFF),
    ],
)
def test_ones_complement_sum(data: bytes, total: int) -> None:
    assert ones_complement_sum(data) == total


@given(adverts_ipv4, sources_ipv4, forms)
def test_ipv4_round_trip(advert: Advert, source: IPv4Address, form: ChecksumForm) -> None:
    decoded, seen = decode(encode(advert, source, form=form), source=source, destination=GROUP)
    assert decoded == advert
    assert seen is form or _both_forms_fit(encode(advert, source, form=form), source)


@given(adverts_ipv6, sources_ipv6)
def test_ipv6_round_trip(advert: Advert, source: IPv6Address) -> None:
    decoded = decode(encode(advert, source), source=source, destination=GROUP_IPV6)
    assert decoded == (advert, ChecksumForm.PSEUDO_HEADER)


def _both_forms_fit(message: bytes, source: IPv4Address) -> bool:
    return sealed(message, None)[6:8] == sealed(message, source)[6:8]


@given(st.binary(max_size=200), sources_ipv4 | sources_ipv6, st.none() | st.integers(0, 255))
def test_arbitrary_bytes_raise_nothing_but_the_one_error(message: bytes, source: IPAddress, ttl: int | None) -> None:
    _decodes_or_is_discarded(message, source, ttl)


@given(st.binary(min_size=5, max_size=100), st.sampled_from([1, 2, 3, 6]), st.booleans())
def test_plausible_bytes_raise_nothing_but_the_one_error(rest: bytes, count: int, ipv6: bool) -> None:
    source = OWN_IPV6 if ipv6 else OWN
    message = bytes([0x31, 51, 100, count]) + rest
    _decodes_or_is_discarded(sealed(message, source, Family.of(source).group), source, 255)


def _decodes_or_is_discarded(message: bytes, source: IPAddress, ttl: int | None) -> None:
    try:
        advert, _ = decode(message, source=source, destination=Family.of(source).group, ttl=ttl)
    except AdvertError:
        return
    assert len(advert.addresses) == message[3]
    assert 1 <= advert.max_advertise_interval <= 4095


@given(adverts_ipv4, sources_ipv4, forms, st.data())
def test_a_flipped_bit_is_noticed(advert: Advert, source: IPv4Address, form: ChecksumForm, data: st.DataObject) -> None:
    message = encode(advert, source, form=form)
    spoiled = _flipped(message, data.draw(st.integers(0, 8 * len(message) - 1)))
    assert not _passes_as(form, spoiled, source)


@given(adverts_ipv6, sources_ipv6, st.data())
def test_a_flipped_bit_is_noticed_ipv6(advert: Advert, source: IPv6Address, data: st.DataObject) -> None:
    message = encode(advert, source)
    spoiled = _flipped(message, data.draw(st.integers(0, 8 * len(message) - 1)))
    assert not _passes_as(ChecksumForm.PSEUDO_HEADER, spoiled, source)


@example(IPv4Address("10.21.21.93"), 95)
@given(sources_ipv4, st.integers(0, 95))
def test_a_flipped_bit_passes_at_most_as_the_other_form(source: IPv4Address, bit: int) -> None:
    """What it costs to accept both forms: from a few sources a flipped bit turns one form into the other."""
    spoiled = _flipped(encode(ADVERT, source), bit)
    assert not _passes_as(ChecksumForm.PSEUDO_HEADER, spoiled, source)
    pseudo_header = int(source) // 0x10000 + int(source) % 0x10000 + 0xE000 + 0x0012 + IP_PROTOCOL + len(spoiled)
    ambiguous = pseudo_header % 0xFFFF in {sign * 2**power % 0xFFFF for power in range(16) for sign in (1, -1)}
    assert ambiguous or not _passes_as(ChecksumForm.MESSAGE, spoiled, source)


def _flipped(message: bytes, bit: int) -> bytes:
    return (int.from_bytes(message) ^ 1 << (8 * len(message) - 1 - bit)).to_bytes(len(message))


def _passes_as(form: ChecksumForm, message: bytes, source: IPAddress) -> bool:
    try:
        return decode(message, source=source, destination=Family.of(source).group)[1] is form
    except AdvertError:
        return False
