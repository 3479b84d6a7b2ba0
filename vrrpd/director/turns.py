"""Long work in parts, between which checks, changes and answers have their turn."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

TURN = 0.005
"""Seconds of work after which others have theirs."""


async def in_turns(parts: Iterable[T]) -> AsyncIterator[T]:
    """The parts, each of which takes no longer than others may be kept waiting."""
    until = time.monotonic() + TURN
    for part in parts:
        yield part
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + TURN
