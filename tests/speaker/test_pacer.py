"""Announcements that can wait leave a few at a time, of all routers, and none of who has resigned."""

from collections.abc import Callable
from typing import cast

from vrrpd.speaker.pacer import BURST, Pacer
from vrrpd.speaker.timers import Timers
from vrrpd.speaker.vips import Vip


class Clock:
    """Timers of which nothing runs out before it is told to."""

    def __init__(self) -> None:
        self.callback: Callable[[], None] = lambda: None
        self.when: float | None = None

    def deadline(self, callback: Callable[[], None]) -> "Clock":
        self.callback = callback
        return self

    def at(self, when: float) -> None:
        self.when = when

    def run_out(self) -> None:
        self.when = None
        self.callback()


class Announcements:
    """Of one router; `wire` is shared."""

    def __init__(self, name: str, wire: list[tuple[str, int]]) -> None:
        self.name = name
        self.wire = wire

    def send(self, vip: Vip) -> None:
        self.wire.append((self.name, cast("int", vip)))


def numbered(count: int) -> list[Vip]:
    """The pacer hands addresses on as they are; numbers do."""
    return cast("list[Vip]", list(range(count)))


def paced() -> tuple[Pacer, Clock, list[tuple[str, int]]]:
    clock = Clock()
    return Pacer(cast("Timers", clock)), clock, []


def test_nothing_leaves_at_once_and_never_more_than_a_burst() -> None:
    pacer, clock, wire = paced()
    pacer.add(Announcements("a", wire), numbered(2 * BURST + 1))
    sizes = []
    while clock.when is not None:
        sizes.append(len(wire))
        clock.run_out()
    assert sizes == [0, BURST, 2 * BURST]
    assert wire == [("a", number) for number in range(2 * BURST + 1)]


def test_routers_share_a_burst() -> None:
    pacer, clock, wire = paced()
    for name in ("a", "b"):
        pacer.add(Announcements(name, wire), numbered(3))
    clock.run_out()
    assert wire == [(name, number) for name in ("a", "b") for number in range(3)]
    assert clock.when is None


def test_a_router_that_is_forgotten_sends_nothing_more() -> None:
    pacer, clock, wire = paced()
    gone, stays = Announcements("gone", wire), Announcements("stays", wire)
    pacer.add(gone, numbered(BURST + 5))
    pacer.add(stays, numbered(5))
    pacer.add(gone, numbered(5))
    clock.run_out()
    pacer.forget(gone)
    clock.run_out()
    assert wire[BURST:] == [("stays", number) for number in range(5)]
    assert clock.when is None
