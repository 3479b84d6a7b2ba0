"""A speaker that dies is replaced at once, unless it keeps dying."""

import pytest

from vrrpd.supervisor import crashes
from vrrpd.supervisor.crashes import CRASH_LOOP_PAUSE, CRASH_LOOP_PAUSE_MAX, CRASH_WINDOW, CRASHES_TOLERATED, Crashes


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(crashes, "time", clock)
    return clock


def loop(found: Crashes, clock: Clock) -> list[float]:
    """As many crashes as make a loop, all at once."""
    return [found.add(clock.now) for _ in range(CRASHES_TOLERATED)]


def test_the_last_of_five_within_ten_seconds_waits(clock: Clock) -> None:
    assert loop(Crashes(), clock) == [0.0] * (CRASHES_TOLERATED - 1) + [CRASH_LOOP_PAUSE]


def test_five_in_longer_than_ten_seconds_are_no_loop(clock: Clock) -> None:
    found = Crashes()
    for _ in range(3 * CRASHES_TOLERATED):
        clock.now += CRASH_WINDOW / (CRASHES_TOLERATED - 1)
        assert found.add(clock.now) == 0.0
    assert found.count == 3 * CRASHES_TOLERATED


def test_each_loop_waits_twice_as_long_up_to_a_bound_and_a_stable_life_ends_that(clock: Clock) -> None:
    found, pauses = Crashes(), []
    for _ in range(10):
        pauses.append(loop(found, clock)[-1])
        clock.now += pauses[-1]
    assert pauses[:3] == [CRASH_LOOP_PAUSE, 2 * CRASH_LOOP_PAUSE, 4 * CRASH_LOOP_PAUSE]
    assert pauses[-1] == CRASH_LOOP_PAUSE_MAX
    born = clock.now
    clock.now += crashes.STABLE_AFTER + 1
    assert found.add(born) == 0.0
    assert loop(found, clock)[-2] == CRASH_LOOP_PAUSE
