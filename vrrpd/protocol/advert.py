"""The VRRPv3 ADVERTISEMENT: bytes to meaning and back (RFC 9568 section 5).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|Version| Type  | Virtual Rtr ID|   Priority    | IPvX Addr Count|
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|Reserve| Max Advertise Interval|           Checksum            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                       IPvX Address(es)                        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

import struct
from collections.abc import Sequence
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from vrrpd.protocol.timing import ADVERT_INTERVAL_MAX, ADVERT_INTERVAL_MIN, PRIORITY_OWNER, Centiseconds

IPAddress = IPv4Address | IPv6Address

IP_PROTOCOL = 112
IP_TTL = 255
"""A router on another link cannot send it: each hop takes one off (section 5.1.1.3)."""
ADDRESS_COUNT_MAX = 255

VERSION = 3
TYPE_ADVERTISEMENT = 1
_HEADER = struct.Struct("!BBBBHH")
_CHECKSUM_AT = 6
_INTERVAL_MASK = 0x0FFF


class Family(Enum):
    """The IP version of a virtual router. An instance has one (section 5.2.9)."""

    IPV4 = 4
    IPV6 = 6

    @property
    def address_size(self) -> int:
        """Bytes of one address."""
        return 4 if self is Family.IPV4 else 16

    @property
    def ip_header_size(self) -> int:
        """Bytes of the IP header before an advert, which has no options and no extensions."""
        return 20 if self is Family.IPV4 else 40

    @property
    def group(self) -> IPAddress:
        """Where adverts go (sections 5.1.1.2 and 5.1.2.2)."""
        return _GROUPS[self]

    def address(self, packed: bytes) -> IPAddress:
        """The address in `packed`, `address_size` bytes in network order."""
        return IPv4Address(packed) if self is Family.IPV4 else IPv6Address(packed)

    @classmethod
    def of(cls, address: IPAddress) -> "Family":
        """The family that `address` belongs to."""
        return cls(address.version)


_GROUPS: dict[Family, IPAddress] = {Family.IPV4: IPv4Address("224.0.0.18"), Family.IPV6: IPv6Address("ff02::12")}


class ChecksumForm(StrEnum):
    """What an IPv4 checksum covers. An IPv6 one always has the pseudo-header.

    RFC 9568 section 5.2.8 leaves the IPv4 pseudo-header out; keepalived and FRR put it in and drop the other form.
    """

    PSEUDO_HEADER = "pseudo_header"
    MESSAGE = "message"


class DropReason(StrEnum):
    """Why a received packet was discarded (section 7.1): the metric's label and the log's field."""

    TTL = "ttl"
    VERSION = "version"
    VRRPV2 = "vrrpv2"
    TYPE = "type"
    LENGTH = "length"
    CHECKSUM = "checksum"
    VRID = "vrid"
    ADDRESS_COUNT = "address_count"
    INTERVAL = "interval"
    NOT_LINK_LOCAL = "not_link_local"
    DESTINATION = "destination"
    SOURCE = "source"
    """The router has unicast peers, and the sender is none of them."""


class AdvertError(ValueError):
    """A received packet that is to be discarded; the only error that `decode` raises."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Advert(Struct, frozen=True):
    """What one advertisement says."""

    virtual_router_id: int
    priority: int
    """0: the sender resigns. 255: it owns the addresses."""
    max_advertise_interval: Centiseconds
    addresses: tuple[IPAddress, ...]
    """In the order of the wire; IPv6 starts with a link-local one (section 5.2.9)."""

    @property
    def family(self) -> Family:
        """The family of the addresses."""
        return Family.of(self.addresses[0])


def encode(
    advert: Advert,
    source: IPAddress,
    destination: IPAddress | None = None,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
) -> bytes:
    """The VRRP message, without IP header, as it is sent from `source` to `destination` (default: the group).

    Raises:
        ValueError: a field is out of the range that the wire has for it.
    """
    _require_encodable(advert)
    family = advert.family
    message = bytearray(
        _HEADER.pack(
            VERSION << 4 | TYPE_ADVERTISEMENT,
            advert.virtual_router_id,
            advert.priority,
            len(advert.addresses),
            int(advert.max_advertise_interval),
            0,
        )
    )
    for address in advert.addresses:
        message += address.packed
    covered = bytes(message)
    if family is Family.IPV6 or form is ChecksumForm.PSEUDO_HEADER:
        covered = _pseudo_header(source, destination or family.group, len(message)) + covered
    struct.pack_into("!H", message, _CHECKSUM_AT, 0xFFFF - ones_complement_sum(covered))
    return bytes(message)


def packet_size(family: Family, count: int) -> int:
    """Bytes of the IP packet that carries an advert of so many addresses."""
    return family.ip_header_size + _HEADER.size + count * family.address_size


def decode(
    message: bytes, *, source: IPAddress, destination: IPAddress, ttl: int | None = IP_TTL
) -> tuple[Advert, ChecksumForm]:
    """Check a received VRRP message as section 7.1 demands and say what it means.

    Args:
        message: the payload of the IP packet.
        source: the packet's source address; its family is the advert's.
        destination: the packet's destination address, as the pseudo-header has it.
        ttl: the packet's TTL or hop limit; None where a sender is allowed to be further away.

    Raises:
        AdvertError: the packet is to be discarded, with the `DropReason`.
    """
    if ttl is not None and ttl != IP_TTL:
        raise AdvertError(DropReason.TTL, f"TTL or hop limit is {ttl}, not {IP_TTL}: it was forwarded or forged")
    if not message:
        raise AdvertError(DropReason.LENGTH, "the packet is empty")
    version, kind = message[0] >> 4, message[0] & 0x0F
    if version == 2:
        raise AdvertError(DropReason.VRRPV2, "the sender speaks VRRPv2; configure it for version 3")
    if version != VERSION:
        raise AdvertError(DropReason.VERSION, f"version is {version}, not {VERSION}")
    if kind != TYPE_ADVERTISEMENT:
        raise AdvertError(DropReason.TYPE, f"type is {kind}, not {TYPE_ADVERTISEMENT}")
    if len(message) < _HEADER.size:
        raise AdvertError(DropReason.LENGTH, f"{len(message)} bytes, at least {_HEADER.size} expected")
    _, vrid, priority, count, interval, _ = _HEADER.unpack_from(message)
    family = Family.of(source)
    if not count:
        raise AdvertError(DropReason.ADDRESS_COUNT, "the address count is 0")
    end = _HEADER.size + count * family.address_size
    if len(message) < end:
        raise AdvertError(DropReason.LENGTH, f"{len(message)} bytes, {count} addresses need {end}")
    form = _verified_form(message, source, destination)
    interval &= _INTERVAL_MASK  # the reserve bits are ignored (section 5.2.6)
    if not interval:
        raise AdvertError(DropReason.INTERVAL, "the advertisement interval is 0")
    addresses = tuple(
        family.address(message[start : start + family.address_size])
        for start in range(_HEADER.size, end, family.address_size)
    )
    if family is Family.IPV6 and not addresses[0].is_link_local:
        raise AdvertError(DropReason.NOT_LINK_LOCAL, f"the first address, {addresses[0]}, is not link-local")
    return Advert(vrid, priority, Centiseconds(interval), addresses), form


def ones_complement_sum(data: bytes) -> int:
    """The Internet checksum's sum over `data`, 16 bits, not yet complemented (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _verified_form(message: bytes, source: IPAddress, destination: IPAddress) -> ChecksumForm:
    if ones_complement_sum(_pseudo_header(source, destination, len(message)) + message) == 0xFFFF:
        return ChecksumForm.PSEUDO_HEADER
    if source.version == Family.IPV4.value and ones_complement_sum(message) == 0xFFFF:
        return ChecksumForm.MESSAGE
    (checksum,) = struct.unpack_from("!H", message, _CHECKSUM_AT)
    raise AdvertError(DropReason.CHECKSUM, f"the checksum 0x{checksum:04x} fits neither form")


def _pseudo_header(source: IPAddress, destination: IPAddress, length: int) -> bytes:
    """What RFC 8200 section 8.1 and, for IPv4, RFC 9293 section 3.1 put before the message."""
    if source.version == Family.IPV4.value:
        return source.packed + destination.packed + struct.pack("!BBH", 0, IP_PROTOCOL, length)
    return source.packed + destination.packed + struct.pack("!IHBB", length, 0, 0, IP_PROTOCOL)


def _require_encodable(advert: Advert) -> None:
    _require(1 <= advert.virtual_router_id <= 255, "virtual_router_id", advert.virtual_router_id, "1-255")
    _require(0 <= advert.priority <= PRIORITY_OWNER, "priority", advert.priority, "0-255")
    interval = advert.max_advertise_interval
    _require(
        ADVERT_INTERVAL_MIN <= interval <= ADVERT_INTERVAL_MAX and float(interval).is_integer(),
        "max_advertise_interval",
        interval,
        "a whole number of centiseconds, 1-4095",
    )
    _require(1 <= len(advert.addresses) <= ADDRESS_COUNT_MAX, "addresses", len(advert.addresses), "1-255 of them")
    _require(_of_one_family(advert.addresses), "addresses", "a mixture", "of one family")
    if advert.family is Family.IPV6:
        first = advert.addresses[0]
        _require(first.is_link_local, "addresses", first, "link-local first")


def _of_one_family(addresses: Sequence[IPAddress]) -> bool:
    return len({address.version for address in addresses}) == 1


def _require(condition: bool, field: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{field} is {value}; it must be {allowed}")
