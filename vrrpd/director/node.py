"""Settings of the kernel that virtual servers need (Documentation/networking/ipvs-sysctl.rst), and no others."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vrrpd.config.services import VirtualServerSettings
from vrrpd.ipvs.model import CONSISTENT, Method, Protocol
from vrrpd.protocol.advert import Family

log = logging.getLogger(__name__)

PROC_SYS = Path("/proc/sys")
_REUSE_MODE_MENDED = (5, 9)
"""Before, IPVS with conntrack delayed a new connection from a port that had been used by a second."""


def needed(servers: Iterable[VirtualServerSettings], kernel: tuple[int, int], *, masquerades: bool) -> dict[str, str]:
    """The settings, by their path below /proc/sys.

    Args:
        servers: what is configured.
        kernel: its version.
        masquerades: whether clients' addresses are hidden.
    """
    settings: dict[str, str] = {}
    for server in servers:
        if server.proxied:  # what the kernel does not serve takes nothing of it
            continue
        # Else a connection to a real server that was removed hangs until it times out.
        settings["net/ipv4/vs/expire_nodest_conn"] = "1"
        if server.persistence_timeout:  # else clients keep going to one with weight 0
            settings["net/ipv4/vs/expire_quiescent_template"] = "1"
        if server.scheduler in CONSISTENT and server.protocol is Protocol.TCP:
            settings["net/ipv4/vs/sloppy_tcp"] = "1"  # so that connections survive a failover
        if server.scheduler in CONSISTENT and server.protocol is Protocol.SCTP:
            settings["net/ipv4/vs/sloppy_sctp"] = "1"
        if any(real.method is Method.NAT for real in server.everybody):  # which are of the same family
            for family in {key.family for key in server.keys}:
                ipv4 = family is Family.IPV4
                settings["net/ipv4/ip_forward" if ipv4 else "net/ipv6/conf/all/forwarding"] = "1"
    if masquerades:
        settings["net/ipv4/vs/conntrack"] = "1"
        if kernel < _REUSE_MODE_MENDED:
            settings["net/ipv4/vs/conn_reuse_mode"] = "0"
    return settings


def kernel_version() -> tuple[int, int]:
    """Of the kernel that runs."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else _REUSE_MODE_MENDED


class Node:
    """Makes settings, and remembers what was there before.

    Args:
        originals: what was there before an earlier life changed it; what this life changes is added.
    """

    def __init__(self, originals: dict[str, str]) -> None:
        self.originals = originals
        self.missing: dict[str, str] = {}
        """Settings that could not be made, and why; told in the status."""

    def want(self, settings: Mapping[str, str], remember: Callable[[], None], *, may_write: bool) -> int:
        """Have the kernel so; returns how many settings were made that could have been before.

        Args:
            settings: by path.
            remember: writes `originals` down, before anything is changed.
            may_write: False: only say what is missing.
        """
        missing: dict[str, str] = {}
        made = 0
        for name, value in settings.items():
            path = PROC_SYS / name
            try:
                present = path.read_text(encoding="ascii").strip()
                if present == value:
                    continue
                if not may_write:
                    missing[name] = f"is {present}, and should be {value}"
                    continue
                if name not in self.originals:
                    self.originals[name] = present
                    remember()
                path.write_text(value, encoding="ascii")
            except OSError as error:
                missing[name] = f"cannot be set to {value}: {error.strerror}"
                continue
            made += name not in self.missing
            log.info("set %s to %s (was %s)", name.replace("/", "."), value, present)
        for name, why in missing.items():
            if self.missing.get(name) != why:
                log.warning(
                    "%s %s; run sysctl -w %s=%s", name.replace("/", "."), why, name.replace("/", "."), settings[name]
                )
        self.missing = missing
        return made

    def restore(self) -> None:
        """Put back what was there before."""
        for name, value in self.originals.items():
            try:
                (PROC_SYS / name).write_text(value, encoding="ascii")
            except OSError as error:
                log.warning("cannot set %s back to %s: %s", name.replace("/", "."), value, error.strerror)
        self.originals.clear()
