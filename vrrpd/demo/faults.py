"""What the demo can do to the master, how it is undone, and what is promised of it."""

import os
import signal
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.lan.daemons import BACKUP, MASTER, Vrrpd
from vrrpd.protocol.timing import active_down_interval, centiseconds, seconds, skew_time

Condition = Callable[[], bool]
"""Tells whether what was done has taken effect."""
Action = Callable[[Vrrpd], Condition]
Bound = Callable[[float, int], float]
"""Seconds, from the advert_int in seconds and the priority of the router that takes over."""

RELOADED_PRIORITY: Final = 10
"""How much a reload raises the master's priority: it stays the best."""
_GLANCE: Final = 0.1
"""Seconds that a speaker gets to answer; one that dies meanwhile never does."""
EXTRA_ADDRESS: Final = {4: "192.0.2.101/32", 6: "2001:db8::101/128"}
"""What a reload adds to a router of that family."""


def nothing(_advert_int: float, _priority: int) -> float:
    """Not a single probe."""
    return 0.0


def silence(advert_int: float, priority: int) -> float:
    """3 x advert_int + skew_time (RFC 9568 section 6.1): how long a BACKUP waits for a master that says nothing."""
    return seconds(active_down_interval(priority, centiseconds(advert_int)))


def resignation(advert_int: float, priority: int) -> float:
    """skew_time: how long a BACKUP waits after the master's priority 0 (RFC 9568 section 6.4.2)."""
    return seconds(skew_time(priority, centiseconds(advert_int)))


class Fault(Struct, frozen=True):
    """One of them; `inflict` and `heal` return at once, with the condition under which they are done."""

    name: str
    what: str
    """For people: what happens to the master."""
    promise: str
    """For people: what the client may lose, and why."""
    marks: str
    """For people, in a word: what the master is meanwhile."""
    inflict: Action
    heal: Action
    outage: Bound
    """How long the client may be without answers."""
    takeover: Bound | None
    """From the master's last advert to its successor's first; None: nobody is to take over."""


def _stop(master: Vrrpd) -> Condition:
    master.stop()
    return lambda: not _serves(master)


def _start(master: Vrrpd) -> Condition:
    master.start()
    return lambda: _is_master(master)


def _crash(master: Vrrpd) -> Condition:
    status = master.status()
    restarts = status["speaker_restarts"]
    os.kill(status["processes"]["speaker"], signal.SIGKILL)

    def resumed() -> bool:
        entry = master.glance(_GLANCE)
        return entry is not None and entry["state"] == MASTER and master.status()["speaker_restarts"] > restarts

    return resumed


def _nothing_to_heal(master: Vrrpd) -> Condition:
    return lambda: _is_master(master)


def _kill(master: Vrrpd) -> Condition:
    master.kill()
    return lambda: not _serves(master)


def _cut_link(master: Vrrpd) -> Condition:
    master.host.cut_carrier()
    return lambda: not _serves(master)


def _restore_link(master: Vrrpd) -> Condition:
    master.host.restore_carrier()
    return lambda: _is_master(master)


def _freeze(master: Vrrpd) -> Condition:
    master.freeze()
    return lambda: True


def _thaw(master: Vrrpd) -> Condition:
    master.thaw()
    return lambda: _is_master(master)


def _silence(master: Vrrpd) -> Condition:
    master.host.silence()
    return lambda: _is_master(master)


def _unsilence(master: Vrrpd) -> Condition:
    master.host.unsilence()
    return lambda: _is_master(master)


def _drain(master: Vrrpd) -> Condition:
    master.ask("drain")
    return lambda: master.state() == BACKUP and not _serves(master)


def _undrain(master: Vrrpd) -> Condition:
    master.ask("undrain")
    return lambda: _is_master(master)


def _reload(master: Vrrpd) -> Condition:
    router = master.routers[0]
    return _reload_with(master, (*router.addresses, EXTRA_ADDRESS[router.family]), router.priority + RELOADED_PRIORITY)


def _reload_back(master: Vrrpd) -> Condition:
    router = master.routers[0]
    return _reload_with(master, router.addresses[:-1], router.priority - RELOADED_PRIORITY)


def _reload_with(master: Vrrpd, addresses: tuple[str, ...], priority: int) -> Condition:
    master.routers[0] = replace(master.routers[0], addresses=addresses, priority=priority)
    master.reload()
    extra = EXTRA_ADDRESS[master.routers[0].family]

    def applied() -> bool:
        there = master.host.has_address(extra.partition("/")[0])
        return there == (extra in addresses) and bool(master.router_status()["effective_priority"] == priority)

    return applied


def _serves(router: Vrrpd) -> bool:
    """Whether its kernel has the virtual address."""
    return router.host.has_address(router.routers[0].addresses[0].partition("/")[0])


def _is_master(router: Vrrpd) -> bool:
    return router.state() == MASTER and _serves(router)


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault(
            "stop",
            "SIGTERM, as systemctl stop or a package upgrade sends it",
            "the master keeps answering until its successor has announced itself",
            "stopped",
            _stop,
            _start,
            nothing,
            resignation,
        ),
        Fault(
            "crash",
            "SIGKILL to the speaker, as a bug or the OOM killer would",
            "another speaker goes on within milliseconds, and nobody takes over",
            "crashed",
            _crash,
            _nothing_to_heal,
            nothing,
            None,
        ),
        Fault(
            "link",
            "its cable is unplugged",
            "3 adverts missed and the skew, then the next best takes over",
            "no carrier",
            _cut_link,
            _restore_link,
            silence,
            silence,
        ),
        Fault(
            "freeze",
            "SIGSTOP to every process of it",
            "its kernel goes on answering; once awake it says nothing and yields",
            "frozen",
            _freeze,
            _thaw,
            silence,
            silence,
        ),
        Fault(
            "kill",
            "SIGKILL to every process of it: nobody is left to clean up",
            "its kernel goes on answering, and drops the address when the lease ends",
            "killed",
            _kill,
            _start,
            silence,
            silence,
        ),
        Fault(
            "heal",
            "its cable is dead, so there are two masters; then they meet",
            "a failover; when they meet again, the better one stays and nothing is lost",
            "silent",
            _silence,
            _unsilence,
            silence,
            silence,
        ),
        Fault(
            "drain",
            "vrrpd drain, before a reboot",
            "the master keeps answering until its successor has announced itself",
            "drained",
            _drain,
            _undrain,
            nothing,
            resignation,
        ),
        Fault(
            "reload",
            "SIGHUP: one more address, another priority, and back",
            "what does not change is not touched; nobody takes over",
            "reloaded",
            _reload,
            _reload_back,
            nothing,
            None,
        ),
    )
}
"""By name, in the order in which `--fault all` inflicts them."""

DEFAULT_FAULTS: Final = ("stop", "crash", "link", "freeze")
EVERY_FAULT: Final = "all"
