"""The kinds of value that only keys of virtual servers have; see `vrrpd.config.kinds`."""

import re
import shlex
from functools import lru_cache
from ipaddress import IPv4Network, ip_address

from vrrpd.config.kinds import printable
from vrrpd.config.problems import Refused, shown
from vrrpd.config.services import Command, Masquerade
from vrrpd.ipvs.model import Method, Protocol
from vrrpd.protocol.advert import IPAddress

_HEX_CHARACTERS_MAX = 2 * 1400


def host(raw: object) -> IPAddress:
    """An address that packets can be sent to."""
    remedy = 'use an address, such as "192.0.2.100" or "2001:db8::100"'
    try:
        address, is_of_host = _address(printable(raw, remedy))
    except ValueError as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"{shown(raw)} is not an IP address", remedy) from None
    if not is_of_host:
        raise Refused(f"{shown(raw)} is not the address of a host", remedy)
    return address


@lru_cache(1 << 14)
def _address(written: str) -> tuple[IPAddress, bool]:
    """The address, and whether packets can be sent to it. A real server may be one of a thousand virtual servers."""
    address = ip_address(written)
    return address, not (address.is_unspecified or address.is_multicast or "%" in written)


def hosts(raw: object) -> tuple[IPAddress, ...]:
    """Several of them, each once."""
    if not isinstance(raw, list):
        raise Refused(f"{shown(raw)} is not a list", 'use a list of addresses, such as ["192.0.2.2", "192.0.2.3"]')
    found = tuple(map(host, raw))
    for address in found:
        if found.count(address) > 1:
            raise Refused(f"{address} is in it twice", "remove one of them")
    return found


def protocol(raw: object) -> Protocol:
    """TCP, UDP or SCTP, in any case."""
    if not isinstance(raw, str) or raw.upper() not in Protocol.__members__:
        raise Refused(f"{shown(raw)} is not one of the choices", 'use "TCP", "UDP" or "SCTP"')
    return Protocol[raw.upper()]


def method(raw: object) -> Method:
    """NAT, DR, TUN or PROXY, in any case."""
    if not isinstance(raw, str) or raw.upper() not in ("NAT", "DR", "TUN", "PROXY"):
        raise Refused(f"{shown(raw)} is not one of the choices", 'use "NAT", "DR", "TUN" or "PROXY"')
    return Method[raw.upper()]


def masquerade(raw: object) -> Masquerade:
    """true, false or "auto"."""
    if isinstance(raw, bool):
        return Masquerade.ALWAYS if raw else Masquerade.NEVER
    if raw != Masquerade.AUTO.value:
        raise Refused(f"{shown(raw)} is not one of the choices", 'use true, false or "auto"')
    return Masquerade.AUTO


def granularity(raw: object) -> int:
    """A prefix length, or for IPv4 a netmask; returns the prefix length."""
    remedy = 'use a prefix length such as 24, or for IPv4 a netmask such as "255.255.255.0"'
    if isinstance(raw, int) and not isinstance(raw, bool):
        length = raw
    else:
        written = printable(raw, remedy)
        masks = (str(IPv4Network((0, bits)).netmask) for bits in range(33))
        length = next((bits for bits, mask in enumerate(masks) if written in (mask, str(bits))), -1)
        length = int(written) if length < 0 and re.fullmatch("[0-9]{2,3}", written) else length
        if length < 0:
            raise Refused(f"{shown(raw)} is neither a prefix length nor a netmask", remedy)
    if not 1 <= length <= 128:
        raise Refused(f"{shown(raw)} is out of range", remedy)
    return length


def command(raw: object) -> Command:
    """A program and its arguments, as a list or as one string; no shell takes part."""
    remedy = 'use an absolute path and arguments: "/usr/bin/check --fast", or a list of them'
    if isinstance(raw, list) and all(isinstance(part, str) for part in raw):
        words = list(map(str, raw))
    else:
        try:
            words = shlex.split(printable(raw, remedy))
        except ValueError as error:
            raise Refused(f"{shown(raw)} cannot be split into words: {error}", remedy) from None
    if not words or not words[0].startswith("/"):
        raise Refused(f"{shown(raw)} does not begin with an absolute path", remedy)
    if any("\0" in word for word in words):
        raise Refused(f"{shown(raw)} contains a NUL", remedy)
    return tuple(words)


def status_codes(raw: object) -> tuple[tuple[int, int], ...]:
    """200, "200-299", or a list of these."""
    if raw == []:
        raise Refused("the list is empty, so that nothing would do", 'use 200, "200-299", or a list of these')
    return tuple(_range_of_codes(each) for each in (raw if isinstance(raw, list) else [raw]))


def _range_of_codes(raw: object) -> tuple[int, int]:
    remedy = 'use 200, "200-299", or a list of these'
    found = re.fullmatch(r"([1-9]\d\d)(?:-([1-9]\d\d))?", str(raw)) if isinstance(raw, int | str) else None
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise Refused(f"{shown(raw)} is neither a status nor a range of them", remedy)
    return int(found[1]), int(found[2] or found[1])


def digest(raw: object) -> str:
    """An MD5 sum in hexadecimal."""
    remedy = "use the 32 hexadecimal digits of the body's MD5 sum"
    written = printable(raw, remedy).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", written):
        raise Refused(f"{shown(raw)} is no MD5 sum", remedy)
    return written


def pattern(raw: object) -> str:
    """A regular expression of Python's."""
    remedy = "use a regular expression; a literal string keeps its backslashes: '\\d+ servers'"
    written = printable(raw, remedy)
    try:
        re.compile(written)
    except re.error as error:
        raise Refused(f"{shown(raw)} is no regular expression: {error}", remedy) from None
    return written


def hexadecimal(raw: object) -> bytes:
    """Bytes, as hexadecimal digits."""
    remedy = 'use hexadecimal digits, such as "70696e67"'
    written = printable(raw, remedy)
    try:
        if len(written) > _HEX_CHARACTERS_MAX:
            raise Refused(f"it has {len(written)} digits, {_HEX_CHARACTERS_MAX} is the limit", "use a shorter payload")
        return bytes.fromhex(written)
    except ValueError as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"{shown(raw)} is not hexadecimal", remedy) from None


def path(raw: object) -> str:
    """What comes after the host in a URL."""
    remedy = 'use a path, such as "/health"'
    written = printable(raw, remedy)
    if not written.startswith("/") or " " in written:
        raise Refused(f"{shown(raw)} is not a path", remedy)
    return written


def host_name(raw: object) -> str:
    """A name for a Host header, for TLS, for HELO or for DNS."""
    remedy = 'use a host name, such as "www.example.com"'
    written = printable(raw, remedy)
    if not re.fullmatch(r"\.|[A-Za-z0-9_.:\[\]-]{1,253}", written):
        raise Refused(f"{shown(raw)} is not a host name", remedy)
    return written


def record_type(raw: object) -> str:
    """A kind of DNS record."""
    remedy = 'use a type of DNS record, such as "A", "AAAA" or "SOA"'
    written = printable(raw, remedy).upper()
    if written not in ("A", "AAAA", "CNAME", "MX", "NS", "RRSIG", "SOA", "TXT", "SRV", "PTR"):
        raise Refused(f"{shown(raw)} is not one that can be asked for", remedy)
    return written
