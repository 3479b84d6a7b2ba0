"""The line of every value in a TOML text, which tomllib does not tell.

    document  = { blank | header | pair }          header = "[" key "]" | "[[" key "]]"
    pair      = key "=" value                      key    = part { "." part }
    value     = "[" { value "," } "]" | "{" { pair "," } "}" | scalar

The text must be one that tomllib has accepted: what is checked there is not checked again here, so that this stays a
scanner of a page. The line of a table is that of its header or of the first key that made it, the line of an element
of an array that on which it starts.
"""

import re
from bisect import bisect_left

from vrrpd.config.problems import KeyPath

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_PART = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_SCALAR = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*\'|[^,\]}#\n]+''',
    re.DOTALL,
)


def lines_of(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every table, array and value of the valid TOML document `text`."""
    return _Scanner(text).lines


class _Scanner:
    """Goes through the text once; `lines` is the result."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._line_ends = [found.start() for found in re.finditer("\n", self._text)]
        self._at = 0
        self._last_index: dict[KeyPath, int] = {}
        """Of each array of tables that headers make: the element that keys go to now."""
        self._document()

    def _document(self) -> None:
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._take("[["):
                table = self._key((), new_element=True)
                self._take("]]")
            elif self._take("["):
                table = self._key(())
                self._take("]")
            else:
                self._pair(table)
            self._skip_blank()

    def _pair(self, table: KeyPath) -> None:
        path = self._key(table)
        self._take("=")
        self._skip_blank()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self._line())
        if self._take("["):
            index = 0
            self._skip_blank()
            while not self._take("]"):
                self._value((*path, index))
                self._skip_separator()
                index += 1
        elif self._take("{"):
            self._skip_blank()
            while not self._take("}"):
                self._pair(path)
                self._skip_separator()
        else:
            self._match(_SCALAR)

    def _key(self, table: KeyPath, *, new_element: bool = False) -> KeyPath:
        """Read a key and say where it leads from `table`, through the last element of each array of tables."""
        line = self._line()
        parts = [self._part()]
        while self._take("."):
            parts.append(self._part())
        path = table
        for position, part in enumerate(parts, start=1):
            path = (*path, part)
            self.lines.setdefault(path, line)
            if new_element and position == len(parts):
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path = (*path, self._last_index[path])
                self.lines.setdefault(path, line)
        return path

    def _part(self) -> str:
        raw = self._match(_PART).strip(" \t")
        if raw[0] not in "\"'":
            return raw
        if raw[0] == '"' and "\\" in raw:
            import tomllib  # noqa: PLC0415  (here only, and rarely: starting the daemon is not to pay for it)

            return str(tomllib.loads(f"key = {raw}")["key"])
        return raw[1:-1]

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1

    def _take(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        if taken:
            self._at += len(token)
        return taken

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"line {self._line()} is not TOML")
        self._at = found.end()
        return found[0]

    def _skip_blank(self) -> None:
        self._match(_BLANK)

    def _skip_separator(self) -> None:
        self._skip_blank()
        self._take(",")
        self._skip_blank()
