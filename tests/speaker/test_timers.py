"""The timers of a process go on, whatever happens in it."""

import asyncio
import itertools
import time

import pytest

import vrrpd.speaker.timers as timers_module
from vrrpd.speaker.timers import Timers


def test_a_mistake_of_who_is_told_of_wake_ups_stops_no_timer() -> None:
    async def run() -> list[int]:
        def woke(_: float) -> None:
            raise OSError("told of a wake-up, and failed")

        ran: list[int] = []
        over = asyncio.get_running_loop().create_future()
        timers = Timers(asyncio.get_running_loop(), woke)
        now = asyncio.get_running_loop().time()
        for number in (1, 2):
            timers.deadline(lambda number=number: ran.append(number)).at(now + number / 100)  # type: ignore[misc]
        timers.deadline(lambda: over.set_result(None)).at(now + 0.03)
        await asyncio.wait_for(over, 10)
        timers.close()
        return ran

    assert asyncio.run(run()) == [1, 2]


def test_what_is_rehearsed_is_rehearsed_until_it_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rehearsal warms up what the first one of a process that slept found cold."""
    monkeypatch.setattr(timers_module, "WARM_UP", 1.5)
    monkeypatch.setattr(timers_module, "HEAD_START", 0.5)  # also on a busy machine there is time for more than one

    async def run() -> tuple[list[float], float, float]:
        loop = asyncio.get_running_loop()
        rehearsed: list[float] = []
        over: asyncio.Future[float] = loop.create_future()
        timers = Timers(loop)
        deadline = timers.deadline(
            lambda: over.set_result(time.monotonic()), rehearse=lambda: rehearsed.append(time.monotonic())
        )
        when = time.monotonic() + 1.6
        deadline.at(when)
        ran = await asyncio.wait_for(over, 10)
        timers.close()
        return rehearsed, when, ran

    rehearsed, when, ran = asyncio.run(run())
    assert len(rehearsed) > 2
    # It sleeps once more between the first two.
    assert when - 1.5 <= rehearsed[0] < when - 0.5 <= rehearsed[1] < rehearsed[-1] < ran
    assert ran >= when


def test_a_rehearsal_that_puts_it_off_is_the_last_one() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timers = Timers(loop)
        rehearsals = 0

        def rehearse() -> None:
            nonlocal rehearsals
            rehearsals += 1
            if rehearsals == 1:
                deadline.at(time.monotonic() + 60)

        deadline = timers.deadline(lambda: over.set_result(None), rehearse=rehearse)
        deadline.at(time.monotonic() + 0.01)
        timers.deadline(lambda: over.set_result(None)).at(time.monotonic() + 0.02)
        await asyncio.wait_for(over, 10)
        timers.close()
        return rehearsals

    assert asyncio.run(run()) == 1


def test_whatever_takes_long_adverts_go_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three routers take over in the same moment, each of which rehearses it, beside one that advertises."""
    monkeypatch.setattr(timers_module, "WARM_UP", 0.2)
    interval = 0.01

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        done: list[str] = []
        over = loop.create_future()

        def advertise() -> None:
            done.append("advert")
            advert.after(interval)

        def act(what: str) -> None:
            done.append(what)
            time.sleep(2 * interval)  # an advert is due meanwhile
            if done.count("takeover") == 3:
                over.set_result(None)

        advert = timers.beat(advertise)
        advert.after(interval)
        when = time.monotonic() + 0.3
        for _ in range(3):
            timers.deadline(lambda: act("takeover"), rehearse=lambda: act("rehearsal")).at(when)
        await asyncio.wait_for(over, 20)
        timers.close()
        return done

    done = asyncio.run(run())
    assert done.count("takeover") == 3
    told = [(before, after) for before, after in itertools.pairwise(done) if "advert" not in (before, after)]
    # Where one has rehearsed to the end, it takes over.
    assert set(told) <= {("rehearsal", "takeover")}
