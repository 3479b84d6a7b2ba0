"""What a captured packet says: an advert, a packet that a router discards and why, or nothing of VRRP."""

import struct
from ipaddress import IPv4Address
from typing import Any, Final

from msgspec import Struct
from scapy.config import conf
from scapy.layers import inet, inet6, l2  # noqa: F401  # conf.l2types knows what has been imported
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP

from vrrpd.lan.capture import Frame
from vrrpd.protocol.advert import (
    IP_PROTOCOL,
    IP_TTL,
    AdvertError,
    ChecksumForm,
    DropReason,
    Family,
    IPAddress,
    decode,
    ones_complement_sum,
)
from vrrpd.protocol.timing import seconds

ETHERNET: Final = 1
"""LINKTYPE_ETHERNET of pcap files."""

_TAGS: Final = (b"\x81\x00", b"\x88\xa8")
_ETHERTYPES: Final = {Family.IPV4: b"\x08\x00", Family.IPV6: b"\x86\xdd"}
_FRAGMENT: Final = 0x3FFF
"""More fragments, and the offset."""
_FRAGMENT_HEADER: Final = 44
_FRAGMENT_6: Final = 0xFFF9
"""In that header: the offset, and more fragments."""
EXTENSIONS: Final = frozenset({0, _FRAGMENT_HEADER, 60})
"""Headers of IPv6 that may stand before an advert: hop-by-hop, fragment, destination options."""
_V2_HEADER: Final = 8
_V2_AUTHENTICATION: Final = 8
_CARP_SIZE: Final = 36
_CARP_AUTHENTICATION: Final = b"\x07"
"""Its length in words, where VRRPv2 has the number of addresses; so many would not fit into a packet of that size."""
_V2_AUTHENTICATIONS: Final = ("none", "a password in clear", "IP authentication header")


class Packet(Struct, frozen=True):
    """As it was captured."""

    time_ns: int
    """Nanoseconds since 1970, or of whatever clock the capture has."""
    data: bytes
    """From the link layer's header on."""
    link_type: int = ETHERNET
    """As pcap files number them."""
    interface: str = ""
    """Where it was captured; empty: not known."""
    length: int | None = None
    """Bytes it had on the wire; None: those that are here."""

    @property
    def time(self) -> float:
        """In seconds."""
        return self.time_ns * 1e-9


class Place(Struct, frozen=True, order=True):
    """A link: routers of different links have nothing to do with each other."""

    interface: str = ""
    vlans: tuple[int, ...] = ()
    """Of the tags, outermost first."""

    def __str__(self) -> str:
        return ".".join([self.interface or "file", *map(str, self.vlans)])


class Sender(Struct, frozen=True):
    """Who sent a packet."""

    address: IPAddress
    mac: str
    """`00:00:00:00:00:00` where the link layer has none."""

    def __str__(self) -> str:
        return str(self.address)


class Heard(Struct, frozen=True):
    """An advert that says something, of version 3 or 2."""

    time: float
    """Seconds, of the capture's clock."""
    place: Place
    sender: Sender
    version: int
    virtual_router_id: int
    priority: int
    interval: float
    """Seconds between adverts, as the sender says."""
    addresses: tuple[IPAddress, ...]
    checksum_form: ChecksumForm
    """For IPv6 and in version 2 there is one form only."""
    authentication: str = ""
    """Of version 2, in words."""
    unicast: IPAddress | None = None
    """Where it went, if not to the group."""

    @property
    def family(self) -> Family:
        """Of the addresses."""
        return Family.of(self.sender.address)


class Discarded(Struct, frozen=True):
    """A packet that a router discards."""

    time: float
    place: Place
    sender: Sender
    reason: DropReason
    detail: str
    """For people."""


class _Layer3(Struct, frozen=True):
    """An IP packet of protocol 112."""

    source: IPAddress
    destination: IPAddress
    ttl: int
    fragment: bool
    message: bytes


def understand(packet: Packet) -> Heard | Discarded | None:
    """What the packet says; None: it is no VRRP."""
    found = ethernet(packet)
    if found is None:
        return None
    data, vlans = found
    layer = _layer3(data)
    if layer is None:
        return None
    place = Place(packet.interface, vlans)
    sender = Sender(layer.source, data[6:12].hex(":"))
    try:
        return _understood(packet, layer, place, sender)
    except AdvertError as error:
        return Discarded(packet.time, place, sender, error.reason, error.detail)


def ethernet(packet: Packet) -> tuple[bytes, tuple[int, ...]] | None:
    """The packet in an Ethernet frame without tags, and the VLANs of its tags; None: nothing that VRRP could be in."""
    if packet.link_type != ETHERNET:
        return _reframed(packet)
    data, vlans = packet.data, []
    while data[12:14] in _TAGS and len(data) >= 18:
        vlans.append(int.from_bytes(data[14:16]) & 0xFFF)
        data = data[:12] + data[16:]
    return data, tuple(vlans)


def knows(link_type: int) -> bool:
    """Whether packets of that kind of link can be taken apart."""
    return link_type == ETHERNET or link_type in conf.l2types.num2layer


def _reframed(packet: Packet) -> tuple[bytes, tuple[int, ...]] | None:
    """Of another kind of link, such as `tcpdump -i any` writes: what scapy finds in it, as Ethernet would carry it."""
    try:
        dissected: Any = conf.l2types.num2layer[packet.link_type](packet.data)
    except struct.error:  # it is shorter than its own header
        return None
    vlans = tuple(int(tag.vlan) for tag in dissected.iterpayloads() if tag.name == "802.1Q")
    for family, layer in ((Family.IPV4, IP), (Family.IPV6, IPv6)):
        if layer in dissected:
            source = getattr(dissected, "src", b"")
            mac = source[:6] if isinstance(source, bytes) else b""
            return bytes(6) + mac.ljust(6, b"\0") + _ETHERTYPES[family] + dissected[layer].original, vlans
    return None


def _layer3(data: bytes) -> _Layer3 | None:
    frame = Frame(0.0, data, outgoing=False)
    ethertype = data[12:14]
    if ethertype == _ETHERTYPES[Family.IPV4] and data[23:24] == bytes([IP_PROTOCOL]) and len(data) >= 34:
        fragment = bool(int.from_bytes(data[20:22]) & _FRAGMENT)
        return _Layer3(frame.source, IPv4Address(data[30:34]), data[22], fragment, frame.payload)
    if ethertype == _ETHERTYPES[Family.IPV6] and len(data) >= 54:
        protocol, at, fragment = upper_layer(data)
        if protocol == IP_PROTOCOL:
            message = data[at : 54 + int.from_bytes(data[18:20])]
            return _Layer3(frame.source, Family.IPV6.address(data[38:54]), data[21], fragment, message)
    return None


def upper_layer(data: bytes) -> tuple[int, int, bool]:
    """What is behind the extension headers of an IPv6 packet in Ethernet, which a router's kernel takes off.

    Returns:
        Its protocol (RFC 8200 section 4), where it begins, and whether it is a fragment.
    """
    protocol, at, fragment = data[20], 54, False
    while protocol in EXTENSIONS and len(data) >= at + 8:
        if protocol == _FRAGMENT_HEADER:
            fragment = fragment or bool(int.from_bytes(data[at + 2 : at + 4]) & _FRAGMENT_6)
            size = 8
        else:
            size = 8 + 8 * data[at + 1]
        protocol, at = data[at], at + size
    return protocol, at, fragment


def _understood(packet: Packet, layer: _Layer3, place: Place, sender: Sender) -> Heard:
    family, message = Family.of(layer.source), layer.message
    if layer.fragment:
        raise AdvertError(DropReason.LENGTH, "it is a fragment; adverts fit into one packet")
    if packet.length is not None and len(packet.data) < packet.length:
        cut = f"the capture has {len(packet.data)} of its {packet.length} bytes; capture whole packets"
        raise AdvertError(DropReason.LENGTH, cut)
    if layer.destination.is_multicast and layer.destination != family.group:
        raise AdvertError(DropReason.DESTINATION, f"sent to {layer.destination}, not to {family.group}")
    unicast = None if layer.destination.is_multicast else layer.destination
    if family is Family.IPV4 and message and message[0] >> 4 == 2:
        return _version_2(packet, layer, place, sender, unicast)
    advert, form = decode(message, source=layer.source, destination=layer.destination, ttl=layer.ttl)
    return Heard(
        time=packet.time,
        place=place,
        sender=sender,
        version=3,
        virtual_router_id=advert.virtual_router_id,
        priority=advert.priority,
        interval=seconds(advert.max_advertise_interval),
        addresses=advert.addresses,
        checksum_form=form,
        unicast=unicast,
    )


def _version_2(packet: Packet, layer: _Layer3, place: Place, sender: Sender, unicast: IPAddress | None) -> Heard:
    """RFC 3768 section 5: seconds for the interval, no pseudo-header, eight bytes of authentication at the end."""
    message = layer.message
    if layer.ttl != IP_TTL:
        raise AdvertError(DropReason.TTL, f"TTL is {layer.ttl}, not {IP_TTL}: it was forwarded or forged")
    if message[0] & 0xF != 1:
        raise AdvertError(DropReason.TYPE, f"VRRPv2: type is {message[0] & 0xF}, not 1")
    if message[3:4] == _CARP_AUTHENTICATION and len(message) == _CARP_SIZE:
        raise AdvertError(DropReason.VRRPV2, "it is CARP, of ucarp or OpenBSD, which has VRRP's number and is not VRRP")
    size = _V2_HEADER + 4 * message[3] + _V2_AUTHENTICATION if len(message) > 3 else _V2_HEADER
    if len(message) < size:
        raise AdvertError(DropReason.LENGTH, f"VRRPv2: {len(message)} bytes, at least {size} expected")
    if ones_complement_sum(message[: size - _V2_AUTHENTICATION]) != 0xFFFF and ones_complement_sum(message) != 0xFFFF:
        (checksum,) = struct.unpack_from("!H", message, 6)
        raise AdvertError(DropReason.CHECKSUM, f"VRRPv2: the checksum 0x{checksum:04x} is wrong")
    fields: Any = VRRP(message)
    if not fields.ipcount:
        raise AdvertError(DropReason.ADDRESS_COUNT, "VRRPv2: the address count is 0")
    if not fields.adv:
        raise AdvertError(DropReason.INTERVAL, "VRRPv2: the advertisement interval is 0")
    kinds = _V2_AUTHENTICATIONS
    return Heard(
        time=packet.time,
        place=place,
        sender=sender,
        version=2,
        virtual_router_id=fields.vrid,
        priority=fields.priority,
        interval=float(fields.adv),
        addresses=tuple(IPv4Address(address) for address in fields.addrlist),
        checksum_form=ChecksumForm.MESSAGE,
        authentication=kinds[fields.authtype] if fields.authtype < len(kinds) else f"type {fields.authtype}",
        unicast=unicast,
    )
