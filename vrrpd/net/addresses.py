"""Requests that put an address on an interface and take it off again, encoded once and sent as often as needed.

struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index; }    include/uapi/linux/if_addr.h
struct ifinfomsg { u8 family; u8 pad; u16 type; i32 index; u32 flags; u32 change; }   include/uapi/linux/rtnetlink.h
"""

import socket
import struct
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from msgspec import Struct

from vrrpd.net.messages import ifaddrmsg
from vrrpd.net.netlink import HEADER, NLM_F_REQUEST

RTM_SETLINK = 19
RTM_NEWADDR = 20
RTM_DELADDR = 21
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

IFA_F_NODAD = 0x02
IFA_F_NOPREFIXROUTE = 0x200

ADDRESS_PROTOCOL = 112
"""IFA_PROTO of every address that we add: how an earlier life's addresses are told from the host's own.

The kernel keeps it since 5.18 and ignores it before. The number is that of VRRP among the IP protocols.
"""

LIFETIME_INFINITE = 0xFFFFFFFF
"""INFINITY_LIFE_TIME of include/net/addrconf.h."""

_IFLA_AF_SPEC = 26
_IFLA_INET_CONF = 1
_IFINFOMSG = struct.Struct("=BxHiII")

_INDEX_AT = 16 + 4
_FLAGS_AT = 6
_CACHEINFO_SIZE = 16
"""struct ifa_cacheinfo { u32 prefered; u32 valid; u32 cstamp; u32 tstamp; }; the last attribute of a request."""
ENCODED_MAX = 1 << 14
"""Results that are kept: pyroute2 takes 0.1 ms for each message."""


class Ipv4Setting(IntEnum):
    """A setting of an interface: IPV4_DEVCONF_* of include/uapi/linux/ip.h, net.ipv4.conf.*.* among the sysctls."""

    PROMOTE_SECONDARIES = 20
    """An address outlives the one that was the first of its network."""
    ACCEPT_LOCAL = 23
    """Packets are heard that come from an address which this host has, too."""


class AddressRequests(Struct, frozen=True):
    """The requests for one address; `on` completes them with the interface's index."""

    add: bytes
    renew: bytes
    """Start its lifetime anew."""
    perpetuate: bytes
    """Let it last for ever: with an IPv6 address that does not, the kernel does not remove its route."""
    remove: bytes

    def on(self, index: int) -> "AddressRequests":
        """The same for the interface of that index."""
        encoded = self.add, self.renew, self.perpetuate, self.remove
        return AddressRequests(*(_with_index(request, index) for request in encoded))


@lru_cache(maxsize=ENCODED_MAX)
def requests(
    address: IPv4Interface | IPv6Interface,
    *,
    label: str | None,
    noprefixroute: bool,
    lifetime: int = LIFETIME_INFINITE,
) -> AddressRequests:
    """Encode the requests for `address`, yet without an interface.

    Args:
        address: the address and the prefix length that the interface is to have.
        label: IFA_LABEL, for IPv4.
        noprefixroute: whether to keep the kernel from adding a route to the prefix.
        lifetime: whole seconds after which the kernel removes the address unless it is renewed.
    """
    flags = IFA_F_NOPREFIXROUTE if noprefixroute else 0
    if address.version == 6:
        flags |= IFA_F_NODAD  # duplicate detection would keep the address unusable for 1.8 s
    identity = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
    attributes = [
        *identity,
        *([("IFA_LABEL", label)] if label else []),
        ("IFA_FLAGS", flags),
        ("IFA_PROTO", ADDRESS_PROTOCOL),
    ]
    # Not preferred to any other: what the host sends by itself is not to come from an address that moves, nor are the
    # tunnels of IPVS. IPv4 has no such thing: there the kernel prefers the first address of a network.
    preferred, ever = (0, 0) if address.version == 6 else (lifetime, LIFETIME_INFINITE)
    attributes.append(("IFA_CACHEINFO", {"ifa_preferred": preferred, "ifa_valid": lifetime}))
    add = _encode(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, address, attributes)
    renew = bytearray(add)
    struct.pack_into("=H", renew, _FLAGS_AT, NLM_F_REQUEST | NLM_F_REPLACE)
    perpetuate = renew.copy()
    struct.pack_into("=II", perpetuate, len(add) - _CACHEINFO_SIZE, ever, LIFETIME_INFINITE)
    return AddressRequests(
        add=add,
        renew=bytes(renew),
        perpetuate=bytes(perpetuate),
        remove=_encode(RTM_DELADDR, NLM_F_REQUEST, address, identity),
    )


def leftover_removal(index: int, address: IPv4Address | IPv6Address, prefix_length: int) -> tuple[bytes, ...]:
    """The requests that remove an address that an earlier life of the daemon left on the interface of that index.

    Whether it came with a route is not known: of an IPv6 one with a lease the route would stay as long.
    """
    interface = ip_interface(f"{address}/{prefix_length}")
    made = requests(interface, label=None, noprefixroute=False).on(index)
    return (made.remove,) if address.version == 4 else (made.perpetuate, made.remove)


def is_on(setting: Ipv4Setting, interface: str) -> bool:
    """Whether it is on by itself already; no wherever that cannot be seen."""
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{interface}/{setting.name.lower()}").read_bytes() == b"1\n"
    except OSError:
        return False


def turning_on(setting: Ipv4Setting, index: int) -> bytes:
    """The request that does so on the interface of that index; needs no /proc that can be written."""
    value = struct.pack("=I", 1)
    for kind in (setting, _IFLA_INET_CONF, socket.AF_INET, _IFLA_AF_SPEC):
        value = struct.pack("=HH", 4 + len(value), kind) + value
    payload = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, 0, 0) + value
    return HEADER.pack(HEADER.size + len(payload), RTM_SETLINK, NLM_F_REQUEST, 0, 0) + payload


def _encode(
    kind: int, flags: int, address: IPv4Interface | IPv6Interface, attributes: Sequence[tuple[str, Any]]
) -> bytes:
    message = ifaddrmsg()
    message["family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    message["prefixlen"] = address.network.prefixlen
    message["attrs"] = attributes
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message.encode()
    return bytes(message.data)


def _with_index(request: bytes, index: int) -> bytes:
    completed = bytearray(request)
    struct.pack_into("=I", completed, _INDEX_AT, index)
    return bytes(completed)
