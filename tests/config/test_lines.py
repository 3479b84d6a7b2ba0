import tomllib

import pytest
from hypothesis import given

from tests.config.documents import Document, documents, paths, tables
from vrrpd.config.lines import lines_of


@given(documents(tables()))
def test_finds_the_line_of_everything_in_a_document(document: Document) -> None:
    found = lines_of(document.text)
    assert set(found) == set(paths(tomllib.loads(document.text)))
    assert found == document.lines


@given(documents(tables()))
def test_the_line_of_a_key_contains_the_key(document: Document) -> None:
    lines = document.text.replace("\r\n", "\n").split("\n")
    for path, line in lines_of(document.text).items():
        if isinstance(path[-1], str):
            assert document.spelled[path] in lines[line - 1]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_interleaved_arrays_of_tables(newline: str, start: str) -> None:
    text = start + newline.join(
        [
            "[[router]]",
            "id = 1",
            "[[server]]",
            "port = 80",
            "[[server.real]]",
            "port = 81",
            "[[router]]",
            "id = 2",
            "addresses = [",
            '  "192.0.2.1",  # the first, ]',
            "",
            '  { address = "192.0.2.2", dev = "eth1" },',
            "]",
            "[[server]]",
            "[[server.real]]",
            "[server.real.check]",
            "type.name = 'TCP'",
        ]
    )
    lines = lines_of(text)
    assert lines["router",] == lines["router", 0] == 1
    assert lines["router", 1] == 7
    assert lines["router", 1, "id"] == 8
    assert lines["router", 1, "addresses"] == 9
    assert lines["router", 1, "addresses", 0] == 10
    assert lines["router", 1, "addresses", 1, "dev"] == 12
    assert lines["server", 0, "real", 0, "port"] == 6
    assert lines["server", 1] == 14
    assert lines["server", 1, "real", 0] == 15
    assert lines["server", 1, "real", 0, "check"] == 16
    assert lines["server", 1, "real", 0, "check", "type", "name"] == 17


@pytest.mark.parametrize(
    "value",
    [
        '""""quoted" and "quoted""""',
        "''''quoted' and 'quoted''''",
        '"""\\"""\\""""',
        '"a # \\" ] b"',
        "'C:\\'",
        '"""\nx = 1\n[table]\n"""',
        "1979-05-27 07:32:00Z",
        "[[1, 2], [ [], {} ]]",
        '{ "a b".c = [\n1 ], d = "}" }',
    ],
)
def test_a_value_ends_where_it_ends(value: str) -> None:
    text = f"before = {value} # comment\nafter = 1"
    assert tomllib.loads(text)["after"] == 1
    assert lines_of(text)["after",] == text.count("\n") + 1
