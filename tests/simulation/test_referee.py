"""The referee notices routers that break the rules: each router here is the real one with one thing wrong."""

from dataclasses import replace

import pytest

from tests.simulation.episodes import failure, random_episode
from vrrpd.protocol.effects import CancelTimer, RemoveAddresses, SendAdvert, SetTimer, State
from vrrpd.protocol.events import AdvertReceived, Event, Timer
from vrrpd.protocol.router import Effects, VirtualRouter
from vrrpd.protocol.timing import Centiseconds


class Preempting(VirtualRouter):
    """Discards a worse master's adverts although preempt is off (row 29)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        return () if 0 < event.advert.priority < self.priority else super()._heard_in_backup(event)


class WithoutSkew(VirtualRouter):
    """Waits for three intervals, whatever its priority."""

    @property
    def active_down_interval(self) -> Centiseconds:
        return Centiseconds(3 * self.active_adver_interval)


class Silent(VirtualRouter):
    """Does not answer a worse master (row 40)."""

    def handle(self, event: Event) -> Effects:
        effects = super().handle(event)
        if isinstance(event, AdvertReceived) and event.advert.priority:
            return tuple(effect for effect in effects if not isinstance(effect, SendAdvert))
        return effects


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


class DeafToIntervals(VirtualRouter):
    """Does not learn the master's interval (row 29)."""

    def _follow(self, event: AdvertReceived) -> None:
        own = replace(event.advert, max_advertise_interval=self.parameters.advertisement_interval)
        super()._follow(replace(event, advert=own))


class Patient(VirtualRouter):
    """Follows a worse master although preempt is on (row 30)."""

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        if event.advert.priority:
            self._follow(event)
            return (SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval),)
        return super()._heard_in_backup(event)


def without(kind: type, timer: Timer | None = None) -> type[VirtualRouter]:
    """A router that forgets to ask for one kind of effect when it leaves MASTER."""

    class Forgetful(VirtualRouter):
        def handle(self, event: Event) -> Effects:
            was_master = self.state is State.MASTER
            effects = super().handle(event)
            if not was_master or self.state is State.MASTER:
                return effects
            return tuple(
                effect
                for effect in effects
                if not isinstance(effect, kind) or (timer and getattr(effect, "timer", None) is not timer)
            )

    return Forgetful


@pytest.mark.parametrize(
    ("router", "complaint"),
    [
        (Preempting, "took over"),
        (WithoutSkew, "took over"),
        (Silent, "beside"),
        (TieByLowerAddress, "though"),
        (Stubborn, "storm"),
        (DeafToIntervals, "took over"),
        (Patient, "preempts and has priority"),
        (without(RemoveAddresses), "has ["),
        (without(CancelTimer, Timer.ADVER), "runs the timers"),
    ],
)
def test_a_broken_router_is_noticed(router: type[VirtualRouter], complaint: str) -> None:
    episodes = (random_episode(seed) for seed in range(500))
    assert any(complaint in (failure(episode, router) or "") for episode in episodes)


def test_the_real_one_is_not() -> None:
    assert not any(failure(random_episode(seed)) for seed in range(300))
