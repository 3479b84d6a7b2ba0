"""Rows 36-40 of the conformance list: MASTER (RFC 9568 section 6.4.3)."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from msgspec.structs import replace

from tests.protocol.samples import (
    DOWN_INTERVAL,
    HIGHER,
    LOWER,
    OWN,
    PARAMETERS,
    VIPS,
    VIPS_IPV6,
    heard,
    router_in_backup,
    router_in_master,
)
from vrrpd.protocol.advert import IPAddress
from vrrpd.protocol.effects import (
    Anomaly,
    CancelTimer,
    Reannounce,
    RemoveAddresses,
    ReportAnomaly,
    ReportTransition,
    SendAdvert,
    SetTimer,
    State,
)
from vrrpd.protocol.events import Shutdown, Timer, TimerExpired
from vrrpd.protocol.router import LAST_WORD_PRIORITY
from vrrpd.protocol.timing import Centiseconds

ADVERT_AND_TIMER = (SendAdvert(100), SetTimer(Timer.ADVER, Centiseconds(100)))


def test_row_36_the_adver_timer_sends_and_starts_anew() -> None:
    router = router_in_master()
    assert router.handle(TimerExpired(Timer.ADVER)) == ADVERT_AND_TIMER
    assert router.handle(TimerExpired(Timer.ADVER)) == ADVERT_AND_TIMER


def test_row_36_with_its_own_interval_whatever_it_had_learnt() -> None:
    router = router_in_backup()
    router.handle(heard(priority=200, interval=10))
    router.handle(TimerExpired(Timer.ACTIVE_DOWN))
    assert router.handle(TimerExpired(Timer.ADVER)) == ADVERT_AND_TIMER


@pytest.mark.parametrize("timer", [timer for timer in Timer if timer is not Timer.ADVER])
def test_row_36_negative_another_timer_sends_nothing(timer: Timer) -> None:
    effects = router_in_master().handle(TimerExpired(timer))
    assert not [effect for effect in effects if not isinstance(effect, Reannounce)]


def test_row_36_negative_a_backup_sends_nothing() -> None:
    assert router_in_backup().handle(TimerExpired(Timer.ADVER)) == ()


def test_row_37_shutdown_resigns() -> None:
    router = router_in_master()
    assert router.handle(Shutdown()) == (
        SendAdvert(0),
        CancelTimer(Timer.ADVER),
        RemoveAddresses(VIPS),
        ReportTransition(State.MASTER, State.INIT, "shutdown"),
    )
    assert router.state is State.INIT


def test_row_37_negative_a_backup_does_not_resign() -> None:
    assert SendAdvert(0) not in router_in_backup().handle(Shutdown())


def test_row_38_a_resignation_is_answered() -> None:
    router = router_in_master()
    assert router.handle(heard(priority=0, source=HIGHER)) == ADVERT_AND_TIMER
    assert router.state is State.MASTER


def test_row_38_negative_priority_1_does_not_reset_the_timer() -> None:
    assert SetTimer(Timer.ADVER, Centiseconds(100)) not in router_in_master().handle(heard(priority=1))


@pytest.mark.parametrize("source", [LOWER, HIGHER])
def test_row_39_yields_to_a_higher_priority(source: IPAddress) -> None:
    router = router_in_master()
    assert router.handle(heard(priority=101, source=source)) == (
        CancelTimer(Timer.ADVER),
        SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL),
        RemoveAddresses(VIPS),
        ReportTransition(State.MASTER, State.BACKUP, f"{source} has priority 101"),
    )
    assert router.state is State.BACKUP


def test_row_39_with_preempt_off_too() -> None:
    router = router_in_master(replace(PARAMETERS, preempt=False))
    router.handle(heard(priority=101))
    assert router.state is State.BACKUP


def test_row_39_adopts_the_interval() -> None:
    router = router_in_master()
    assert router.handle(heard(priority=200, interval=40))[1] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(144.375))
    assert router.active_adver_interval == Centiseconds(40)


@pytest.mark.parametrize(
    ("own", "source"),
    [
        (OWN, HIGHER),
        (IPv4Address("192.0.2.9"), IPv4Address("192.0.2.10")),  # not as strings
        (IPv4Address("10.0.0.1"), IPv4Address("192.0.2.1")),  # not as signed integers
        (IPv4Address("192.0.2.255"), IPv4Address("192.0.3.0")),  # not with the bytes reversed
        (IPv6Address("fe80::9"), IPv6Address("fe80::10")),
        (IPv6Address("fe80::1:0:0:0"), IPv6Address("fe80::8000:0:0:0")),
    ],
)
def test_row_39_equal_priority_yields_to_the_greater_address(own: IPAddress, source: IPAddress) -> None:
    vips = VIPS if own.version == 4 else VIPS_IPV6
    loser = router_in_master(replace(PARAMETERS, addresses=vips), own)
    loser.handle(heard(priority=100, source=source, addresses=vips))
    assert loser.state is State.BACKUP
    winner = router_in_master(replace(PARAMETERS, addresses=vips), source)
    winner.handle(heard(priority=100, source=own, addresses=vips))
    assert winner.state is State.MASTER


@pytest.mark.parametrize(("priority", "source"), [(99, HIGHER), (100, LOWER), (0, HIGHER)])
def test_row_39_negative_stays_before_a_worse_one(priority: int, source: IPAddress) -> None:
    router = router_in_master()
    effects = router.handle(heard(priority=priority, source=source))
    assert router.state is State.MASTER
    assert not [effect for effect in effects if isinstance(effect, CancelTimer | RemoveAddresses)]


@pytest.mark.parametrize(("priority", "source"), [(1, HIGHER), (99, HIGHER), (100, LOWER)])
def test_row_40_answers_a_worse_one_immediately(priority: int, source: IPAddress) -> None:
    """It also announces anew: the neighbours may have learnt the other's MAC. The Adver_Timer runs on."""
    router, event = router_in_master(), heard(priority=priority, source=source)
    assert router.handle(event) == (
        SendAdvert(100),
        Reannounce(at_once=priority == LAST_WORD_PRIORITY),
        SetTimer(Timer.REANNOUNCE, Centiseconds(102)),  # and when the other has fallen silent
        ReportAnomaly(Anomaly.CONFLICTING_MASTER, source, event.advert),
    )
    assert router.state is State.MASTER


@pytest.mark.parametrize(("priority", "source"), [(101, LOWER), (100, HIGHER)])
def test_row_40_negative_a_better_one_is_not_answered(priority: int, source: IPAddress) -> None:
    effects = router_in_master().handle(heard(priority=priority, source=source))
    assert not [effect for effect in effects if isinstance(effect, SendAdvert | ReportAnomaly)]


def test_row_40_negative_a_backup_answers_nobody() -> None:
    assert router_in_backup().handle(heard(priority=1)) == ()
