"""Requests to one child that wait for its answer, not for ever."""

import time
from collections.abc import Callable
from typing import Any

from vrrpd.channel import Answer

Answered = Callable[[dict[str, Any] | None], None]
"""Takes what the child answers; None: nothing, for it is busy or dead."""


class Requests:
    """Those that one child, or its successor, has not answered yet.

    Args:
        timeout: seconds after which there will be no answer.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: dict[int, tuple[float, Answered]] = {}
        self._last = 0

    def begin(self, answered: Answered) -> int:
        """A number for a request that is made now."""
        self._last += 1
        self._waiting[self._last] = time.monotonic() + self._timeout, answered
        return self._last

    @property
    def due(self) -> float | None:
        """When the first of them has waited too long, on `time.monotonic`."""
        return min((when for when, _ in self._waiting.values()), default=None)

    def answer(self, answer: Answer) -> None:
        """One is answered, unless it has been given up already."""
        if answer.request in self._waiting:
            _, answered = self._waiting.pop(answer.request)
            answered(answer.result)

    def give_up(self, now: float = float("inf")) -> None:
        """Those that have waited too long get no answer; without `now` none of them does."""
        for request in [request for request, (when, _) in self._waiting.items() if now >= when]:
            _, answered = self._waiting.pop(request)
            answered(None)
