"""What is ours in the kernel, written down, so that a later life knows what an earlier one has left.

A virtual server that is in no file may be anybody's; one that was ours and is not configured any more goes.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from vrrpd.ipvs.model import FirewallMark, Protocol, ServiceAddress, VirtualServerKey
from vrrpd.protocol.advert import Family

log = logging.getLogger(__name__)

JSON = dict[str, Any]


class Belongings:
    """A small file beside the control socket; one that cannot be read or written is told of, and done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = self._read()
        self.known = bool(found)
        """Whether an earlier life has said anything."""
        self.virtual_servers: frozenset[VirtualServerKey] = _keys(found.get("virtual_servers"))
        sysctls = found.get("sysctls")
        known = sysctls.items() if isinstance(sysctls, dict) else ()
        self.sysctls: dict[str, str] = {name: value for name, value in known if _is_setting(name, value)}
        """What the kernel's settings were before we changed them."""
        self.masquerade = found.get("masquerade") is True
        """Whether we may have rules in the firewall."""

    def _read(self) -> JSON:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s: %s; virtual servers that an earlier vrrpd has left stay, if any", self._path, error)
            return {}
        return found if isinstance(found, dict) else {}

    def note(self, virtual_servers: Iterable[VirtualServerKey]) -> None:
        """These are ours now, or are about to be."""
        noted = frozenset(virtual_servers)
        if noted != self.virtual_servers:
            self.virtual_servers = noted
            self.write()

    def write(self) -> None:
        """Write it down; nothing to say, no file."""
        if not self.virtual_servers and not self.sysctls and not self.masquerade:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            return
        content = {
            "virtual_servers": [*map(_entry, self.virtual_servers)],
            "sysctls": self.sysctls,
            "masquerade": self.masquerade,
        }
        temporary = self._path.with_name(f"{self._path.name}.new")
        try:
            temporary.write_text(json.dumps(content), encoding="utf-8")
            os.replace(temporary, self._path)  # noqa: PTH105  (what is there is whole, before and after)
        except OSError as error:
            log.warning("%s: %s; should vrrpd be killed, the next one will not know what is its", self._path, error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _is_setting(name: str, value: object) -> bool:
    return name.startswith("net/") and ".." not in name and isinstance(value, str)


def _entry(key: VirtualServerKey) -> list[Any]:
    if isinstance(key, FirewallMark):
        return ["fwmark", key.mark, key.family.value]
    return [key.protocol.name, str(key.address), key.port]


def _keys(entries: object) -> frozenset[VirtualServerKey]:
    if not isinstance(entries, list):
        return frozenset()
    keys: set[VirtualServerKey] = set()
    for entry in entries:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            kind, what, number = entry
            if kind == "fwmark":
                keys.add(FirewallMark(int(what), Family(number)))
            else:
                keys.add(ServiceAddress(Protocol[kind], ip_address(what), int(number)))
    return frozenset(keys)
