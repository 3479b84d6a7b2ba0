"""Rows 22-30 of the conformance list: INIT and BACKUP (RFC 9568 sections 6.4.1 and 6.4.2)."""

import pytest
from msgspec.structs import replace

from tests.protocol.samples import (
    DOWN_INTERVAL,
    HIGHER,
    LINK_UP,
    LOWER,
    OWN_IPV6,
    PARAMETERS,
    SKEW_TIME,
    VIPS,
    VIPS_IPV6,
    heard,
    router_in_backup,
    router_in_init,
    router_in_master,
)
from vrrpd.protocol.effects import (
    AddAddresses,
    Announce,
    CancelTimer,
    RemoveAddresses,
    ReportTransition,
    SendAdvert,
    SetTimer,
    State,
)
from vrrpd.protocol.events import AdvertReceived, Event, Shutdown, Startup, Timer, TimerExpired
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

OWNER = replace(PARAMETERS, priority=255)
DOWN_EXPIRED = TimerExpired(Timer.ACTIVE_DOWN)


def test_row_22_the_owner_is_master_at_once() -> None:
    router = router_in_init(OWNER)
    assert router.handle(Startup()) == (
        SendAdvert(255),
        AddAddresses(VIPS),
        Announce(VIPS),
        SetTimer(Timer.ADVER, Centiseconds(100)),
        ReportTransition(State.INIT, State.MASTER, "startup: owner of the addresses"),
    )
    assert router.state is State.MASTER


def test_row_22_negative_priority_254_is_no_owner() -> None:
    router = router_in_init(replace(PARAMETERS, priority=254))
    router.handle(Startup())
    assert router.state is State.BACKUP


def test_row_22_negative_no_owner_without_startup() -> None:
    router = router_in_init(OWNER)
    assert router.handle(heard(priority=100)) == ()
    assert router.handle(DOWN_EXPIRED) == ()
    assert router.state is State.INIT


@pytest.mark.parametrize(
    ("priority", "interval", "down_interval"),
    [(100, 100, 360.9375), (1, 100, 399.609375), (254, 100, 300.78125), (200, 1, 3.21875), (1, 4095, 16364.00390625)],
)
def test_row_23_startup_waits_for_the_down_interval(priority: int, interval: float, down_interval: float) -> None:
    router = router_in_init(replace(PARAMETERS, priority=priority, advertisement_interval=Centiseconds(interval)))
    assert router.handle(Startup()) == (
        SetTimer(Timer.ACTIVE_DOWN, Centiseconds(down_interval)),
        ReportTransition(State.INIT, State.BACKUP, "startup"),
    )
    assert router.active_adver_interval == interval


def test_row_23_a_second_startup_forgets_the_interval_that_was_learnt() -> None:
    router = router_in_backup()
    router.handle(heard(priority=200, interval=10))
    router.handle(Shutdown())
    assert SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL) in router.handle(Startup())


def test_row_23_negative_nothing_runs_before_startup() -> None:
    router = VirtualRouter(PARAMETERS)
    assert router.handle(heard(priority=200)) == ()
    assert router.active_adver_interval == Centiseconds(100)


def test_row_24_a_backup_has_no_address_to_answer_for() -> None:
    """ARP and NS are answered by the kernel, for the addresses that it has: the core takes them off."""
    router = router_in_master()
    assert RemoveAddresses(VIPS) in router.handle(heard(priority=200))
    assert router.state is State.BACKUP


def test_row_24_negative_a_master_keeps_them() -> None:
    router = router_in_master()
    assert RemoveAddresses(VIPS) not in router.handle(heard(priority=50))
    assert RemoveAddresses(VIPS) not in router.handle(TimerExpired(Timer.ADVER))


@pytest.mark.parametrize("event", [heard(200), heard(100), heard(50), heard(0), Startup(), LINK_UP])
def test_row_25_nothing_gives_a_backup_addresses(event: Event) -> None:
    effects = router_in_backup().handle(event)
    assert not [effect for effect in effects if isinstance(effect, AddAddresses | Announce)]


def test_row_25_negative_a_new_master_gets_them() -> None:
    assert AddAddresses(VIPS) in router_in_backup().handle(DOWN_EXPIRED)


def test_row_26_shutdown_in_backup_is_silent() -> None:
    router = router_in_backup()
    assert router.handle(Shutdown()) == (
        CancelTimer(Timer.ACTIVE_DOWN),
        ReportTransition(State.BACKUP, State.INIT, "shutdown"),
    )
    assert router.state is State.INIT


def test_row_26_negative_shutdown_in_init_changes_nothing() -> None:
    router = router_in_init()
    assert router.handle(Shutdown()) == ()
    assert router.state is State.INIT


def test_row_27_the_down_timer_makes_a_master() -> None:
    router = router_in_backup()
    router.handle(heard(priority=200, interval=10))
    assert router.handle(DOWN_EXPIRED) == (
        SendAdvert(100),
        AddAddresses(VIPS),
        Announce(VIPS),
        SetTimer(Timer.ADVER, Centiseconds(100)),  # its own interval, not the one that it had learnt
        ReportTransition(State.BACKUP, State.MASTER, "the master is silent"),
    )
    assert router.state is State.MASTER


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([], "no master was heard"),
        ([heard(200)], "the master is silent"),
        ([heard(200), heard(0)], "the master resigned"),
        ([heard(200), heard(0), heard(200)], "the master is silent"),
    ],
)
def test_row_27_the_reason_is_what_was_heard_last(history: list[AdvertReceived], reason: str) -> None:
    router = router_in_backup()
    for event in history:
        router.handle(event)
    assert router.handle(DOWN_EXPIRED)[-1] == ReportTransition(State.BACKUP, State.MASTER, reason)


def test_row_27_ipv6_announces_each_address() -> None:
    router = router_in_backup(replace(PARAMETERS, addresses=VIPS_IPV6), OWN_IPV6)
    assert router.handle(DOWN_EXPIRED)[1:3] == (AddAddresses(VIPS_IPV6), Announce(VIPS_IPV6))


@pytest.mark.parametrize("timer", [timer for timer in Timer if timer is not Timer.ACTIVE_DOWN])
def test_row_27_negative_no_other_timer_does(timer: Timer) -> None:
    router = router_in_backup()
    assert router.handle(TimerExpired(timer)) == ()
    assert router.state is State.BACKUP


def test_row_28_a_resignation_leaves_the_skew_time() -> None:
    assert router_in_backup().handle(heard(priority=0)) == (SetTimer(Timer.ACTIVE_DOWN, SKEW_TIME),)


def test_row_28_the_skew_is_of_the_interval_that_was_learnt() -> None:
    router = router_in_backup()
    router.handle(heard(priority=200, interval=10))
    effects = router.handle(heard(priority=0, interval=40))  # what a resignation says of intervals is not adopted
    assert effects[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(6.09375))
    assert router.active_adver_interval == Centiseconds(10)


@pytest.mark.parametrize("preempt", [True, False])
def test_row_28_negative_priority_1_is_no_resignation(preempt: bool) -> None:
    effects = router_in_backup(replace(PARAMETERS, preempt=preempt)).handle(heard(priority=1))
    assert SetTimer(Timer.ACTIVE_DOWN, SKEW_TIME) not in effects


@pytest.mark.parametrize("priority", [100, 101, 255])
def test_row_29_adopts_interval_and_resets_down_timer(priority: int) -> None:
    router = router_in_backup()
    effects = router.handle(heard(priority=priority, interval=40))
    assert effects[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(144.375))
    assert router.active_adver_interval == Centiseconds(40)
    assert router.skew_time == Centiseconds(24.375)
    assert router.active_down_interval == Centiseconds(144.375)


def test_row_29_equal_priority_from_a_lower_address_is_followed_too() -> None:
    assert router_in_backup().handle(heard(priority=100, source=LOWER)) == (SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL),)


def test_row_29_any_priority_with_preempt_off() -> None:
    router = router_in_backup(replace(PARAMETERS, preempt=False))
    assert router.handle(heard(priority=1)) == (SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL),)


def test_row_29_negative_lower_priority_with_preempt_leaves_the_timer() -> None:
    router = router_in_backup()
    assert not [effect for effect in router.handle(heard(priority=99, interval=40)) if isinstance(effect, SetTimer)]
    assert router.active_adver_interval == Centiseconds(100)
    assert router.master is None


def test_row_30_a_lower_priority_is_discarded() -> None:
    router = router_in_backup()
    assert router.handle(heard(priority=99)) == ()
    assert router.handle(heard(priority=99, source=HIGHER)) == ()
    assert router.handle(DOWN_EXPIRED)[0] == SendAdvert(100)


def test_row_30_negative_an_equal_priority_is_not() -> None:
    assert router_in_backup().handle(heard(priority=100)) == (SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL),)
