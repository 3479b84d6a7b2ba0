"""Who gets the next connection."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrpd.ipvs.model import RealServerKey
from vrrpd.proxy.balance import SHUNNED, Balance, Target


def targets(*weights: int) -> list[Target]:
    made = [Target(RealServerKey(ip_address(f"198.51.100.{number}"), 80)) for number in range(1, len(weights) + 1)]
    for target, weight in zip(made, weights, strict=True):
        target.weight = weight
    return made


def shares(scheduler: str, among: Sequence[Target], count: int, *, stay: bool) -> list[int]:
    """How many connections each gets; they stay, or end at once."""
    balance, got = Balance(), Counter[Target]()
    for _ in range(count):
        chosen = balance.choose(scheduler, among, (), 0.0)
        assert chosen
        chosen.active += stay
        got[chosen] += 1
    return [got[each] for each in among]


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [("rr", [200, 200, 200, 0]), ("lc", [200, 200, 200, 0]), ("wrr", [100, 200, 300, 0]), ("wlc", [100, 200, 300, 0])],
)
@pytest.mark.parametrize("stay", [False, True])
def test_shares(scheduler: str, expected: list[int], stay: bool) -> None:
    among = targets(1, 2, 3, 0)
    assert shares(scheduler, among, 600, stay=stay) == pytest.approx(expected, abs=1)


@given(
    st.sampled_from(["rr", "wrr", "lc", "wlc"]),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.booleans()), min_size=1),
)
def test_whoever_can_be_chosen_is_the_best(scheduler: str, drawn: list[tuple[int, int, bool]]) -> None:
    among = targets(*(weight for weight, _, _ in drawn))
    for target, (_, active, shunned) in zip(among, drawn, strict=True):
        target.active, target.shunned_until = active, SHUNNED if shunned else 0.0
    chosen = Balance().choose(scheduler, among, (), 0.0)
    able = [each for each in among if each.weight]
    if chosen is None:
        assert not able
        return
    assert chosen.weight
    if chosen.shunned_until:
        assert all(each.shunned_until for each in able)
    rivals = [each for each in able if each.shunned_until == chosen.shunned_until]
    if scheduler == "lc":
        assert chosen.active == min(each.active for each in rivals)
    if scheduler == "wlc":
        assert chosen.active / chosen.weight == min(each.active / each.weight for each in rivals)


def test_who_was_tried_is_not_tried_again_and_who_fails_comes_last() -> None:
    first, second = among = targets(1, 1)
    balance = Balance()
    assert balance.choose("rr", among, {first}, 0.0) is second
    assert balance.choose("rr", among, {first, second}, 0.0) is None
    first.shunned_until = 1.0
    assert {balance.choose("rr", among, (), 0.5) for _ in range(4)} == {second}
    assert {balance.choose("rr", among, (), 1.0) for _ in range(4)} == {first, second}


def test_who_comes_back_is_not_flooded() -> None:
    first, second = among = targets(1, 0)
    balance = Balance()
    for _ in range(100):
        balance.choose("rr", among, (), 0.0)
    second.weight = 1
    assert [balance.choose("rr", among, (), 0.0) for _ in range(6)].count(first) == 3
