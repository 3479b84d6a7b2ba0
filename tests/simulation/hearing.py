"""When a BACKUP may take over, and when it must: worked out from what it heard, by its own clock.

This is section 6.4.2 of RFC 9568 once more, written down as deadlines instead of timers, so that the router and its
referee do not share a mistake. Times are centiseconds of the host's clock.
"""

from msgspec import Struct

from tests.simulation.lan import Host
from vrrpd.protocol.events import AdvertReceived


class Span(Struct, frozen=True):
    """From the least to the most it can be; they differ only where preempt_delay may or may not be running."""

    least: float
    most: float

    @classmethod
    def exactly(cls, value: float) -> "Span":
        """Without doubt."""
        return cls(value, value)

    def or_else(self, other: "Span") -> "Span":
        """One of both."""
        return Span(min(self.least, other.least), max(self.most, other.most))


class Hearing:
    """What one BACKUP has heard since it became that."""

    def __init__(self, host: Host, clock: float, interval: float) -> None:
        self._host = host
        self.interval = Span.exactly(interval)
        """What it counts with: its own interval, or the one that it has learnt."""
        self.has_learnt = False
        self.resigned = False
        """The last that counted was a resignation."""
        self.takeover = self._after(clock, 3)
        """When its timer runs out."""
        self.tolerates_until = 0.0
        """With preempt off: a master of lower priority counts as alive until then."""

    def reload(self, interval: float) -> None:
        """Its own interval was changed; that counts as long as it has heard no master. The timer runs on."""
        if not self.has_learnt:
            self.interval = Span.exactly(interval)

    def note(self, event: AdvertReceived, clock: float) -> None:
        """An advert arrives."""
        assert self._host.router
        own, advert = self._host.router, event.advert
        if not advert.priority:
            self.resigned = True
            self.takeover = self._after(clock, 0)
            self.tolerates_until = 0.0
            return
        must_follow = advert.priority >= own.priority or not own.parameters.preempt
        if not must_follow and not own.parameters.preempt_delay:
            return
        before = self.interval, self.takeover
        self.resigned, self.has_learnt = False, True
        self.interval = Span.exactly(advert.max_advertise_interval)
        self.takeover = self._after(clock, 3)
        self.tolerates_until = 0.0
        if not must_follow:
            self.interval = self.interval.or_else(before[0])
            self.takeover = self.takeover.or_else(before[1])
        elif advert.priority < own.priority:
            self.tolerates_until = self.takeover.least
            self.takeover = Span(min(before[1].least, self.takeover.least), self.takeover.most)

    def _after(self, clock: float, intervals: int) -> Span:
        """So many intervals and Skew_Time from now on, as section 6.1 has it."""
        assert self._host.router
        times = intervals + (256 - self._host.router.priority) / 256
        return Span(clock + times * self.interval.least, clock + times * self.interval.most)
