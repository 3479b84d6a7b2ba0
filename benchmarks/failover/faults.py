"""What befalls the master, how it is undone, and how long the protocol lets clients wait."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.failover.arena import Arena
from vrrpd.protocol.timing import centiseconds, seconds, skew_time

EXTRA_ADDRESS: Final = {4: "192.0.2.101/32", 6: "2001:db8::101/128"}
"""What a reload adds."""
RELOADED_PRIORITY: Final = 10
"""How much a reload raises the master's priority: it stays the best."""


class Fault(Struct, frozen=True):
    """One of them."""

    name: str
    what: str
    """For people: what happens to the master."""
    prepare: Callable[[Arena], None]
    """Before the clock starts."""
    inflict: Callable[[Arena], None]
    undo: Callable[[Arena], None]
    changes: int = 0
    """How often the master is to change: 1 where a backup must take over, or give way."""
    takeover: bool = True
    """Whether a change of the master is a takeover from one that is not heard any more, whose time is measured."""
    needs_reload: bool = False


def bound(advert_int: float, priority: int, *, resigned: bool, intervals_until_dead: float | None, carp: bool) -> float:
    """Seconds from a master's last word to its successor's first, by the protocol.

    Args:
        advert_int: seconds.
        priority: of the successor.
        resigned: whether that word was priority 0 (RFC 9568 section 6.4.2: the skew).
        intervals_until_dead: of a speaker that counts otherwise than RFC 9568; None: 3, as it does (section 6.1).
        carp: whether its skew is CARP's, which is a time of its own and no part of the interval.
    """
    skew = (255 - priority) / 256 if carp else seconds(skew_time(priority, centiseconds(advert_int)))
    if resigned:
        return skew
    return (3 if intervals_until_dead is None else intervals_until_dead) * advert_int + skew


def _nothing(_arena: Arena) -> None:
    pass


def _crash(arena: Arena) -> None:
    os.kill(arena.speaker.speaker_pid(arena.best), signal.SIGKILL)


def _restart(arena: Arena) -> None:
    """Whatever is left of it goes first: some start nothing in the place of what was killed, or ever later."""
    with contextlib.suppress(TimeoutError):
        arena.best.stop()
    arena.best.start()


def _start_after_kill(arena: Arena) -> None:
    """As after a reboot, which leaves nothing in /run: else an old process number may be another's now."""
    for file in arena.best.directory.glob("*.pid"):
        file.unlink()
    arena.best.start()


def _silence_until_succeeded(arena: Arena) -> None:
    arena.best.host.silence()
    deadline = time.monotonic() + 60
    while arena.served_by() in {None, arena.best.host.name} and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(max(0.3, 2 * arena.setting.advert_int))


def _reload(arena: Arena) -> None:
    router = arena.best.routers[0]
    addresses = (*router.addresses, EXTRA_ADDRESS[router.family])
    arena.best.routers[0] = replace(router, addresses=addresses, priority=router.priority + RELOADED_PRIORITY)
    arena.best.reload()


def _reload_back(arena: Arena) -> None:
    router = arena.best.routers[0]
    arena.best.routers[0] = replace(
        router, addresses=router.addresses[:-1], priority=router.priority - RELOADED_PRIORITY
    )
    arena.best.reload()


def _freeze(arena: Arena) -> None:
    arena.best.freeze()


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault(
            "stop",
            "SIGTERM, as a package upgrade sends it",
            _nothing,
            lambda arena: void(arena.best.stop()),
            lambda arena: arena.best.start(),
            changes=1,
        ),
        Fault("crash", "SIGKILL to the process that speaks", _nothing, _crash, _restart),
        Fault("freeze", "SIGSTOP to every process", _nothing, _freeze, lambda arena: arena.best.thaw(), changes=1),
        Fault(
            "link",
            "its cable is unplugged",
            _nothing,
            lambda arena: arena.best.host.cut_carrier(),
            lambda arena: arena.best.host.restore_carrier(),
            changes=1,
        ),
        Fault(
            "silent",
            "the switch forwards nothing of it or to it, its carrier stays",
            _nothing,
            lambda arena: arena.best.host.silence(),
            lambda arena: arena.best.host.unsilence(),
            changes=1,
        ),
        Fault(
            "oneway",
            "it hears, and is not heard",
            _nothing,
            lambda arena: arena.best.host.mute(),
            lambda arena: arena.best.host.unmute(),
            changes=1,
        ),
        Fault(
            "kill-all",
            "SIGKILL to every process: nobody cleans up",
            _nothing,
            lambda arena: arena.best.kill(),
            _start_after_kill,
            changes=1,
        ),
        Fault(
            "heal",
            "it was cut off, there are two masters, and they meet",
            _silence_until_succeeded,
            lambda arena: arena.best.host.unsilence(),
            _nothing,
            changes=1,
            takeover=False,
        ),
        Fault(
            "reload",
            "one more address and another priority, of the master alone",
            _nothing,
            _reload,
            _reload_back,
            needs_reload=True,
        ),
    )
}
"""By name, in the order in which `--fault all` inflicts them."""


def void(_value: object) -> None:
    """Have a lambda return nothing."""
