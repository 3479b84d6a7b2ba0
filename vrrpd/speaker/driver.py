"""Drives one virtual router of the core: hands it events, carries out its effects."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from datetime import UTC, datetime
from functools import lru_cache, partial
from ipaddress import IPv4Interface, IPv6Interface
from math import inf

from msgspec.structs import replace

from vrrpd.channel import Anomalous, Burden, Entered, Holds
from vrrpd.config.model import VrrpInstance
from vrrpd.ledger import RouterKey
from vrrpd.protocol.advert import AdvertError, IPAddress
from vrrpd.protocol.effects import (
    AddAddresses,
    Announce,
    CancelTimer,
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
    PriorityChanged,
    Resume,
    Shutdown,
    Startup,
    Timer,
    TimerExpired,
    Undrain,
)
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds, active_down_interval, centiseconds, seconds
from vrrpd.speaker.advert_sender import AdvertSender
from vrrpd.speaker.announcer import Announcer
from vrrpd.speaker.anomalies import explain
from vrrpd.speaker.counters import Counters
from vrrpd.speaker.host import Host
from vrrpd.speaker.port import Hearing, Port
from vrrpd.speaker.restore_delay import RestoreDelay
from vrrpd.speaker.timers import Deadline
from vrrpd.speaker.tracking import Tracking
from vrrpd.speaker.vips import Vip, VirtualAddresses

log = logging.getLogger(__name__)

_TAKEOVER = TimerExpired(Timer.ACTIVE_DOWN)
_HOLDING = (State.MASTER, State.YIELDING)
"""States in which it answers for its addresses."""


class RouterDriver:
    """One virtual router on real sockets and a real clock.

    Args:
        instance: its configuration.
        port: where it sends and hears.
        host: what it shares with others.
        left: told when it takes part no longer, and its addresses are gone.
        tell: takes the news of its states, and of whether it holds its addresses.
    """

    def __init__(
        self,
        instance: VrrpInstance,
        port: Port,
        host: Host,
        left: "Callable[[RouterDriver], None]",
        tell: Callable[[Holds | Entered | Anomalous], None],
    ) -> None:
        self.leaving = False
        """It is to take part no longer, and waits for a successor."""
        self._waits = False
        """It is to take part as soon as something is known of the programs that it tracks."""
        self._left = left
        self._tell = tell
        self.instance = instance
        self.router = VirtualRouter(instance.parameters())
        self.counters = Counters()
        self.vips = VirtualAddresses(host.kernel, instance.virtual_ipaddress)
        self.last_transition = datetime.now(UTC)
        self.last_reason = ""
        self._port = port
        self._kernel = host.kernel
        self._tracking = Tracking(instance, host.kernel.monitor, host.timers, self._look_at_tracked)
        self._ledger = host.ledger.entry(instance.key)
        self._lease = host.lease
        self._rate_limit = host.rate_limit
        self._announcer = Announcer(host, self.counters, self.vips)
        self._announcer.reconfigure(instance.garp, active=False)
        self.peers = frozenset(instance.unicast_peer)
        self._sender = AdvertSender(instance, port, self.counters, host.rate_limit)
        self._deadlines: dict[Timer, Deadline] = {
            timer: host.timers.deadline(
                partial(self._handle, TimerExpired(timer)),
                rehearse=self._rehearse if timer is Timer.ACTIVE_DOWN else None,
                catch_up=self.catch_up if timer is Timer.ACTIVE_DOWN else None,
            )
            for timer in Timer
            if timer is not Timer.ADVER
        }
        # Routers with one interval advertise together, and lateness never adds up. The first interval of a MASTER is
        # shortened by it, which no BACKUP minds.
        self._adver_timer = host.timers.beat(partial(self._handle, TimerExpired(Timer.ADVER)))
        self._restore = host.timers.deadline(self._restore_addresses)
        self._restore_delay = RestoreDelay()
        self._heard_at = -1.0
        """When the last advert was understood."""
        self._corrected = -1.0
        """The same, of the one whose wait the timer counts already."""
        self._usual: Hearing | None = None
        """As BACKUP: what the master says all the time, and does not interrupt us with."""
        self._usual_delay = 0.0
        """Seconds by which it puts off the Active_Down_Timer."""
        self._now = 0.0
        """When the event that is being handled happened."""
        self._too_late_at = inf
        """As MASTER: when others may have given it up, unless it advertises before."""
        self._next_event: Event | None = None
        self._told_usable: LinkChanged | None = None
        self._handlers: dict[type, Callable[..., None]] = {
            SetTimer: self._set_timer,
            SendAdvert: self._send_advert,
            CancelTimer: self._cancel_timer,
            AddAddresses: self._add_addresses,
            Announce: lambda effect: self._announcer.start(self.vips.of(effect.addresses)),
            Reannounce: lambda effect: self._announcer.conflict(at_once=effect.at_once),
            RemoveAddresses: self._remove_addresses,
            ReportTransition: self._report_transition,
            ReportAnomaly: self._report_anomaly,
        }

    @property
    def state(self) -> State:
        """The router's state."""
        return self.router.state

    @property
    def holds(self) -> bool:
        """Whether its addresses are to be here."""
        return self.state in _HOLDING

    @property
    def interfaces(self) -> set[str]:
        """As `Tracking.interfaces`."""
        return self._tracking.interfaces

    @property
    def was_master(self) -> bool:
        """Whether an earlier speaker was MASTER when it died."""
        return self._ledger.advertised is not None

    def startup(self, *, drained: bool = False, heir: bool = False) -> None:
        """Take part, unless the host is drained; go on as MASTER where an earlier speaker was it.

        Args:
            drained: the host is.
            heir: another router of this host has left it addresses that are here now: it is MASTER in its place.
        """
        advertised = time.monotonic() if heir else self._ledger.advertised  # noted until it is known what comes of it
        self.leaving = False
        self._tracking.start(as_master=advertised is not None)
        self._handle(self._usable())
        if heir and (drained or self.state is not State.INIT):
            self.inherit()
        if drained:
            if self.state is State.YIELDING:  # it was about to leave; it stays, drained
                self._handle(Startup())
            elif advertised is not None and not heir:
                self._resume(advertised)
            self._handle(Drain())
        elif self.state is State.INIT and advertised is None and self._tracking.untold:
            self._waits, self.last_reason = True, self._usable().reason
        elif advertised is None or self.state is not State.INIT:
            self._handle(Startup())
        else:
            self._resume(advertised)
        self._prepare()  # a port that others use already has not told this router of its interface

    def _resume(self, advertised: float) -> None:
        """Go on for a speaker that died as MASTER, or in a handover, which is begun anew if it is still wanted."""
        self.vips.adopt()
        self._handle(Resume(centiseconds(time.monotonic() - advertised)))

    def shutdown(self) -> None:
        """Take part no longer; a MASTER is in INIT when a successor was found, or none. Said twice, it is at once."""
        self.leaving, self._waits = True, False
        self._tracking.stop()
        if self.state is State.INIT:
            self._left(self)
        else:
            self._handle(Shutdown())

    def drain(self) -> None:
        """Hand the addresses over and stay BACKUP."""
        self._handle(Drain())

    def undrain(self) -> None:
        """Compete again."""
        self._handle(Undrain())

    def burden(self, burden: Burden | None) -> None:
        """As `Tracking.burden`."""
        self._tracking.burden(burden)

    def _look_at_tracked(self) -> None:
        self._tell_usable()
        self._weigh()

    def _weigh(self) -> None:
        if (priority := self._tracking.priority) != self.router.priority:
            log.info("(%s) priority %d", self.instance.name, priority)
            self._handle(PriorityChanged(priority))

    def _parameters(self) -> Parameters:
        return replace(self.instance.parameters(), priority=self._tracking.priority)

    def woke_late(self, now: float) -> None:
        """The process could not run for a while: see to it that nothing is said that is not true any more."""
        if now > self._too_late_at:
            self._too_late_at = inf
            if self._sender.failure:
                self._handle(AddressesFailed(f"no advert can be sent: {self._sender.failure}"))
                return
            silence = now - (self._ledger.advertised or now)
            self._handle(Overslept(centiseconds(silence)))

    def hear(self, hearing: Hearing, heard_at: float) -> None:
        """A valid advert of this router's VRID arrived; timers run from then, not from when it was understood."""
        self.counters.adverts_received += 1
        self.counters.checksum_forms[hearing.form] += 1
        self._handle_at(heard_at, hearing.event)
        self._heard_at = heard_at  # not before: what was only noted until now was heard earlier
        match self.router.usual:
            case (SetTimer(Timer.ACTIVE_DOWN, delay),):
                self._usual, self._usual_delay = hearing, seconds(delay)
                hearing.noted = True

    def catch_up(self) -> None:
        """Take over what was noted of the usual adverts."""
        usual = self._usual
        if usual and usual.count:
            self.counters.adverts_received += usual.count
            self.counters.checksum_forms[usual.form] += usual.count
            usual.count = 0
            self._now = self._heard_at = usual.heard_at
            self._deadlines[Timer.ACTIVE_DOWN].at(self._heard_at + self._usual_delay)

    def dropped(self, source: IPAddress, error: AdvertError) -> None:
        """Count a packet that was discarded, and tell of it now and then."""
        self.counters.adverts_dropped[error.reason] += 1
        if self._rate_limit.allows((self.instance.name, source, error.reason), time.monotonic()):
            log.warning("(%s) dropped an advert from %s: %s", self.instance.name, source, error.detail)

    def link_changed(self) -> None:
        """The port can be used now, or no longer, or from another address."""
        self._prepare()
        self._sender.forget()
        self._handle(self._usable())

    def look_at_interfaces(self) -> None:
        """Interfaces or the host's own addresses have changed: be ready for what they are now."""
        self._look_at_interfaces()
        self._weigh()

    def _look_at_interfaces(self) -> None:
        macs = {vip: vip.mac for vip in self.vips.held}
        self._prepare()
        if moved := [vip for vip, mac in macs.items() if vip.held and vip.mac != mac]:
            self._announcer.start(moved)  # the interface has another hardware address, which nobody knows
        self._tell_usable()

    def _tell_usable(self) -> None:
        told = self._told_usable
        if (usable := self._usable()) != told:
            self._handle(usable)
        if self._waits and not self._tracking.untold:
            self._waits = False
            if self.state is State.INIT:  # it may have been drained meanwhile
                self._handle(Startup())

    def _usable(self) -> LinkChanged:
        usable = self._told_usable = self._tracking.usable(self._port.state)
        return usable

    def address_deleted(self, vip: Vip) -> None:
        """An address is gone from its interface; if we hold it, somebody deleted it."""
        if vip.held:
            # A renewal after the deletion has made it anew, and the monitor is deaf to renewals.
            self.vips.remove((vip.config.address,))
            self._put_back(vip)

    def addresses_arrived(self, vips: Iterable[Vip]) -> None:
        """The kernel says that these can be used now."""
        if self.state is State.MASTER:
            self._announcer.arrived(vips)

    def _put_back(self, vip: Vip) -> None:
        """Somebody deleted an address that is to be here: put it back, the later the more often it happens."""
        if self.state is not State.MASTER:
            return
        now = time.monotonic()
        self._restore_delay.deleted(now)
        if self._restore.when is None:
            log.warning(
                "(%s) somebody deleted %s from %s; putting it back in %g s",
                *(self.instance.name, vip.config, vip.config.dev, self._restore_delay.seconds),
            )
            self._restore.at(now + self._restore_delay.take())

    def bequeath(self, claims: Mapping[tuple[str, IPv4Interface | IPv6Interface], RouterKey]) -> set[RouterKey]:
        """Leave the addresses that are here to the routers that claim them, without a moment in which nobody has them.

        Args:
            claims: the router that an address is to belong to, by where it is.

        Returns the routers that inherit something.
        """
        heirs = set()
        for vip in self.vips.held:
            heir = claims.get(vip.config.place)
            if heir is not None and heir != self.instance.key:
                vip.held = False
                heirs.add(heir)
        return heirs

    def inherit(self) -> None:
        """Take over what another router of this host has left here; who is not to have it takes it away."""
        self.vips.adopt()
        if not self.holds:
            self.vips.remove([vip.config.address for vip in self.vips.held])
        self._lease.start()

    def withdraw(self, instance: VrrpInstance) -> list[IPAddress]:
        """Remove the addresses that new settings change or drop, which another router of this host may want."""
        touched = [vip.config.address for vip in self.vips if vip.config not in instance.virtual_ipaddress]
        self.vips.remove(touched)
        return touched

    def reconfigure(self, instance: VrrpInstance, touched: Iterable[IPAddress]) -> None:
        """Take on new settings of the same router; what they do not change goes on untouched.

        Args:
            instance: the new settings.
            touched: what `withdraw` said of them.
        """
        self.instance = self._tracking.instance = self._sender.instance = instance
        self.peers = frozenset(instance.unicast_peer)
        self.vips.reconfigure(instance.virtual_ipaddress)
        self._sender.forget()
        self._announcer.reconfigure(instance.garp, active=self.state is State.MASTER)
        self._look_at_interfaces()  # another interface may be needed now, or a missing one no longer
        self._handle(ParametersChanged(self._parameters()))
        replaced = [vip.config.address for vip in self.vips.of(touched)]
        if replaced and self.state is State.MASTER:
            self._add_addresses(AddAddresses(tuple(replaced)))
            self._announcer.start(self.vips.of(replaced))
            self._handle_next()

    def _rehearse(self) -> None:
        """Go the way of a takeover without doing anything: code that lay idle for days is slow the first time.

        What the master has said is heard first: in a process that could not run, it waits in the socket. A process that
        sleeps for long wakes up slowly, so the timer began later than the advert came; now there is time to ask when.
        """
        self._port.hear_what_waits()
        self.catch_up()
        deadline = self._deadlines[Timer.ACTIVE_DOWN]
        if deadline.when is not None and self._now == self._heard_at != self._corrected:
            self._corrected = self._heard_at
            deadline.when -= self._port.waited(self._heard_at)
        if deadline.when is None or deadline.when <= time.monotonic():
            return  # many routers take over at once, the first of which has gone that way already
        copy(self.router).handle(_TAKEOVER)  # a copy, the effects of which nobody carries out
        self.vips.rehearse()
        self._announcer.rehearse()

    def _prepare(self) -> None:
        for missing in self.vips.look_at_interfaces():
            self._put_back(missing)
        self._announcer.prepare(tuple(self.vips))

    def _handle(self, event: Event) -> None:
        self._handle_at(time.monotonic(), event)

    def _handle_at(self, now: float, event: Event) -> None:
        if self._usual:
            self.catch_up()
            self._usual.noted = False
            self._usual = None
        if now > self._too_late_at:
            self.woke_late(now)
        self._now = now
        handlers = self._handlers
        for effect in self.router.handle(event):
            handlers[type(effect)](effect)
        if self._next_event:
            self._handle_next()

    def _handle_next(self) -> None:
        """What carrying out an effect has led to."""
        if self._next_event:
            event, self._next_event = self._next_event, None
            self._handle(event)

    def _set_timer(self, effect: SetTimer) -> None:
        if effect.timer is Timer.ADVER:
            self._adver_timer.after(seconds(effect.delay))
        else:
            self._deadlines[effect.timer].at(self._now + seconds(effect.delay))

    def _cancel_timer(self, effect: CancelTimer) -> None:
        timer = self._adver_timer if effect.timer is Timer.ADVER else self._deadlines[effect.timer]
        timer.cancel()

    def _send_advert(self, effect: SendAdvert) -> None:
        sent = self._sender.send(effect.priority, self.router.address)
        if sent and self.router.state is State.MASTER:
            now = time.monotonic()
            self._ledger.advertise(now)
            self._expect_patience(now)

    def _expect_patience(self, now: float) -> None:
        self._too_late_at = now + _patience(self.router.priority, self.router.parameters.advertisement_interval)

    def _add_addresses(self, effect: AddAddresses) -> None:
        refused = self.vips.add(effect.addresses)
        for vip in refused:
            log.error("(%s) cannot add %s", self.instance.name, vip.error)
        if refused:
            self._restore.at(time.monotonic() + self._restore_delay.take())
        self._lease.start()
        if refused and not any(vip.present for vip in self.vips):
            self._next_event = AddressesFailed(f"no address could be added: {refused[0].error}")

    def _remove_addresses(self, effect: RemoveAddresses) -> None:
        for vip in self.vips.remove(effect.addresses):
            log.error("(%s) cannot remove %s", self.instance.name, vip.error)

    def _report_transition(self, effect: ReportTransition) -> None:
        before, after = effect.before.shown, effect.after.shown
        self.last_reason = effect.reason
        if effect.after is State.MASTER and self._sender.failure:
            self._expect_patience(time.monotonic())
        if effect.after is not State.MASTER:
            self._too_late_at = inf
            self._announcer.stop()
            self._restore.cancel()
        if effect.after not in _HOLDING:
            self._ledger.clear()
        if effect.after is State.BACKUP:
            self._sender.encode(self.router.priority, self.router.address)  # now, so that a takeover need not
        if (effect.after in _HOLDING) != (effect.before in _HOLDING):
            self._tell(Holds(self.instance.key, effect.after in _HOLDING))
        if before is after:
            log.info("(%s) %s: %s", self.instance.name, effect.after, effect.reason)
        else:
            self.counters.transitions[after] += 1
            self.last_transition = datetime.now(UTC)
            level = logging.ERROR if after is State.FAULT else logging.INFO
            log.log(level, "(%s) Entering %s STATE: %s", self.instance.name, after, effect.reason)
            instance, priority = self.instance, self.router.priority
            self._tell(Entered(instance.name, str(after), priority, effect.reason, instance.notify))
        if effect.after is State.INIT:
            self._left(self)

    def _report_anomaly(self, effect: ReportAnomaly) -> None:
        self.counters.anomalies[effect.anomaly] += 1
        if self._rate_limit.allows((self.instance.name, effect.source, effect.anomaly), time.monotonic()):
            what = explain(effect, self.instance)
            log.warning("(%s) %s", self.instance.name, what)
            self._tell(Anomalous(self.instance.name, what))

    def _restore_addresses(self) -> None:
        missing = [vip for vip in self.vips if not vip.present]
        self._add_addresses(AddAddresses(tuple(vip.config.address for vip in missing)))
        back = [vip for vip in missing if vip.present]
        self.counters.addresses_restored += len(back)
        self._announcer.start(back)
        self._handle_next()


@lru_cache
def _patience(priority: int, interval: Centiseconds) -> float:
    """Seconds of silence after which a peer of lower priority may have taken over."""
    return seconds(active_down_interval(priority, interval))
