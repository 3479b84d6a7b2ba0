"""Which real server gets the next connection: `rr`, `wrr`, `lc` and `wlc`, as IPVS means them. Pure.

The first two go round: each connection moves a real server on by 1/weight, and the one that is furthest behind is next.
The others look for the one with the least to do for its weight, and go round among those that are alike, so that short
connections do not all go to the first.
"""

from collections.abc import Collection, Container

from vrrpd.ipvs.model import RealServerKey, Scheduler

SHUNNED = 2.0
"""Seconds for which one that could not be reached comes after all others: its checks take longer to notice."""


class Flow:
    """Octets that go one way."""

    __slots__ = ("octets",)

    def __init__(self) -> None:
        self.octets = 0


class Target:
    """A real server, and what it has to do.

    Args:
        key: where it listens.
    """

    def __init__(self, key: RealServerKey) -> None:
        self.key = key
        self.weight = 0
        """0: no new connections, and those that are there go on."""
        self.connecting = 0
        self.active = 0
        self.connections = 0
        """That there have been."""
        self.received = Flow()
        """By it, from clients."""
        self.sent = Flow()
        self.shunned_until = 0.0
        self.place = 0.0
        """How far round it is."""


class Balance:
    """Shares connections out."""

    def __init__(self) -> None:
        self._round = 0.0

    def choose(
        self, scheduler: str, targets: Collection[Target], tried: Container[Target], now: float
    ) -> Target | None:
        """The next one; None: there is none.

        Args:
            scheduler: the virtual server's.
            targets: all real servers.
            tried: those that this connection could not be made to.
            now: on the clock of `Target.shunned_until`.
        """
        weighted = scheduler in (Scheduler.WRR, Scheduler.WLC)
        by_load = scheduler in (Scheduler.LC, Scheduler.WLC)

        def rank(target: Target) -> tuple[bool, float, float]:
            share = target.weight if weighted else 1
            load = (target.active + target.connecting) / share if by_load else 0.0
            return now < target.shunned_until, load, max(target.place, self._round)

        able = [target for target in targets if target.weight and target not in tried]
        if not able:
            return None
        chosen = min(able, key=rank)
        self._round = max(self._round, chosen.place)
        chosen.place = self._round + 1 / (chosen.weight if weighted else 1)
        return chosen
