"""The checks of all real servers: those that stay go on over a reload, and what they find becomes one health each."""

import asyncio
from collections.abc import Callable, Collection, Container, Mapping

from msgspec import Struct

from vrrpd.config.services import Check, RealServerSettings, VirtualServerSettings
from vrrpd.director.checks.schedule import Checker
from vrrpd.director.service import Health
from vrrpd.ipvs.model import RealServerKey

Place = tuple[str, RealServerKey]
"""A virtual server by its name, and a real server of it."""


class Found(Struct, frozen=True):
    """What the checks of one real server have found."""

    reasons: tuple[str, ...]
    """Why it is not well."""
    attempts: int
    failed: int
    """Attempts of these that failed, whether another followed or not."""


class Checking:
    """Runs the checkers.

    Args:
        loop: the one that runs.
        heard: called with what the checks of a real server, taken together, have found.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, heard: Callable[[Place, Health], None]) -> None:
        self._loop = loop
        self._heard = heard
        self._checkers: dict[str, dict[RealServerKey, dict[Check, Checker]]] = {}
        """By virtual server and real server."""

    def apply(
        self,
        servers: tuple[VirtualServerSettings, ...],
        same: Container[str],
        suspended: Callable[[VirtualServerSettings], bool],
        health: Callable[[Place], Health],
    ) -> None:
        """Check these, and nobody else.

        Args:
            servers: all that are configured.
            same: the names of those that are as they were.
            suspended: whether the checks of a virtual server are to rest.
            health: what is known of a real server already.
        """
        before, self._checkers = self._checkers, {}
        for server in servers:
            known = before.pop(server.name, {})
            if server.name in same:  # of thousands most are
                self._checkers[server.name] = known
            else:
                self._apply(server, known, health)
            if server.ha_suspend or server.name not in same:
                self.suspend(server, suspended=suspended(server))
        for left in before.values():
            _close(left)

    def _apply(
        self,
        server: VirtualServerSettings,
        before: dict[RealServerKey, dict[Check, Checker]],
        health: Callable[[Place], Health],
    ) -> None:
        now = self._checkers[server.name] = dict[RealServerKey, dict[Check, Checker]]()
        for real in server.real_servers:
            if not real.checks and not before:
                continue
            place, known = (server.name, real.key), before.pop(real.key, {})
            made = {
                check: known.pop(check) if check in known else self._make(place, check, real, health)
                for check in real.checks
            }
            for checker in known.values():
                checker.close()
            if made:
                now[real.key] = made
            if known and made:
                self._changed(place)  # what one that is gone has found counts no more
        _close(before)

    def suspend(self, server: VirtualServerSettings, *, suspended: bool) -> None:
        """Let the checks of a virtual server rest, or go on."""
        for checkers in self._checkers.get(server.name, {}).values():
            for checker in checkers.values():
                (checker.suspend if suspended else checker.resume)()

    def found(self, place: Place) -> Found:
        """What the checks of a real server have found so far."""
        checkers = self._of(place)
        return Found(
            tuple(checker.reason for checker in checkers if not checker.up),
            sum(checker.checked for checker in checkers),
            sum(checker.failed for checker in checkers),
        )

    def close(self) -> None:
        """Check nobody any more."""
        for checkers in self._checkers.values():
            _close(checkers)
        self._checkers = {}

    def _of(self, place: Place) -> Collection[Checker]:
        name, real = place
        return self._checkers.get(name, {}).get(real, {}).values()

    def _make(self, place: Place, check: Check, real: RealServerSettings, health: Callable[[Place], Health]) -> Checker:
        checker = Checker(
            self._loop, check, real.address, real.port, lambda _: self._changed(place), alpha=not health(place).up
        )
        checker.start()
        return checker

    def _changed(self, place: Place) -> None:
        checkers = self._of(place)
        weights = [checker.weight for checker in checkers if checker.weight is not None]
        self._heard(place, Health(all(checker.up for checker in checkers), min(weights, default=None)))


def _close(checkers: Mapping[RealServerKey, Mapping[Check, Checker]]) -> None:
    for each in checkers.values():
        for checker in each.values():
            checker.close()
