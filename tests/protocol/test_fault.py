"""FAULT: a router that should take part and cannot, and how it returns."""

import pytest
from msgspec.structs import replace

from tests.protocol.samples import (
    DOWN_INTERVAL,
    HIGHER,
    LINK_DOWN,
    LINK_UP,
    LOWER,
    PARAMETERS,
    VIPS,
    heard,
    router_in_backup,
    router_in_init,
    router_in_master,
)
from vrrpd.protocol.delays import ADVERTS_UNTIL_SOUND
from vrrpd.protocol.effects import (
    CancelTimer,
    Effect,
    RemoveAddresses,
    ReportTransition,
    SendAdvert,
    SetTimer,
    State,
)
from vrrpd.protocol.events import (
    AddressesFailed,
    Event,
    LinkChanged,
    ParametersChanged,
    PriorityChanged,
    Shutdown,
    Startup,
    Timer,
    TimerExpired,
)
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

RECOVERY = TimerExpired(Timer.RECOVERY)
DEBOUNCED = replace(PARAMETERS, recovery_delay=Centiseconds(200))


def router_in_fault(parameters: Parameters = PARAMETERS) -> VirtualRouter:
    """A router that was started without a link."""
    router = VirtualRouter(parameters)
    router.handle(LINK_DOWN)
    assert router.handle(Startup()) == (ReportTransition(State.INIT, State.FAULT, "no carrier"),)
    return router


def test_startup_before_anyone_looked_at_the_link() -> None:
    router = VirtualRouter(PARAMETERS)
    router.handle(Startup())
    assert router.state is State.FAULT
    assert router.address is None


def test_a_link_that_comes_up_makes_a_backup_without_delay() -> None:
    router = router_in_fault()
    assert router.handle(LINK_UP) == (SetTimer(Timer.RECOVERY, Centiseconds(0)),)
    assert router.handle(RECOVERY) == (
        SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL),
        ReportTransition(State.FAULT, State.BACKUP, "recovered"),
    )


def test_a_link_that_comes_up_makes_the_owner_master() -> None:
    router = router_in_fault(replace(PARAMETERS, priority=255))
    router.handle(LINK_UP)
    assert router.handle(RECOVERY)[0] == SendAdvert(255)
    assert router.state is State.MASTER


def test_a_bouncing_link_starts_the_recovery_anew() -> None:
    router = router_in_fault(DEBOUNCED)
    assert router.handle(LINK_UP) == (SetTimer(Timer.RECOVERY, Centiseconds(200)),)
    assert router.handle(LinkChanged(up=True, address=HIGHER)) == ()  # up as before: the timer runs on
    assert router.handle(LINK_DOWN) == (CancelTimer(Timer.RECOVERY),)
    assert router.handle(RECOVERY) == ()
    assert router.state is State.FAULT
    assert router.handle(LINK_UP) == (SetTimer(Timer.RECOVERY, Centiseconds(200)),)


def test_another_reason_is_told_once() -> None:
    router = router_in_fault()
    unplugged = LinkChanged(up=False, reason="eth1 is down")
    told = ReportTransition(State.FAULT, State.FAULT, "eth1 is down")
    assert router.handle(unplugged) == (CancelTimer(Timer.RECOVERY), told)
    assert router.handle(unplugged) == (CancelTimer(Timer.RECOVERY),)


def test_link_down_in_backup() -> None:
    router = router_in_backup()
    assert router.handle(LINK_DOWN) == (
        CancelTimer(Timer.ACTIVE_DOWN),
        ReportTransition(State.BACKUP, State.FAULT, "no carrier"),
    )


def test_link_down_in_master_is_silent() -> None:
    """Nobody would hear a resignation."""
    router = router_in_master()
    assert router.handle(LINK_DOWN) == (
        CancelTimer(Timer.ADVER),
        RemoveAddresses(VIPS),
        ReportTransition(State.MASTER, State.FAULT, "no carrier"),
    )


def test_a_master_that_lacks_something_else_and_can_still_speak_resigns() -> None:
    router = router_in_master()
    assert router.handle(LinkChanged(up=False, address=LINK_UP.address, reason="eth1 is down")) == (
        SendAdvert(0),
        CancelTimer(Timer.ADVER),
        RemoveAddresses(VIPS),
        ReportTransition(State.MASTER, State.FAULT, "eth1 is down"),
    )
    assert router.address == LINK_UP.address
    assert router.handle(LINK_DOWN)[0] == CancelTimer(Timer.RECOVERY)
    assert router.address is None


@pytest.mark.parametrize("link", [LINK_DOWN, LinkChanged(up=False, address=LINK_UP.address, reason="eth1 is down")])
def test_who_was_to_announce_once_more_does_not(link: LinkChanged) -> None:
    router = router_in_master()
    router.handle(heard(50, source=LOWER))
    assert CancelTimer(Timer.REANNOUNCE) in router.handle(link)


def test_link_down_in_init_is_remembered() -> None:
    router = router_in_init()
    assert router.handle(LINK_DOWN) == ()
    router.handle(Startup())
    assert router.state is State.FAULT


def test_refused_addresses_let_another_be_master_for_five_seconds() -> None:
    router = router_in_master()
    assert router.handle(AddressesFailed("no buffer space")) == (
        SendAdvert(0),
        CancelTimer(Timer.ADVER),
        RemoveAddresses(VIPS),
        ReportTransition(State.MASTER, State.FAULT, "no buffer space"),
        SetTimer(Timer.RECOVERY, Centiseconds(500)),
    )
    assert router.handle(RECOVERY)[0] == SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL)
    assert router.state is State.BACKUP


def refused_again(router: VirtualRouter) -> Effect:
    """Become MASTER once more, and be refused once more; the timer that is set."""
    if router.state is State.FAULT:
        router.handle(RECOVERY)
    router.handle(TimerExpired(Timer.ACTIVE_DOWN))
    return router.handle(AddressesFailed("no buffer space"))[-1]


def test_each_refusal_doubles_the_wait_up_to_ten_minutes() -> None:
    router = router_in_backup()
    waits = [refused_again(router) for _ in range(9)]
    expected = (500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000)
    assert waits == [SetTimer(Timer.RECOVERY, Centiseconds(wait)) for wait in expected]


def test_a_master_that_lasts_forgets_the_refusals() -> None:
    router = router_in_backup()
    refused_again(router)
    router.handle(RECOVERY)
    router.handle(TimerExpired(Timer.ACTIVE_DOWN))
    for _ in range(ADVERTS_UNTIL_SOUND + 1):
        router.handle(TimerExpired(Timer.ADVER))
    assert refused_again(router) == SetTimer(Timer.RECOVERY, Centiseconds(500))


@pytest.mark.parametrize("router", [router_in_init(), router_in_backup(), router_in_fault()])
def test_refused_addresses_matter_to_a_master_only(router: VirtualRouter) -> None:
    before = router.state
    assert router.handle(AddressesFailed("no buffer space")) == ()
    assert router.state is before


@pytest.mark.parametrize("event", [heard(0), heard(50), heard(200), Startup(), TimerExpired(Timer.ACTIVE_DOWN)])
def test_fault_is_deaf(event: Event) -> None:
    router = router_in_fault()
    assert router.handle(event) == ()
    assert router.state is State.FAULT


def test_shutdown_in_fault() -> None:
    effects = router_in_fault().handle(Shutdown())
    assert effects == (CancelTimer(Timer.RECOVERY), ReportTransition(State.FAULT, State.INIT, "shutdown"))


def test_what_changes_in_fault_holds_afterwards() -> None:
    router = router_in_fault()
    router.handle(ParametersChanged(replace(PARAMETERS, advertisement_interval=Centiseconds(10))))
    router.handle(PriorityChanged(156))
    router.handle(LINK_UP)
    assert router.handle(RECOVERY)[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(33.90625))


def test_what_was_learnt_before_the_fault_is_forgotten() -> None:
    router = router_in_backup()
    router.handle(heard(200, interval=10, source=LOWER))
    router.handle(LINK_DOWN)
    router.handle(LINK_UP)
    assert router.handle(RECOVERY)[0] == SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL)
    assert router.master is None
