"""What is said of a file that is wrong as a whole: instances beside each other, syntax, reading it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.samples import ADD_INSTANCE, BASE, problems_of, said
from vrrpd.config.load import load
from vrrpd.config.problems import ConfigError, Problem


def second_instance(**changes: str) -> str:
    keys = {
        "name": '"VI_2"',
        "interface": '"eth0"',
        "virtual_router_id": "52",
        "virtual_ipaddress": '[\n"192.0.2.200/24"]',
        **changes,
    }
    return BASE + "[[vrrp_instance]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


@pytest.mark.parametrize(
    ("key", "value", "line", "wrong", "remedy"),
    [
        ("name", '"VI_1"', 9, '"VI_1" is in use already (line 4)', "use another name"),
        (
            "virtual_router_id",
            "51",
            11,
            "51 for IPv4 on eth0 is in use already (line 6)",
            "use another virtual_router_id, or make one instance of both",
        ),
        (
            "virtual_ipaddress[0]",
            '[\n"192.0.2.100/32"]',
            13,
            "192.0.2.100 on eth0 is in use already (line 7)",
            "remove it from one instance",
        ),
    ],
)
def test_what_two_instances_must_not_share(key: str, value: str, line: int, wrong: str, remedy: str) -> None:
    text = second_instance(**{key.removesuffix("[0]"): value})
    assert problems_of(text) == (Problem("vrrpd.toml", line, f"vrrp_instance[1].{key}", wrong, remedy),)


def test_an_instance_with_errors_is_compared_all_the_same() -> None:
    errors = said(second_instance(name='"VI_1"', interface='"eth0"', virtual_router_id='"52"'))
    assert [error.split(": ")[1] for error in errors] == ["vrrp_instance[1].name", "vrrp_instance[1].virtual_router_id"]


def test_instances_without_a_good_interface_are_not_said_to_share_one() -> None:
    text = second_instance(interface='""', virtual_ipaddress='["192.0.2.100"]').replace('"eth0"', "1")
    assert [problem.key for problem in problems_of(text)] == [
        "vrrp_instance[0].interface",
        "vrrp_instance[1].interface",
    ]


def test_all_errors_are_told_at_once_in_the_order_of_the_file() -> None:
    text = second_instance(priority="0", advert_int="41", virtual_router_id="0").replace('"/run/vrrpd/', '"')
    assert [(problem.line, problem.key) for problem in problems_of(text)] == [
        (1, "control_socket"),
        (11, "vrrp_instance[1].virtual_router_id"),
        (14, "vrrp_instance[1].priority"),
        (15, "vrrp_instance[1].advert_int"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "key", "wrong", "remedy"),
    [
        ("", 1, "", "the file has no keys", ADD_INSTANCE),
        ("# nothing\n", 1, "", "the file has no keys", ADD_INSTANCE),
        ('control_socket = "/run/a"', 1, "vrrp_instance", "there is no instance", ADD_INSTANCE),
        ("\nvrrp_instance = []", 2, "vrrp_instance", "there is no instance", ADD_INSTANCE),
        (
            '\n[vrrp_instance.VI_1]\ninterface = "eth0"',
            2,
            "vrrp_instance",
            "it is a single table",
            "write [[vrrp_instance]], with two brackets, for each",
        ),
        ("vrrp_instance = 1", 1, "vrrp_instance", "1 is not a table", "write [[vrrp_instance]] and its keys below it"),
        (
            "vrrp_instance = [\n1]",
            2,
            "vrrp_instance[0]",
            "1 is not a table",
            "write [[vrrp_instance]] and its keys below it",
        ),
    ],
)
def test_a_file_without_instances(text: str, line: int, key: str, wrong: str, remedy: str) -> None:
    assert problems_of(text) == (Problem("vrrpd.toml", line, key, wrong, remedy),)


def test_what_the_parser_itself_cannot_stand() -> None:
    assert said("a = " + "[" * 5000 + "]" * 5000) == [
        "vrrpd.toml:1: arrays or tables are nested too deeply; write them flat"
    ]
    (problem,) = problems_of("a = " + "9" * 5000)
    assert problem.wrong.startswith("it is not TOML: Exceeds the limit")
    assert problem.remedy == "write a smaller number"


def test_deep_nesting_that_the_parser_stands_is_reported() -> None:
    (problem,) = problems_of(f"{BASE}priority = {'[' * 400}{']' * 400}")
    assert (problem.line, problem.wrong) == (8, "a list is not a whole number")


def not_utf8(directory: Path) -> Path:
    file = directory / "latin1.toml"
    file.write_bytes("# first\n# Büro\n".encode("latin-1"))
    return file


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda d: d / "none.toml", "{}: there is no such file; create it, or name another with -c FILE"),
        (lambda d: d, "{}: it is a directory; name a file in it with -c FILE"),
        (not_utf8, "{}:2: it is not UTF-8: byte 0xfc; save it as UTF-8"),
        (lambda d: d / "a\0b", "{}: it cannot be read: embedded null byte; name another with -c FILE"),
        (lambda d: d / ("a" * 300), "{}: it cannot be read: File name too long; name another with -c FILE"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], Path], expected: str) -> None:
    file = make(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value) == expected.format(file)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: it may not be read; run as root, or change its mode"


def test_a_file_that_has_no_end() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Path("/dev/zero"))
    assert str(caught.value) == "/dev/zero: it has more than 16 MiB; name a configuration with -c FILE"


def test_a_single_table_is_checked_all_the_same() -> None:
    assert said(BASE.replace("[[vrrp_instance]]", "[vrrp_instance]").replace("51", "0")) == [
        "vrrpd.toml:3: vrrp_instance: it is a single table; write [[vrrp_instance]], with two brackets, for each",
        "vrrpd.toml:6: vrrp_instance.virtual_router_id: 0 is out of range; use 1-255",
    ]
