"""Virtual and real servers as generic netlink has them, both ways (include/uapi/linux/ip_vs.h, IPVS_GENL_NAME).

Messages are encoded by pyroute2's class once for each kind; what differs between two of a kind is written into a copy.
There may be 50,000 real servers, and each would take it tens of times longer. pyroute2's own helpers are not used: they
take no netmask for IPv6 and marks, and send an edit as a deletion.
"""

import socket
import struct
import sys
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Any, NamedTuple

import vrrpd.net.messages  # noqa: F401 # enters pyroute2 without the rest of it, before anybody else does

# isort: split
from pyroute2.netlink.generic import ipvs

from vrrpd.ipvs.model import (
    Activity,
    FirewallMark,
    Flag,
    Method,
    Protocol,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Traffic,
    VirtualServer,
    VirtualServerKey,
)
from vrrpd.net.netlink import HEADER, NLM_F_REQUEST, attribute_places, attributes
from vrrpd.protocol.advert import Family, IPAddress

GENL_HEADER_SIZE = 4
"""struct genlmsghdr { u8 cmd; u8 version; u16 reserved; }"""

SERVICE_AF, SERVICE_PROTOCOL, SERVICE_ADDR, SERVICE_PORT, SERVICE_FWMARK = 1, 2, 3, 4, 5
SERVICE_SCHED_NAME, SERVICE_FLAGS, SERVICE_TIMEOUT, SERVICE_NETMASK = 6, 7, 8, 9
DEST_ADDR, DEST_PORT, DEST_FWD_METHOD, DEST_WEIGHT, DEST_U_THRESH, DEST_L_THRESH = 1, 2, 3, 4, 5, 6
DEST_ACTIVE_CONNS, DEST_INACT_CONNS, DEST_PERSIST_CONNS, DEST_ADDR_FAMILY = 7, 8, 9, 11
SERVICE_STATS, SERVICE_STATS64, DEST_STATS, DEST_STATS64 = 10, 12, 10, 12
CMD_SERVICE, CMD_DEST = 1, 2

_STATS = range(1, 11)
"""IPVS_STATS_ATTR_CONNS to IPVS_STATS_ATTR_OUTBPS, in the order of the fields of `Traffic`."""
_SETTINGS = struct.Struct("=8I")
_ATTRIBUTE_HEADER_SIZE = 4
_METHOD_MASK = 0x07
_FLAG_MASK = 0xFFFFFFFF
_AF = {Family.IPV4: int(socket.AF_INET), Family.IPV6: int(socket.AF_INET6)}
_FAMILY = {af: family for family, af in _AF.items()}
_ANY = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - a place to write into


class _Template(NamedTuple):
    """A message, and where its attributes' values begin, by the nest and the attribute."""

    data: bytes
    places: Mapping[tuple[int, int], int]


class _Head(NamedTuple):
    """A message about a real server, and where its values begin."""

    data: bytes
    address: int
    port: int
    settings: int
    """Method, weight and thresholds, one behind the other to the end, with their headers."""
    headers: tuple[int, ...]
    """Of these four."""


def virtual_server_request(command: int, family_id: int, server: VirtualServer) -> bytes:
    """IPVS_CMD_NEW_SERVICE or IPVS_CMD_SET_SERVICE."""
    template = _virtual_server_template(type(server.key), server.key.family, server.scheduler)
    data, places = bytearray(template.data), template.places
    _begin(data, family_id, command)
    _write_key(data, places, server.key)
    struct.pack_into("=II", data, places[CMD_SERVICE, SERVICE_FLAGS], int(server.flags), _FLAG_MASK)
    struct.pack_into("=I", data, places[CMD_SERVICE, SERVICE_TIMEOUT], server.persistence_timeout)
    at = places[CMD_SERVICE, SERVICE_NETMASK]
    data[at : at + 4] = _netmask(server.key.family, server.granularity)
    return bytes(data)


def key_request(command: int, family_id: int, key: VirtualServerKey, flags: int = NLM_F_REQUEST) -> bytes:
    """IPVS_CMD_DEL_SERVICE, and IPVS_CMD_GET_DEST for the real servers of one virtual server."""
    template = _key_template(type(key), key.family)
    data = bytearray(template.data)
    _begin(data, family_id, command, flags)
    _write_key(data, template.places, key)
    return bytes(data)


def real_server_request(command: int, family_id: int, key: VirtualServerKey, real_server: RealServer) -> bytes:
    """IPVS_CMD_NEW_DEST, IPVS_CMD_SET_DEST or, for which its key would do, IPVS_CMD_DEL_DEST."""
    address = real_server.key.address
    head = _real_server_head(command, family_id, key, Family.of(address))
    data = bytearray(head.data)
    _write_address(data, head.address, address)
    struct.pack_into("!H", data, head.port, real_server.key.port)
    data[head.settings :] = _SETTINGS.pack(
        *(head.headers[0], real_server.method),
        *(head.headers[1], real_server.weight),
        *(head.headers[2], real_server.upper_threshold),
        *(head.headers[3], real_server.lower_threshold),
    )
    return bytes(data)


@lru_cache
def _real_server_head(command: int, family_id: int, key: VirtualServerKey, family: Family) -> _Head:
    """What the messages about the real servers of one virtual server, which follow each other, have in common."""
    template = _real_server_template(type(key), key.family, family)
    data, places = bytearray(template.data), template.places
    _begin(data, family_id, command)
    _write_key(data, places, key)
    settings = places[CMD_DEST, DEST_FWD_METHOD] - _ATTRIBUTE_HEADER_SIZE
    headers = struct.unpack_from("=I4xI4xI4xI4x", data, settings)
    return _Head(bytes(data), places[CMD_DEST, DEST_ADDR], places[CMD_DEST, DEST_PORT], settings, headers)


def read_virtual_server(payload: bytes) -> VirtualServer:
    """A message of a dump of virtual servers, without its real servers.

    Raises:
        ValueError, KeyError, struct.error: the kernel's message is not of the kind that we know.
    """
    found = attributes(attributes(payload, GENL_HEADER_SIZE)[CMD_SERVICE], 0)
    family = _FAMILY[_u16(found[SERVICE_AF])]
    key: VirtualServerKey
    if SERVICE_FWMARK in found:
        key = FirewallMark(_u32(found[SERVICE_FWMARK]), family)
    else:
        key = ServiceAddress(
            Protocol(_u16(found[SERVICE_PROTOCOL])),
            family.address(found[SERVICE_ADDR][: family.address_size]),
            _port(found[SERVICE_PORT]),
        )
    return VirtualServer(
        key,
        scheduler=found[SERVICE_SCHED_NAME].rstrip(b"\0").decode(),
        flags=Flag(_u32(found[SERVICE_FLAGS][:4])),  # the mask follows
        persistence_timeout=_u32(found[SERVICE_TIMEOUT]),
        persistence_granularity=_prefix_length(family, found[SERVICE_NETMASK]),
    )


def read_real_server(payload: bytes, family: Family) -> RealServer:
    """A message of a dump of real servers; `family` is that of the virtual server.

    Raises:
        ValueError, KeyError, struct.error: the kernel's message is not of the kind that we know.
    """
    found = attributes(attributes(payload, GENL_HEADER_SIZE)[CMD_DEST], 0)
    if DEST_ADDR_FAMILY in found:  # a tunnel may lead to the other family
        family = _FAMILY[_u16(found[DEST_ADDR_FAMILY])]
    return RealServer(
        RealServerKey(family.address(found[DEST_ADDR][: family.address_size]), _port(found[DEST_PORT])),
        Method(_u32(found[DEST_FWD_METHOD]) & _METHOD_MASK),
        _u32(found[DEST_WEIGHT]),
        _u32(found[DEST_U_THRESH]),
        _u32(found[DEST_L_THRESH]),
    )


def read_traffic(payload: bytes) -> Traffic:
    """What a message of a dump of virtual servers counts.

    Raises:
        KeyError, struct.error: the kernel's message is not of the kind that we know.
    """
    found = attributes(attributes(payload, GENL_HEADER_SIZE)[CMD_SERVICE], 0)
    return _traffic(found, SERVICE_STATS64, SERVICE_STATS)


def read_activity(payload: bytes) -> Activity:
    """What a message of a dump of real servers counts.

    Raises:
        KeyError, struct.error: the kernel's message is not of the kind that we know.
    """
    found = attributes(attributes(payload, GENL_HEADER_SIZE)[CMD_DEST], 0)
    return Activity(
        _u32(found[DEST_ACTIVE_CONNS]),
        _u32(found[DEST_INACT_CONNS]),
        _u32(found[DEST_PERSIST_CONNS]),
        _traffic(found, DEST_STATS64, DEST_STATS),
    )


def _traffic(found: Mapping[int, bytes], wide: int, narrow: int) -> Traffic:
    """Counters of 64 bits where the kernel has them (since 4.1)."""
    counted = attributes(found.get(wide) or found[narrow], 0)
    return Traffic(*(int.from_bytes(counted[kind], sys.byteorder) for kind in _STATS))


@lru_cache
def _virtual_server_template(kind: type[VirtualServerKey], family: Family, scheduler: str) -> _Template:
    settings = [
        ("IPVS_SVC_ATTR_SCHED_NAME", scheduler),
        ("IPVS_SVC_ATTR_FLAGS", {"flags": 0, "mask": 0}),
        ("IPVS_SVC_ATTR_TIMEOUT", 0),
        ("IPVS_SVC_ATTR_NETMASK", "0.0.0.0"),  # noqa: S104
    ]
    return _encode([("IPVS_CMD_ATTR_SERVICE", {"attrs": [*_key_attributes(kind, family), *settings]})])


@lru_cache
def _key_template(kind: type[VirtualServerKey], family: Family) -> _Template:
    return _encode([("IPVS_CMD_ATTR_SERVICE", {"attrs": _key_attributes(kind, family)})])


@lru_cache
def _real_server_template(kind: type[VirtualServerKey], family: Family, real_family: Family) -> _Template:
    real = [
        ("IPVS_DEST_ATTR_ADDR_FAMILY", _AF[real_family]),
        ("IPVS_DEST_ATTR_ADDR", _ANY[real_family]),
        ("IPVS_DEST_ATTR_PORT", 0),
        ("IPVS_DEST_ATTR_FWD_METHOD", 0),
        ("IPVS_DEST_ATTR_WEIGHT", 0),
        ("IPVS_DEST_ATTR_U_THRESH", 0),
        ("IPVS_DEST_ATTR_L_THRESH", 0),
    ]
    return _encode(
        [
            ("IPVS_CMD_ATTR_SERVICE", {"attrs": _key_attributes(kind, family)}),
            ("IPVS_CMD_ATTR_DEST", {"attrs": real}),
        ]
    )


def _key_attributes(kind: type[VirtualServerKey], family: Family) -> list[tuple[str, Any]]:
    if kind is FirewallMark:
        return [("IPVS_SVC_ATTR_AF", _AF[family]), ("IPVS_SVC_ATTR_FWMARK", 0)]
    return [
        ("IPVS_SVC_ATTR_AF", _AF[family]),
        ("IPVS_SVC_ATTR_PROTOCOL", 0),
        ("IPVS_SVC_ATTR_ADDR", _ANY[family]),
        ("IPVS_SVC_ATTR_PORT", 0),
    ]


def _encode(attrs: list[tuple[str, Any]]) -> _Template:
    message = ipvs.ipvsmsg()
    message["cmd"] = ipvs.IPVS_CMD_UNSPEC
    message["version"] = ipvs.GENL_VERSION
    message["attrs"] = attrs
    message.encode()
    data = bytes(message.data)
    places: dict[tuple[int, int], int] = {}
    for nest, outer in attribute_places(data, HEADER.size + GENL_HEADER_SIZE, len(data)):
        for attribute, inner in attribute_places(data, outer.start, outer.stop):
            places[nest, attribute] = inner.start
    return _Template(data, places)


def _begin(data: bytearray, family_id: int, command: int, flags: int = NLM_F_REQUEST) -> None:
    HEADER.pack_into(data, 0, len(data), family_id, flags, 0, 0)
    data[HEADER.size] = command


def _write_key(data: bytearray, places: Mapping[tuple[int, int], int], key: VirtualServerKey) -> None:
    if isinstance(key, FirewallMark):
        struct.pack_into("=I", data, places[CMD_SERVICE, SERVICE_FWMARK], key.mark)
        return
    struct.pack_into("=H", data, places[CMD_SERVICE, SERVICE_PROTOCOL], key.protocol)
    _write_address(data, places[CMD_SERVICE, SERVICE_ADDR], key.address)
    struct.pack_into("!H", data, places[CMD_SERVICE, SERVICE_PORT], key.port)


def _write_address(data: bytearray, at: int, address: IPAddress) -> None:
    packed = address.packed
    data[at : at + len(packed)] = packed


def _netmask(family: Family, prefix_length: int) -> bytes:
    """IPv4: a mask; IPv6: the prefix length as a number of the host."""
    if family is Family.IPV6:
        return struct.pack("=I", prefix_length)
    return IPv4Network((0, prefix_length)).netmask.packed


def _prefix_length(family: Family, value: bytes) -> int:
    return _u32(value) if family is Family.IPV6 else int.from_bytes(value).bit_count()


def _u16(value: bytes) -> int:
    return int(struct.unpack("=H", value)[0])


def _u32(value: bytes) -> int:
    return int(struct.unpack("=I", value)[0])


def _port(value: bytes) -> int:
    return int(struct.unpack("!H", value)[0])
