"""The harness measures a speaker whose outage is known."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from benchmarks.failover.arena import Arena
from benchmarks.failover.faults import FAULTS
from benchmarks.failover.load import parse
from benchmarks.failover.measure import NOISE_LIMIT, measure
from benchmarks.failover.results import NAME, RUNS, Results, load
from benchmarks.failover.setting import Setting
from benchmarks.failover.speakers import choose
from tests.peers import DEADLINE, eventually
from vrrpd.lan.capture import Capture
from vrrpd.sniff.files import read
from vrrpd.sniff.packets import Heard, understand

pytestmark = pytest.mark.bench

UCARP = Path(__file__).parent.parent.parent / "benchmarks" / "failover" / "ucarp.toml"
TAKEOVER_AFTER = 0.15
ADVERT_INT = 0.05
SKEW_MS = 156 / 256 * ADVERT_INT * 1e3


def describe(directory: Path, takeover_after: float = TAKEOVER_AFTER, patience: float = 0.0) -> Path:
    """The fake speaker as a user would describe it."""
    path = directory / "fake.toml"
    arguments = ["$interface", "$source", "$address", "$priority", "$advert_int", str(takeover_after), str(patience)]
    command = [sys.executable, "-m", "tests.benchmarks.fake_speaker", *arguments, "$directory/journal"]
    version = ["echo", "fake version v1.2.3, and more"]
    path.write_text(f'name = "fake"\nfamilies = [4]\nversion = {json.dumps(version)}\nstart = {json.dumps(command)}\n')
    return path


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return describe(tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="module")
def arena(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    (speaker,) = choose([str(description)], None)[0]
    with Arena(speaker, Setting(advert_int=ADVERT_INT), tmp_path_factory.mktemp("arena")) as made:
        yield made


class Change(NamedTuple):
    """The address came to a router or went, at some moment between these."""

    what: str
    before: float
    after: float


def journal(arena: Arena, number: int) -> list[Change]:
    lines = (arena.routers[number].directory / "journal").read_text(encoding="ascii").splitlines()
    return [Change(what, float(before), float(after)) for what, before, after in map(str.split, lines)]


def true_outage(arena: Arena) -> tuple[float, float]:
    """Of the last stop, in ms: at least, at most; they differ where this machine kept the routers from running."""
    gone = [one for one in journal(arena, 0) if one.what == "gone"][-1]
    come = next(one for one in journal(arena, 1) if one.what == "come" and one.before > gone.before)
    return (come.before - gone.after) * 1e3, (come.after - gone.before) * 1e3


def test_a_known_outage_is_measured_right_within_2_ms(arena: Arena) -> None:
    run = measure(arena, FAULTS["stop"], 0)
    least, most = true_outage(arena)
    assert least >= TAKEOVER_AFTER * 1e3
    for name in ("icmp", "udp", "connect"):
        seen = run.during[name]
        # Where this machine kept the prober from sending, the run knows by how much, and claims no more.
        unknown = max(0.0, seen.resolution_ms - 2)
        assert least - 2 - unknown <= seen.outage_ms <= most + 2 + unknown, (name, seen, least, most)
        assert least / 2 <= seen.lost <= most + 2 + unknown
    assert run.during["flow"].outage_ms >= least - 2
    assert run.during["flow"].connections == 2, "the other router knows nothing of the connection"
    assert run.successor == "r2"
    assert run.detection_ms is not None
    assert TAKEOVER_AFTER * 1e3 - 1 <= run.detection_ms <= most + 2
    assert run.bound_ms == pytest.approx(SKEW_MS, abs=0.001)
    assert run.announced_ms is not None
    assert 0 < run.announced_ms <= most
    assert (run.flaps, run.restored) == (0, True)
    assert run.timeline is not None
    long = [one.answered_by for one in run.timeline.segments["icmp"] if one.end_ms - one.start_ms > 50]
    assert long == ["r1", None, "r2"]


def test_a_silent_master_is_detected_when_its_time_is_over(arena: Arena) -> None:
    run = measure(arena, FAULTS["silent"], 0)
    assert run.bound_ms == pytest.approx(3 * ADVERT_INT * 1e3 + SKEW_MS, abs=0.001)
    assert run.detection_ms is not None
    assert run.excess_ms is not None
    assert run.excess_ms >= 0, "no timer runs out early"
    assert run.during["icmp"].outage_ms > 3 * ADVERT_INT * 1e3 + SKEW_MS - 2 * ADVERT_INT * 1e3


def test_a_takeover_and_a_stream_are_waited_for_though_pings_are_answered(tmp_path: Path) -> None:
    (slow,) = choose([str(describe(tmp_path, takeover_after=1.2, patience=1.0))], None)[0]
    with Arena(slow, Setting(advert_int=ADVERT_INT, probes=("icmp", "flow")), tmp_path) as there:
        frozen = measure(there, FAULTS["freeze"], 0)
        assert frozen.successor == "r2"
        assert frozen.detection_ms is not None
        assert frozen.detection_ms >= 1e3 + 3 * ADVERT_INT * 1e3 + SKEW_MS
        assert frozen.during["icmp"].outage_ms == 0, "the kernel of a frozen speaker answers"
        stopped = measure(there, FAULTS["stop"], 1)
        stream = stopped.during["flow"]
        assert stream.outage_ms >= stopped.during["icmp"].outage_ms >= 1.2e3
        assert stream.connections == 2, "TCP repeats ever more seldom; the end of its silence is seen all the same"
        assert stopped.back["flow"].lost < stopped.back["flow"].probes / 2


def test_a_pause_of_the_prober_makes_a_run_noisy(arena: Arena) -> None:
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(0.3):
            arena.probers["icmp"].pause()
            time.sleep(5 * NOISE_LIMIT)
            arena.probers["icmp"].resume()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        run = measure(arena, FAULTS["stop"], 1)
    finally:
        over.set()
        disturbing.join()
    assert run.noisy
    assert run.noise_ms >= 4 * NOISE_LIMIT * 1e3


def test_so_does_one_while_the_fault_is_undone(arena: Arena) -> None:
    def start_and_disturb(there: Arena) -> None:
        there.best.start()
        there.probers["udp"].pause()
        time.sleep(5 * NOISE_LIMIT)
        there.probers["udp"].resume()

    run = measure(arena, replace(FAULTS["stop"], undo=start_and_disturb), 1)
    assert run.noisy
    assert run.noise_ms >= 4 * NOISE_LIMIT * 1e3


def test_a_loss_of_adverts_is_a_loss_at_every_receiver(arena: Arena) -> None:
    """The last of this arena: its routers do not hear each other any more."""
    parse("loss=100").burden(arena)
    second = arena.routers[1]
    with Capture(arena.lan) as capture:
        eventually(lambda: arena.adverts(capture).last_of_others("r1"), f"{second.host.name} hears nobody")


@pytest.mark.lan
def test_the_example_of_another_speaker_elects_a_master_that_serves(tmp_path: Path) -> None:
    (ucarp,) = choose([str(UCARP)], None)[0]
    with Arena(ucarp, Setting(advert_int=1, probes=("icmp",)), tmp_path) as there:
        there.wake()
        with Capture(there.lan) as capture:
            eventually(lambda: there.adverts(capture).masterships, "an advert")
            assert {one.router for one in there.adverts(capture).masterships} == {"r1"}
        assert there.served_by() == "r1"


def program(description: Path, out: Path, *more: str, place: Path | None = None) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "benchmarks.failover", "--speaker", str(description), "--advert", str(ADVERT_INT)]
    argv += ["--fault", "stop", "--runs", "2", "--probe", "icmp", "--noise-limit", "1000", "--out", str(out), *more]
    environment = os.environ | ({"TMPDIR": str(place)} if place else {})
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.lan
def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest_also_beside_a_speaker_that_does_not_run(
    description: Path, tmp_path: Path
) -> None:
    broken, out_directory = tmp_path / "broken.toml", tmp_path / "out"
    broken.write_text('name = "broken"\nstart = ["sh", "-c", "echo no such option; exit 3"]\n', encoding="utf-8")
    with program(description, out_directory) as first:
        assert first.stderr is not None
        assert "1 of 2 runs" in first.stderr.readline()
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=DEADLINE)
        assert first.returncode == 128 + signal.SIGINT, err
    assert "| stop" in out, "what is done is shown"
    kept = load(out_directory)
    assert (kept.versions, kept.baseline) == ({"fake": "1.2.3"}, "fake")
    assert len(kept.runs) == 1
    with program(description, out_directory) as refused:
        assert "has results already: --resume goes on" in refused.communicate(timeout=DEADLINE)[1]
        assert refused.returncode == 2
    with program(description, out_directory, "--resume", "--captures", "--speaker", str(broken)) as second:
        _, err = second.communicate(timeout=60)
        assert second.returncode == 1, err
    note = "any fault at 0.05 s: broken: it has ended at once; its log ends with: no such option"
    assert f"not measured: {note}" in err
    assert note in (out_directory / "report.html").read_text(encoding="utf-8")
    found: Results = load(out_directory)
    assert [run.number for run in found.runs] == [0, 1]
    assert found.runs[: len(kept.runs)] == kept.runs
    assert {path.name for path in out_directory.iterdir()} == {
        NAME,
        "report.html",
        "report.md",
        "cells.csv",
        "captures",
    }
    assert not (out_directory / RUNS).exists()
    (pcap,) = (out_directory / "captures").iterdir()
    assert pcap.name == "fake-0.05-stop-1.pcap"
    heard = [outcome for each in read(str(pcap)) if isinstance(outcome := understand(each), Heard)]
    assert {one.priority for one in heard} == {200, 0, 100}


@pytest.mark.lan
def test_a_speaker_that_does_not_stop_or_is_not_there_costs_nobody_else_a_run(
    description: Path, tmp_path: Path
) -> None:
    command = json.loads(description.read_text(encoding="utf-8").rpartition("start = ")[2])
    stubborn = (
        "trap '' TERM\n"
        + " ".join(command).replace(f"{TAKEOVER_AFTER}", "0.1")
        + " &\nwhile :; do wait; sleep 0.2; done\n"
    )
    (tmp_path / "stubborn.toml").write_text(
        'name = "stubborn"\nfamilies = [4]\nstart = ["sh", "$directory/run"]\n'
        f"files = {{ run = {json.dumps(stubborn)} }}\n",
        encoding="utf-8",
    )
    (tmp_path / "absent.toml").write_text('name = "absent"\nstart = ["/nonexistent"]\n', encoding="utf-8")
    others = [word for name in ("absent", "stubborn") for word in ("--speaker", str(tmp_path / f"{name}.toml"))]
    with program(description, tmp_path / "out", *others, "--runs", "1", "--fault", "stop,reload,freeze") as done:
        _, err = done.communicate(timeout=150)
    assert done.returncode == 1, err
    found = load(tmp_path / "out")
    assert {(one.speaker, one.fault) for one in found.runs} == {
        ("fake", "stop"),
        ("fake", "freeze"),
        ("stubborn", "freeze"),
    }
    notes = "\n".join(found.not_measured)
    assert "stop at 0.05 s: stubborn: stubborn did not stop in 15 s" in notes
    assert "any fault at 0.05 s: absent: [Errno 2] No such file or directory: '/nonexistent'" in notes


@pytest.mark.lan
def test_nothing_is_left_of_a_campaign_that_is_killed(description: Path, tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    with program(description, tmp_path / "out", "--load", "cpu", "--runs", "1", place=place) as killed:
        assert killed.stderr is not None
        assert "1 of 2 runs" in killed.stderr.readline()
        eventually(lambda: len(list(place.iterdir())) == 2, "the second leg")
        killed.kill()
    ours = str(tmp_path).encode()

    def left() -> list[Path]:
        found = list(place.iterdir())
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                found += [path] if ours in path.read_bytes() else []
        return found

    eventually(lambda: not left(), "the end of all of it")


@pytest.mark.lan
def test_a_router_that_was_master_is_known_again_whatever_its_successor_advertises(tmp_path: Path) -> None:
    """FRR's masters advertise themselves as IPv6 routers, with a hop limit."""
    (frr,) = choose(["frr"], None)[0]
    with Arena(frr, Setting(family=6, probes=("icmp",)), tmp_path) as there:
        run = measure(there, FAULTS["stop"], 0)
        assert there.served_by() == "r1"
    assert run.successor == "r2"
