"""Routers that break the rules: each is the real one with one thing wrong."""

import math

from msgspec.structs import replace

from vrrpd.protocol.effects import CancelTimer, RemoveAddresses, SendAdvert, SetTimer
from vrrpd.protocol.events import AdvertReceived, Event, Timer, TimerExpired
from vrrpd.protocol.router import Effects, VirtualRouter
from vrrpd.protocol.timing import Centiseconds


class KeepingAddresses(VirtualRouter):
    """Leaves its addresses on the interface (rows 24 and 37)."""

    def handle(self, event: Event) -> Effects:
        return tuple(effect for effect in super().handle(event) if not isinstance(effect, RemoveAddresses))


class KeepingTimer(VirtualRouter):
    """Lets the Adver_Timer run on (row 39)."""

    def handle(self, event: Event) -> Effects:
        return tuple(effect for effect in super().handle(event) if effect != CancelTimer(Timer.ADVER))


class Truncating(VirtualRouter):
    """Cuts what it waits for to whole centiseconds. (It preempts; without, it would break NOPREEMPT as well.)"""

    @property
    def active_down_interval(self) -> Centiseconds:
        exact = super().active_down_interval
        return Centiseconds(math.floor(exact)) if self.parameters.preempt else exact


class Late(VirtualRouter):
    """Waits a microsecond too long."""

    @property
    def active_down_interval(self) -> Centiseconds:
        return Centiseconds(super().active_down_interval + 1e-4)


class Preempting(VirtualRouter):
    """Lets its timer run on beside a worse master although preempt is off (row 29)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        same_interval = event.advert.max_advertise_interval == self.active_adver_interval
        if 0 < event.advert.priority < self.priority and same_interval:
            self._follow(event)
            return ()
        return super()._heard_in_backup(event)


class Stammering(VirtualRouter):
    """Sends each advert twice."""

    def handle(self, event: Event) -> Effects:
        effects = super().handle(event)
        return (*(effect for effect in effects if isinstance(effect, SendAdvert)), *effects)


class Silent(VirtualRouter):
    """Does not answer a worse master (row 40)."""

    def _heard_in_master(self, event: AdvertReceived) -> Effects:
        effects = super()._heard_in_master(event)
        if event.advert.priority:
            return tuple(effect for effect in effects if not isinstance(effect, SendAdvert))
        return effects


class Clinging(VirtualRouter):
    """Does not let go of its addresses when its successor has announced them."""

    def _release(self) -> Effects:
        return (SetTimer(Timer.RELEASE, Centiseconds(100)),)


class Shy(VirtualRouter):
    """Goes on waiting when its time has come (row 27)."""

    def _in_backup(self, event: Event) -> Effects:
        if event == TimerExpired(Timer.ACTIVE_DOWN):
            return (SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval),)
        return super()._in_backup(event)


class Humble(VirtualRouter):
    """Yields to an equal one from a lower address, and lets an equal one from a higher address be (row 39)."""

    def _is_equal(self, event: AdvertReceived) -> bool:
        advert = event.advert
        interval = self.parameters.advertisement_interval
        return advert.priority == self.priority and advert.max_advertise_interval == interval

    def _loses_to(self, event: AdvertReceived) -> bool:
        return super()._loses_to(event) is not self._is_equal(event)

    def _heard_in_master(self, event: AdvertReceived) -> Effects:
        effects = super()._heard_in_master(event)
        if self._is_equal(event):
            return tuple(effect for effect in effects if not isinstance(effect, SendAdvert))
        return effects


class WithoutSkew(VirtualRouter):
    """Waits for three intervals, whatever its priority."""

    @property
    def active_down_interval(self) -> Centiseconds:
        return Centiseconds(3 * self.active_adver_interval)


class Patient(VirtualRouter):
    """Follows a worse master although preempt is on (row 30)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        if event.advert.priority:
            self._follow(event)
            return (SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval),)
        return super()._heard_in_backup(event)


class DeafToIntervals(VirtualRouter):
    """Does not learn the master's interval (row 29)."""

    def _follow(self, event: AdvertReceived) -> None:
        own = replace(event.advert, max_advertise_interval=self.parameters.advertisement_interval)
        super()._follow(replace(event, advert=own))


class TieByLowerAddress(VirtualRouter):
    """Yields to the lower address."""

    def _loses_to(self, event: AdvertReceived) -> bool:
        if event.advert.priority != self.priority:
            return super()._loses_to(event)
        return self.address is not None and int(event.source) < int(self.address)


class Stubborn(VirtualRouter):
    """Yields to no equal priority."""

    def _loses_to(self, event: AdvertReceived) -> bool:
        return event.advert.priority > self.priority


class Nervous(VirtualRouter):
    """As BACKUP, takes over at once where it should wait for the skew (row 28)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        return super()._heard_in_backup(event) if event.advert.priority else self._become_master("resigned")


class DeafToResignations(VirtualRouter):
    """Waits on when the master has resigned (row 28)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        return super()._heard_in_backup(event) if event.advert.priority else ()


class DefyingEquals(VirtualRouter):
    """Takes over from an equal priority (row 29)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        if event.advert.priority == self.priority and self.parameters.preempt:
            return ()
        return super()._heard_in_backup(event)
