"""The kinds of value that a key can have: what is taken, and what is said when it is not.

Each is a function from the TOML value to the configuration's that raises `Refused`.
"""

import os
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, ip_address, ip_interface
from pathlib import Path

from vrrpd.config.model import HttpAddress
from vrrpd.config.problems import Refused, shown

Kind = Callable[[object], object]

INTERFACE_NAME_BYTES_MAX = 15
"""IFNAMSIZ, less the NUL."""
LABEL_CHARACTERS_MAX = 15
LEASE_MIN = 2
"""Seconds. The kernel counts whole seconds, and looks only now and then."""
LEASE_MAX = 3600
_LEASE_REMEDY = f"use {LEASE_MIN}-{LEASE_MAX} seconds, or 0 for addresses that stay whatever happens"
PORT_MAX = 65535
SOCKET_PATH_BYTES_MAX = 107
"""sun_path, less the NUL."""

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3."""
_NEVER_VIRTUAL = (
    ("is_unspecified", "is the unspecified address"),
    ("is_loopback", "is a loopback address, which never leaves the host"),
    ("is_multicast", "is a multicast address"),
)


def whole(least: int, most: int) -> Callable[[object], int]:
    """A whole number in a range."""
    remedy = f"use {least}-{most}"

    def read(raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise Refused(f"{shown(raw)} is not a whole number", remedy)
        if not least <= raw <= most:
            raise Refused(f"{shown(raw)} is out of range", remedy)
        return raw

    return read


def lease(raw: object) -> int:
    """Whole seconds, as the kernel counts lifetimes, or 0."""
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise Refused(f"{shown(raw)} is not a whole number", _LEASE_REMEDY)
    if raw and not LEASE_MIN <= raw <= LEASE_MAX:
        raise Refused(f"{shown(raw)} is out of range", _LEASE_REMEDY)
    return raw


def seconds(least: float, most: float) -> Callable[[object], float]:
    """A time in a range."""
    remedy = f"use {least:g}-{most:g} seconds"

    def read(raw: object) -> float:
        if not isinstance(raw, int | float) or isinstance(raw, bool):
            raise Refused(f"{shown(raw)} is not a number", remedy)
        if not least <= raw <= most:  # NaN is nowhere
            raise Refused(f"{shown(raw)} is out of range", remedy)
        return float(raw)

    return read


def whole_centiseconds(least: float, most: float) -> Callable[[object], float]:
    """A time in a range, in seconds, that is not finer than the wire's unit."""
    read_seconds = seconds(least, most)

    def read(raw: object) -> float:
        value = read_seconds(raw)
        centiseconds = round(value * 100)
        if abs(value * 100 - centiseconds) > 1e-6:
            raise Refused(f"{shown(raw)} is not a multiple of 0.01", f"use {least:g}-{most:g} seconds in steps of 0.01")
        return centiseconds / 100

    return read


def choice(words: type[StrEnum]) -> Callable[[object], StrEnum]:
    """One of a few words."""
    remedy = f"use {' or '.join(shown(word.value) for word in words)}"

    def read(raw: object) -> StrEnum:
        for word in words:
            if raw == word.value:
                return word
        raise Refused(f"{shown(raw)} is not one of the choices", remedy)

    return read


def flag(raw: object) -> bool:
    """Yes or no."""
    if not isinstance(raw, bool):
        raise Refused(f"{shown(raw)} is not a boolean", "use true or false, without quotes")
    return raw


def always_true(raw: object) -> bool:
    """A switch that this version cannot turn off."""
    if not flag(raw):
        raise Refused("this release does not do false yet", "remove it, or use true")
    return True


def name(raw: object) -> str:
    """A word for logs, metrics and the command line."""
    remedy = 'use a string of printable characters, such as "VI_1"'
    text = printable(raw, remedy)
    if not text.strip():
        raise Refused("the name is empty", remedy)
    return text


def interface_name(raw: object) -> str:
    """A name that Linux lets an interface have (dev_valid_name in net/core/dev.c)."""
    remedy = 'use the name of an interface, such as "eth0"'
    text = printable(raw, remedy)
    if not text:
        raise Refused("the name is empty", remedy)
    if text in {".", ".."} or any(character in "/: " for character in text):
        raise Refused(f"{shown(raw)} cannot be the name of an interface", remedy)
    _limit(text, INTERFACE_NAME_BYTES_MAX, remedy)
    return text


def label(raw: object) -> str:
    """The label of an IPv4 address; what it must begin with depends on the interface and is checked with that."""
    remedy = 'use the name of the interface, or that, a colon and a word, such as "eth0:vip"'
    text = printable(raw, remedy)
    if not text or not text.isascii() or " " in text:
        raise Refused(f"{shown(raw)} cannot be a label", remedy)
    _limit(text, LABEL_CHARACTERS_MAX, remedy)
    return text


def socket_path(raw: object) -> Path:
    """Where a Unix socket can be."""
    remedy = 'use an absolute path, such as "/run/vrrpd/vrrpd.sock"'
    text = printable(raw, remedy)
    if not text.startswith("/"):
        raise Refused(f"{shown(raw)} is not an absolute path", remedy)
    if text.endswith("/"):
        raise Refused(f"{shown(raw)} names a directory", remedy)
    _limit(text, SOCKET_PATH_BYTES_MAX, "use a shorter path")
    return Path(text)


def http_address(raw: object) -> HttpAddress:
    """`ADDRESS:PORT`; without the address: every one of the host."""
    remedy = 'use "ADDRESS:PORT", such as "127.0.0.1:9112" or "[::1]:9112", or ":9112" for every address'
    text = printable(raw, remedy)
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= PORT_MAX):
        raise Refused(f"{shown(raw)} ends in no port", remedy)
    bracketed = host.startswith("[") and host.endswith("]")
    address = host[1:-1] if bracketed else host
    try:
        if host and bracketed is not isinstance(ip_address(address), IPv6Address):
            raise ValueError
    except ValueError:
        raise Refused(f"{shown(raw)} begins with no address", remedy) from None
    return HttpAddress(address, int(port))


def interface_address(raw: object) -> IPv4Interface | IPv6Interface:
    """`ADDRESS[/PREFIX]` of a host; without a prefix length the address stands for itself alone."""
    remedy = 'use "ADDRESS/PREFIX", such as "192.0.2.100/24" or "2001:db8::100/64"'
    text = printable(raw, remedy)
    if text != text.strip():
        raise Refused(f"{shown(raw)} begins or ends with a space", remedy)
    if " " in text:
        raise Refused(
            f"{shown(raw)} has more than an address", 'use a table: { address = "ADDRESS/PREFIX", dev = "eth0" }'
        )
    if "%" in text:
        raise Refused(f"{shown(raw)} has a scope", "leave it out and name the interface with dev")
    address, slash, prefix = text.partition("/")
    try:
        bits = ip_address(address).max_prefixlen
    except ValueError:
        raise Refused(f"{shown(raw)} is not an IP address", remedy) from None
    if slash and not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and 1 <= int(prefix) <= bits):
        raise Refused(f"{shown(raw)} has no valid prefix length", f"use /1 to /{bits}, as its network has, or none")
    value = ip_interface(text)
    if wrong := _why_no_host(value):
        raise Refused(f"{shown(raw)} {wrong}", "use the address of a host")
    return value


def _why_no_host(value: IPv4Interface | IPv6Interface) -> str:
    for attribute, wrong in _NEVER_VIRTUAL:
        if getattr(value.ip, attribute):
            return wrong
    if value.version == 4 and value.ip in _THIS_NETWORK:
        return "is in 0.0.0.0/8, which no host has an address of"
    if value.version == 4 and value.ip.is_reserved:
        return "is a reserved address"
    if value.version == 6 and value.ip.ipv4_mapped is not None:
        return f"is {value.ip.ipv4_mapped} in the form for IPv6 sockets"
    if value.network.num_addresses > 2 and value.ip == value.network.network_address:
        return "is the address of its network"
    if value.version == 4 and value.network.num_addresses > 2 and value.ip == value.network.broadcast_address:
        return "is the broadcast address of its network"
    return ""


def printable(raw: object, remedy: str) -> str:
    """Text of one line, whatever it is for; `remedy` is what to do if it is not."""
    if not isinstance(raw, str):
        raise Refused(f"{shown(raw)} is not a string", remedy)
    if not raw.isprintable():
        raise Refused(f"{shown(raw)} contains characters that cannot be printed", remedy)
    return raw


def _limit(text: str, most: int, remedy: str) -> None:
    size = len(os.fsencode(text))
    if size > most:
        raise Refused(f"{shown(text)} has {size} bytes, {most} is the limit", remedy)
