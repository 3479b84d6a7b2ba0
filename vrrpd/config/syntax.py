"""TOML that may be broken: every broken line is told, and the rest is read as if those lines were empty.

tomllib stops at the first error. Where the broken line stands for itself, it is struck out and the rest is tried again,
so that one missing quote does not hide what else is wrong.
"""

import re
from typing import Any, NamedTuple

from vrrpd.config.problems import ConfigError, Problem, shown

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
"""How tomllib's messages end."""
_KEY = re.compile(r"[ \t]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(.*)")
_STRING_OR_COMMENT = re.compile(r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*""")
_KEEPALIVED = re.compile(
    r"(?:[ \t\r\f\v]*(?:\#[^\n]*)?\n)*+[ \t]*+"
    r"(?:[!@$~]|include[armwb]?[ \t]"
    r"|(?:global_defs|vrrp_\w+|virtual_server\w*|static_\w+|garp_group|bfd_instance|track_\w+|instance|net_namespace\w*)"
    r"(?=[ \t\r\n{])(?![ \t]*=)|[^=\n\[]*\{[ \t\r]*(?:\n|$))"
)
"""What the first line that says something looks like; TOML has KEY = VALUE or a header in brackets there."""
_PROBLEMS_MAX = 20

_GENERAL_REMEDY = "strings need quotes, and a key stands only once"
_REMEDIES = (
    (r"Cannot overwrite a value", "a key stands only once: remove one"),
    (r"Cannot declare", "a table with single brackets stands only once: [[...]] begins another of its kind"),
    (r"Expected '=' after a key", "write KEY = VALUE"),
    (r"Expected ']", "close the bracket"),
    (r"Illegal character '\\n'", "close the quote on the same line"),
    (r"Illegal character", "remove that character"),
    (r"Un(?:closed|terminated)", "close the bracket or the quote"),
    (r"Exceeds the limit", "write a smaller number"),
)


class Reading(NamedTuple):
    """What could be read."""

    document: dict[str, Any]
    text: str
    """The text that it was read from, without the broken lines."""
    problems: list[Problem]
    """One for each broken line."""
    broken_keys: frozenset[str]
    """The keys that these lines belong to; they are not missing."""


def is_keepalived(text: str) -> bool:
    """Whether a file is a keepalived.conf rather than TOML, by what it begins with."""
    return _KEEPALIVED.match(text.removeprefix("\ufeff")) is not None


def read(text: str, name: str) -> Reading:
    """Read as much of the TOML document `text` as can be.

    Args:
        text: the document.
        name: what to call it in errors, usually its path.

    Raises:
        ConfigError: an error that leaves nothing to go on with.
    """
    import tomllib  # noqa: PLC0415  (only who reads a file needs it)

    lines = text.split("\n")
    problems: list[Problem] = []
    broken_keys: set[str] = set()
    while True:
        try:
            document = tomllib.loads("\n".join(lines))
        except RecursionError:
            problems.append(Problem(name, 1, "", "arrays or tables are nested too deeply", "write them flat"))
            raise ConfigError(problems) from None
        except ValueError as error:  # TOMLDecodeError, and what int() says of more digits than it takes
            problem = _problem(str(error), lines, name)
        else:
            if problems and not document:
                raise ConfigError(problems)
            return Reading(document, "\n".join(lines), problems, frozenset(broken_keys))
        if problems and problem.line is not None and problem.line <= (problems[-1].line or 0):
            raise ConfigError(problems)
        problems.append(problem)
        index = (problem.line or 1) - 1
        if len(problems) == _PROBLEMS_MAX or not _stands_for_itself(lines, index):
            raise ConfigError(problems)
        broken_keys.add(next((key[1] for line in lines[index::-1] if (key := _KEY.match(line))), ""))
        lines[index] = ""


def _problem(message: str, lines: list[str], name: str) -> Problem:
    place = _PLACE.search(message)
    what = _PLACE.sub("", message)
    line, where = 1, ""
    if place:
        last = max((number for number, source in enumerate(lines, 1) if source.strip()), default=1)
        line = int(place["line"] or last)
        where = f" at column {place['column']} of {shown(lines[line - 1].strip())}" if place["line"] else " at the end"
    key = _KEY.match(lines[line - 1])
    return Problem(name, line, key[1] if key else "", f"it is not TOML: {what}{where}", _remedy(what, key))


def _remedy(what: str, key: re.Match[str] | None) -> str:
    if what == "Invalid value" and key:
        value = key[2].partition("#")[0].strip()
        if not value:
            return "write a value after the ="
        if value.lower() in {"true", "false"}:
            return f"write {value.lower()}, in small letters"
        return "put text in quotes"
    return next((remedy for pattern, remedy in _REMEDIES if re.match(pattern, what)), _GENERAL_REMEDY)


def _stands_for_itself(lines: list[str], index: int) -> bool:
    """Whether the other lines mean the same without this one: it opens and closes nothing, and ends no other value."""
    line = _STRING_OR_COMMENT.sub("", lines[index])
    before = _STRING_OR_COMMENT.sub("", "\n".join(lines[:index]))
    if not line.strip() or line.lstrip().startswith("[") or '"""' in before or "'''" in before or _depth(line):
        return False
    return not _depth(before) or "=" not in line


def _depth(text: str) -> int:
    return sum(text.count(opening) for opening in "[{") - sum(text.count(closing) for closing in "]}")
