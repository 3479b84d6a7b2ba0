"""Rows 9-13, 15-21 and 49 of the conformance list: what is discarded, and what is accepted all the same."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace

from tests.protocol.samples import (
    DOWN_INTERVAL,
    GROUP,
    GROUP_IPV6,
    HIGHER,
    OWN,
    OWN_IPV6,
    PARAMETERS,
    VIPS,
    heard,
    router_in_backup,
    router_in_init,
    router_in_master,
    sealed,
)
from vrrpd.protocol.advert import Advert, AdvertError, ChecksumForm, DropReason, decode
from vrrpd.protocol.effects import Anomaly, Effect, ReportAnomaly, SetTimer, State
from vrrpd.protocol.events import Startup, Timer
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

HEADER = bytes.fromhex("3133c801000a0000")
PACKET = sealed(HEADER + VIPS[0].packed, OWN)
MEANING = Advert(51, 200, Centiseconds(10), VIPS[:1])
PACKET_IPV6 = sealed(
    bytes.fromhex("3133c802000a0000fe80000000000000000000000000010020010db8000000000000000000000100"),
    OWN_IPV6,
    GROUP_IPV6,
)


def changed(at: int, value: int) -> bytes:
    """The good packet with another byte at `at`, its checksum right."""
    return sealed(PACKET[:at] + bytes([value]) + PACKET[at + 1 :], OWN)


def accepted(message: bytes, ttl: int | None = 255) -> Advert:
    advert, form = decode(message, source=OWN, destination=GROUP, ttl=ttl)
    assert form is ChecksumForm.PSEUDO_HEADER
    return advert


def dropped(message: bytes, ttl: int | None = 255) -> DropReason:
    with pytest.raises(AdvertError) as caught:
        decode(message, source=OWN, destination=GROUP, ttl=ttl)
    assert str(caught.value) == f"{caught.value.reason.value}: {caught.value.detail}"
    return caught.value.reason


@pytest.mark.parametrize("ttl", [0, 1, 64, 254])
def test_row_09_ttl_other_than_255(ttl: int) -> None:
    assert dropped(PACKET, ttl=ttl) is DropReason.TTL


@pytest.mark.parametrize("ttl", [255, None])
def test_row_09_negative_ttl_255_or_not_checked(ttl: int | None) -> None:
    assert accepted(PACKET, ttl=ttl) == MEANING


@pytest.mark.parametrize("version", [0, 1, 4, 15])
def test_row_10_version_other_than_3(version: int) -> None:
    assert dropped(changed(0, version << 4 | 1)) is DropReason.VERSION


def test_row_10_negative_version_3() -> None:
    assert accepted(changed(0, 0x31)) == MEANING


@pytest.mark.parametrize("kind", [0, 2, 15])
def test_row_11_type_other_than_1(kind: int) -> None:
    assert dropped(changed(0, 0x30 | kind)) is DropReason.TYPE


def test_row_11_negative_type_1() -> None:
    assert accepted(changed(0, 0x30 | 1)) == MEANING


@pytest.mark.parametrize("length", range(len(PACKET)))
def test_row_12_too_short(length: int) -> None:
    assert dropped(sealed(PACKET, OWN)[:length]) is DropReason.LENGTH


def test_row_12_too_short_for_its_address_count() -> None:
    assert dropped(changed(3, 2)) is DropReason.LENGTH


def test_row_12_too_short_for_ipv6_addresses() -> None:
    with pytest.raises(AdvertError) as caught:
        decode(PACKET_IPV6[:-1], source=OWN_IPV6, destination=GROUP_IPV6)
    assert caught.value.reason is DropReason.LENGTH


def test_row_12_negative_longer_than_its_address_count() -> None:
    assert accepted(sealed(PACKET + b"\x01\x02\x03", OWN)) == MEANING


@pytest.mark.parametrize("checksum", ["0000", "ffff", "a1c0", "c1a1"])
def test_row_13_bad_checksum(checksum: str) -> None:
    assert dropped(PACKET[:6] + bytes.fromhex(checksum) + PACKET[8:]) is DropReason.CHECKSUM


def test_row_13_checksum_for_another_source() -> None:
    assert dropped(sealed(PACKET, HIGHER)) is DropReason.CHECKSUM


def test_row_13_ipv6_checksum_without_pseudo_header() -> None:
    with pytest.raises(AdvertError) as caught:
        decode(sealed(PACKET_IPV6, None), source=OWN_IPV6, destination=GROUP_IPV6)
    assert caught.value.reason is DropReason.CHECKSUM


@pytest.mark.parametrize(
    ("message", "form"), [(PACKET, ChecksumForm.PSEUDO_HEADER), (sealed(PACKET, None), ChecksumForm.MESSAGE)]
)
def test_row_13_negative_either_ipv4_form(message: bytes, form: ChecksumForm) -> None:
    assert decode(message, source=OWN, destination=GROUP) == (MEANING, form)


def test_row_15_address_count_0() -> None:
    assert dropped(sealed(HEADER[:3] + b"\0" + HEADER[4:], OWN)) is DropReason.ADDRESS_COUNT


def test_row_15_negative_255_addresses() -> None:
    addresses = tuple(IPv4Address(f"198.51.100.{last}") for last in range(255))
    packed = b"".join(address.packed for address in addresses)
    assert accepted(sealed(HEADER[:3] + b"\xff" + HEADER[4:] + packed, OWN)).addresses == addresses


@pytest.mark.parametrize("reserve", [0x0, 0xF])
def test_row_16_interval_0(reserve: int) -> None:
    assert dropped(sealed(PACKET[:4] + bytes([reserve << 4, 0]) + PACKET[6:], OWN)) is DropReason.INTERVAL


@pytest.mark.parametrize("interval", [1, 4095])
def test_row_16_negative_ends_of_the_range(interval: int) -> None:
    message = sealed(PACKET[:4] + interval.to_bytes(2) + PACKET[6:], OWN)
    assert accepted(message) == replace(MEANING, max_advertise_interval=Centiseconds(interval))


def test_row_17_first_ipv6_address_is_not_link_local() -> None:
    swapped = sealed(PACKET_IPV6[:8] + PACKET_IPV6[24:] + PACKET_IPV6[8:24], OWN_IPV6, GROUP_IPV6)
    with pytest.raises(AdvertError) as caught:
        decode(swapped, source=OWN_IPV6, destination=GROUP_IPV6)
    assert caught.value.reason is DropReason.NOT_LINK_LOCAL


def test_row_17_negative_link_local_first_or_ipv4() -> None:
    advert, _ = decode(PACKET_IPV6, source=OWN_IPV6, destination=GROUP_IPV6)
    assert advert.addresses[0].is_link_local
    assert not accepted(PACKET).addresses[0].is_link_local


@pytest.mark.parametrize("reserve", range(1, 16))
def test_row_18_reserve_bits_are_ignored(reserve: int) -> None:
    assert accepted(changed(4, reserve << 4)) == MEANING


def test_row_18_negative_reserve_bits_are_under_the_checksum() -> None:
    assert dropped(PACKET[:4] + b"\xf0" + PACKET[5:]) is DropReason.CHECKSUM


BOTH_STATES = pytest.mark.parametrize("router_in_state", [router_in_backup, router_in_master])


def anomalies(effects: tuple[Effect, ...]) -> list[Anomaly]:
    return [effect.anomaly for effect in effects if isinstance(effect, ReportAnomaly)]


@BOTH_STATES
def test_row_19_another_interval_is_reported_and_learnt(router_in_state: Callable[[], VirtualRouter]) -> None:
    router, event = router_in_state(), heard(priority=200, interval=10)
    effects = router.handle(event)
    assert effects[-1] == ReportAnomaly(Anomaly.INTERVAL_DIFFERS, HIGHER, event.advert)
    assert SetTimer(Timer.ACTIVE_DOWN, Centiseconds(36.09375)) in effects


@BOTH_STATES
def test_row_19_negative_the_same_interval(router_in_state: Callable[[], VirtualRouter]) -> None:
    assert anomalies(router_in_state().handle(heard(priority=200))) == []


@BOTH_STATES
def test_row_20_other_addresses_are_reported_and_processed(router_in_state: Callable[[], VirtualRouter]) -> None:
    router = router_in_state()
    effects = router.handle(heard(priority=200, addresses=VIPS[:1]))
    assert anomalies(effects) == [Anomaly.ADDRESSES_DIFFER]
    assert SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL) in effects
    assert router.state is State.BACKUP


@BOTH_STATES
def test_row_20_negative_the_same_addresses_in_another_order(router_in_state: Callable[[], VirtualRouter]) -> None:
    assert anomalies(router_in_state().handle(heard(priority=200, addresses=VIPS[::-1]))) == []


def test_row_21_another_owner_is_reported_and_processed() -> None:
    owner = router_in_init(replace(PARAMETERS, priority=255))
    owner.handle(Startup())
    effects = owner.handle(heard(priority=255, source=HIGHER))
    assert anomalies(effects) == [Anomaly.ANOTHER_OWNER]
    assert owner.state is State.BACKUP


def test_row_21_negative_only_one_of_them_is_the_owner() -> None:
    owner = router_in_init(replace(PARAMETERS, priority=255))
    owner.handle(Startup())
    assert Anomaly.ANOTHER_OWNER not in anomalies(owner.handle(heard(priority=254)))
    assert anomalies(router_in_backup().handle(heard(priority=255))) == []


VRRPV2 = bytes.fromhex("2133c8010001 0000 c0000264 0000000000000000")
"""A VRRPv2 advert (RFC 3768): authentication type and data at the end, interval in seconds."""


def test_row_49_vrrpv2_has_a_reason_of_its_own() -> None:
    assert dropped(sealed(VRRPV2, None)) is DropReason.VRRPV2
    assert dropped(VRRPV2[:1]) is DropReason.VRRPV2


def test_row_49_negative_version_3_and_unknown_versions() -> None:
    assert accepted(PACKET) == MEANING
    assert dropped(b"\x11" + VRRPV2[1:]) is DropReason.VERSION


def test_every_reason_is_decided_here_or_by_the_receiver() -> None:
    here = {
        dropped(PACKET, ttl=254),
        dropped(changed(0, 0x41)),
        dropped(changed(0, 0x21)),
        dropped(changed(0, 0x32)),
        dropped(b""),
        dropped(PACKET[:-1] + b"\0"),
        dropped(changed(3, 0)),
        dropped(changed(5, 0)),
        DropReason.NOT_LINK_LOCAL,
    }
    assert set(DropReason) - here == {DropReason.VRID, DropReason.DESTINATION, DropReason.SOURCE}
