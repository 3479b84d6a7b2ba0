"""The lines of a keepalived.conf as keepalived takes them: no comments, files included, @ID and $NAME resolved."""

import glob
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vrrpd.config.problems import ConfigError, Problem, shown

_BYTES_MAX = 1 << 24
"""Of all files together."""
_LINES_MAX = 1 << 18
_LINE_CHARACTERS_MAX = 1 << 16
_DEPTH_MAX = 32
"""Files that include each other, and definitions that use each other."""
_SUBSTITUTIONS_MAX = 256
_BLANKS = " \t\r\f\v"
_PIECE = re.compile(r'\\.|["!#\\]|[^"!#\\]+')
_CONDITION = re.compile(r"@(\^?)(\S*)\s*(.*)", re.DOTALL)
_DEFINITION = re.compile(r"\$([A-Za-z_]\w*)\s*=\s*(.*)", re.ASCII | re.DOTALL)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)((?: [\d ]*)?)\}|([A-Za-z_]\w*)(?=[ \t,)]|$))", re.ASCII)
_INCLUDE = re.compile(r'include([armwb]?)\s+"?([^"\s]+)"?')


class Place(NamedTuple):
    """Where something stands."""

    file: str
    line: int
    """Counted from 1."""


class Line(NamedTuple):
    """A line that says something."""

    text: str
    place: Place


class Source:
    """Reads the file and those that it includes.

    Args:
        problems: takes what is wrong.
        config_id: what `@ID` is compared with, as `keepalived -i` has it; None: this host's name up to the first dot.
    """

    def __init__(self, problems: list[Problem], config_id: str | None = None) -> None:
        self.first_condition: Place | None = None
        self.is_named = False
        """Whether a condition has named our `config_id`."""
        self._problems = problems
        self.config_id = socket.gethostname().partition(".")[0] if config_id is None else config_id
        self._definitions: dict[str, str] = {}
        self._open: str | None = None
        """The definition that the next line goes on with."""
        self._bytes = 0
        self._count = 0

    def lines(self, text: str, file: str, depth: int = 0) -> Iterator[Line]:
        """The lines of a file with that text and of what it includes.

        Raises:
            ConfigError: there are too many, or no end of them.
        """
        for number, raw in enumerate(text.split("\n"), start=1):
            place = Place(file, number)
            line = self._uncommented(raw, place)
            if self._open is not None:
                self._go_on(line)
            elif line:
                yield from self._expanded(line, place, depth)

    def _uncommented(self, raw: str, place: Place) -> str:
        """Comments begin with `#` or `!` anywhere but in quotes, unless a backslash is before it."""
        raw = raw.strip(_BLANKS)
        kept: list[str] = []
        quoted = False
        for piece in _PIECE.findall(raw):
            if piece in "!#" and not quoted:
                break
            if piece == '"':
                quoted = not quoted
            kept.append(piece[1] if piece in (r"\!", r"\#") and not quoted else piece)
        if quoted:
            self._add(place, "", "a quote is not closed", 'close it with " on the same line')
            return ""
        line = "".join(kept).rstrip(_BLANKS)
        return f"{line}\\" if raw.endswith("\\") and not line.endswith("\\") else line

    def _go_on(self, line: str) -> None:
        """Take a line of a definition of several."""
        name = str(self._open)
        before = self._definitions[name]
        if not line.endswith("\\"):
            self._open = None
        line = line.removesuffix("\\").rstrip(_BLANKS)
        self._definitions[name] = "\n".join(filter(None, (before, line)))

    def _expanded(self, line: str, place: Place, depth: int) -> Iterator[Line]:
        if depth > _DEPTH_MAX:
            self._add(place, "", "files or definitions go round in a circle", "break it")
            raise ConfigError(self._problems)
        for _ in range(_SUBSTITUTIONS_MAX):
            if line.startswith("@"):
                line = self._if_it_concerns_us(line, place)
            elif found := _DEFINITION.fullmatch(line):
                self._define(found[1], found[2])
                return
            elif (reference := self._reference(line)) is None:
                break
            else:
                first, *others = self._value(reference, place).split("\n")
                line = f"{line[: reference.start()]}{first}{line[reference.end() :]}"
                if others:
                    for each in (line, *others):
                        yield from self._expanded(each, place, depth + 1)
                    return
            if len(line) > _LINE_CHARACTERS_MAX:
                break
        else:
            self._add(place, "", "a definition uses itself", "break the circle")
            return
        if len(line) > _LINE_CHARACTERS_MAX:
            self._add(place, "", f"the line has more than {_LINE_CHARACTERS_MAX} characters", "write several")
        elif line.startswith("~"):
            word = re.match(r"~\w{,9}", line, re.ASCII)
            self._add(place, word[0] if word else "", "vrrpd does not repeat lines", "write out what it stands for")
        elif included := _INCLUDE.fullmatch(line):
            yield from self._included(included, place, depth + 1)
        elif line:
            self._count += 1
            if self._count > _LINES_MAX:
                self._add(place, "", f"it comes to more than {_LINES_MAX} lines", "use a smaller one")
                raise ConfigError(self._problems)
            yield Line(line, place)

    def _if_it_concerns_us(self, line: str, place: Place) -> str:
        condition = _CONDITION.fullmatch(line)
        assert condition
        self.first_condition = self.first_condition or place
        is_ours = condition[2] == self.config_id
        self.is_named = self.is_named or is_ours
        return condition[3] if is_ours is not bool(condition[1]) else ""

    def _define(self, name: str, value: str) -> None:
        if value.endswith("\\"):
            self._open = name
            value = value[:-1].rstrip(_BLANKS)
        self._definitions[name] = value

    def _reference(self, line: str) -> re.Match[str] | None:
        """The first use of a definition; other dollars are left alone."""
        for found in _REFERENCE.finditer(line):
            name = found[1] or found[3]
            several = "\n" in self._definitions.get(name, "")
            if (name in self._definitions and (not several or found.end() == len(line))) or name in _STANDARD:
                return found
        return None

    def _value(self, reference: re.Match[str], place: Place) -> str:
        name = reference[1] or reference[3]
        if name in self._definitions:
            return self._definitions[name]
        if name == "_PWD":
            return str(Path(place.file).absolute().parent)
        if name == "_INSTANCE":
            return self.config_id
        if name == "_RANDOM":
            self._add(place, "${_RANDOM}", "it is another number at each reading", "write a number")
            return "0"
        return _CHARACTERS[name]

    def _included(self, include: re.Match[str], place: Place, depth: int) -> Iterator[Line]:
        check, pattern = include[1], include[2]
        word = f"include{check}"
        if "{" in pattern:
            self._add(place, word, "braces are not expanded", "write an include for each file")
            return
        wild = glob.has_magic(pattern)
        here = glob.escape(str(Path(place.file).parent))
        try:
            names = sorted(glob.glob(pattern if pattern.startswith("/") else f"{here}/{pattern}"))  # noqa: PTH207
            files = [file for file in map(Path, names) if file.is_file() and not (wild and _may_be_executed(file))]
        except (OSError, ValueError, re.error) as error:
            self._add(place, word, f"{shown(pattern)}: {error}", "name files")
            return
        if not files and (check or not wild):
            self._add(place, word, f"there is no file {shown(pattern)}", "create it, or remove this line")
        for file in files:
            text = self._text(file, word, place)
            yield from self.lines(text, str(file), depth)

    def _text(self, file: Path, word: str, place: Place) -> str:
        try:
            if _may_be_executed(file):
                wrong = f"keepalived skips {file}, which may be executed"
                self._add(place, word, wrong, "chmod a-x it, or remove this line")
                return ""
            with file.open("rb") as opened:
                content = opened.read(_BYTES_MAX - self._bytes + 1)
        except OSError as error:
            self._add(place, word, f"{file} cannot be read: {error.strerror}", "change its mode, or remove this line")
            return ""
        self._bytes += len(content)
        if self._bytes > _BYTES_MAX:
            self._add(place, word, "the files together have more than 16 MiB", "include less")
            raise ConfigError(self._problems)
        return content.decode("utf-8", "surrogateescape")

    def _add(self, place: Place, word: str, wrong: str, remedy: str) -> None:
        self._problems.append(Problem(place.file, place.line, word, wrong, remedy))


def _may_be_executed(file: Path) -> bool:
    """Whether keepalived would take it for a program, and skip it."""
    return bool(file.stat().st_mode & 0o111)


_CHARACTERS = {"_HASH": "#", "_BANG": "!"}
_STANDARD = {"_PWD", "_INSTANCE", "_RANDOM", *_CHARACTERS}
"""What keepalived defines itself."""
