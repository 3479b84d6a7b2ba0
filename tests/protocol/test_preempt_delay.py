"""How long a BACKUP with preempt_delay tolerates a master of lower priority."""

import pytest
from msgspec.structs import replace

from tests.protocol.samples import DOWN_INTERVAL, LINK_DOWN, PARAMETERS, SKEW_TIME, heard, router_in_backup
from vrrpd.protocol.effects import CancelTimer, SendAdvert, SetTimer, State
from vrrpd.protocol.events import AdvertReceived, Event, Shutdown, Timer, TimerExpired
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

DELAYED = replace(PARAMETERS, preempt_delay=Centiseconds(500))
DELAY_STARTED = SetTimer(Timer.PREEMPT_DELAY, Centiseconds(500))
DELAY_FORGOTTEN = CancelTimer(Timer.PREEMPT_DELAY)
DOWN_TIMER = SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL)
WORSE = heard(priority=99)


@pytest.fixture
def tolerant() -> VirtualRouter:
    """A router that has begun to tolerate a worse master."""
    router = router_in_backup(DELAYED)
    assert router.handle(WORSE) == (DOWN_TIMER, DELAY_STARTED)
    return router


def test_the_delay_starts_once(tolerant: VirtualRouter) -> None:
    assert tolerant.handle(WORSE) == (DOWN_TIMER,)


def test_the_tolerated_master_is_followed(tolerant: VirtualRouter) -> None:
    slow = heard(priority=99, interval=200)
    assert tolerant.handle(slow)[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(721.875))
    assert tolerant.master is slow


def test_after_the_delay_the_down_timer_is_left_to_run_out(tolerant: VirtualRouter) -> None:
    assert tolerant.handle(TimerExpired(Timer.PREEMPT_DELAY)) == ()
    assert tolerant.handle(WORSE) == ()
    assert tolerant.handle(TimerExpired(Timer.ACTIVE_DOWN))[0] == SendAdvert(100)
    assert tolerant.state is State.MASTER


@pytest.mark.parametrize("priority", [100, 200])
def test_a_rightful_master_ends_it(tolerant: VirtualRouter, priority: int) -> None:
    assert tolerant.handle(heard(priority)) == (DOWN_TIMER, DELAY_FORGOTTEN)
    assert tolerant.handle(WORSE) == (DOWN_TIMER, DELAY_STARTED)


def test_a_rightful_master_ends_it_after_the_delay_too(tolerant: VirtualRouter) -> None:
    tolerant.handle(TimerExpired(Timer.PREEMPT_DELAY))
    assert tolerant.handle(heard(priority=100)) == (DOWN_TIMER,)
    assert tolerant.handle(WORSE) == (DOWN_TIMER, DELAY_STARTED)


def test_a_resignation_is_not_delayed(tolerant: VirtualRouter) -> None:
    assert tolerant.handle(heard(priority=0)) == (SetTimer(Timer.ACTIVE_DOWN, SKEW_TIME),)


def test_a_silent_master_is_not_waited_for(tolerant: VirtualRouter) -> None:
    assert DELAY_FORGOTTEN in tolerant.handle(TimerExpired(Timer.ACTIVE_DOWN))
    assert tolerant.state is State.MASTER


@pytest.mark.parametrize("event", [Shutdown(), LINK_DOWN])
def test_leaving_backup_ends_it(tolerant: VirtualRouter, event: Event) -> None:
    assert DELAY_FORGOTTEN in tolerant.handle(event)


@pytest.mark.parametrize("event", [heard(priority=100), heard(priority=0)])
def test_there_is_no_delay_without_a_worse_master(event: AdvertReceived) -> None:
    assert DELAY_STARTED not in router_in_backup(DELAYED).handle(event)


def test_preempt_off_needs_no_delay() -> None:
    router = router_in_backup(replace(DELAYED, preempt=False))
    assert router.handle(WORSE) == (DOWN_TIMER,)
