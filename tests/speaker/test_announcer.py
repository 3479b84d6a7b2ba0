"""When addresses are announced again."""

from types import SimpleNamespace
from typing import cast

import pytest

from vrrpd.speaker.announcer import CONFLICT_PAUSE, LAST_WORD_PAUSE, Announcer
from vrrpd.speaker.counters import Counters
from vrrpd.speaker.host import Host
from vrrpd.speaker.pacer import Pacer
from vrrpd.speaker.timers import Timers


class Clock:
    """Stands in for the time, for deadlines and for the pacer, and counts the rounds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rounds = 0
        self.when: float | None = None

    def monotonic(self) -> float:
        return self.now

    def deadline(self, _: object) -> "Clock":
        return self

    def at(self, when: float) -> None:
        self.when = when

    def cancel(self) -> None:
        self.when = None

    def add(self, *_: object) -> None:
        self.rounds += 1

    def owes(self, _: object) -> bool:
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("vrrpd.speaker.announcer.time.monotonic", made.monotonic)
    return made


def test_conflicts_have_a_pace_and_a_last_word_does_not_wait_for_it(clock: Clock) -> None:
    host = cast("Host", SimpleNamespace(kernel=None, pacer=clock, timers=clock))
    announcer = Announcer(host, Counters(), ())
    announcer.conflict()
    announcer.conflict()
    assert (clock.rounds, clock.when) == (1, clock.now + CONFLICT_PAUSE)
    announcer.conflict(at_once=True)
    assert clock.rounds == 2
    announcer.conflict(at_once=True)  # who says it again and again does not flood the link through us
    assert clock.rounds == 2
    clock.now += LAST_WORD_PAUSE
    announcer.conflict()
    announcer.conflict(at_once=True)
    assert clock.rounds == 4


def test_what_waits_for_the_pace_does_not_become_ever_more(clock: Clock) -> None:
    """255 routers of ten addresses each owe the link more in a conflict than may leave meanwhile."""
    pacer = Pacer(cast("Timers", clock))
    host = cast("Host", SimpleNamespace(kernel=None, pacer=pacer, timers=clock))
    announcer = Announcer(host, Counters(), ())
    for _ in range(10):
        announcer.conflict()
        announcer._refresh_all()
        assert len(pacer._queue) == 1
        clock.now += CONFLICT_PAUSE
    clock.cancel()
    announcer.conflict()
    assert clock.when == clock.now + CONFLICT_PAUSE  # then it looks whether the last round has left
    pacer._send_burst()
    announcer.conflict()
    assert pacer.owes(announcer)
