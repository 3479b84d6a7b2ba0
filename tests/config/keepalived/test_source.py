"""The lines that keepalived reads: comments, quotes, conditions, definitions, files that are included, blocks."""

import contextlib
from pathlib import Path

import pytest

from tests.config.keepalived.files import FILE, GLOBAL, instance, read, said
from vrrpd.config.keepalived.reading import read_keepalived
from vrrpd.config.keepalived.source import Source
from vrrpd.config.keepalived.statements import Statement, statements_of
from vrrpd.config.load import load
from vrrpd.config.problems import ConfigError, Problem


def lines(text: str, config_id: str = "here") -> list[str]:
    problems: list[Problem] = []
    found = [line.text for line in Source(problems, config_id).lines(text, FILE)]
    assert problems == []
    return found


def statements(text: str) -> list[Statement]:
    problems: list[Problem] = []
    found = statements_of(Source(problems, "here").lines(text, FILE), problems)
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("! all\n# all\n  word value # rest\nother!rest", ["word value", "other"]),
        ('word "a # b ! c" # rest', ['word "a # b ! c"']),
        (r"word a\#b \! c", ["word a#b ! c"]),
        ("\r\n \t word \r\n", ["word"]),
        ("@here a\n@there b\n@^here c\n@^there d", ["a", "d"]),
        ("@here @there a\n@here @^there b", ["b"]),
        ("$A=1\n$B=${A}2\nword $B ${A}x $A", ["word 12 1x 1"]),
        ("$A=${B}\n$B=1\nx $A\n$B=2\nx $A", ["x 1", "x 2"]),
        ("word $UNKNOWN ${UNKNOWN} $1 $", ["word $UNKNOWN ${UNKNOWN} $1 $"]),
        ("$E=\nword $E end", ["word  end"]),
        ("@there $P=1\n@here $P=2\npriority $P", ["priority 2"]),
        ("$C=@here\n$C a\n$D=@there\n$D b", ["a"]),
        ("$I= \\\na ${N} { \\\n  b \\ \n}\nc\n$N=1\n$I\n$N=2\n$I", ["c", "a 1 {", "b", "}", "a 2 {", "b", "}"]),
        ("$R= \\\nr $K \\\ns\n$V= \\\n$K=1 \\\n$R \\\n$K=2 \\\n$R\n$V", ["r 1", "s", "r 2", "s"]),
        ("a ${_HASH}1 ${_BANG} ${_INSTANCE}", ["a #1 ! here"]),
    ],
)
def test_what_is_left_of_the_lines(text: str, kept: list[str]) -> None:
    assert lines(text) == kept


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ('word "a', 1, "a quote is not closed"),
        ("$A=x${A}\n\nword $A", 3, "a definition uses itself"),
        ("$A=${A}${A}\nword ${A}", 2, "a definition uses itself"),
        (
            "$A=xxxxxxxxxx${A}yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n$A",
            2,
            "a definition uses itself",
        ),
        ("$A= \\\nx \\\n$A\n$A", 4, "files or definitions go round in a circle"),
        ("~SEQ(V, 1, 3) 192.0.2.$V", 1, "vrrpd does not repeat lines"),
        ("~LST(V, 1, 3) 192.0.2.$V", 1, "vrrpd does not repeat lines"),
        ("x ${_RANDOM 1 5}", 1, "it is another number at each reading"),
        ("include nothing.conf", 1, 'there is no file "nothing.conf"'),
        ("includer nothing*", 1, 'there is no file "nothing*"'),
        ("include {a,b}", 1, "braces are not expanded"),
        ("include a\0b", 1, 'there is no file "a\\x00b"'),
    ],
)
def test_what_is_wrong_is_told_by_the_line(text: str, line: int, wrong: str) -> None:
    problems: list[Problem] = []
    with contextlib.suppress(ConfigError):  # nothing to go on with
        list(Source(problems, "here").lines(text, FILE))
    assert [(problem.line, problem.wrong) for problem in problems] == [(line, wrong)]


def test_definitions_that_grow_beyond_all_bounds() -> None:
    doubling = "".join(f"$A{i}= \\\n$A{i + 1} \\\n$A{i + 1}\n" for i in range(30)) + "$A30=word\n$A0"
    problems: list[Problem] = []
    with pytest.raises(ConfigError):
        list(Source(problems, "here").lines(doubling, FILE))
    assert "lines" in problems[-1].wrong


def test_blocks_begin_and_end_anywhere() -> None:
    (outer,) = statements('outer "a b"\n{\nx 1\n\n  y { z 2 } v\n}')
    assert (outer.word, outer.values, outer.place.line) == ("outer", ["a b"], 1)
    assert outer.block
    assert [(each.words, each.place.line) for each in outer.block] == [(["x", "1"], 3), (["y"], 5), (["v"], 5)]
    assert [each.words for each in outer.block[1].block or []] == [["z", "2"]]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a {\nb {\nc\n", [(1, "a", "its block is not closed"), (2, "b", "its block is not closed")]),
        ("a\n}\n", [(2, "}", "there is no { before it that it could close")]),
        ("{\n}\n", [(1, "{", "there is no word before it that it could belong to")]),
        ("a { } {\n}\n", [(1, "{", "there is no word before it that it could belong to")]),
        ("a {\n" * 20, [(17, "a", "blocks are nested too deeply")]),
    ],
)
def test_braces_that_are_not_in_pairs(text: str, problems: list[tuple[int, str, str]]) -> None:
    found: list[Problem] = []
    statements_of(Source(found, "here").lines(text, FILE), found)
    assert [(problem.line, problem.key, problem.wrong) for problem in found] == problems


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (r'x "/a b" root', ["/a b", "root"]),
        (r'x "/a \"b\" \\ c"', ['/a "b" \\ c']),
        (r"x '/a { b' c", ["/a { b", "c"]),
        (r'x "a\x41\101\cA\tb"', ["aAA\x01\tb"]),
        (r'x a" b "c', ["a b c"]),
        ('x ""', [""]),
    ],
)
def test_escapes(text: str, values: list[str]) -> None:
    (statement,) = statements(text)
    assert statement.escaped_values() == values


def test_files_are_included_beside_the_one_that_includes_them(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text(instance("priority 300", head=""))
    (tmp_path / "conf.d" / "a.conf").write_text("include ../global.conf\n")
    (tmp_path / "conf.d" / "directory.conf").mkdir()
    (tmp_path / "global.conf").write_text(GLOBAL)
    main = tmp_path / "keepalived.conf"
    main.write_text("# all\ninclude conf.d/*.conf\ninclude nothing/*.conf\n")
    with pytest.raises(ConfigError) as caught:
        load(main)
    assert str(caught.value) == f"{tmp_path}/conf.d/b.conf:5: priority: 300 is out of range; use 1-255"
    (tmp_path / "conf.d" / "b.conf").write_text(instance("priority 200", "notify ${_PWD}/notify", head=""))
    config = load(main)
    assert [(each.priority, each.notify) for each in config.instances] == [(200, (f"{tmp_path}/conf.d/notify",))]


def test_a_file_that_keepalived_would_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text(instance(head=""))
    (tmp_path / "other.conf").chmod(0o755)
    main = tmp_path / "keepalived.conf"
    main.write_text(GLOBAL + "include other.conf\n")
    with pytest.raises(
        ConfigError, match=f":4: include: keepalived skips {tmp_path}/other.conf, which may be executed"
    ):
        load(main)


def test_what_is_in_use_already_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text(instance(head=""))
    main = tmp_path / "keepalived.conf"
    main.write_text(GLOBAL + "include other.conf\ninclude other.conf\n")
    with pytest.raises(ConfigError, match=f"VI_1.* is in use already \\({tmp_path}/other.conf:1\\)"):
        load(main)


def test_files_that_include_each_other(tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(f"include {file}\ninclude {file.name}\n")
    with pytest.raises(ConfigError, match="files or definitions go round in a circle"):
        load(file)


def test_a_condition_is_for_this_host_unless_an_id_is_named() -> None:
    text = instance("@one priority 150", "@two priority 50")
    assert [read_keepalived(text, FILE, name).config.instances[0].priority for name in ("one", "two", "three")] == [
        150,
        50,
        100,
    ]


def test_an_id_that_nothing_is_for_is_told() -> None:
    text = instance("@one priority 150", "@two priority 50")
    assert list(map(str, read_keepalived(text, FILE, "three").remarks)) == [
        "keepalived.conf:8: @three: no line is for it: vrrpd import --config-id names another, as keepalived -i does"
    ]
    assert read_keepalived(text, FILE, "two").remarks == ()
    assert read_keepalived(instance("@^two priority 150"), FILE, "two").remarks == ()


def test_bytes_that_are_no_text_do_no_harm_in_comments(tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_bytes(b"! Z\xfcrich\n" + instance().encode())
    assert load(file) == read(instance()).config
    file.write_bytes(instance().replace("VI_1", "VI_\udcfc").encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r':4: vrrp_instance: "VI_\\udcfc" contains characters'):
        load(file)


def test_all_that_is_wrong_is_told_at_once_and_in_order() -> None:
    text = instance("priority 300", "advert_itn 1", "use_vmac", "garp_master_delay x", head="global_defs {\n x\n}\n")
    assert [problem.partition(";")[0] for problem in said(text)] == [
        "keepalived.conf:2: x: it is not a known word of global_defs",
        "keepalived.conf:8: priority: 300 is out of range",
        "keepalived.conf:9: advert_itn: it is not a known word of vrrp_instance",
        "keepalived.conf:10: use_vmac: vrrpd has no virtual MAC: adverts and addresses come from the interface's own",
        'keepalived.conf:11: garp_master_delay: "x" is not a number',
    ]
    assert said(text)[2].endswith("did you mean advert_int?")
    assert said(instance(head="global_defs {\npriority 5\n}\n")) == [
        "keepalived.conf:2: priority: it is not a known word of global_defs; it is one of vrrp_instance: move it there"
    ]
