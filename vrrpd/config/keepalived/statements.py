"""Words and blocks: `WORD VALUE ... {` and the lines up to `}`.

keepalived tells braces from words only where blanks are around them.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from vrrpd.config.keepalived.source import Line, Place
from vrrpd.config.problems import Problem, shown

_WORD = re.compile(r""""((?:[^"\\]|\\.)*)"|('(?:[^'\\]|\\.)*'(?!\S)|[^\s"]+)""", re.ASCII)
_DEPTH_MAX = 16
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]+)|\\c(.)|\\([0-7]{1,3})|\\(.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PIECE = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?:[^\s"'\\]|\\.)+)|(\s+)|(.)""", re.ASCII | re.DOTALL)


class Statement(Struct):
    """A word, its values, and the block that belongs to it."""

    words: list[str]
    place: Place
    text: str
    """As it is written, for those that have escapes in it."""
    block: "list[Statement] | None" = None

    @property
    def word(self) -> str:
        """What it is about."""
        return self.words[0]

    @property
    def values(self) -> list[str]:
        """What comes after it."""
        return self.words[1:]

    def escaped_values(self) -> list[str]:
        """The same where keepalived takes escapes, and quotes in a word: programs and regular expressions."""
        words = [""]
        for double, single, bare, blank, _ in _PIECE.findall(self.text):
            if blank:
                words.append("")
            elif double or single or bare:
                words[-1] += _ESCAPED.sub(_unescaped, double or single or bare)
        return words[1:]


def _unescaped(found: re.Match[str]) -> str:
    hexadecimal, control, octal, other = found.groups()
    if hexadecimal:
        return chr(int(hexadecimal[-2:], 16))
    if control:
        return chr(ord(control) & 0x1F)
    if octal:
        return chr(int(octal, 8) & 0xFF)
    return _ESCAPES.get(other, other)


def statements_of(lines: Iterable[Line], problems: list[Problem]) -> list[Statement]:
    """The statements of a file, each with its block; braces that are not in pairs go to the problems."""
    top: list[Statement] = []
    open_blocks: list[tuple[Statement, list[Statement]]] = []
    """Those that are not closed yet, and where their statements stand."""
    inside = top

    def add(place: Place, word: str, wrong: str, remedy: str) -> None:
        problems.append(Problem(place.file, place.line, named(word), wrong, remedy))

    for line in lines:
        begun: Statement | None = None
        start = 0
        for found in _WORD.finditer(line.text):
            if found[2] == "{":
                last = begun or (inside[-1] if inside else None)
                begun = None
                if last is None or last.block is not None:
                    add(line.place, "{", "there is no word before it that it could belong to", "remove it")
                    last = Statement(["{"], line.place, "{")  # so that its } has a partner
                elif len(open_blocks) == _DEPTH_MAX:
                    add(line.place, last.word, "blocks are nested too deeply", "write them flat")
                    return top
                last.block = []
                open_blocks.append((last, inside))
                inside = last.block
            elif found[2] == "}":
                begun = None
                if open_blocks:
                    _, inside = open_blocks.pop()
                else:
                    add(line.place, "}", "there is no { before it that it could close", "remove it")
            elif begun is None:
                begun, start = Statement([_text(found)], line.place, found[0]), found.start()
                inside.append(begun)
            else:
                begun.words.append(_text(found))
                begun.text = line.text[start : found.end()]
    for statement, _ in open_blocks:
        add(statement.place, statement.word, "its block is not closed", "add a }")
    return top


def _text(found: re.Match[str]) -> str:
    quoted, bare = found.groups()
    return bare if quoted is None else quoted


def named(word: str) -> str:
    """A word for the place of a key in a message."""
    return word if word.isascii() and word.isprintable() and len(word) <= 40 else shown(word)
