"""Descriptions of speakers that are not known here, and the program's own words."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.failover.__main__ import main
from benchmarks.failover.load import LoadError, parse
from benchmarks.failover.speakers import SpeakerError, choose, described

UCARP = Path(__file__).parent.parent.parent / "benchmarks" / "failover" / "ucarp.toml"


def test_the_example_is_a_speaker() -> None:
    speaker = described(UCARP)
    assert (speaker.name, speaker.carp, speaker.families, speaker.can_reload) == ("ucarp", True, (4,), False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"', "start is missing; it is the command line"),
        ('name = "x"\nstart = ["x"]\nstrat = 1', "strat is no key; name, start, needs"),
        ('name = "x"\nstart = "x"', "start is wrong: Expected `array`, got `str`; it is the command line"),
        ('name = "x"\nstart = []', r"start is \[\]; it is the command line"),
        ('name = "a/b"\nstart = ["x"]', 'name is "a/b"; it is a word of'),
        ('name = "x"\nstart = ["x", "$nothing"]', r"start: \$nothing is not known"),
        ('name = "x"\nstart = ["x", "$"]', r"start: .* write \$\$ for a dollar sign"),
        ('name = "x"\nstart = ["x"]\nfiles = { "a" = "$b" }', r"files\.a: \$b is not known"),
        ('name = "x"\nstart = ["x"]\nfiles = { "../a" = "" }', r'files is \{"\.\./a": ""\}; it is a table'),
        ('name = "x"\nstart = ["x"]\nstop_signal = "STOPP"', 'stop_signal is "STOPP"; it is TERM, HUP'),
        ('name = "x"\nstart = ["x"]\nprotocol = "hsrp"', 'protocol is "hsrp"; it is "vrrp" or "carp"'),
        ('name = "x"\nstart = ["x"]\nfamilies = [4, 5]', r"families is \[4, 5\]; it is of 4 and 6"),
        ('name = "x"\nstart = ["x"]\nversion = []', r"version is \[\]; it is a command line"),
        ('name = "x"\nstart = ["x"]\nintervals_until_dead = -3', "intervals_until_dead is -3; it is a number above 0"),
        ('name = "x"\nstart = ["x"]\nneeds = { y = 3 }', "needs is wrong: Expected `str`, got `int`.*apt-get"),
    ],
)
def test_a_wrong_description_is_told_with_its_file_key_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpeakerError, match=complaint) as caught:
        described(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_with_a_description_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'name = ""\nstart = 3\nstop_signal = "X"\nfamilies = "4"\nbogus = 1\nfiles = { a = "$b", c = 3 }',
        encoding="utf-8",
    )
    with pytest.raises(SpeakerError) as caught:
        described(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    for key in ("name", "start", "stop_signal", "families", "bogus", "files", "files.a:"):
        assert any(line.startswith(f"{path}: {key} ") for line in lines), key


def test_a_version_that_is_not_told_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "x"\nstart = ["x"]\nversion = ["/nonexistent"]', encoding="utf-8")
    assert described(path).version() == ""


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'name = "x"\nstart = ["x"]\nneeds = { nonexistent = "build it" }', encoding="utf-8"
    )
    with pytest.raises(SpeakerError) as caught:
        choose(["quagga", str(tmp_path / "x.toml"), str(tmp_path / "y.toml"), "vrrpd", "vrrpd"], "frr")
    for complaint in (
        "quagga is no speaker",
        "nonexistent is missing: build it",
        "No such file",
        "vrrpd is named twice",
        "the baseline frr is none of the speakers",
    ):
        assert complaint in str(caught.value)


@pytest.mark.parametrize("text", ["", "disk", "loss", "loss=101", "loss=0", "delay=-1"])
def test_a_wrong_load_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no load"):
        parse(text)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--advert", "0.001"), "is not 0.01-40.95 seconds"),
        (("--advert", "1,soon"), "is not 0.01-40.95 seconds"),
        (("--fault", "stop,fire"), "'fire' is no fault"),
        (("--probe", "sctp"), "is no kind of probe"),
        (("--runs", "0"), "is not 1-1000"),
        (("--routers", "1"), "is not 2-98"),
        (("--advert", ","), "'' is not 0.01-40.95 seconds"),
        (("--noise-limit", "nan"), "is not a number of milliseconds above 0"),
        (("--scale", "huge"), "is not quick or full"),
        (("--family", "5"), "is not 4 or 6"),
        (("--bogus",), "--bogus is no option"),
        (("--load", "loss=200"), "is no load"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(
    arguments: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_all_words_that_are_wrong_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--speaker quagga --advert soon --fault fire --runs 0 --probe sctp --load loss=200 --family 5 --bogus"
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    said = capsys.readouterr().err
    for word in ("quagga", "--advert: ", "--fault: ", "--runs: ", "--probe: ", "--load: ", "--family: ", "--bogus"):
        assert f"benchmarks.failover: {word}" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--speaker", "quagga"), "quagga is no speaker"),
        (("--speaker", "vrrpd", "--baseline", "frr"), "the baseline frr is none of the speakers"),
        (("--report", "/nonexistent"), "No such file"),
    ],
)
def test_what_cannot_be_done_is_told_without_a_traceback(
    arguments: Sequence[str], complaint: str, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "benchmarks.failover", "--out", str(tmp_path), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_busy_loops_are_there_while_they_are_asked_for_and_gone_then() -> None:
    before = multiprocessing.active_children()
    with parse("cpu").applied():
        assert len(multiprocessing.active_children()) == len(before) + 2 * len(os.sched_getaffinity(0))
    assert multiprocessing.active_children() == before


def test_a_burden_that_ends_before_its_time_is_told() -> None:
    def lose_one() -> None:
        with parse("cpu").applied():
            first = multiprocessing.active_children()[0]
            first.kill()
            first.join()

    with pytest.raises(LoadError, match="SIGKILL, as where memory is short"):
        lose_one()
