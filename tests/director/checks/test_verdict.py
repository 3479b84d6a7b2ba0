"""What is believed of a real server after each attempt; no clock takes part."""

from hypothesis import given
from hypothesis import strategies as st

from vrrpd.config.services import MiscCheck, TcpCheck
from vrrpd.director.checks.verdict import Next, Verdict

PERIOD, RETRY = 5.0, 1.0

OUTCOMES = st.lists(st.none() | st.integers(0, 253) | st.just("refused"), max_size=60)
"""Of attempts, in their order: well, well with a weight, failed."""


def verdict(retry: int = 1, *, alpha: bool = False) -> Verdict:
    check = TcpCheck(delay_loop=PERIOD, delay_before_retry=RETRY, retry=retry)
    return Verdict(check, alpha=alpha)


def take(judged: Verdict, outcome: str | int | None) -> Next:
    return judged.found_failed(outcome) if isinstance(outcome, str) else judged.found_well(outcome)


def test_it_counts_as_well_at_first_unless_alpha() -> None:
    assert verdict().up
    assert not verdict(alpha=True).up


def test_a_failure_is_believed_after_the_retries() -> None:
    judged = verdict(retry=2)
    assert judged.found_failed("a") == Next(RETRY, periodic=False, changed=False)
    assert (judged.up, judged.reason) == (True, "a")
    assert judged.found_failed("b") == Next(RETRY, periodic=False, changed=False)
    assert judged.up
    assert judged.found_failed("c") == Next(PERIOD, periodic=True, changed=True)
    assert (judged.up, judged.reason) == (False, "c")
    assert judged.found_failed("d") == Next(PERIOD, periodic=True, changed=False)
    assert judged.reason == "d"


def test_without_retries_at_once() -> None:
    judged = verdict(retry=0)
    assert judged.found_failed("a") == Next(PERIOD, periodic=True, changed=True)
    assert not judged.up


def test_a_success_counts_at_once() -> None:
    judged = verdict(alpha=True)
    assert judged.found_failed("a") == Next(PERIOD, periodic=True, changed=False)
    assert judged.found_well(None) == Next(PERIOD, periodic=True, changed=True)
    assert (judged.up, judged.reason) == (True, "")
    assert judged.found_well(None) == Next(PERIOD, periodic=True, changed=False)


def test_a_success_between_two_failures_makes_both_first_ones() -> None:
    judged = verdict(retry=1)
    for _ in range(5):
        judged.found_failed("a")
        judged.found_well(None)
    assert judged.up


def test_a_weight_lasts_until_another_comes() -> None:
    check = MiscCheck(misc_path=("/bin/true",), misc_dynamic=True, retry=0)
    judged = Verdict(check, alpha=False)
    assert judged.weight is None
    steps = [(0, True), (0, False), (7, True), (None, False), ("failed", True), (None, True), (7, False), (8, True)]
    assert [(outcome, take(judged, outcome).changed) for outcome, _ in steps] == steps
    assert judged.weight == 8


@given(OUTCOMES, st.integers(0, 4), st.booleans())
def test_the_last_outcomes_say_it_all(outcomes: list[str | int | None], retry: int, alpha: bool) -> None:
    """Worked out anew from the whole history: up is who was well since, or has not failed often enough in a row."""
    judged = verdict(retry, alpha=alpha)
    for at, outcome in enumerate(outcomes, 1):
        before = judged.up, judged.weight
        following = take(judged, outcome)
        past = outcomes[:at]
        failures = next((n for n, earlier in enumerate(reversed(past)) if not isinstance(earlier, str)), len(past))
        was_up = not alpha or failures < len(past)
        assert judged.up == (was_up and failures <= retry)
        assert judged.weight == next((weight for weight in reversed(past) if isinstance(weight, int)), None)
        assert judged.reason == (outcome if isinstance(outcome, str) else "")
        assert (judged.checked, judged.failed) == (at, sum(isinstance(earlier, str) for earlier in past))
        assert following.changed == (before != (judged.up, judged.weight))
        assert following.periodic == (not judged.up or not failures)
        assert following.delay == (PERIOD if following.periodic else RETRY)
