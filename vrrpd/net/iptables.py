"""Our own chain in the nat tables of iptables, for kernels without nftables: the same as `vrrpd.net.nftables` does.

What is there is read with iptables-save and changed with iptables-restore, which replaces a table of the kernel whole.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from vrrpd.protocol.advert import Family, IPAddress

CHAIN = "VRRPD-POSTROUTING"
_JUMP = f"POSTROUTING -j {CHAIN}"
_NAME = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
_TABLES_IN_USE = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}
_PATH = "/usr/sbin:/sbin"
"""Where the programs are, whatever the daemon's PATH."""
_REMEDY = {
    Family.IPV4: "it needs CAP_NET_ADMIN, and a kernel with iptable_nat, xt_conntrack and xt_MASQUERADE",
    Family.IPV6: "it needs CAP_NET_ADMIN, and a kernel with ip6table_nat, xt_conntrack and xt_MASQUERADE",
}
_LOCK_TIMEOUT = 5
"""Seconds that others may hold the lock of iptables."""
_TIMEOUT = 30.0
"""Seconds for one program."""


class IptablesError(Exception):
    """iptables is not there or does not do it; says what to do."""


class Iptables:
    """The chains of the network namespace of the calling thread. Each call waits for programs, some milliseconds."""

    def __init__(self) -> None:
        self._picture: list[list[str]] | None = None
        """What iptables-save told of ours when it was last as it should be."""

    def close(self) -> None:
        """The chains stay."""

    def put(self, addresses: AbstractSet[IPAddress]) -> None:
        """Masquerade what IPVS takes from these addresses elsewhere, and nothing else; without any, there is no chain.

        Raises:
            IptablesError: one of the programs fails; the family in question is as it was.
        """
        self._picture = None
        for family in Family:
            wanted = sorted(str(address) for address in addresses if Family.of(address) is family)
            if commands := _commands(_ours(family), wanted):
                _run(family, "restore", "--noflush", f"--wait={_LOCK_TIMEOUT}", commands="".join(commands))
        self._picture = _look()

    def intact(self) -> bool:
        """Whether all is as `put` left it.

        Raises:
            IptablesError: iptables-save fails.
        """
        return self._picture is not None and _look() == self._picture


def _look() -> list[list[str]]:
    return [_ours(family) for family in Family]


def _ours(family: Family) -> list[str]:
    """The lines of iptables-save about our chain: the chain, what jumps there, and its rules.

    To ask for a table is to load it, which has its price on each packet, so the kernel is asked first.
    """
    try:
        in_use = Path("/proc/thread-self/net", _TABLES_IN_USE[family]).read_text(encoding="ascii").split()
    except FileNotFoundError:  # there is no iptables in the kernel yet
        return []
    except PermissionError:  # it is for root alone
        in_use = ["nat"]
    if "nat" not in in_use or _program(family, "save") is None:
        return []
    return [line for line in _run(family, "save", "-t", "nat").splitlines() if CHAIN in re.split(r"[\s:]", line)]


def _commands(present: Sequence[str], addresses: Sequence[str]) -> list[str]:
    """The input of iptables-restore that makes it so; nothing to do: no lines."""
    if not present and not addresses:
        return []
    added = [line.removeprefix("-A ") for line in present if line.startswith("-A ")]
    jumps = [rule for rule in added if not rule.startswith(f"{CHAIN} ")]
    lines = ["*nat", f":{CHAIN} - [0:0]"]  # makes it, or empties it
    if not addresses or jumps != [_JUMP]:
        lines += [f"-D {jump}" for jump in jumps]
        lines.append(f"-A {_JUMP}" if addresses else f"-X {CHAIN}")
    for address in addresses:
        lines.append(f"-A {CHAIN} ! -d {address} -m conntrack --ctdir ORIGINAL --ctorigdst {address} -j MASQUERADE")
    return [f"{line}\n" for line in (*lines, "COMMIT")]


def _program(family: Family, what: str) -> str | None:
    """Where iptables-save or -restore is: the one for a kernel without nftables, where there are two."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), _PATH))
    names = f"{_NAME[family]}-legacy-{what}", f"{_NAME[family]}-{what}"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def _run(family: Family, what: str, *arguments: str, commands: str = "") -> str:
    program = _program(family, what)
    if program is None:
        raise IptablesError(f"there is no {_NAME[family]}-{what}: install iptables")
    try:
        done = subprocess.run(
            [program, *arguments], input=commands, capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        raise IptablesError(f"{program} fails, {said!r}: {_REMEDY[family]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IptablesError(f"cannot run {program}: {error}") from error
    return done.stdout
