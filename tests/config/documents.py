"""Random TOML documents, in every way of writing that TOML has, with the line of everything in them."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vrrpd.config.problems import KeyPath

T = TypeVar("T")

KEYS = st.sampled_from(["a", "b", "long-key_1", "9", "", "a b", "a.b", 'quo"te', "it's", "back\\slash", "é", "#", "="])
SCALARS: SearchStrategy[Any] = (
    st.text("ab #[]{}=,.'\"\\\né\t", max_size=12)
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.datetimes()
    | st.dates()
    | st.times()
)


def tables(keys: SearchStrategy[str] = KEYS, scalars: SearchStrategy[Any] = SCALARS) -> SearchStrategy[dict[str, Any]]:
    """Values of whole documents."""
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | _table(keys, inner) | st.lists(_table(keys, inner), max_size=3),
        max_leaves=12,
    )
    return _table(keys, values)


def _table(keys: SearchStrategy[str], values: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, values, max_size=4)


@st.composite
def documents(draw: DrawFn, of: SearchStrategy[dict[str, Any]]) -> "Document":
    """A text for one of the values."""
    document = Document(draw)
    document.write_table((), draw(of))
    document.finish()
    return document


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The ways to everything in a parsed document."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from paths(inner, (*path, step))


class Document:
    """A text under construction."""

    def __init__(self, draw: DrawFn) -> None:
        self.text = ""
        self.lines: dict[KeyPath, int] = {}
        self.spelled: dict[KeyPath, str] = {}
        """How a key is written on its line."""
        self._draw = draw

    def __repr__(self) -> str:
        return repr(self.text)

    def finish(self) -> None:
        """Choose what concerns the text as a whole."""
        self.text = self.text.replace("\n", self._choose("\n", "\r\n"))
        self.text = self.text if self._choose(True, False) else self.text.rstrip()

    def write_table(self, path: KeyPath, table: dict[str, Any]) -> None:
        """First the pairs, then the tables that have headers of their own."""
        below: list[str] = []
        pairs: dict[str, Any] = {}
        for key, value in table.items():
            if (isinstance(value, dict) or _is_array_of_tables(value)) and self._choose(True, False):
                below += [key] * (len(value) if isinstance(value, list) else 1)
            else:
                pairs[key] = value
        if path and (pairs or not below or isinstance(path[-1], int) or self._choose(True, False)):
            self._write_header(path)
        for key, value in pairs.items():
            self._write_pair(path, key, value)
            self._end_line()
        elements = {key: iter(enumerate(table[key])) for key in below if isinstance(table[key], list)}
        for key in self._draw(st.permutations(below)):  # arrays of tables may take turns
            if key in elements:
                index, element = next(elements[key])
                self.write_table((*path, key, index), element)
            else:
                self.write_table((*path, key), table[key])

    def _write_header(self, path: KeyPath) -> None:
        opening, closing = ("[[", "]]") if isinstance(path[-1], int) else ("[", "]")
        self.text += self._blank() + opening + self._blank()
        self._write_key((), path)
        self.text += closing
        self._end_line()

    def _write_pair(self, table: KeyPath, key: str, value: object) -> None:
        if isinstance(value, dict) and value and self._choose(True, False):
            for index, (inner_key, inner) in enumerate(value.items()):
                self.text += "" if index == 0 else self._between_pairs
                self._write_key(table, (key, inner_key))
                self._write_assigned((*table, key, inner_key), inner)
            return
        self._write_key(table, (key,))
        self._write_assigned((*table, key), value)

    _between_pairs = "\n"

    def _write_assigned(self, path: KeyPath, value: object) -> None:
        self.text += "=" + self._blank()
        self._write_value(path, value)

    def _write_key(self, table: KeyPath, steps: Sequence[str | int]) -> None:
        path = table
        written = ""
        for step in steps:
            path = (*path, step)
            if isinstance(step, str):
                spelled = self._spell_key(step)
                written += f"{'.' if written else ''}{self._blank()}{spelled}{self._blank()}"
            self._note(path)
            self.spelled.setdefault(path, spelled)
        self.text += written

    def _write_value(self, path: KeyPath, value: object) -> None:
        self._note(path)
        if isinstance(value, dict):
            outer, self._between_pairs = self._between_pairs, ", "
            self.text += "{" + self._blank()
            for index, (key, inner) in enumerate(value.items()):
                self.text += ", " if index else ""
                self._write_pair(path, key, inner)
            self.text += self._blank() + "}"
            self._between_pairs = outer
        elif isinstance(value, list):
            self.text += "[" + self._space()
            for index, inner in enumerate(value):
                self.text += f",{self._space()}" if index else ""
                self._write_value((*path, index), inner)
                self.text += self._space()
            self.text += self._choose(",", "") + self._space() if value else ""
            self.text += "]"
        else:
            self.text += self._spell_scalar(value)

    def _spell_key(self, key: str) -> str:
        spellings = [json.dumps(key), json.dumps(key, ensure_ascii=False)]
        if "'" not in key:
            spellings.append(f"'{key}'")
        if re.fullmatch("[A-Za-z0-9_-]+", key):
            spellings.append(key)
        return self._choose(*spellings)

    def _spell_scalar(self, value: object) -> str:
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace('"""', '""\\"')
            if escaped.endswith('"'):
                escaped = escaped[:-1] + '\\"'
            spellings = [json.dumps(value), json.dumps(value, ensure_ascii=False)]
            spellings += [f'"""\n{escaped}"""', f'"""\n{escaped}\\\n  """']
            if "'" not in value:
                spellings.append(f"'''\n{value}'''")
                spellings += [f"'{value}'"] if "\n" not in value else []
            return self._choose(*spellings)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dt.datetime):
            return value.isoformat(self._choose("T", " "))
        return value.isoformat() if isinstance(value, dt.date | dt.time) else repr(value)

    def _note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def _end_line(self) -> None:
        self.text += self._choose("\n", "\n", "\n\n", ' # "comment" [x] = {\n', "\t\n  # '''\n")

    def _blank(self) -> str:
        return self._choose("", "", " ", "\t ")

    def _space(self) -> str:
        """What may stand between the elements of an array."""
        return self._choose("", "", " ", "\n", " # ] it's a \"comment\n  \n")

    def _choose(self, *choices: T) -> T:
        return self._draw(st.sampled_from(choices))


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)
