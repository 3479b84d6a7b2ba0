"""What is measured: adapters of the daemons that are known here, and of any other by a TOML file.

An adapter is a `vrrpd.lan.daemons.Daemon`: how to configure, start and stop it, and which processes are its own.
"""

import ipaddress
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, field

from benchmarks.peers import Daemon, Frr, Keepalived, RouterSettings, Vrrpd


class SpeakerError(ValueError):
    """A speaker is not known, not usable or not installed; the message says what to do."""


class Speaker(Struct, frozen=True):
    """A kind of daemon, and what must be known of it to measure it."""

    name: str
    kind: type[Daemon]
    version_command: tuple[str, ...]
    """Prints a version number somewhere in its first line."""
    speaking: tuple[str, ...] = ()
    """Words of the command line of the process that speaks, or nothing: the daemon's first child, or itself."""
    carp: bool = False
    """Whether it speaks CARP instead of VRRP; both are IP protocol 112."""
    intervals_until_dead: float | None = None
    """Of silence until a backup takes over; None: 3, and the skew of RFC 9568."""
    families: tuple[int, ...] = (4, 6)
    shortest_interval: float = 0.01
    can_reload: bool = True

    def version(self) -> str:
        """As it tells; empty: it does not."""
        done = subprocess.run(self.version_command, capture_output=True, text=True, check=False)
        words = (done.stdout + done.stderr).replace("(", " ").replace(",", " ").split()
        return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit() and "." in word), "")

    def speaker_pid(self, daemon: Daemon) -> int:
        """The process that sends the adverts."""
        pids = daemon.pids()
        for pid in pids:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if self.speaking and any(word.encode() in part for word in self.speaking for part in line[:1]):
                return pid
        return pids[min(1, len(pids) - 1)]


BUILT_IN: Final = {
    speaker.name: speaker
    for speaker in (
        Speaker("vrrpd", Vrrpd, (sys.executable, "-m", "vrrpd", "--version")),
        Speaker("keepalived", Keepalived, ("keepalived", "--version")),
        Speaker("frr", Frr, ("/usr/lib/frr/vrrpd", "--version"), speaking=("/usr/lib/frr/vrrpd",)),
    )
}


class Description(Struct, frozen=True, forbid_unknown_fields=True):
    """A third-party speaker, as its TOML file has it; docs/benchmarking.md has the keys."""

    name: str
    start: list[str]
    needs: dict[str, str] = field(default_factory=dict)
    version: list[str] = field(default_factory=lambda: ["true"])
    files: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    reload_signal: str = ""
    speaking: list[str] = field(default_factory=list)
    protocol: str = "vrrp"
    intervals_until_dead: float | None = None
    shortest_interval: float = 0.01
    families: list[int] = field(default_factory=lambda: [4, 6])


class ThirdParty(Daemon):
    """A daemon by its description; `described` makes a class for each."""

    description: ClassVar[Description]

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        for name, text in self.description.files.items():
            path = self.directory / name
            path.write_text(Template(text).substitute(self._values()), encoding="utf-8")
            path.chmod(0o755)

    def start(self) -> None:
        """Part of `Daemon`."""
        self.write_configuration()
        self._popen([Template(word).substitute(self._values()) for word in self.description.start])

    def state(self, router: RouterSettings | None = None) -> str:  # noqa: ARG002
        """Part of `Daemon`: nobody knows it but the link."""
        return ""

    def _values(self) -> dict[str, str]:
        router = self.routers[0]
        address = ipaddress.ip_interface(router.addresses[0])
        addresses = self.host.addresses(router.interface)
        source = next(str(own.ip) for own in addresses if own.version == address.version and own.ip != address.ip)
        return {
            "address": str(address.ip),
            "addresses": " ".join(str(ipaddress.ip_interface(each).ip) for each in router.addresses),
            "advert_int": f"{router.advert_int:g}",
            "directory": str(self.directory),
            "interface": router.interface,
            "inverse_priority": str(255 - router.priority),
            "prefix": str(address),
            "priority": str(router.priority),
            "source": source,
            "vrid": str(router.virtual_router_id),
        }


def described(path: Path) -> Speaker:
    """The speaker that a TOML file describes.

    Raises:
        SpeakerError: the file cannot be read, or says something that has no meaning.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Description)
    except OSError as error:
        raise SpeakerError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise SpeakerError(f"{path}: {error}") from error
    if problems := list(_problems(found)):
        raise SpeakerError("\n".join(f"{path}: {problem}" for problem in problems))
    body: dict[str, Any] = {
        "name": found.name,
        "needs": found.needs,
        "description": found,
        "stop_signal": signal.Signals[f"SIG{found.stop_signal}"],
        "reload_signal": signal.Signals[f"SIG{found.reload_signal or 'HUP'}"],
    }
    return Speaker(
        found.name,
        type(f"ThirdParty_{found.name}", (ThirdParty,), body),
        tuple(found.version),
        speaking=tuple(found.speaking),
        carp=found.protocol == "carp",
        intervals_until_dead=found.intervals_until_dead,
        families=tuple(found.families),
        shortest_interval=found.shortest_interval,
        can_reload=bool(found.reload_signal),
    )


def _problems(found: Description) -> "list[str]":
    known = {"address", "addresses", "advert_int", "directory", "interface", "inverse_priority", "prefix", "priority"}
    known |= {"source", "vrid"}
    problems = []
    if found.protocol not in {"vrrp", "carp"}:
        problems.append(f'protocol is "{found.protocol}"; it is "vrrp" or "carp"')
    if not found.start:
        problems.append("start is empty; it is the command line, as a list of words")
    problems += [
        f'"{name}" is no signal; TERM, HUP, USR1 and others are'
        for name in (found.stop_signal, found.reload_signal)
        if name and f"SIG{name}" not in signal.Signals.__members__
    ]
    for text in (*found.start, *found.files.values()):
        template = Template(text)
        if not template.is_valid():
            problems.append("a $ stands before something that is no name; write $$ for a dollar sign")
        else:
            problems += [
                f"${name} is not known; {', '.join(sorted(known))} are"
                for name in template.get_identifiers()
                if name not in known
            ]
    return problems


def find(names: Sequence[str]) -> list[Speaker]:
    """Speakers by name or by the path of a TOML file.

    Raises:
        SpeakerError: all that is wrong with them.
    """
    found, problems = [], []
    for name in names:
        try:
            found.append(_find(name))
        except SpeakerError as error:
            problems.append(str(error))
    twice = {one.name for one in found if [other.name for other in found].count(one.name) > 1}
    problems += [f"{name} is named twice" for name in sorted(twice)]
    if problems:
        raise SpeakerError("\n".join(problems))
    return found


def _find(name: str) -> Speaker:
    if name.endswith(".toml"):
        speaker = described(Path(name))
    elif name in BUILT_IN:
        speaker = BUILT_IN[name]
    else:
        raise SpeakerError(f"{name} is no speaker: {', '.join(BUILT_IN)} are, or a TOML file that describes one")
    if missing := speaker.kind.missing():
        raise SpeakerError(f"{speaker.name}: {missing}")
    return speaker
