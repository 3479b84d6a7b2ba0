"""What changes while a router runs: its parameters, its priority, its own address; and who shares that address."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.protocol.samples import (
    DOWN_INTERVAL,
    HIGHER,
    LINK_DOWN,
    LINK_UP,
    LOWER,
    OWN,
    PARAMETERS,
    VIPS,
    heard,
    router_in_backup,
    router_in_init,
    router_in_master,
)
from vrrpd.protocol.advert import IPAddress
from vrrpd.protocol.effects import (
    AddAddresses,
    Announce,
    Anomaly,
    RemoveAddresses,
    ReportAnomaly,
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
    Resume,
    Shutdown,
    Startup,
    Timer,
    TimerExpired,
)
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

SILENCE = Centiseconds(50)
NEW_VIP = IPv4Address("192.0.2.102")
FASTER = replace(PARAMETERS, advertisement_interval=Centiseconds(10))


def test_a_master_advertises_a_new_interval_at_once() -> None:
    """A BACKUP must learn a longer interval before the old one has run out."""
    effects = router_in_master().handle(ParametersChanged(FASTER))
    assert effects == (SendAdvert(100), SetTimer(Timer.ADVER, Centiseconds(10)))


def test_a_master_changes_only_the_addresses_that_changed() -> None:
    effects = router_in_master().handle(ParametersChanged(replace(PARAMETERS, addresses=(VIPS[1], NEW_VIP))))
    assert effects[0] == SendAdvert(100)
    assert effects[2:] == (RemoveAddresses(VIPS[:1]), AddAddresses((NEW_VIP,)), Announce((NEW_VIP,)))


def test_a_backup_changes_no_addresses() -> None:
    router = router_in_backup()
    assert router.handle(ParametersChanged(replace(PARAMETERS, addresses=(NEW_VIP,)))) == ()
    assert AddAddresses((NEW_VIP,)) in router.handle(TimerExpired(Timer.ACTIVE_DOWN))


def test_a_backup_that_has_heard_nobody_takes_its_new_interval() -> None:
    router = router_in_backup()
    assert router.handle(ParametersChanged(FASTER)) == ()
    assert router.handle(heard(0, interval=10)) == (SetTimer(Timer.ACTIVE_DOWN, Centiseconds(6.09375)),)


def test_a_backup_with_a_master_keeps_the_masters_interval() -> None:
    router = router_in_backup()
    router.handle(heard(200))
    router.handle(ParametersChanged(FASTER))
    assert router.active_adver_interval == Centiseconds(100)


def test_a_master_advertises_its_new_priority_at_once() -> None:
    router = router_in_master()
    assert router.handle(PriorityChanged(50)) == (SendAdvert(50), SetTimer(Timer.ADVER, Centiseconds(100)))
    router.handle(heard(60))
    assert router.state is State.BACKUP


def test_a_backup_competes_with_its_new_priority() -> None:
    router = router_in_backup()
    assert router.handle(PriorityChanged(200)) == ()
    assert router.handle(heard(199)) == ()
    assert router.handle(heard(200)) == (SetTimer(Timer.ACTIVE_DOWN, Centiseconds(321.875)),)
    assert router.handle(TimerExpired(Timer.ACTIVE_DOWN))[0] == SendAdvert(200)


def test_a_priority_changed_in_init_holds_at_startup() -> None:
    router = router_in_init()
    assert router.handle(PriorityChanged(200)) == ()
    assert router.handle(Startup())[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(321.875))


def test_new_parameters_bring_their_priority() -> None:
    router = router_in_backup()
    router.handle(PriorityChanged(200))
    router.handle(ParametersChanged(replace(PARAMETERS, priority=150)))
    assert router.handle(TimerExpired(Timer.ACTIVE_DOWN))[0] == SendAdvert(150)


def test_a_new_address_decides_the_next_tie() -> None:
    router = router_in_master()
    assert router.handle(LinkChanged(up=True, address=HIGHER)) == ()
    router.handle(heard(100, source=OWN))
    assert router.state is State.MASTER


def test_a_new_address_that_is_lower_loses_the_tie() -> None:
    router = router_in_master()
    router.handle(LinkChanged(up=True, address=LOWER))
    router.handle(heard(100, source=OWN))
    assert router.state is State.BACKUP


def test_a_router_with_the_same_address_is_reported_and_not_answered() -> None:
    """Both win the tie: answering at once they would answer each other for ever."""
    router, event = router_in_master(), heard(100, source=OWN)
    assert router.handle(event) == (
        ReportAnomaly(Anomaly.CONFLICTING_MASTER, OWN, event.advert),
        ReportAnomaly(Anomaly.DUPLICATE_SOURCE, OWN, event.advert),
    )
    assert router.state is State.MASTER


def test_a_better_router_with_the_same_address_is_yielded_to() -> None:
    router = router_in_master()
    router.handle(heard(101, source=OWN))
    assert router.state is State.BACKUP


def test_a_master_whose_process_died_goes_on_at_once() -> None:
    router = router_in_init()
    assert router.handle(Resume(SILENCE)) == (
        SendAdvert(100),
        AddAddresses(VIPS),
        Announce(VIPS),
        SetTimer(Timer.ADVER, Centiseconds(100)),
        ReportTransition(State.INIT, State.MASTER, "resumed"),
    )


def test_a_master_whose_process_died_yields_as_any_other() -> None:
    router = router_in_init()
    router.handle(Resume(SILENCE))
    assert router.handle(heard(200))[1] == SetTimer(Timer.ACTIVE_DOWN, DOWN_INTERVAL)
    assert router.state is State.BACKUP


def test_a_master_whose_process_died_does_not_go_on_without_a_link() -> None:
    router = router_in_init()
    router.handle(LINK_DOWN)
    router.handle(Resume(SILENCE))
    assert router.state is State.FAULT


@pytest.mark.parametrize("router", [router_in_backup(), router_in_master()])
def test_a_router_that_runs_has_nothing_to_resume(router: VirtualRouter) -> None:
    assert router.handle(Resume(SILENCE)) == ()


EVENTS: tuple[Event, ...] = (
    Startup(),
    Resume(SILENCE),
    Shutdown(),
    LINK_UP,
    LINK_DOWN,
    AddressesFailed("refused"),
    PriorityChanged(99),
    PriorityChanged(255),
    ParametersChanged(FASTER),
    ParametersChanged(replace(PARAMETERS, addresses=(NEW_VIP,), preempt_delay=Centiseconds(50))),
    *(TimerExpired(timer) for timer in Timer),
    *(heard(priority, source=source) for priority in (0, 50, 100, 255) for source in (LOWER, OWN, HIGHER)),
)


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_the_advert_always_comes_first(history: list[Event]) -> None:
    """Peers must not wait while addresses are put on: nothing is carried out before the one advert."""
    router = router_in_init()
    for event in history:
        adverts = [place for place, effect in enumerate(router.handle(event)) if isinstance(effect, SendAdvert)]
        assert adverts in ([], [0])


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_addresses_are_announced_only_while_they_are_there(history: list[Event]) -> None:
    router = router_in_init()
    present: set[IPAddress] = set()
    for event in history:
        for effect in router.handle(event):
            if isinstance(effect, AddAddresses):
                assert not present & set(effect.addresses)
                present |= set(effect.addresses)
            elif isinstance(effect, RemoveAddresses):
                present -= set(effect.addresses)
            elif isinstance(effect, Announce):
                assert present >= set(effect.addresses)
        assert present == (set(router.parameters.addresses) if router.state is State.MASTER else set())
