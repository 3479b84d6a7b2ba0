"""The timers of a process go on, whatever happens in it."""

import asyncio

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
