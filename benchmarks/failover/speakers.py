"""What is measured: adapters of the daemons that are known here, and of any other by a TOML file.

An adapter is a `vrrpd.lan.daemons.Daemon`: how to configure, start and stop it, and which processes are its own.
"""

import ipaddress
import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import fields

from benchmarks.peers import Daemon, Frr, Keepalived, RouterSettings, Vrrpd

_VERSION_TIMEOUT: Final = 10.0


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
        try:
            done = subprocess.run(
                self.version_command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_VERSION_TIMEOUT,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        words = (done.stdout + done.stderr).replace("(", " ").replace(",", " ").split()
        return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit() and "." in word), "")

    def speaker_pid(self, daemon: Daemon) -> int:
        """The process that sends the adverts.

        Raises:
            OSError: it has ended by itself.
        """
        pids = daemon.pids()
        if not pids:
            raise ProcessLookupError(f"{self.name} has ended by itself\n{daemon.log}")
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


BASELINE: Final = "keepalived"


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
        own = [each.ip for each in addresses if each.version == address.version and each.ip != address.ip]
        return {
            "address": str(address.ip),
            "addresses": " ".join(str(ipaddress.ip_interface(each).ip) for each in router.addresses),
            "advert_int": f"{router.advert_int:g}",
            "directory": str(self.directory),
            "interface": router.interface,
            "inverse_priority": str(255 - router.priority),
            "prefix": str(address),
            "priority": str(router.priority),
            # Adverts of IPv6 come from a link-local address (RFC 9568 section 5.1.2.1).
            "source": str(max(own, key=lambda each: each.is_link_local)),
            "vrid": str(router.virtual_router_id),
        }


def described(path: Path) -> Speaker:
    """The speaker that a TOML file describes.

    Raises:
        SpeakerError: the file cannot be read, or says something that has no meaning.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpeakerError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpeakerError(f"{path}: {error}") from error
    if problems := _problems(table):
        raise SpeakerError("\n".join(f"{path}: {problem}" for problem in problems))
    found = msgspec.convert(table, Description)
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


_REMEDIES: Final = {
    "name": "a word of letters, digits, dots, - and _, which files are named after",
    "start": 'the command line, a list of words: start = ["ucarp", "--interface=$interface"]',
    "needs": 'a table of programs, and how to come by each: needs = { ucarp = "apt-get install ucarp" }',
    "version": 'a command line that prints a version number: version = ["ucarp", "--help"]',
    "files": "a table of texts by the name of the file, which has no directory",
    "stop_signal": 'TERM, HUP, USR1 or another, in quotes: stop_signal = "TERM"',
    "reload_signal": 'HUP, USR1 or another, in quotes: reload_signal = "HUP"; without that key, nothing is reloaded',
    "speaking": "a list of words of the path of the program that sends the adverts",
    "protocol": '"vrrp" or "carp"',
    "intervals_until_dead": "a number above 0: after so many intervals of silence a backup takes over",
    "shortest_interval": "seconds, a number above 0",
    "families": "of 4 and 6: families = [4, 6]",
}
"""What a key of a description is to be."""
_VALUES: Final = (
    *("address", "addresses", "advert_int", "directory", "interface", "inverse_priority", "prefix", "priority"),
    *("source", "vrid"),
)


def _problems(table: dict[str, Any]) -> list[str]:
    """All that is wrong with a description, each with its key and the remedy."""
    problems = [f"{key} is no key; {', '.join(_REMEDIES)} are" for key in table if key not in _REMEDIES]
    for each in fields(Description):
        if each.name not in table:
            missing = "is missing" if each.required else ""
        else:
            missing = _wrong(each.name, table[each.name], each.type)
        if missing:
            problems.append(f"{each.name} {missing}; it is {_REMEDIES[each.name]}")
    texts = {"start": table.get("start"), **(files if isinstance(files := table.get("files"), dict) else {})}
    for key, value in texts.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                problems += _unknown_values("start" if key == "start" else f"files.{key}", text)
    return problems


def _wrong(key: str, value: object, kind: Any) -> str:
    """What is wrong with the value of a key; empty: nothing."""
    try:
        found: Any = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return f"is wrong: {error}"
    good: dict[str, Callable[[], object]] = {
        "name": lambda: re.fullmatch(r"\w[\w.-]*", found, re.ASCII),
        "start": lambda: found and found[0],
        "version": lambda: found and found[0],
        "files": lambda: all(name and "/" not in name and name not in {".", ".."} for name in found),
        "stop_signal": lambda: f"SIG{found}" in signal.Signals.__members__,
        "reload_signal": lambda: not found or f"SIG{found}" in signal.Signals.__members__,
        "protocol": lambda: found in {"vrrp", "carp"},
        "intervals_until_dead": lambda: found is None or 0 < found < float("inf"),
        "shortest_interval": lambda: 0 < found < float("inf"),
        "families": lambda: found and set(found) <= {4, 6},
    }
    return "" if key not in good or good[key]() else f"is {json.dumps(value, default=str)}"


def _unknown_values(key: str, text: str) -> list[str]:
    template = Template(text)
    if not template.is_valid():
        return [f"{key}: a $ stands before something that is no name; write $$ for a dollar sign"]
    return [
        f"{key}: ${name} is not known; {', '.join(_VALUES)} are, and $$ is a dollar sign"
        for name in template.get_identifiers()
        if name not in _VALUES
    ]


def choose(names: Sequence[str], baseline: str | None) -> tuple[list[Speaker], str]:
    """Speakers by name or by the path of a TOML file, and whom ratios are to.

    Args:
        names: none of them: all that are known here and installed.
        baseline: a name; None: keepalived, or the last speaker.

    Raises:
        SpeakerError: all that is wrong with them.
    """
    found, problems = [], []
    for name in names or [speaker.name for speaker in BUILT_IN.values() if not speaker.kind.missing()]:
        try:
            found.append(_find(name))
        except SpeakerError as error:
            problems.append(str(error))
    there = [one.name for one in found]
    problems += [f"{name} is named twice" for name in dict.fromkeys(there) if there.count(name) > 1]
    if baseline and baseline not in {*there, *names}:
        problems.append(f"the baseline {baseline} is none of the speakers: {', '.join(there)}")
    if problems:
        raise SpeakerError("\n".join(problems))
    return found, baseline or (BASELINE if BASELINE in there else there[-1])


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
