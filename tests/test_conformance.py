"""Each row of docs/conformance.md that is not for later has a test that must pass and one that must be refused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LIST, _, _ = (TESTS.parent / "docs" / "conformance.md").read_text(encoding="utf-8").partition("## Not yet")
ROWS = [int(number) for number in re.findall(r"^(\d+)\. ", LIST, re.MULTILINE)]


def names() -> Iterator[str]:
    """Of all test functions."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name


NAMES = sorted(names())


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_positive_test(row: int) -> None:
    assert [name for name in NAMES if re.match(rf"test_row_{row:02}_(?!negative_)", name)]


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_negative_test(row: int) -> None:
    assert [name for name in NAMES if name.startswith(f"test_row_{row:02}_negative_")]


def test_no_other_row_is_claimed() -> None:
    tested = {int(found[1]) for name in NAMES if (found := re.match(r"test_row_(\d+)_", name))}
    assert tested == set(ROWS)
    assert {*range(9, 31), *range(36, 41), 49} <= tested
