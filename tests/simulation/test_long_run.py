"""A long run of random episodes, the same each time, and the way from a failure to its shortest history."""

from dataclasses import replace

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
from tests.simulation.soak import describe, play, soak

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
    tally = soak(episodes=510, seed=FIRST_SEED, jobs=2)
    alone = play(range(FIRST_SEED, FIRST_SEED + 510))
    assert (tally.episodes, tally.worst_share, tally.worst_seed) == (510, alone.worst_share, alone.worst_seed)
    assert tally.failed is None


def test_a_failure_is_shrunk_to_the_mishaps_that_matter() -> None:
    history = tuple(Mishap(float(place), Fault.LINK_DOWN, 0, value=place) for place in range(20))
    episode = replace(random_episode(FIRST_SEED), history=history)

    def fails(candidate: Episode) -> bool:
        return {3, 11, 17} <= {mishap.value for mishap in candidate.history}

    assert [mishap.value for mishap in shortest(episode, fails).history] == [3, 11, 17]
    assert shortest(episode, lambda _: True).history == ()


def test_a_good_episode_has_no_failure() -> None:
    assert failure(random_episode(FIRST_SEED)) is None
