"""Descriptions of speakers that are not known here, and the program's own words."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.failover.__main__ import main
from benchmarks.failover.load import parse
from benchmarks.failover.speakers import SpeakerError, described, find

UCARP = Path(__file__).parent.parent.parent / "benchmarks" / "failover" / "ucarp.toml"


def test_the_example_is_a_speaker() -> None:
    speaker = described(UCARP)
    assert (speaker.name, speaker.carp, speaker.families, speaker.can_reload) == ("ucarp", True, (4,), False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "Invalid value"),
        ('name = "x"', "missing required field `start`"),
        ('name = "x"\nstart = ["x"]\nstrat = 1', "unknown field `strat`"),
        ('name = "x"\nstart = "x"', "Expected `array`"),
        ('name = "x"\nstart = []', "start is empty"),
        ('name = "x"\nstart = ["x", "$nothing"]', r"\$nothing is not known"),
        ('name = "x"\nstart = ["x", "$"]', r"write \$\$ for a dollar sign"),
        ('name = "x"\nstart = ["x"]\nstop_signal = "STOPP"', '"STOPP" is no signal'),
        ('name = "x"\nstart = ["x"]\nprotocol = "hsrp"', 'protocol is "hsrp"'),
    ],
)
def test_a_wrong_description_is_told_with_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpeakerError, match=complaint) as caught:
        described(path)
    assert str(path) in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'name = "x"\nstart = ["x"]\nneeds = { nonexistent = "build it" }', encoding="utf-8"
    )
    with pytest.raises(SpeakerError) as caught:
        find(["quagga", str(tmp_path / "x.toml"), str(tmp_path / "y.toml"), "vrrpd", "vrrpd"])
    for complaint in (
        "quagga is no speaker",
        "nonexistent is missing: build it",
        "No such file",
        "vrrpd is named twice",
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
