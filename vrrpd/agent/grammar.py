"""The entries of the ConfigMap, in the grammar of kube-keepalived-vip: `VIP: namespace/service[:METHOD]`.

A key that is an IPv4 address is that. In any other, each `-` stands for a `:`, which a key of a ConfigMap cannot hold,
and it must be an IPv6 address then: `2001-db8--10` is 2001:db8::10. Of one address, the key that sorts first counts.
The prefix length is that of a single address, as in kube-keepalived-vip: a key can hold no slash either.

A value is empty (the address is held, and nobody is sent anywhere) or names a service, with white space around it or
not. Methods may be written in lower case, too.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Network, ip_address

from msgspec import Struct

from vrrpd.agent.objects import Name
from vrrpd.agent.problems import Problem
from vrrpd.config.kinds import interface_address
from vrrpd.config.problems import Refused, shown
from vrrpd.ipvs.model import Method
from vrrpd.protocol.advert import IPAddress

METHODS: Mapping[str, Method] = {"NAT": Method.NAT, "DR": Method.DR, "PROXY": Method.PROXY}

_USE_KEY = "use an address such as 192.0.2.100, or 2001-db8--100 for 2001:db8::100"
_USE_VALUE = "use NAMESPACE/SERVICE or NAMESPACE/SERVICE:METHOD (NAT, DR, PROXY), or nothing to hold the address only"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_OF_VIRTUAL_ROUTERS = IPv6Network("fe80::200:5eff:fe00:200/120")
"""`vrrpd.config.addresses.link_local_of` each VRID."""


class Entry(Struct, frozen=True):
    """A virtual address, and who is served at it."""

    key: str
    """As it is written."""
    address: IPAddress
    service: Name | None = None
    """None: nobody."""
    method: Method | None = None
    """None: the entry does not say."""


class Reading(Struct, frozen=True):
    """What could be read, and what could not."""

    entries: tuple[Entry, ...]
    """By family and address, each address once."""
    problems: tuple[Problem, ...]


def read_entries(data: Mapping[str, str], where: str) -> Reading:
    """The entries of a ConfigMap.

    Args:
        data: its data.
        where: what to call it in problems.
    """
    entries: dict[IPAddress, Entry] = {}
    problems: list[Problem] = []
    for key in sorted(data):
        try:
            entry = _read(key, data[key])
            first = entries.setdefault(entry.address, entry)
            if first is not entry:
                raise Refused(f"{entry.address} is the address of the key {first.key} already", "remove one of them")
        except Refused as refused:
            problems.append(Problem(where, _on_one_line(key), refused.wrong, refused.remedy))
    return Reading(tuple(sorted(entries.values(), key=_place)), tuple(problems))


def _place(entry: Entry) -> tuple[int, int]:
    return entry.address.version, int(entry.address)


def _on_one_line(key: str) -> str:
    return key if key and key.isprintable() and len(key) <= 253 else shown(key)


def _read(key: str, value: str) -> Entry:
    address = read_address(key)
    words = value.strip()
    if not words:
        return Entry(key, address)
    name, colon, written = words.partition(":")
    namespace, slash, service = name.partition("/")
    if not slash or not all(map(_NAME.fullmatch, (namespace, service))):
        raise Refused(f"{shown(words)} names no service", _USE_VALUE)
    return Entry(key, address, (namespace, service), read_method(written) if colon else None)


def read_address(key: str) -> IPAddress:
    """The address that a key stands for.

    Raises:
        Refused: it is none, or none that a router can hold.
    """
    address = _first_address((key, key.replace("-", ":")))
    if address is None:
        raise Refused(f"{shown(key)} is not an IP address", _USE_KEY)
    try:
        interface_address(str(address))
    except Refused as refused:
        raise Refused(refused.wrong, _USE_KEY) from None
    if address in _OF_VIRTUAL_ROUTERS:
        raise Refused(f"{address} is what an IPv6 virtual router adds of itself", "use another address")
    return address


def _first_address(spellings: Iterable[str]) -> IPAddress | None:
    for spelling in spellings:
        try:
            return ip_address(spelling)
        except ValueError:
            continue
    return None


def read_method(written: str) -> Method:
    """NAT, DR or PROXY.

    Raises:
        Refused: it is none of them.
    """
    method = METHODS.get(written.upper())
    if method is not None:
        return method
    raise Refused(f"{shown(written)} is no method", "use NAT, DR or PROXY")
