"""A long run of random episodes, the same each time, and the way from a failure to its shortest history."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from msgspec.structs import replace

from tests.simulation.broken_routers import Shy
from tests.simulation.episodes import (
    Episode,
    Fault,
    Mishap,
    Outcome,
    failure,
    random_episode,
    run,
    shortest,
)
from tests.simulation.soak import Tally, describe, main, play, soak

FIRST_SEED = 9568


def test_some_thousand_episodes_converge_within_the_bound() -> None:
    tally = play(range(FIRST_SEED, FIRST_SEED + 6000))
    assert not tally.failed, describe(tally.failed)
    assert tally.episodes == 6000
    assert 0.9 < tally.worst_share <= 1  # the bound is reached: a loose one would prove little


def test_one_seed_is_one_run() -> None:
    outcomes = [run(random_episode(FIRST_SEED)) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], Outcome)


def test_the_batches_of_a_soak_add_up() -> None:
    *_, tally = soak(episodes=510, seed=FIRST_SEED, jobs=2)
    alone = play(range(FIRST_SEED, FIRST_SEED + 510))
    assert (tally.episodes, tally.worst_share, tally.worst_seed) == (510, alone.worst_share, alone.worst_seed)
    assert (tally.faults, tally.failed) == (alone.faults, None)
    assert tally.router_centiseconds == pytest.approx(alone.router_centiseconds)


def test_a_soak_says_what_it_did(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "--episodes", "10", "--seed", "9568", "--jobs", "1"])
    assert main() == 0
    assert re.fullmatch(
        r"10 fault episodes with \d+ faults, \d+\.\d router-hours, worst convergence 0\.\d{3} of the bound "
        r"\(seed 95\d\d\)\nseed 9568, \d+ s on 1 cores\n",
        capsys.readouterr().out,
    )


def test_a_failed_soak_prints_the_shortest_history(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "--episodes", "10", "--seed", "9568", "--jobs", "1"])
    monkeypatch.setattr("tests.simulation.soak.run", partial(run, router=Shy))
    monkeypatch.setattr("tests.simulation.soak.failure", partial(failure, router=Shy))
    assert main() == 1
    out = capsys.readouterr().out
    assert "FAILED\nseed 95" in out
    assert "one master: of [" in out


def test_a_soak_that_is_interrupted_says_what_it_did(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: int) -> Iterator[Tally]:
        yield Tally(episodes=7)
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["soak"])
    monkeypatch.setattr("tests.simulation.soak.soak", interrupted)
    assert main() == 130
    printed = capsys.readouterr()
    assert printed.out.startswith("7 fault episodes ")
    assert printed.err == "interrupted; 100000 were wanted\n"


def test_a_failure_is_shrunk_to_the_mishaps_that_matter() -> None:
    history = tuple(Mishap(float(place), Fault.LINK_DOWN, 0, value=place) for place in range(20))
    episode = replace(random_episode(FIRST_SEED), history=history)

    def fails(candidate: Episode) -> bool:
        return {3, 11, 17} <= {mishap.value for mishap in candidate.history}

    assert [mishap.value for mishap in shortest(episode, fails).history] == [3, 11, 17]
    assert shortest(episode, lambda _: True).history == ()


def test_a_good_episode_has_no_failure() -> None:
    assert failure(random_episode(FIRST_SEED)) is None
