"""What becomes of keepalived's words: each has a rule, in a table of the words that its block can have.

The rules fill the document that a vrrpd.toml would be, and note where each value stands, so that it is read by the
same code, and what is wrong with it is told by the file, the line and the word of keepalived.conf.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vrrpd.config.keepalived.source import Place
from vrrpd.config.keepalived.statements import Statement, named
from vrrpd.config.problems import KeyPath, Problem, Refused, Report, shown

_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,18}\.\d*|\.\d+)", re.ASCII)
_TRUE, _FALSE = ("on", "true", "yes"), ("off", "false", "no")
_MISSING = "the key is missing"
_SURPLUS = "no block belongs to it"


class Remark(NamedTuple):
    """Words that have no effect here, or another one."""

    place: Place
    """The first of them."""
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.line}: {', '.join(self.words)}: {self.text}"


class Translation:
    """What has become of a file so far.

    Args:
        file: its name.
        blocks: the words of each kind of block, by its name.
    """

    def __init__(self, file: str, blocks: "Mapping[str, Words]") -> None:
        self.file = file
        self.blocks = blocks
        self.document: dict[str, Any] = {}
        """As tomllib would have read it."""
        self.problems: list[Problem] = []
        self.refused: list[Problem] = []
        """Words that vrrpd has nothing for; without them the rest is right."""
        self.wrong: set[str] = set()
        """Words that are not missing, though nothing could be made of them."""
        self._remarks: dict[str, tuple[Place, dict[str, None]]] = {}
        """By what is said, where it was first, and the words that it is said of."""
        self._places: dict[KeyPath, tuple[Place, str]] = {}

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Each once, however often the words are there, in the order of the file."""
        found = (Remark(place, tuple(words), text) for text, (place, words) in self._remarks.items())
        return tuple(sorted(found, key=lambda remark: remark.place))

    def remark(self, statement: Statement, text: str) -> None:
        """Say that a word means nothing here, or something else."""
        _, words = self._remarks.setdefault(text, (statement.place, {}))
        words[named(statement.word)] = None

    def refuse(self, statement: Statement, wrong: str, remedy: str) -> None:
        """Say that vrrpd has nothing for a word that matters."""
        problem = _problem(statement, wrong, remedy)
        if problem not in self.refused:  # what is said of all instances is wrong once
            self.refused.append(problem)

    def add(self, statement: Statement, wrong: str, remedy: str) -> None:
        """Say that a word is wrong."""
        self.wrong.add(statement.word)
        self.problems.append(_problem(statement, wrong, remedy))

    def append(self, key: str, statement: Statement) -> "Target":
        """A further table in an array of the document."""
        tables = self.document.setdefault(key, [])
        target = Target(self, (key, len(tables)), statement)
        tables.append(target.values)
        return target

    def note(self, path: KeyPath, statement: Statement, word: str = "") -> None:
        """Remember where the value at `path` comes from."""
        self._places[path] = statement.place, word or named(statement.word)

    def place(self, path: KeyPath) -> tuple[Place, str, KeyPath]:
        """Where that value, or what it is missing from, stands; the word; and what of the path is missing."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._places:
                return *self._places[path[:length]], path[length:]
        return Place(self.file, 1), "", path


class LocatedReport(Report):
    """Tells problems by the words of the file that was translated."""

    def __init__(self, translation: Translation) -> None:
        super().__init__(translation.file, "", translation.problems, frozenset(translation.wrong))
        self._translation = translation

    def add(self, path: KeyPath, wrong: str, remedy: str) -> None:
        """Part of `Report`."""
        place, word, missing = self._translation.place(path)
        keys = [key for key in missing if isinstance(key, str)]
        if wrong == _MISSING:
            remedy = f"add {keys[-1]} and its value"
        self.problems.append(Problem(place.file, place.line, ": ".join(filter(None, (word, *keys))), wrong, remedy))

    def where(self, path: KeyPath) -> str:
        """Part of `Report`."""
        place, _, _ = self._translation.place(path)
        return f"line {place.line}" if place.file == self._translation.file else f"{place.file}:{place.line}"


class Target:
    """A table of the document that statements go into.

    Args:
        translation: the whole.
        path: where it is in the document.
        statement: what it is made of.
    """

    def __init__(self, translation: Translation, path: KeyPath, statement: Statement) -> None:
        self.translation = translation
        self.values: dict[str, Any] = {}
        self.seen: dict[str, Statement] = {}
        """By word, the last statement with it."""
        self.made_by: dict[str, Statement] = {}
        """By key, the statement that its value is of."""
        self._path = path
        translation.note(path, statement, " ".join(map(named, statement.words[:3])))

    def put(self, key: str, value: object, statement: Statement) -> None:
        """Have a value; its elements are told by the statement as well."""
        self.values[key] = value
        self.made_by[key] = statement
        self.translation.note((*self._path, key), statement)

    def put_list(self, key: str, entries: Sequence[tuple[object, Statement]], statement: Statement) -> None:
        """Have a list, each element of which has its own statement."""
        self.put(key, [value for value, _ in entries], statement)
        for index, (_, each) in enumerate(entries):
            self.translation.note((*self._path, key, index), each)

    def scratch(self, statement: Statement) -> "Target":
        """A table that is not in the document: others are to be made of it."""
        return Target(self.translation, ("",), statement)

    def append(self, key: str, statement: Statement) -> "Target":
        """A further table in an array of them."""
        tables = self.values.setdefault(key, [])
        target = Target(self.translation, (*self._path, key, len(tables)), statement)
        tables.append(target.values)
        return target


Rule = Callable[[Statement, Target], None]
Words = Mapping[str, Rule]
Convert = Callable[[Statement], object]


def translate(block: Sequence[Statement], words: Words, target: Target, title: str) -> None:
    """Apply to each statement the rule of its word."""
    for statement in block:
        rule = words.get(statement.word)
        target.seen[statement.word] = statement
        if rule is None:
            remedy = _instead(statement.word, words, target.translation.blocks)
            target.translation.add(statement, f"it is not a known word of {title}", remedy)
        else:
            apply(rule, statement, target)


def apply(rule: Rule, statement: Statement, target: Target) -> None:
    """Apply a rule; if it refuses the statement, that is a problem."""
    try:
        rule(statement, target)
    except Refused as refused:
        target.translation.add(statement, refused.wrong, refused.remedy)


def to(key: str, convert: "Convert | None" = None) -> Rule:
    """It is a key of ours."""

    def rule(statement: Statement, target: Target) -> None:
        if statement.block is not None:
            raise Refused(_SURPLUS, "remove it")
        target.put(key, (convert or number)(statement), statement)

    return rule


def remark(text: str) -> Rule:
    """It has no effect here."""
    return lambda statement, target: target.translation.remark(statement, text)


NO_MAIL = remark("vrrpd sends no mail: have notify, or an alert on its metrics, do it")
NO_SNMP = remark("vrrpd has no SNMP; status and metrics have the same")


def refuse(wrong: str, remedy: str) -> Rule:
    """There is nothing for it here, and something would be lost."""
    return lambda statement, target: target.translation.refuse(statement, wrong, remedy)


def same(_: Statement, __: Target) -> None:
    """It is so here anyway."""


def unless(values: Sequence[str], otherwise: Rule) -> Rule:
    """It is so here anyway with these values, of which "" stands for none."""

    def rule(statement: Statement, target: Target) -> None:
        if " ".join(statement.values).lower() not in values:
            otherwise(statement, target)

    return rule


def when_on(otherwise: Rule) -> Rule:
    """A switch that means something only if it is on."""
    return unless(_FALSE, otherwise)


def value(statement: Statement) -> str:
    """The only value.

    Raises:
        Refused: there is none, or more than one.
    """
    if not statement.values:
        raise Refused("its value is missing", "add it, or remove the word")
    if len(statement.values) > 1:
        raise Refused(f"{shown(' '.join(statement.values))} is more than a value", "leave one")
    return statement.values[0]


def number(statement: Statement) -> object:
    """The only value, a number if it is one."""
    return as_number(value(statement))


def as_number(text: str) -> object:
    """A number if it is one."""
    stripped = text.strip()
    if _WHOLE.fullmatch(stripped):
        return int(stripped)
    return float(stripped) if _DECIMAL.fullmatch(stripped) else text


def flag(statement: Statement) -> bool:
    """A switch, which is on if it stands alone."""
    if not statement.values:
        return True
    word = value(statement).lower()
    if word not in (*_TRUE, *_FALSE):
        raise Refused(f"{shown(word)} is neither on nor off", f"use one of {', '.join((*_TRUE, *_FALSE))}, or no value")
    return word in _TRUE


def block_of(statement: Statement) -> list[Statement]:
    """The statements in its block.

    Raises:
        Refused: it has none.
    """
    if statement.block is None:
        raise Refused("it has no block", 'write " {" after it, its words, and "}"')
    return statement.block


def merged(block: Sequence[Statement], words: Sequence[str]) -> list[Statement]:
    """The same where each of these words stands once: what several blocks of it have adds up, as in keepalived."""
    found: list[Statement] = []
    first: dict[str, Statement] = {}
    for statement in block:
        before = first.get(statement.word)
        if before and before.block is not None and statement.block is not None:
            before.block.extend(statement.block)
        else:
            found.append(statement)
            if statement.word in words:
                first[statement.word] = statement
    return found


def _problem(statement: Statement, wrong: str, remedy: str) -> Problem:
    return Problem(statement.place.file, statement.place.line, named(statement.word), wrong, remedy)


def _instead(word: str, words: Words, blocks: Mapping[str, Words]) -> str:
    for title, others in blocks.items():
        if word in others:
            return f"it is one of {title}: move it there"
    import difflib  # noqa: PLC0415  (only a wrong file needs it)

    nearest = difflib.get_close_matches(word[:100], words, n=1, cutoff=0.6)
    return f"did you mean {nearest[0]}?" if nearest else "remove it"
