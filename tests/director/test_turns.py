"""Long work lets others have their turn."""

import asyncio
import time
from collections.abc import Iterator

from vrrpd.director.turns import TURN, in_turns

PARTS = 5


def long_parts() -> Iterator[int]:
    for number in range(PARTS):
        until = time.monotonic() + TURN
        while time.monotonic() < until:
            pass
        yield number


def test_others_have_theirs_in_between() -> None:
    async def work() -> tuple[list[int], int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(others())
        done = [part async for part in in_turns(long_parts())]
        task.cancel()
        return done, turns

    done, turns = asyncio.run(work())
    assert done == [*range(PARTS)]
    assert turns >= PARTS - 1
