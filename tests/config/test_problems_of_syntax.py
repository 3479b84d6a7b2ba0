"""What is said of a text that is not TOML: every broken line, and what is wrong with the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.samples import BASE, problems_of
from vrrpd.config.load import parse
from vrrpd.config.problems import ConfigError

LINES = BASE.splitlines()


@pytest.mark.parametrize(
    ("line", "key", "wrong", "remedy"),
    [
        ("priority =", "priority", "Invalid value at column 11", "write a value after the ="),
        ("priority = # high", "priority", "Invalid value at column 12", "write a value after the ="),
        ("nopreempt = True", "nopreempt", "Invalid value at column 13", "write true, in small letters"),
        ("checksum = message", "checksum", "Invalid value at column 12", "put text in quotes"),
        ('checksum = "message', "checksum", r"Illegal character '\n' at column 20", "close the quote on the same line"),
        ('checksum = "\0"', "checksum", r"Illegal character '\x00' at column 13", "remove that character"),
        ("priority 100", "", "Expected '=' after a key in a key/value pair at column 10", "write KEY = VALUE"),
        ('name = "VI_2"', "name", "Cannot overwrite a value at column 14", "a key stands only once: remove one"),
        ("\0", "", "Invalid statement at column 1", "strings need quotes, and a key stands only once"),
    ],
)
def test_a_broken_line_does_not_hide_the_others(line: str, key: str, wrong: str, remedy: str) -> None:
    first, second = problems_of(f"{BASE}{line}\nadvert_int = 41\n")
    assert (first.line, first.key, first.remedy) == (8, key, remedy)
    assert first.wrong.startswith(f"it is not TOML: {wrong} of ")
    assert str(second).startswith("vrrpd.toml:9: vrrp_instance[0].advert_int: 41 is out of range")


def test_every_broken_line_is_told_and_its_key_is_not_missing() -> None:
    text = BASE.replace('"VI_1"', "VI_1").replace('"eth0"', "eth0").replace("51", "").replace('"192', "192")
    assert [(problem.line, problem.key, problem.remedy) for problem in problems_of(text)] == [
        (4, "name", "put text in quotes"),
        (5, "interface", "put text in quotes"),
        (6, "virtual_router_id", "write a value after the ="),
        (7, "virtual_ipaddress", "close the bracket or the quote"),
    ]


def test_a_broken_element_of_a_list() -> None:
    addresses = '[\n    192.0.2.100/24,\n    "192.0.2.0/24",\n]'
    first, second = problems_of(BASE.replace('["192.0.2.100/24"]', addresses))
    assert (first.line, first.key) == (8, "")
    assert str(second).startswith('vrrpd.toml:9: vrrp_instance[0].virtual_ipaddress[0]: "192.0.2.0/24" is the address')
    (alone,) = problems_of(BASE.replace('["192.0.2.100/24"]', "[\n192.0.2.100/24,\n]"))
    assert alone.line == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[vrrp_instance\n" + BASE, 1),
        (BASE + "virtual_ipaddress = [\n'192.0.2.1',\nname = 'x'\nadvert_int = 41\n", 10),
        (BASE + 'checksum = """\nx\n', 9),
    ],
)
def test_what_leaves_nothing_to_go_on_with_is_told_alone(text: str, line: int) -> None:
    (problem,) = problems_of(text)
    assert problem.line == line


def test_not_more_than_anybody_reads() -> None:
    assert len(problems_of("".join(f"key{number} = eth0\n" for number in range(100)))) == 20


@given(st.sets(st.integers(0, len(LINES) - 1)), st.sampled_from(['"', "=", "[", "]", "{", "'", "\0", " x"]))
def test_spoiled_lines_never_raise_anything_else(spoiled: set[int], with_this: str) -> None:
    text = "\n".join(line + with_this if place in spoiled else line for place, line in enumerate(LINES))
    try:
        parse(text, "vrrpd.toml")
    except ConfigError as error:
        lines = [problem.line or 0 for problem in error.problems]
        assert lines == sorted(lines)
        assert max(lines) <= len(LINES)
