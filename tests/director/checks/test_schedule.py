"""When checks run, on a clock that jumps to whatever comes next; what they find is made up."""

import asyncio
import itertools
import logging
import random
import selectors
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from tests.director.checks.asking import closed_port
from vrrpd.config.services import Check, MiscCheck, TcpCheck
from vrrpd.director.checks import probe, schedule
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.director.checks.schedule import ATTEMPTS_MAX, JITTER, Checker
from vrrpd.protocol.advert import IPAddress

ADDRESS = ip_address("192.0.2.1")
LONGEST = 5.0 * (1 + JITTER)
"""Seconds between two checks of the usual `delay_loop`."""


class VirtualClock(asyncio.SelectorEventLoop):
    """A loop for which no time passes but that which it would wait."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualClock) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen"
            self._loop.now += timeout
        return ready


class World:
    """What attempts find, and what checkers have said and done."""

    def __init__(self, loop: VirtualClock) -> None:
        self.loop = loop
        self.attempt: Callable[[Check, IPAddress, int], Any] = self.well
        self.begun: list[float] = []
        """When attempts began."""
        self.running = 0
        self.most = 0
        """Attempts at the same time."""
        self.changes: list[Checker] = []

    async def well(self, *_: object) -> None:
        """A real server that is."""

    async def attempted(self, check: Check, address: IPAddress, port: int) -> int | None:
        self.begun.append(self.loop.now)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.attempt(check, address, port)  # type: ignore[no-any-return]
        finally:
            self.running -= 1

    def checker(self, check: Check | None = None, *, alpha: bool = False, port: int = 80) -> Checker:
        return Checker(self.loop, check or TcpCheck(), ADDRESS, port, self.changes.append, alpha=alpha)

    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def outcomes(self, *outcomes: int | str | None) -> None:
        """Attempts end so, in this order, and then well."""
        coming = iter(outcomes)

        async def attempt(*_: object) -> int | None:
            outcome = next(coming, None)
            if isinstance(outcome, str):
                raise CheckFailed(outcome)
            return outcome

        self.attempt = attempt


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    random.seed(0)
    loop = VirtualClock()
    made = World(loop)
    monkeypatch.setattr(probe, "prepare", lambda _: made.attempted)
    monkeypatch.setattr(schedule, "_told", set())
    yield made
    loop.run_until_complete(asyncio.sleep(0))
    assert not asyncio.all_tasks(loop)
    loop.close()


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# The period


def test_an_attempt_after_each_period(world: World) -> None:
    checker = world.checker(TcpCheck(delay_loop=5.0))
    checker.start()
    world.pass_time(100)
    checker.close()
    assert 100 / LONGEST - 1 <= len(world.begun) <= 100 / (5 * (1 - JITTER)) + 1
    assert checker.checked == len(world.begun)
    assert all(5 * (1 - JITTER) - 1e-6 <= gap <= LONGEST + 1e-6 for gap in gaps(world.begun))
    assert (checker.up, checker.failed, checker.reason, world.changes) == (True, 0, "", [])


@pytest.mark.parametrize(("warmup", "longest"), [(None, 5.0), (20.0, 20.0), (0.0, 0.0)])
def test_the_first_attempt_comes_within_the_warm_up(world: World, warmup: float | None, longest: float) -> None:
    start = world.loop.now
    checkers = [world.checker(TcpCheck(delay_loop=5.0, warmup=warmup, connect_timeout=60.0)) for _ in range(200)]
    firsts = []

    async def attempt(*_: object) -> None:
        firsts.append(world.loop.now - start)
        await asyncio.sleep(30)

    world.attempt = attempt
    for checker in checkers:
        checker.start()
    world.pass_time(29)
    for checker in checkers:
        checker.close()
    assert len(firsts) == 200
    assert max(firsts) <= longest + 1e-6
    assert max(firsts) >= 0.9 * longest
    assert min(firsts) <= 0.1 * longest


def test_2000_checkers_start_and_go_on_without_bursts(world: World) -> None:
    start = world.loop.now
    checkers = [world.checker(TcpCheck(delay_loop=5.0), port=port) for port in range(2000)]
    for checker in checkers:
        checker.start()
    world.pass_time(30)
    for checker in checkers:
        checker.close()
    tenths = Counter(int((begun - start) * 10) for begun in world.begun)
    assert min(checker.checked for checker in checkers) >= 5
    average = 2000 / 50
    assert max(tenths.values()) < 2 * average
    assert all(tenths[tenth] > average / 3 for tenth in range(1, 290))


def test_those_that_began_together_drift_apart(world: World) -> None:
    start = world.loop.now
    checkers = [world.checker(TcpCheck(delay_loop=5.0, warmup=0.0)) for _ in range(100)]
    for checker in checkers:
        checker.start()
    world.pass_time(60)
    for checker in checkers:
        checker.close()
    assert world.begun[:100] == [start] * 100
    later = Counter(int(begun * 10) for begun in world.begun if begun > start + 50)
    assert max(later.values()) < 20


# What follows from an attempt


def test_retries_come_sooner_and_then_the_failure_is_told(world: World) -> None:
    world.outcomes(None, "refused", "silent", "refused again", "still refused")
    checker = world.checker(TcpCheck(delay_loop=5.0, warmup=0.0, retry=2, delay_before_retry=0.5))
    checker.start()
    world.pass_time(7)
    assert [round(gap, 3) for gap in gaps(world.begun)][1:] == [0.5, 0.5]
    assert (checker.up, checker.reason, world.changes) == (False, "refused again", [checker])
    assert (checker.checked, checker.failed) == (4, 3)
    world.pass_time(5)
    assert (checker.checked, checker.failed, checker.reason) == (5, 4, "still refused")
    world.pass_time(LONGEST)
    assert (checker.up, checker.reason, world.changes) == (True, "", [checker, checker])
    checker.close()


def test_with_alpha_it_must_be_found_well(world: World) -> None:
    checker = world.checker(alpha=True)
    assert not checker.up
    world.outcomes("refused", None)
    checker.start()
    world.pass_time(LONGEST)
    assert (checker.up, world.changes) == (False, [])
    world.pass_time(LONGEST)
    assert (checker.up, world.changes) == (True, [checker])
    checker.close()


def test_weights_are_told(world: World) -> None:
    world.outcomes(10, 10, 0)
    checker = world.checker(MiscCheck(misc_path=("/bin/true",), misc_dynamic=True, warmup=0.0))
    checker.start()
    world.pass_time(1)
    assert (checker.weight, world.changes) == (10, [checker])
    world.pass_time(3 * LONGEST)
    assert (checker.weight, world.changes) == (0, [checker, checker])
    checker.close()


@pytest.mark.parametrize("error", [RuntimeError("oh"), asyncio.CancelledError(), KeyError(1), TimeoutError()])
def test_a_mistake_of_ours_is_a_failed_check(
    world: World, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """It is told once, however many make it."""

    async def attempt(*_: object) -> None:
        raise error

    world.attempt = attempt
    checkers = [world.checker(TcpCheck(retry=0)) for _ in range(10)]
    for checker in checkers:
        checker.start()
    with caplog.at_level(logging.ERROR):
        world.pass_time(20)
    for checker in checkers:
        checker.close()
        assert not checker.up
        assert checker.checked >= 3
        assert checker.reason
    if isinstance(error, TimeoutError):
        return  # the kernel says it, too
    (record,) = caplog.records
    assert record.exc_info
    assert record.exc_info[0] is type(error)


def test_one_who_is_told_may_fail_or_close(world: World) -> None:
    """Neither stops other checks; nor, in the first case, this one."""
    told = []

    def changed(checker: Checker) -> None:
        told.append(checker)
        if checker.port == 1:
            checker.close()
        else:
            raise RuntimeError("a mistake of the director's")

    complaints: list[object] = []
    world.loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    checkers = [Checker(world.loop, TcpCheck(warmup=0.0), ADDRESS, port, changed, alpha=True) for port in (1, 2)]
    for checker in checkers:
        checker.start()
    world.pass_time(20)
    checkers[1].close()
    assert told == checkers
    assert len(complaints) == 1
    assert checkers[0].checked == 1
    assert checkers[1].checked > 3


# Closed and suspended


def slow(world: World) -> None:
    """Let attempts take four seconds, and then fail."""

    async def attempt(*_: object) -> None:
        await asyncio.sleep(4)
        raise CheckFailed("slow")

    world.attempt = attempt


@pytest.mark.parametrize("after", [0.0, 0.5, 1.5, 3.0, 4.5, 6.0])
def test_nothing_is_told_after_the_end(world: World, after: float) -> None:
    """Before the first attempt, in the middle of one, and between two."""
    slow(world)
    checker = world.checker(TcpCheck(warmup=0.0, retry=0, delay_loop=2.0))
    checker.start()
    world.pass_time(after)
    known = checker.checked
    told = len(world.changes)
    checker.close()
    checker.close()
    checker.resume()
    world.pass_time(0)
    assert not world.running
    world.pass_time(20)
    assert (checker.checked, len(world.changes)) == (known, told)


@pytest.mark.parametrize("after", [0.0, 0.5, 4.5])
def test_suspended(world: World, after: float) -> None:
    world.outcomes("refused")
    checker = world.checker(TcpCheck(warmup=0.0, retry=0, delay_loop=2.0))
    checker.start()
    world.pass_time(after)
    state = checker.up, checker.checked
    checker.suspend()
    checker.suspend()
    world.pass_time(0)
    assert not world.running
    world.pass_time(50)
    assert (checker.up, checker.checked) == state
    checker.resume()
    checker.resume()
    world.pass_time(20)
    assert checker.up
    assert 8 <= checker.checked - state[1] <= 11
    checker.close()


def test_suspended_before_the_start(world: World) -> None:
    checker = world.checker()
    checker.suspend()
    checker.start()
    world.pass_time(20)
    assert checker.checked == 0
    checker.resume()
    world.pass_time(20)
    assert checker.checked
    checker.close()


def test_what_failed_before_a_rest_is_forgotten(world: World) -> None:
    """A retry that never came does not make the next failure the last."""
    world.outcomes("refused", "refused")
    checker = world.checker(TcpCheck(warmup=0.0, retry=1, delay_before_retry=3.0))
    checker.start()
    world.pass_time(1)
    checker.suspend()
    checker.resume()
    world.pass_time(1)
    assert (checker.failed, checker.up) == (2, True)
    checker.close()


# Not too many at once


def test_those_beyond_the_most_wait_and_lose_no_time(world: World) -> None:
    """Each takes four of its five seconds."""

    async def attempt(*_: object) -> None:
        await asyncio.sleep(4)

    world.attempt = attempt
    checkers = [
        world.checker(TcpCheck(warmup=0.0, connect_timeout=5.0, delay_loop=60.0)) for _ in range(3 * ATTEMPTS_MAX)
    ]
    for checker in checkers:
        checker.start()
    world.pass_time(13)
    assert world.most == ATTEMPTS_MAX
    assert all((checker.checked, checker.failed) == (1, 0) for checker in checkers)
    for checker in checkers:
        checker.close()


def test_those_that_are_closed_make_room(world: World) -> None:
    slow(world)
    checkers = [world.checker(TcpCheck(warmup=0.0)) for _ in range(3 * ATTEMPTS_MAX)]
    for checker in checkers:
        checker.start()
    world.pass_time(1)
    for checker in checkers[: 2 * ATTEMPTS_MAX]:
        checker.close()
    world.pass_time(1)
    assert world.running == ATTEMPTS_MAX
    for checker in checkers:
        checker.close()


def test_time_runs_out_in_a_slot(world: World) -> None:
    slow(world)
    checker = world.checker(TcpCheck(warmup=0.0, connect_timeout=3.0, retry=0))
    checker.start()
    world.pass_time(3.5)
    assert checker.reason == "no answer within 3 s"
    checker.close()


# For once with a real probe


def test_a_port_that_is_closed(run: Any, address: IPAddress) -> None:
    async def main() -> None:
        told: asyncio.Queue[Checker] = asyncio.Queue()
        with closed_port(address) as port:
            check = TcpCheck(warmup=0.0, delay_before_retry=0.01, retry=2)
            checker = Checker(asyncio.get_running_loop(), check, address, port, told.put_nowait, alpha=False)
            checker.start()
            assert await told.get() is checker
            assert (checker.up, checker.checked, checker.reason) == (False, 3, "connection refused")
            checker.close()

    run(main())
