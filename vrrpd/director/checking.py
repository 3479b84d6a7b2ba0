"""The checks of all real servers: those that stay go on over a reload, and what they find becomes one health each."""

import asyncio
from collections.abc import Callable, Container

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
        self._checkers: dict[Place, dict[Check, Checker]] = {}

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
            for real in server.real_servers:
                place = server.name, real.key
                known = before.pop(place, {})
                if known and server.name in same:
                    self._checkers[place] = known
                    continue
                made = {
                    check: known.pop(check) if check in known else self._make(place, check, real, health)
                    for check in real.checks
                }
                for checker in known.values():
                    checker.close()
                if made:
                    self._checkers[place] = made
                if known and made:
                    self._changed(place)  # what one that is gone has found counts no more
            if server.ha_suspend or server.name not in same:
                self.suspend(server, suspended=suspended(server))
        for left in before.values():
            for checker in left.values():
                checker.close()

    def suspend(self, server: VirtualServerSettings, *, suspended: bool) -> None:
        """Let the checks of a virtual server rest, or go on."""
        for real in server.real_servers:
            for checker in self._checkers.get((server.name, real.key), {}).values():
                (checker.suspend if suspended else checker.resume)()

    def found(self, place: Place) -> Found:
        """What the checks of a real server have found so far."""
        checkers = self._checkers.get(place, {}).values()
        return Found(
            tuple(checker.reason for checker in checkers if not checker.up),
            sum(checker.checked for checker in checkers),
            sum(checker.failed for checker in checkers),
        )

    def close(self) -> None:
        """Check nobody any more."""
        for checkers in self._checkers.values():
            for checker in checkers.values():
                checker.close()
        self._checkers = {}

    def _make(self, place: Place, check: Check, real: RealServerSettings, health: Callable[[Place], Health]) -> Checker:
        checker = Checker(
            self._loop, check, real.address, real.port, lambda _: self._changed(place), alpha=not health(place).up
        )
        checker.start()
        return checker

    def _changed(self, place: Place) -> None:
        checkers = self._checkers[place].values()
        weights = [checker.weight for checker in checkers if checker.weight is not None]
        self._heard(place, Health(all(checker.up for checker in checkers), min(weights, default=None)))
