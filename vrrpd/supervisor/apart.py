"""Work that would keep the supervisor busy, done by a child that ends with it."""

import gc
import logging
import os
import pickle
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from vrrpd.supervisor.child import EXIT_FAILED

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after which it hangs, and is killed."""
_PIECE = 1 << 20


class ApartError(Exception):
    """The child could not be made, or died."""


class Apart:
    """Children that each do one thing, seen from their parent.

    Args:
        selector: the parent's.
        let_go: closes in a child what is the parent's.
    """

    def __init__(self, selector: selectors.BaseSelector, let_go: Callable[[], None]) -> None:
        self._selector = selector
        self._let_go = let_go
        self._running: dict[int, tuple[int, float]] = {}
        """Descriptors of pipes: whose it is, and until when that may take."""

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Have it done; `done` takes what it comes to, or an `ApartError`."""
        try:
            pid, pipe = _fork(work, self._let_go)
        except OSError as error:
            done(ApartError(f"cannot fork: {error.strerror}"))
            return
        os.set_blocking(pipe, False)
        self._running[pipe] = pid, time.monotonic() + PATIENCE
        self._selector.register(pipe, selectors.EVENT_READ, partial(self._read, pipe, bytearray(), done))

    @property
    def due(self) -> float | None:
        """When `do_what_is_due` has something to do, on `time.monotonic`."""
        return min((until for _, until in self._running.values()), default=None)

    def do_what_is_due(self, now: float) -> None:
        """Kill what hangs."""
        for pipe, (pid, until) in self._running.items():
            if now >= until:
                log.error("process %d is not done within %g s; killing it", pid, PATIENCE)
                os.kill(pid, signal.SIGKILL)
                self._running[pipe] = pid, now + PATIENCE

    def close_in_child(self) -> None:
        """What is another child's is not this one's."""
        for pipe in self._running:
            os.close(pipe)

    def close(self) -> None:
        """Wait for nobody any more."""
        for pipe, (pid, _) in self._running.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(pipe)
        self._running.clear()

    def _read(self, pipe: int, so_far: bytearray, done: Callable[[Any], None]) -> None:
        piece = os.read(pipe, _PIECE)
        so_far += piece
        if not piece:
            self._selector.unregister(pipe)
            pid, _ = self._running.pop(pipe)
            done(_outcome(pid, pipe, so_far))


def apart(work: Callable[[], Any]) -> Any:
    """The same for who has nothing else to do: waits.

    Raises:
        ApartError: the child could not be made, or died.
    """
    try:
        pid, pipe = _fork(work, lambda: None)
    except OSError as error:
        raise ApartError(f"cannot fork: {error.strerror}") from error
    so_far = bytearray()
    while piece := os.read(pipe, _PIECE):
        so_far += piece
    outcome = _outcome(pid, pipe, so_far)
    if isinstance(outcome, ApartError):
        raise outcome
    return outcome


def _fork(work: Callable[[], Any], let_go: Callable[[], None]) -> tuple[int, int]:
    pipe, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(pipe)
        os.close(theirs)
        raise
    if pid:
        os.close(theirs)
        return pid, pipe
    code = EXIT_FAILED
    try:
        os.close(pipe)
        let_go()
        gc.disable()  # garbage goes with the child
        with os.fdopen(theirs, "wb") as file:
            pickle.dump(work(), file, pickle.HIGHEST_PROTOCOL)
        code = 0
    except BaseException:
        log.exception("work apart failed; please report this")
    finally:
        os._exit(code)


def _outcome(pid: int, pipe: int, pickled: bytearray) -> Any:
    os.close(pipe)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        return ApartError(f"process {pid} {f'was killed by signal {-code}' if code < 0 else 'failed'}; look at the log")
    return pickle.loads(pickled)  # noqa: S301 - from our own child
