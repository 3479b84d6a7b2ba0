"""The referee notices routers that break the rules: each of `broken_routers` is the real one with one thing wrong.

For each rule there is a router that this rule alone gives away: with the rule struck out, nobody notices it.
"""

import pytest

from tests.simulation.broken_routers import (
    Clinging,
    DeafToIntervals,
    DeafToResignations,
    DefyingEquals,
    Humble,
    KeepingAddresses,
    KeepingTimer,
    Late,
    Nervous,
    Patient,
    Preempting,
    Shy,
    Silent,
    Stammering,
    Stubborn,
    TieByLowerAddress,
    Truncating,
    WithoutSkew,
)
from tests.simulation.episodes import failure, random_episode
from tests.simulation.referee import Rule
from vrrpd.protocol.router import VirtualRouter

EPISODES = range(600)
BY_THE_LETTER = range(2, 1800, 3)
"""Seeds of episodes in which nobody is hitless: one thing that is wrong has fewer consequences there."""

BROKEN = {
    Rule.ADDRESSES: KeepingAddresses,
    Rule.TIMERS: KeepingTimer,
    Rule.PATIENCE: Truncating,
    Rule.PUNCTUALITY: Late,
    Rule.NOPREEMPT: Preempting,
    Rule.STORM: Stammering,
    Rule.YIELDING: Silent,
    Rule.RELEASE: Clinging,
    Rule.ONE_MASTER: Shy,
    Rule.RIGHT_MASTER: Humble,
}
"""What each rule is for."""


def broken_rules(router: type[VirtualRouter], rules: frozenset[Rule]) -> set[Rule]:
    seeds = EPISODES if router is Clinging else BY_THE_LETTER
    return {error.rule for seed in seeds if (error := failure(random_episode(seed), router, rules))}


def test_every_rule_has_a_router_that_breaks_it() -> None:
    assert set(BROKEN) == set(Rule)


@pytest.mark.parametrize(("rule", "router"), BROKEN.items(), ids=BROKEN)
def test_a_broken_router_is_given_away_by_one_rule(rule: Rule, router: type[VirtualRouter]) -> None:
    assert broken_rules(router, frozenset(Rule)) == {rule}
    assert broken_rules(router, frozenset(Rule) - {rule}) == set()


def test_the_real_one_is_not() -> None:
    assert not any(failure(random_episode(seed)) for seed in EPISODES)


@pytest.mark.parametrize(
    "router",
    [WithoutSkew, Patient, DeafToIntervals, TieByLowerAddress, Stubborn, Nervous, DeafToResignations, DefyingEquals],
)
def test_a_broken_router_is_noticed(router: type[VirtualRouter]) -> None:
    assert any(failure(random_episode(seed), router) for seed in EPISODES)
