"""A master that goes, or has heard a better one, answers until its successor does; with hitless off it does not."""

import pytest
from msgspec.structs import replace

from tests.protocol.samples import (
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
from vrrpd.protocol.effects import (
    AddAddresses,
    Announce,
    Anomaly,
    CancelTimer,
    Effect,
    Reannounce,
    RemoveAddresses,
    ReportAnomaly,
    ReportTransition,
    SendAdvert,
    SetTimer,
    State,
)
from vrrpd.protocol.events import (
    AddressesFailed,
    Drain,
    Event,
    LinkChanged,
    Overslept,
    ParametersChanged,
    Resume,
    Shutdown,
    Startup,
    Timer,
    TimerExpired,
    Undrain,
)
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

HITLESS = replace(PARAMETERS, hitless=True)
DOWN = SetTimer(Timer.ACTIVE_DOWN, Centiseconds(360.9375))
BOUND = SetTimer(Timer.RELEASE, Centiseconds(149.609375))
"""skew_time of priority 1 at 100 cs, and half a second."""
RELEASE_EXPIRED = TimerExpired(Timer.RELEASE)
DOWN_EXPIRED = TimerExpired(Timer.ACTIVE_DOWN)
TOO_LONG = Centiseconds(361)


def master() -> VirtualRouter:
    return router_in_master(HITLESS)


def after(*events: Event) -> VirtualRouter:
    """A master to which these happened."""
    router = master()
    for event in events:
        router.handle(event)
    return router


def removed(effects: tuple[Effect, ...]) -> bool:
    return RemoveAddresses(VIPS) in effects


@pytest.mark.parametrize(("event", "what"), [(Shutdown(), "shutdown"), (Drain(), "drained")])
def test_a_master_that_goes_resigns_and_keeps_the_addresses(event: Event, what: str) -> None:
    assert master().handle(event) == (
        SendAdvert(0),
        CancelTimer(Timer.ADVER),
        BOUND,
        ReportTransition(State.MASTER, State.YIELDING, f"{what}: handing over"),
    )


@pytest.mark.parametrize(("event", "state"), [(Shutdown(), State.INIT), (Drain(), State.DRAINED)])
def test_the_addresses_go_when_the_successor_has_had_its_time(event: Event, state: State) -> None:
    router = after(event)
    assert router.handle(heard(50)) == (SetTimer(Timer.RELEASE, Centiseconds(20)),)
    assert router.handle(heard(50)) == ()
    assert router.handle(RELEASE_EXPIRED) == (
        CancelTimer(Timer.RELEASE),
        RemoveAddresses(VIPS),
        ReportTransition(State.YIELDING, state, f"{HIGHER} took over"),
    )


def test_the_addresses_go_when_nobody_takes_over() -> None:
    assert after(Shutdown()).handle(RELEASE_EXPIRED) == (
        CancelTimer(Timer.RELEASE),
        RemoveAddresses(VIPS),
        ReportTransition(State.YIELDING, State.INIT, "nobody took over"),
    )


def test_another_that_resigns_is_no_successor() -> None:
    assert after(Shutdown()).handle(heard(0)) == ()


def test_said_twice_shutdown_means_at_once() -> None:
    router = after(Shutdown())
    assert removed(router.handle(Shutdown()))
    assert router.state is State.INIT


def test_a_router_that_stops_cannot_be_drained_instead() -> None:
    router = after(Shutdown())
    assert router.handle(Drain()) == ()
    router.handle(RELEASE_EXPIRED)
    assert router.state is State.INIT


def test_with_hitless_off_a_drain_removes_at_once() -> None:
    router = router_in_master()
    effects = router.handle(Drain())
    assert effects[0] == SendAdvert(0)
    assert removed(effects)
    assert router.state is State.DRAINED


def test_a_better_router_is_yielded_to_as_soon_as_it_has_announced() -> None:
    router = master()
    assert router.handle(heard(200)) == (
        CancelTimer(Timer.ADVER),
        DOWN,
        SetTimer(Timer.RELEASE, Centiseconds(5)),
        ReportTransition(State.MASTER, State.YIELDING, f"{HIGHER} has priority 200"),
    )
    assert router.handle(heard(200)) == (DOWN,)
    assert router.handle(RELEASE_EXPIRED) == (
        RemoveAddresses(VIPS),
        SendAdvert(1),  # the better one hears that there was another, and announces again
        ReportTransition(State.YIELDING, State.BACKUP, "the addresses are released"),
    )


def test_the_last_word_dethrones_nobody() -> None:
    """Not even one whose priority has fallen below ours since it was heard; to the least there is none."""
    router = router_in_master(replace(HITLESS, priority=1))
    router.handle(heard(1))
    assert router.handle(RELEASE_EXPIRED)[:-1] == (RemoveAddresses(VIPS),)


def test_a_better_router_that_dies_at_once_is_replaced_without_losing_the_addresses() -> None:
    router = after(heard(200))
    assert router.handle(DOWN_EXPIRED) == (
        SendAdvert(100),
        AddAddresses(VIPS),
        Announce(VIPS),
        SetTimer(Timer.ADVER, Centiseconds(100)),
        CancelTimer(Timer.RELEASE),
        ReportTransition(State.YIELDING, State.MASTER, "the master is silent"),
    )


def test_a_master_that_was_silent_too_long_says_nothing_until_it_knows() -> None:
    assert master().handle(Overslept(TOO_LONG)) == (
        CancelTimer(Timer.ADVER),
        DOWN,
        ReportTransition(State.MASTER, State.YIELDING, "it was silent for 3.610 s, and others may have taken over"),
    )


def test_a_master_that_was_late_and_not_given_up_goes_on() -> None:
    router = master()
    assert router.handle(Overslept(Centiseconds(360.9375))) == ()
    assert router.state is State.MASTER


def test_a_silent_master_that_nobody_replaced_never_lost_its_addresses() -> None:
    router = after(Overslept(TOO_LONG))
    effects = router.handle(DOWN_EXPIRED)
    assert effects[0] == SendAdvert(100)
    assert effects[-1] == ReportTransition(State.YIELDING, State.MASTER, "nobody else was heard")
    assert not removed(effects)


@pytest.mark.parametrize("priority", [50, 100, 200])
def test_a_silent_master_that_was_replaced_releases_the_addresses(priority: int) -> None:
    router = after(Overslept(TOO_LONG))
    assert SetTimer(Timer.RELEASE, Centiseconds(5)) in router.handle(heard(priority))
    assert removed(router.handle(RELEASE_EXPIRED))
    assert router.state is State.BACKUP


def test_a_better_one_has_no_last_word_that_would_make_the_other_yield() -> None:
    router = after(Overslept(TOO_LONG), heard(50))
    effects = router.handle(RELEASE_EXPIRED)
    assert not [effect for effect in effects if isinstance(effect, SendAdvert)]


def test_a_new_interval_counts_for_a_yielding_router_that_follows_nobody() -> None:
    """A worse master that it has heard is none that it follows."""
    router = after(Overslept(TOO_LONG), heard(50))
    router.handle(ParametersChanged(replace(HITLESS, advertisement_interval=Centiseconds(200))))
    assert router.handle(heard(0))[0] == SetTimer(Timer.ACTIVE_DOWN, Centiseconds(121.875))


def test_a_better_one_preempts_the_replacement_as_any_other() -> None:
    """Row 30: the down timer runs on."""
    router = after(Overslept(TOO_LONG))
    assert DOWN not in router.handle(heard(50))


def test_with_hitless_off_a_silent_master_is_a_backup_at_once() -> None:
    router = router_in_master()
    assert removed(router.handle(Overslept(TOO_LONG)))
    assert router.state is State.BACKUP


def test_a_process_that_is_back_too_late_does_not_go_on_as_master() -> None:
    router = router_in_init(HITLESS)
    assert router.handle(Resume(TOO_LONG)) == (
        DOWN,
        ReportTransition(State.INIT, State.YIELDING, "it was silent for 3.610 s, and others may have taken over"),
    )


def test_a_successor_announces_again_when_its_predecessor_is_gone() -> None:
    """A neighbour that asked while both answered may have believed the wrong one."""
    router = router_in_backup(HITLESS)
    router.handle(heard(0))
    effects = router.handle(DOWN_EXPIRED)
    assert SetTimer(Timer.REANNOUNCE, Centiseconds(40)) in effects
    assert router.handle(TimerExpired(Timer.REANNOUNCE)) == (Reannounce(),)


@pytest.mark.parametrize(
    ("event", "running"), [(heard(200), True), (Shutdown(), True), (LINK_DOWN, True), (Overslept(TOO_LONG), True)]
)
def test_who_is_no_longer_master_announces_no_more(event: Event, running: bool) -> None:
    router = router_in_backup(HITLESS)
    router.handle(heard(0))
    router.handle(DOWN_EXPIRED)
    assert (CancelTimer(Timer.REANNOUNCE) in router.handle(event)) is running


def test_the_last_word_of_who_was_preempted_is_no_conflict() -> None:
    router = router_in_backup(HITLESS)
    router.handle(heard(50))
    router.handle(DOWN_EXPIRED)
    assert router.handle(heard(50)) == (SendAdvert(100), Reannounce())
    again = router.handle(heard(50))
    assert ReportAnomaly(Anomaly.CONFLICTING_MASTER, HIGHER, heard(50).advert) in again


def test_another_than_who_was_preempted_is_a_conflict() -> None:
    router = router_in_backup(HITLESS)
    router.handle(heard(50, source=LOWER))
    router.handle(DOWN_EXPIRED)
    assert ReportAnomaly(Anomaly.CONFLICTING_MASTER, HIGHER, heard(50).advert) in router.handle(heard(50))


def test_a_yielding_router_is_told_to_stop_too() -> None:
    router = after(heard(200))
    assert router.handle(Shutdown()) == (CancelTimer(Timer.ACTIVE_DOWN),)
    assert removed(router.handle(RELEASE_EXPIRED))
    assert router.state is State.INIT


def test_a_silent_master_that_is_told_to_stop_resigns() -> None:
    """Nobody was heard, so its peers may still wait for it."""
    assert after(Overslept(TOO_LONG)).handle(Shutdown()) == (SendAdvert(0), CancelTimer(Timer.ACTIVE_DOWN), BOUND)


@pytest.mark.parametrize("back", [Startup(), Undrain()])
def test_a_handover_that_is_called_off_before_anyone_took_over(back: Event) -> None:
    router = after(Drain())
    assert router.handle(back) == (CancelTimer(Timer.RELEASE), DOWN)
    assert not removed(router.handle(DOWN_EXPIRED))
    assert router.state is State.MASTER


def test_a_handover_that_is_called_off_too_late() -> None:
    router = after(Drain(), heard(50, interval=10))
    assert router.handle(Undrain()) == (SetTimer(Timer.ACTIVE_DOWN, Centiseconds(36.09375)),)
    assert removed(router.handle(RELEASE_EXPIRED))
    assert router.state is State.BACKUP


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((heard(200),), State.FAULT),
        ((Overslept(TOO_LONG),), State.FAULT),
        ((Shutdown(),), State.INIT),
        ((Drain(), heard(50)), State.DRAINED),
    ],
)
def test_without_a_link_there_is_nothing_to_hand_over(events: tuple[Event, ...], state: State) -> None:
    router = after(*events)
    assert removed(router.handle(LINK_DOWN))
    assert router.state is state


def test_an_address_that_is_no_longer_configured_goes_at_once() -> None:
    router = after(Shutdown())
    assert router.handle(ParametersChanged(replace(HITLESS, addresses=VIPS[:1]))) == (RemoveAddresses(VIPS[1:]),)


@pytest.mark.parametrize("start", ["init", "backup", "fault"])
def test_a_drained_router_takes_part_again_when_it_is_told_to(start: str) -> None:
    router = router_in_init() if start == "init" else router_in_backup()
    if start == "fault":
        router.handle(LINK_DOWN)
    router.handle(Drain())
    assert router.state is State.DRAINED
    router.handle(LINK_UP)
    assert router.handle(heard(0)) == ()
    assert router.handle(heard(50)) == ()
    assert router.handle(Undrain()) == (DOWN, ReportTransition(State.DRAINED, State.BACKUP, "undrained"))


def test_a_drained_router_without_a_link_is_in_fault_when_it_is_to_take_part() -> None:
    router = router_in_backup()
    router.handle(Drain())
    router.handle(LINK_DOWN)
    assert router.handle(Undrain()) == (ReportTransition(State.DRAINED, State.FAULT, "no carrier"),)


def test_a_drained_router_stops() -> None:
    router = router_in_backup()
    router.handle(Drain())
    assert router.handle(Shutdown()) == (ReportTransition(State.DRAINED, State.INIT, "shutdown"),)


def test_a_yielding_router_follows_its_address() -> None:
    router = after(Shutdown())
    assert router.handle(LinkChanged(up=True, address=HIGHER)) == ()
    assert router.address == HIGHER != OWN


def test_a_better_one_that_goes_at_once_leaves_the_addresses_where_they_are() -> None:
    """It preempted, and resigned before they were released here: whoever is next has to say so first."""
    router = after(heard(200))
    skew = SetTimer(Timer.ACTIVE_DOWN, Centiseconds(60.9375))
    assert router.handle(heard(0)) == (skew, CancelTimer(Timer.RELEASE))
    effects = router.handle(DOWN_EXPIRED)
    assert effects[0] == SendAdvert(100)
    assert not removed(effects)
    assert isinstance(effects[-1], ReportTransition)
    assert (effects[-1].before, effects[-1].after) == (State.YIELDING, State.MASTER)


def test_a_successor_that_goes_at_once_is_none() -> None:
    router = after(Shutdown(), heard(50))
    assert router.handle(heard(0)) == (BOUND,)
    assert router.handle(heard(40, source=LOWER)) == (SetTimer(Timer.RELEASE, Centiseconds(20)),)


def test_the_last_word_of_a_predecessor_is_no_successor() -> None:
    """The worse one, which was preempted a moment ago, is leaving the addresses itself."""
    router = router_in_backup(HITLESS)
    router.handle(heard(50))
    router.handle(DOWN_EXPIRED)
    assert SendAdvert(0) in router.handle(Shutdown())
    assert router.handle(heard(1)) == ()
    assert router.handle(heard(1, source=LOWER)) == (SetTimer(Timer.RELEASE, Centiseconds(20)),)


def test_refused_adverts_are_forgiven_when_four_went_out() -> None:
    router = master()
    failed = AddressesFailed("no advert can be sent")
    delays = []
    for _ in range(3):
        delays.append(router.handle(failed)[-1])
        router.handle(TimerExpired(Timer.RECOVERY))
        router.handle(DOWN_EXPIRED)
        for _ in range(3):
            router.handle(TimerExpired(Timer.ADVER))
    assert delays == [SetTimer(Timer.RECOVERY, Centiseconds(500 * 2**n)) for n in range(3)]
    for _ in range(2):
        router.handle(TimerExpired(Timer.ADVER))
    assert router.handle(failed)[-1] == SetTimer(Timer.RECOVERY, Centiseconds(500))


@pytest.mark.parametrize(("priority", "at_once"), [(1, True), (50, False)])
def test_when_another_master_has_let_go_the_announcement_waits_for_no_pace(priority: int, *, at_once: bool) -> None:
    effects = master().handle(heard(priority))
    assert effects[:2] == (SendAdvert(100), Reannounce(at_once=at_once))
