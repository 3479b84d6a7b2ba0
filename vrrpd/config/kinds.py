"""The kinds of value that a key can have: what is taken, and what is said when it is not."""

import os
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from pathlib import Path
from typing import Protocol

from vrrpd.config.problems import Refused, shown

INTERFACE_NAME_BYTES_MAX = 15
"""IFNAMSIZ, less the NUL."""
SOCKET_PATH_BYTES_MAX = 107
"""sun_path, less the NUL."""
LABEL_CHARACTERS_MAX = 15

_NEVER_VIRTUAL = (
    ("is_unspecified", "is the unspecified address"),
    ("is_loopback", "is a loopback address, which never leaves the host"),
    ("is_multicast", "is a multicast address"),
)


class Kind(Protocol):
    """Turns a TOML value into one of the configuration's."""

    def read(self, raw: object) -> object:
        """The value.

        Raises:
            Refused: it is not of this kind.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    least: int
    most: int

    def read(self, raw: object) -> int:
        """See `Kind`."""
        remedy = f"use {self.least}-{self.most}"
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise Refused(f"{shown(raw)} is not a whole number", remedy)
        if not self.least <= raw <= self.most:
            raise Refused(f"{shown(raw)} is out of range", remedy)
        return raw


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time; `in_centiseconds` where the wire carries it, so that a finer one would be lost."""

    least: float
    most: float
    in_centiseconds: bool = False

    def read(self, raw: object) -> float:
        """See `Kind`."""
        remedy = f"use {self.least:g}-{self.most:g} seconds"
        if not isinstance(raw, int | float) or isinstance(raw, bool):
            raise Refused(f"{shown(raw)} is not a number", remedy)
        if not self.least <= raw <= self.most:
            raise Refused(f"{shown(raw)} is out of range", remedy)
        if not self.in_centiseconds:
            return float(raw)
        centiseconds = round(raw * 100)
        if abs(raw * 100 - centiseconds) > 1e-6:
            raise Refused(f"{shown(raw)} is not a multiple of 0.01", f"{remedy} in steps of 0.01")
        return centiseconds / 100


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    def read(self, raw: object) -> bool:
        """See `Kind`."""
        if not isinstance(raw, bool):
            raise Refused(f"{shown(raw)} is not a boolean", "use true or false, without quotes")
        return raw


@dataclass(frozen=True, slots=True)
class AlwaysTrue:
    """A switch of the contract that this version cannot turn off."""

    def read(self, raw: object) -> bool:
        """See `Kind`."""
        if not Flag().read(raw):
            raise Refused("false is not supported by this version", "remove it, or use true")
        return True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: type[StrEnum]

    def read(self, raw: object) -> StrEnum:
        """See `Kind`."""
        for word in self.words:
            if raw == word.value:
                return word
        raise Refused(
            f"{shown(raw)} is not one of the choices", f"use {' or '.join(shown(w.value) for w in self.words)}"
        )


@dataclass(frozen=True, slots=True)
class Name:
    """A word for logs, metrics and the command line."""

    def read(self, raw: object) -> str:
        """See `Kind`."""
        remedy = 'use a string of printable characters, such as "VI_1"'
        if not isinstance(raw, str):
            raise Refused(f"{shown(raw)} is not a string", remedy)
        if not raw.strip():
            raise Refused("the name is empty", remedy)
        if not raw.isprintable():
            raise Refused(f"{shown(raw)} contains characters that cannot be printed", remedy)
        return raw


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """A name that Linux lets an interface have (dev_valid_name in net/core/dev.c)."""

    def read(self, raw: object) -> str:
        """See `Kind`."""
        remedy = 'use the name of an interface, such as "eth0"'
        if not isinstance(raw, str):
            raise Refused(f"{shown(raw)} is not a string", remedy)
        if not raw:
            raise Refused("the name is empty", remedy)
        if not raw.isprintable() or raw in {".", ".."} or any(char in "/:" or char.isspace() for char in raw):
            raise Refused(f"{shown(raw)} cannot be the name of an interface", remedy)
        size = len(os.fsencode(raw))
        if size > INTERFACE_NAME_BYTES_MAX:
            raise Refused(f"{shown(raw)} has {size} bytes, Linux allows {INTERFACE_NAME_BYTES_MAX}", remedy)
        return raw


@dataclass(frozen=True, slots=True)
class SocketPath:
    """Where a Unix socket can be."""

    def read(self, raw: object) -> Path:
        """See `Kind`."""
        remedy = 'use an absolute path, such as "/run/vrrpd/vrrpd.sock"'
        if not isinstance(raw, str):
            raise Refused(f"{shown(raw)} is not a string", remedy)
        if not raw.isprintable():
            raise Refused(f"{shown(raw)} contains characters that cannot be printed", remedy)
        if not raw.startswith("/"):
            raise Refused(f"{shown(raw)} is not an absolute path", remedy)
        if raw.endswith("/"):
            raise Refused(f"{shown(raw)} names a directory", remedy)
        size = len(os.fsencode(raw))
        if size > SOCKET_PATH_BYTES_MAX:
            raise Refused(
                f"the path has {size} bytes, a socket's can have {SOCKET_PATH_BYTES_MAX}", "use a shorter path"
            )
        return Path(raw)


@dataclass(frozen=True, slots=True)
class Label:
    """The label of an IPv4 address; what it must begin with depends on the interface and is checked with that."""

    def read(self, raw: object) -> str:
        """See `Kind`."""
        remedy = f'use the interface\'s name, or that and a word, such as "eth0:vip", {LABEL_CHARACTERS_MAX} characters'
        if not isinstance(raw, str):
            raise Refused(f"{shown(raw)} is not a string", remedy)
        if not raw or not raw.isascii() or not raw.isprintable() or " " in raw:
            raise Refused(f"{shown(raw)} cannot be a label", remedy)
        if len(raw) > LABEL_CHARACTERS_MAX:
            raise Refused(f"{shown(raw)} has {len(raw)} characters", remedy)
        return raw


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """`ADDRESS[/PREFIX]` of a host; without a prefix the address stands for itself alone."""

    def read(self, raw: object) -> IPv4Interface | IPv6Interface:
        """See `Kind`."""
        remedy = 'use "ADDRESS/PREFIX", such as "192.0.2.100/24" or "2001:db8::100/64"'
        if not isinstance(raw, str):
            raise Refused(f"{shown(raw)} is not a string", remedy)
        if " " in raw.strip():
            raise Refused(
                f"{shown(raw)} has more than an address", 'use a table: { address = "ADDRESS/PREFIX", dev = "eth0" }'
            )
        if "%" in raw:
            raise Refused(f"{shown(raw)} has a scope", "leave it out and name the interface with dev")
        text, slash, prefix = raw.partition("/")
        try:
            bits = ip_address(text).max_prefixlen
        except ValueError:
            raise Refused(f"{shown(raw)} is not an IP address", remedy) from None
        if slash and not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and 1 <= int(prefix) <= bits):
            raise Refused(f"{shown(raw)} has no valid prefix length", f"use /1 to /{bits}, as its network has, or none")
        value = ip_interface(raw)
        _refuse_non_host(value, raw)
        return value


def _refuse_non_host(value: IPv4Interface | IPv6Interface, raw: str) -> None:
    remedy = "use the address of a host"
    for attribute, wrong in _NEVER_VIRTUAL:
        if getattr(value.ip, attribute):
            raise Refused(f"{shown(raw)} {wrong}", remedy)
    if value.version == 4 and value.ip.is_reserved:
        raise Refused(f"{shown(raw)} is a reserved address", remedy)
    if value.version == 6 and value.ip.ipv4_mapped is not None:
        raise Refused(f"{shown(raw)} is an IPv4 address in IPv6 form", f'use "{value.ip.ipv4_mapped}"')
    network = value.network
    if not network.prefixlen:
        raise Refused(
            f"{shown(raw)} has prefix length 0, a route to everywhere", "use the prefix length of its network"
        )
    if network.num_addresses > 2:
        if value.ip == network.network_address:
            raise Refused(f"{shown(raw)} is the address of the network itself", remedy)
        if value.version == 4 and value.ip == network.broadcast_address:
            raise Refused(f"{shown(raw)} is the broadcast address of its network", remedy)
