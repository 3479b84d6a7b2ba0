"""What is wrong with a configuration file, told all at once, and to people."""

from collections.abc import Iterable
from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""The way to a value from the top of a file: keys, and indices of arrays."""

_SHOWN_CHARACTERS = 60
_BARE_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Problem(NamedTuple):
    """One error: `FILE:LINE: key: what is wrong; what to do`."""

    file: str
    line: int | None
    """Counted from 1. None: the file cannot be read at all."""
    key: str
    """As in `vrrp_instance[0].advert_int`, indices counted from 0; empty where the error is none of a key."""
    wrong: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.wrong}; {self.remedy}"


class ConfigError(ValueError):
    """A configuration that cannot be used, with everything that is wrong with it, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line or 0)))
        super().__init__("\n".join(map(str, self.problems)))


class Refused(ValueError):  # noqa: N818  (a verdict on one value, which becomes a Problem where the place is known)
    """One value that cannot be taken."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}; {remedy}")
        self.wrong = wrong
        self.remedy = remedy


class Report:
    """Collects the problems of one file. The text is scanned for line numbers when the first problem turns up."""

    def __init__(
        self, file: str, text: str, problems: Iterable[Problem] = (), broken_keys: frozenset[str] = frozenset()
    ) -> None:
        self.problems: list[Problem] = [*problems]
        self.broken_keys = broken_keys
        """Keys that are there, though nothing could be read of them."""
        self._file = file
        self._text = text
        self._lines: dict[KeyPath, int] | None = None

    def add(self, path: KeyPath, wrong: str, remedy: str) -> None:
        """Note that the value at `path` is wrong."""
        self.problems.append(Problem(self._file, self.line(path), shown_path(path), wrong, remedy))

    def where(self, path: KeyPath) -> str:
        """The place of the value at `path`, for a message about another one."""
        return f"line {self.line(path)}"

    def line(self, path: KeyPath) -> int:
        """The line of the value at `path`; if it is not in the file, of the table that it is missing from."""
        if self._lines is None:
            from vrrpd.config.lines import lines_of  # noqa: PLC0415  (a valid file needs no line numbers)

            self._lines = lines_of(self._text)
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def shown(raw: object) -> str:
    """A value of the file for a message: as it would be written there, on one line, and not at length."""
    if isinstance(raw, str):
        text = f'"{repr(raw)[1:-1]}"'
    elif isinstance(raw, bool):
        text = "true" if raw else "false"
    elif isinstance(raw, int) and raw.bit_length() > 64:
        text = f"a number of {raw.bit_length()} bits"
    elif isinstance(raw, list):
        text = "a list"
    elif isinstance(raw, dict):
        text = "a table"
    else:
        text = str(raw)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def shown_path(path: KeyPath) -> str:
    """A path as people write it: `vrrp_instance[0].virtual_ipaddress[2].address`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            bare = step and _BARE_KEY_CHARACTERS.issuperset(step)
            text += f".{step if bare else shown(step)}" if text else (step if bare else shown(step))
    return text
