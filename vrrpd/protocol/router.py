"""The state machine of one virtual router (RFC 9568 section 6.4).

Nothing here reads a clock, opens a socket or writes a log: an event goes in, the effects that it demands come out, in
the order in which they are to be carried out. The advert always comes first.

            Startup, link up, priority 255                 the rules, in one line each
     INIT ─────────────────────────────────► MASTER        - a BACKUP takes over when it has heard nothing for
      ▲ │                                     ▲ │            active_down_interval, or skew_time after a resignation
      │ │ Startup, link up    Active_Down     │ │          - a MASTER yields to a higher priority, and to an equal
      │ └───────────────────► BACKUP ─────────┤ │            one from a higher address; it answers a lower one
      │       Shutdown         ▲ ▲            │ │          - with preempt off, a BACKUP tolerates any live master
      ├────────────────────────┘ │   nobody   │ │          - without a link there is nothing to compete for: FAULT
      │                  Release │  was heard │ │ better   - a MASTER that goes first says so, and answers until its
      │                          │            │ ▼            successor has announced the addresses: YIELDING. (With
      ├────────────────────────── YIELDING ◄──┴─            `hitless` off it goes at once, as the RFC has it.)
      │     Release (Shutdown)      │                      - a MASTER that has been silent for active_down_interval
      │                             └─► DRAINED              cannot know whether it still is one: YIELDING as well,
      │                Release (Drain)                       until another is heard, or nobody for as long again
      └───── FAULT ◄── link down, addresses refused (from any state); Recovery ──► as from INIT
"""

from functools import lru_cache

from vrrpd.protocol.advert import IPAddress
from vrrpd.protocol.anomalies import anomalies
from vrrpd.protocol.delays import (
    ADDRESSES_RETRY_DELAY,
    ADDRESSES_RETRY_DELAY_MAX,
    ADVERTS_UNTIL_SOUND,
    CONFLICT_MARGIN,
    HANDOVER_DELAY,
    REANNOUNCE_DELAY,
    RELEASE_DELAY,
    handover_bound,
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
    AdvertReceived,
    Drain,
    Event,
    LinkChanged,
    Overslept,
    ParametersChanged,
    PriorityChanged,
    Resume,
    Shutdown,
    Startup,
    Timer,
    TimerExpired,
    Undrain,
)
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import (
    PRIORITY_OWNER,
    PRIORITY_RESIGN,
    Centiseconds,
    active_down_interval,
    seconds,
    skew_time,
)

LAST_WORD_PRIORITY = 1
"""What who has yielded lets itself be heard with once more; less than that is a resignation."""
RESIGNED = "the master resigned"

Effects = tuple[Effect, ...]


class VirtualRouter:
    """One virtual router: give it events, carry out the effects.

    Three callers drive it: the speaker (sockets and a real clock), the simulated LAN of the tests (a virtual clock),
    and the tests of single rules.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.state = State.INIT
        self.priority = parameters.priority
        """What the router competes with: the configured priority unless tracking has moved it."""
        self.active_adver_interval = parameters.advertisement_interval
        """The interval of the master that is heard; one's own until one is (Active_Adver_Interval)."""
        self.master: AdvertReceived | None = None
        """The last advert that this router, as BACKUP, followed."""
        self._link = LinkChanged(up=False, reason="the interface was not looked at yet")
        self._preempt_delay_running = False
        self._preempt_delay_over = False
        self._addresses_retry_delay = ADDRESSES_RETRY_DELAY
        self._adverts = 0
        """As MASTER: how often the Adver_Timer has run out."""
        self._silence = self._fault = ""
        self._next_state = State.BACKUP
        """While YIELDING: where to afterwards."""
        self._successor: AdvertReceived | None = None
        """While YIELDING: the first advert of another master."""
        self._predecessor: IPAddress | None = None
        """As BACKUP: the worse master that is about to be preempted; it will let itself be heard once more."""
        self._reannounce_running = False
        self.usual: Effects = ()
        """As BACKUP: what another advert demands if it is the same object, with nothing else in between."""

    @property
    def skew_time(self) -> Centiseconds:
        """Skew_Time of section 6.1, from the interval that is in force."""
        return skew_time(self.priority, self.active_adver_interval)

    @property
    def active_down_interval(self) -> Centiseconds:
        """Active_Down_Interval of section 6.1, from the interval that is in force."""
        return active_down_interval(self.priority, self.active_adver_interval)

    @property
    def address(self) -> IPAddress | None:
        """The primary address that adverts are sent from; None: none can be sent."""
        return self._link.address

    def handle(self, event: Event) -> Effects:
        """Take note of `event`; the effects are to be carried out in order, before the next event."""
        if self.state is State.BACKUP and event is self.master and self.usual:  # all that happens, day after day
            return self.usual
        self.usual = ()
        if self.state is State.BACKUP:
            return self._in_backup(event)
        if self.state is State.MASTER:
            return self._in_master(event)
        if self.state is State.YIELDING:
            return self._in_yielding(event)
        if self.state is State.FAULT:
            return self._in_fault(event)
        if self.state is State.DRAINED:
            return self._in_drained(event)
        return self._in_init(event)

    def _in_init(self, event: Event) -> Effects:
        """Section 6.4.1."""
        if isinstance(event, Startup):
            return self._compete("startup")
        if isinstance(event, Resume):
            return self._resume(event.silence)
        if isinstance(event, Drain):
            return (self._enter(State.DRAINED, "drained"),)
        self._note(event)
        return ()

    def _in_backup(self, event: Event) -> Effects:
        """Section 6.4.2, in its order."""
        if isinstance(event, AdvertReceived):
            return self._heard_in_backup(event)
        if isinstance(event, Shutdown):
            return (*self._stop_listening(), self._enter(State.INIT, "shutdown"))
        if isinstance(event, Drain):
            return (*self._stop_listening(), self._enter(State.DRAINED, "drained"))
        if isinstance(event, TimerExpired):
            if event.timer is Timer.ACTIVE_DOWN:
                return self._become_master(self._silence)
            if event.timer is Timer.PREEMPT_DELAY:
                self._preempt_delay_running, self._preempt_delay_over = False, True
            return ()
        if isinstance(event, LinkChanged) and not event.up:
            self._link = event
            return (*self._stop_listening(), *self._fail(event.reason))
        self._note(event)
        return ()

    def _heard_in_backup(self, event: AdvertReceived) -> Effects:
        advert = event.advert
        if not advert.priority:
            self._silence = RESIGNED
            return (SetTimer(Timer.ACTIVE_DOWN, self.skew_time), *self._anomalies(event))
        effects: Effects = ()
        if advert.priority >= self.priority or not self.parameters.preempt:
            effects = self._forget_preempt_delay()
        elif not self.parameters.preempt_delay or self._preempt_delay_over:
            self._predecessor, self._silence = event.source, "the master has a lower priority"
            return self._anomalies(event)
        elif not self._preempt_delay_running:
            self._preempt_delay_running = True
            effects = (SetTimer(Timer.PREEMPT_DELAY, self.parameters.preempt_delay),)
        self._follow(event)
        demanded = (SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval), *effects, *self._anomalies(event))
        self.usual = () if effects else demanded
        return demanded

    def _in_master(self, event: Event) -> Effects:
        """Section 6.4.3, in its order."""
        if isinstance(event, Shutdown):
            return self._hand_over(State.INIT, "shutdown")
        if isinstance(event, TimerExpired):
            if event.timer is Timer.ADVER:
                self._adverts += 1
                if self._adverts > ADVERTS_UNTIL_SOUND:
                    self._addresses_retry_delay = ADDRESSES_RETRY_DELAY
                return self._advertise()
            self._reannounce_running = False
            return (Reannounce(),) if event.timer is Timer.REANNOUNCE else ()
        if isinstance(event, AdvertReceived):
            return self._heard_in_master(event)
        if isinstance(event, Overslept):
            return self._oversleep(event.silence)
        if isinstance(event, Drain):
            return self._hand_over(State.DRAINED, "drained")
        if isinstance(event, LinkChanged) and not event.up:
            self._link = event
            return (*self._resign(heard=event.address is not None), *self._fail(event.reason))
        if isinstance(event, AddressesFailed):
            delay = self._addresses_retry_delay
            self._addresses_retry_delay = Centiseconds(min(2 * delay, ADDRESSES_RETRY_DELAY_MAX))
            return (*self._resign(), *self._fail(event.reason), SetTimer(Timer.RECOVERY, delay))
        if isinstance(event, ParametersChanged):
            return self._reconfigure_master(event)
        self._note(event)
        return self._advertise() if isinstance(event, PriorityChanged) else ()

    def _heard_in_master(self, event: AdvertReceived) -> Effects:
        advert = event.advert
        if not advert.priority:
            return (*self._advertise(), *self._anomalies(event))
        if self._loses_to(event):
            return self._yield_to(event)
        again = Reannounce(at_once=advert.priority == LAST_WORD_PRIORITY)
        if event.source == self._predecessor:
            self._predecessor = None
            return (SendAdvert(self.priority), again, *self._anomalies(event))
        conflict = ReportAnomaly(Anomaly.CONFLICTING_MASTER, event.source, advert)
        if event.source == self.address:
            # Two routers with one address both win the tie; answering at once, they would answer each other forever.
            return (conflict, ReportAnomaly(Anomaly.DUPLICATE_SOURCE, event.source, advert), *self._anomalies(event))
        # Once it is not heard any more, it has stepped down, and its neighbours look for the addresses there.
        self._reannounce_running = True
        silent = SetTimer(Timer.REANNOUNCE, Centiseconds(advert.max_advertise_interval + CONFLICT_MARGIN))
        return (SendAdvert(self.priority), again, silent, conflict, *self._anomalies(event))

    def _in_yielding(self, event: Event) -> Effects:
        """Not in the RFC: a MASTER no longer, as BACKUP to all that is heard, but the addresses are still here."""
        if isinstance(event, AdvertReceived):
            return self._heard_in_yielding(event)
        if isinstance(event, TimerExpired):
            if event.timer is Timer.RELEASE:
                return self._release()
            return self._in_backup(event)
        if isinstance(event, Shutdown | Drain):
            target = State.INIT if isinstance(event, Shutdown) else State.DRAINED
            return self._release() if self._next_state is target is State.INIT else self._yield_for_good(target)
        if isinstance(event, Startup | Undrain):
            return () if self._next_state is State.BACKUP else self._yield_for_now()
        if isinstance(event, LinkChanged) and not event.up:
            self._link = event
            if self._next_state is not State.BACKUP:
                return self._release()
            gone = CancelTimer(Timer.RELEASE), RemoveAddresses(self.parameters.addresses)
            return (*self._stop_listening(), *gone, *self._fail(event.reason))
        before = self.parameters.addresses
        self._note(event)
        dropped = tuple(address for address in before if address not in self.parameters.addresses)
        return (RemoveAddresses(dropped),) if dropped else ()

    def _heard_in_yielding(self, event: AdvertReceived) -> Effects:
        effects = self._heard_in_backup(event) if self._next_state is State.BACKUP else ()
        if not event.advert.priority and self._successor and self._successor.source == event.source:
            # It goes again before anything was left to it: the addresses stay for who comes next, which may be we.
            self._successor = None
            returns = self._next_state is State.BACKUP
            return (*effects, CancelTimer(Timer.RELEASE) if returns else self._await_successor())
        if self._successor or not event.advert.priority:
            return effects
        if event.source == self._predecessor and event.advert.priority == LAST_WORD_PRIORITY:
            return effects  # that one is leaving the addresses itself
        self._successor = event
        delay = RELEASE_DELAY if self._next_state is State.BACKUP else HANDOVER_DELAY
        return (*effects, SetTimer(Timer.RELEASE, delay))

    def _in_drained(self, event: Event) -> Effects:
        """Not in the RFC: a BACKUP whose down timer does not run."""
        if isinstance(event, Shutdown):
            return (self._enter(State.INIT, "shutdown"),)
        if isinstance(event, Undrain):
            return self._compete("undrained")
        if isinstance(event, AdvertReceived):
            if event.advert.priority:
                self._follow(event)
            return self._anomalies(event)
        self._note(event)
        return ()

    def _in_fault(self, event: Event) -> Effects:
        """Not in the RFC: the router would take part if it could."""
        if isinstance(event, Shutdown | Drain):
            target, reason = (State.INIT, "shutdown") if isinstance(event, Shutdown) else (State.DRAINED, "drained")
            return (CancelTimer(Timer.RECOVERY), self._enter(target, reason))
        if isinstance(event, TimerExpired):
            return self._compete("recovered") if event.timer is Timer.RECOVERY and self._link.up else ()
        if isinstance(event, LinkChanged):
            was_up, self._link = self._link.up, event
            if event.up and not was_up:
                return (SetTimer(Timer.RECOVERY, self.parameters.recovery_delay),)
            if event.up:
                return ()
            return (CancelTimer(Timer.RECOVERY), *(self._fail(event.reason) if event.reason != self._fault else ()))
        self._note(event)
        return ()

    def _compete(self, reason: str) -> Effects:
        """Leave INIT, FAULT or DRAINED (section 6.4.1, from its second line on)."""
        if not self._link.up:
            return self._fail(self._link.reason)
        self.master = self._predecessor = None
        self._silence = "no master was heard"
        self.active_adver_interval = self.parameters.advertisement_interval
        if self.priority == PRIORITY_OWNER:
            return self._become_master(f"{reason}: owner of the addresses")
        return (SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval), self._enter(State.BACKUP, reason))

    def _resume(self, silence: Centiseconds) -> Effects:
        if not self._link.up:
            return (RemoveAddresses(self.parameters.addresses), *self._fail(self._link.reason))
        return self._oversleep(silence) or self._become_master("resumed")

    def _become_master(self, reason: str) -> Effects:
        self.master, self._adverts = None, 0
        advert, adver_timer = self._advertise()
        release = (CancelTimer(Timer.RELEASE),) if self.state is State.YIELDING and self._successor else ()
        resigned = reason == RESIGNED and self.parameters.hitless
        self._reannounce_running = resigned
        return (
            advert,
            AddAddresses(self.parameters.addresses),
            Announce(self.parameters.addresses),
            adver_timer,
            *((SetTimer(Timer.REANNOUNCE, REANNOUNCE_DELAY),) if resigned else ()),
            *release,
            *self._forget_preempt_delay(),
            self._enter(State.MASTER, reason),
        )

    def _advertise(self) -> tuple[SendAdvert, SetTimer]:
        return _advertisement(self.priority, self.parameters.advertisement_interval)

    def _resign(self, *, heard: bool = True) -> Effects:
        """Be MASTER no longer, and say so, unless nobody would hear it."""
        word = (SendAdvert(PRIORITY_RESIGN),) if heard else ()
        return (*word, *self._stop_advertising(), RemoveAddresses(self.parameters.addresses))

    def _stop_advertising(self) -> Effects:
        was_running, self._reannounce_running = self._reannounce_running, False
        reannounce = (CancelTimer(Timer.REANNOUNCE),) if was_running else ()
        return (CancelTimer(Timer.ADVER), *reannounce)

    def _stop_listening(self) -> Effects:
        return (CancelTimer(Timer.ACTIVE_DOWN), *self._forget_preempt_delay())

    def _hand_over(self, target: State, reason: str) -> Effects:
        """A MASTER that is to go: it resigns, and answers until a successor was heard and had its time."""
        if not self.parameters.hitless:
            return (*self._resign(), self._enter(target, reason))
        return (
            SendAdvert(PRIORITY_RESIGN),
            *self._stop_advertising(),
            self._await_successor(),
            self._yield(target, f"{reason}: handing over"),
        )

    def _yield_to(self, event: AdvertReceived) -> Effects:
        """A MASTER that has heard a better one."""
        stop = self._stop_advertising()
        self._follow(event)
        down = SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval)
        reason = f"{event.source} has priority {event.advert.priority}"
        if not self.parameters.hitless:
            gone = RemoveAddresses(self.parameters.addresses)
            return (*stop, down, gone, self._enter(State.BACKUP, reason), *self._anomalies(event))
        transition, self._successor = self._yield(State.BACKUP, reason), event
        return (*stop, down, SetTimer(Timer.RELEASE, RELEASE_DELAY), transition, *self._anomalies(event))

    def _oversleep(self, silence: Centiseconds) -> Effects:
        """A MASTER that others may have given up; nothing, if they cannot have."""
        self.active_adver_interval = self.parameters.advertisement_interval
        if silence <= self.active_down_interval:
            return ()
        stop = self._stop_advertising() if self.state is State.MASTER else ()
        self.master, self._silence = None, "nobody else was heard"
        down = SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval)
        reason = f"it was silent for {seconds(silence):.3f} s, and others may have taken over"
        if not self.parameters.hitless:
            return (*stop, down, RemoveAddresses(self.parameters.addresses), self._enter(State.BACKUP, reason))
        return (*stop, down, self._yield(State.BACKUP, reason))

    def _yield(self, target: State, reason: str) -> ReportTransition:
        self._next_state, self._successor = target, None
        return self._enter(State.YIELDING, reason)

    def _yield_for_good(self, target: State) -> Effects:
        """It is yielding already, and is not to compete afterwards."""
        was_competing = self._next_state is State.BACKUP
        if self._next_state is not State.INIT:  # nothing is taken back by being drained
            self._next_state = target
        if not was_competing:
            return ()
        if self._successor:
            return self._stop_listening()
        return (SendAdvert(PRIORITY_RESIGN), *self._stop_listening(), self._await_successor())

    def _yield_for_now(self) -> Effects:
        """It is yielding already, and is to compete afterwards, unlike what was said before."""
        self._next_state = State.BACKUP
        self.active_adver_interval, self._silence = self.parameters.advertisement_interval, "nobody else was heard"
        if self._successor:
            self._follow(self._successor)
        release = () if self._successor else (CancelTimer(Timer.RELEASE),)
        return (*release, SetTimer(Timer.ACTIVE_DOWN, self.active_down_interval))

    def _release(self) -> Effects:
        """Its successor has had its time, or there is none, or there is no more time: the addresses go."""
        gone, target = RemoveAddresses(self.parameters.addresses), self._next_state
        if target is not State.BACKUP:
            self.master = self._successor
            reason = f"{self.master.source} took over" if self.master else "nobody took over"
            return (CancelTimer(Timer.RELEASE), gone, self._enter(target, reason))
        # Let itself be heard once more: the better one then announces again, and nobody looks for the addresses here.
        # Whatever has become of that one's priority meanwhile, it must not yield to one who is master no more.
        better = self.master and self._loses_to(self.master) and self.master.advert.priority > LAST_WORD_PRIORITY
        last_word = (SendAdvert(LAST_WORD_PRIORITY),) if better else ()
        return (gone, *last_word, self._enter(State.BACKUP, "the addresses are released"))

    def _await_successor(self) -> SetTimer:
        return SetTimer(Timer.RELEASE, handover_bound(self.parameters.advertisement_interval))

    def _fail(self, reason: str) -> Effects:
        self._fault = reason
        return (self._enter(State.FAULT, reason),)

    def _enter(self, state: State, reason: str) -> ReportTransition:
        before, self.state = self.state, state
        if state is State.FAULT:
            self.master = None
        return ReportTransition(before, state, reason)

    def _follow(self, event: AdvertReceived) -> None:
        self.master, self._predecessor = event, None
        self._silence = "the master is silent"
        self.active_adver_interval = event.advert.max_advertise_interval

    def _loses_to(self, event: AdvertReceived) -> bool:
        """Whether this MASTER yields (section 6.4.3): addresses are compared as unsigned integers, network order."""
        if event.advert.priority != self.priority:
            return event.advert.priority > self.priority
        return self.address is None or int(event.source) > int(self.address)

    def _reconfigure_master(self, event: ParametersChanged) -> Effects:
        before = self.parameters.addresses
        self._note(event)
        after = self.parameters.addresses
        gone = tuple(address for address in before if address not in after)
        new = tuple(address for address in after if address not in before)
        return (
            *self._advertise(),  # at once: a BACKUP must learn a longer interval before the old one runs out
            *((RemoveAddresses(gone),) if gone else ()),
            *((AddAddresses(new), Announce(new)) if new else ()),
        )

    def _forget_preempt_delay(self) -> Effects:
        was_running, self._preempt_delay_running, self._preempt_delay_over = self._preempt_delay_running, False, False
        return (CancelTimer(Timer.PREEMPT_DELAY),) if was_running else ()

    def _note(self, event: Event) -> None:
        """Take over facts that change what the router will do, in a state where they demand nothing now."""
        if isinstance(event, LinkChanged):
            self._link = event
        elif isinstance(event, PriorityChanged):
            self.priority = event.priority
        elif isinstance(event, ParametersChanged):
            self.parameters = event.parameters
            self.priority = event.parameters.priority
            if self.master is None:
                self.active_adver_interval = event.parameters.advertisement_interval

    def _anomalies(self, event: AdvertReceived) -> Effects:
        return anomalies(event, self.parameters)


@lru_cache(maxsize=1024)
def _advertisement(priority: int, interval: Centiseconds) -> tuple[SendAdvert, SetTimer]:
    """What a MASTER does again and again, and what is therefore not made anew each time."""
    return SendAdvert(priority), SetTimer(Timer.ADVER, interval)
