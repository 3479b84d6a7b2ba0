"""A LAN of virtual routers under a virtual clock: the third driver of the core, beside sockets and single tests.

Time is in centiseconds and only moves from one due action to the next, so a run is exact and, with one seed, always the
same. Each host has a clock of its own: where it runs at rate r, a timer of d centiseconds lasts d / r.

A packet is lost, doubled and delayed as the `Weather` has it. It needs both links up, both hosts in one part of the LAN
and nobody in between who swallows that direction, at the time of sending; the receiver's link also when it arrives.
"""

import heapq
import itertools
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from ipaddress import IPv4Address
from random import Random
from typing import Protocol

from msgspec import Struct

from vrrpd.protocol.advert import Advert, Family, IPAddress, decode, encode
from vrrpd.protocol.effects import (
    AddAddresses,
    Announce,
    CancelTimer,
    Effect,
    RemoveAddresses,
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
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds, active_down_interval

LINK_DOWN = LinkChanged(up=False, reason="no carrier")


class Weather(Struct, frozen=True):
    """What happens to packets on their way."""

    shortest_delay: float
    longest_delay: float
    loss: float = 0.0
    duplication: float = 0.0


class Machine(Struct, frozen=True):
    """What a host is from start to end."""

    address: IPv4Address
    parameters: Parameters
    clock_rate: float = 1.0


class Host:
    """One machine on the LAN with the router that runs there, if one does."""

    def __init__(self, machine: Machine) -> None:
        self.address = machine.address
        self.clock_rate = machine.clock_rate
        self.parameters = machine.parameters
        """What the configuration file says; a router has it from its start or reload on."""
        self.router: VirtualRouter | None = None
        self.stopping = False
        """It was told to stop, and hands over first."""
        self.advertised_at = 0.0
        """When it last advertised as MASTER."""
        self.armed: dict[Timer, int] = {}
        """The timers that run, each with the number of its `SetTimer`."""
        self.addresses: set[IPAddress] = set()
        self.link_up = True
        self.part = 0
        self.frozen = False
        self.thawed_at = -1.0
        """What happens at this time was put off."""
        self.refuses_addresses = False
        self.backlog: list[Callable[[], None]] = []
        """What waits for a frozen host."""

    def __repr__(self) -> str:
        return f"{self.address} ({self.state})"

    @property
    def state(self) -> State:
        """The router's state; without a router, INIT."""
        return self.router.state if self.router else State.INIT

    @property
    def rank(self) -> tuple[int, int]:
        """What decides between masters: the priority, then the address."""
        return (self.router.priority if self.router else 0, int(self.address))

    @property
    def link(self) -> LinkChanged:
        """What the interface can do now."""
        return LinkChanged(up=True, address=self.address) if self.link_up else LINK_DOWN


class Observer(Protocol):
    """Someone who watches the routers."""

    def handled(self, host: Host, event: Event, before: State, effects: tuple[Effect, ...]) -> None:
        """`host` was in state `before`, handled `event` and has carried out `effects`."""


class Lan:
    """The hosts, the packets in flight and what can befall them."""

    def __init__(
        self, machines: tuple[Machine, ...], weather: Weather, seed: int, router: type[VirtualRouter] = VirtualRouter
    ) -> None:
        self.now = 0.0
        self.hosts = [Host(machine) for machine in machines]
        self.weather = weather
        self.swallowed: set[tuple[Host, Host]] = set()
        """(sender, receiver): nothing passes from the one to the other."""
        self.last_arrival = 0.0
        """When the last packet that is in flight arrives."""
        self.in_flight = 0
        """Packets that were sent and have not arrived."""
        self.observer: Observer | None = None
        self._router = router
        self._random = Random(seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def run_until(self, end: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= end:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = end

    def connected(self, sender: Host, receiver: Host) -> bool:
        """Whether packets pass that way."""
        return (
            sender.link_up
            and receiver.link_up
            and sender.part == receiver.part
            and (sender, receiver) not in self.swallowed
        )

    def due(self, host: Host, timer: Timer) -> float:
        """When the timer expires; now, if it does not run."""
        if timer not in host.armed:
            return self.now
        number = host.armed[timer]
        return next(time for time, order, _ in self._due if order == number)

    def start(self, host: Host) -> None:
        """Start the daemon, unless it runs."""
        if host.router is None:
            self._boot(host, Startup())
        elif host.stopping:
            host.stopping = False
            self._tell(host, Startup())

    def respawn(self, host: Host) -> None:
        """The speaker dies and is replaced at once; it goes on as MASTER if it was that."""
        if host.router is not None:
            event = Resume(self._silence(host)) if host.state is State.MASTER else Startup()
            addresses = host.addresses.copy() if host.state is State.MASTER else set()
            self.crash(host)
            self._boot(host, event, addresses)

    def stop(self, host: Host) -> None:
        """SIGTERM. The daemon ends when it has handed over."""
        self.thaw(host)
        host.stopping = host.router is not None
        self._tell(host, Shutdown())

    def drain(self, host: Host) -> None:
        """`vrrpd drain`."""
        self._tell(host, Drain())

    def undrain(self, host: Host) -> None:
        """`vrrpd undrain`."""
        self._tell(host, Undrain())

    def crash(self, host: Host) -> None:
        """SIGKILL, or power off: not a word, and the addresses go with the host."""
        host.router = None
        host.stopping = False
        host.armed.clear()
        host.addresses.clear()
        host.backlog.clear()
        host.frozen = False

    def freeze(self, host: Host) -> None:
        """SIGSTOP: what arrives and what falls due waits. The addresses stay."""
        host.frozen = host.router is not None

    def thaw(self, host: Host) -> None:
        """SIGCONT: everything that waited is done now, in the order in which it came."""
        host.frozen, host.thawed_at = False, self.now
        backlog, host.backlog = host.backlog, []
        for action in backlog:
            action()

    def set_link(self, host: Host, up: bool) -> None:
        """Plug the cable in or pull it out."""
        if host.link_up != up:
            host.link_up = up
            self._tell(host, host.link)

    def set_priority(self, host: Host, priority: int) -> None:
        """Tracking moves the priority."""
        self._tell(host, PriorityChanged(priority))

    def reconfigure(self, host: Host, parameters: Parameters) -> None:
        """Change the configuration, and reload it where the daemon runs."""
        host.parameters = parameters
        self._tell(host, ParametersChanged(parameters))

    def _boot(self, host: Host, event: Startup | Resume, addresses: Collection[IPAddress] = ()) -> None:
        host.router = self._router(host.parameters)
        host.addresses.update(addresses)
        host.router.handle(host.link)
        self._tell(host, event)

    def _tell(self, host: Host, event: Event) -> None:
        if host.router is None:
            return
        if host.frozen:
            host.backlog.append(partial(self._tell, host, event))
            return
        if host.state is State.MASTER and not isinstance(event, Overslept):
            patience = active_down_interval(host.router.priority, host.router.parameters.advertisement_interval)
            if (silence := self._silence(host)) > patience:
                self._tell(host, Overslept(silence))
        before = host.router.state
        effects = host.router.handle(event)
        for effect in effects:
            self._carry_out(host, host.router, effect)
        if self.observer:
            self.observer.handled(host, event, before, effects)
        if host.stopping and host.state is State.INIT:
            self.crash(host)

    def _silence(self, host: Host) -> Centiseconds:
        return Centiseconds((self.now - host.advertised_at) * host.clock_rate)

    def _carry_out(self, host: Host, router: VirtualRouter, effect: Effect) -> None:
        if isinstance(effect, SendAdvert):
            self._send(host, router.parameters, effect.priority)
            if router.state is State.MASTER:
                host.advertised_at = self.now
        elif isinstance(effect, SetTimer):
            number = host.armed[effect.timer] = next(self._numbers)
            expire: Callable[[], None] = partial(self._expire, host, effect.timer, number)
            heapq.heappush(self._due, (self.now + effect.delay / host.clock_rate, number, expire))
        elif isinstance(effect, CancelTimer):
            host.armed.pop(effect.timer, None)
        elif isinstance(effect, AddAddresses):
            host.addresses.update(effect.addresses)
            if host.refuses_addresses:
                self._after(0, partial(self._tell, host, AddressesFailed("refused")))
        elif isinstance(effect, RemoveAddresses):
            host.addresses.difference_update(effect.addresses)
        elif isinstance(effect, Announce):
            assert host.addresses.issuperset(effect.addresses), f"{host} announces what it does not have"

    def _expire(self, host: Host, timer: Timer, number: int) -> None:
        if host.armed.get(timer) != number:
            return  # cancelled, or started anew
        if host.frozen:
            host.backlog.append(partial(self._expire, host, timer, number))
            return
        del host.armed[timer]
        self._tell(host, TimerExpired(timer))

    def _send(self, sender: Host, parameters: Parameters, priority: int) -> None:
        event = _over_the_wire(sender.address, parameters, priority)
        for receiver in self.hosts:
            if receiver is sender or not self.connected(sender, receiver):
                continue
            if self._random.random() < self.weather.loss:
                continue
            copies = 2 if self._random.random() < self.weather.duplication else 1
            for _ in range(copies):
                delay = self._random.uniform(self.weather.shortest_delay, self.weather.longest_delay)
                self.last_arrival = max(self.last_arrival, self.now + delay)
                self.in_flight += 1
                self._after(delay, partial(self._deliver, receiver, event))

    def _deliver(self, receiver: Host, event: AdvertReceived) -> None:
        self.in_flight -= 1
        if receiver.link_up:
            self._tell(receiver, event)

    def _after(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), action))


@lru_cache(maxsize=1024)
def _over_the_wire(source: IPv4Address, parameters: Parameters, priority: int) -> AdvertReceived:
    """What arrives of an advert: it went through the codec."""
    advert = Advert(
        parameters.virtual_router_id, priority, parameters.advertisement_interval, tuple(parameters.addresses)
    )
    decoded, _ = decode(encode(advert, source), source=source, destination=Family.IPV4.group)
    return AdvertReceived(source, decoded)
