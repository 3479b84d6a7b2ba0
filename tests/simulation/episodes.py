"""Episodes: machines, the faults that befall them, a quiet period, and the verdict of the referee.

An episode is a value: the same one gives the same run. That makes it possible to look for the shortest history that
still shows a failure.
"""

from collections.abc import Callable, Collection
from enum import StrEnum
from ipaddress import IPv4Address
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from tests.simulation.lan import Host, Lan, Machine, Weather
from tests.simulation.referee import CLOCK_DEVIATION_MAX, InvariantError, Referee, Rule
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import PRIORITY_OWNER, Centiseconds

VIPS = (IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101"))
FIRST_ADDRESS = IPv4Address("192.0.2.11")


class Fault(StrEnum):
    """What can befall a host; the comment says what `value` means."""

    START = "start"
    STOP = "stop"
    CRASH = "crash"
    RESPAWN = "respawn"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    FREEZE = "freeze"
    THAW = "thaw"
    LINK_DOWN = "link down"
    LINK_UP = "link up"
    PART = "part"  # the part of the LAN that the host is in from now on
    SWALLOW = "swallow"  # the host whose packets do not reach this one any more
    PASS_ON = "pass on"
    LOSE = "lose"  # per cent of all packets, on the whole LAN
    PRIORITY = "priority"  # the new one
    INTERVAL = "interval"  # the new one, in centiseconds
    PREEMPT = "preempt"  # 0 or 1
    REFUSE = "refuse addresses"
    ACCEPT = "accept addresses"


class Mishap(Struct, frozen=True):
    """One fault."""

    at: float
    fault: Fault
    host: int
    value: int = 0


class Episode(Struct, frozen=True):
    """All that a run depends on."""

    seed: int
    machines: tuple[Machine, ...]
    weather: Weather
    """While there are faults; afterwards nothing is lost and nothing overtaken."""
    history: tuple[Mishap, ...]


class Outcome(Struct, frozen=True):
    """How an episode went."""

    share: float
    """Of the bound, until the last change of master."""
    router_centiseconds: float


def befall(lan: Lan, mishap: Mishap) -> None:
    """Let it happen now."""
    host, value = lan.hosts[mishap.host], mishap.value
    action = _ACTIONS.get(mishap.fault)
    if action:
        action(lan, host)
    elif mishap.fault is Fault.PART:
        host.part = value
    elif mishap.fault is Fault.SWALLOW:
        lan.swallowed.add((lan.hosts[value], host))
    elif mishap.fault is Fault.PASS_ON:
        lan.swallowed.discard((lan.hosts[value], host))
    elif mishap.fault is Fault.LOSE:
        lan.weather = replace(lan.weather, loss=value / 100)
    elif mishap.fault is Fault.PRIORITY:
        if PRIORITY_OWNER not in {host.parameters.priority, value}:
            lan.set_priority(host, value)
    elif mishap.fault is Fault.INTERVAL:
        lan.reconfigure(host, replace(host.parameters, advertisement_interval=Centiseconds(value)))
    elif mishap.fault is Fault.PREEMPT and host.parameters.priority != PRIORITY_OWNER:
        lan.reconfigure(host, replace(host.parameters, preempt=bool(value)))


_ACTIONS: dict[Fault, Callable[[Lan, Host], None]] = {
    Fault.START: Lan.start,
    Fault.STOP: Lan.stop,
    Fault.CRASH: Lan.crash,
    Fault.RESPAWN: Lan.respawn,
    Fault.DRAIN: Lan.drain,
    Fault.UNDRAIN: Lan.undrain,
    Fault.FREEZE: Lan.freeze,
    Fault.THAW: Lan.thaw,
    Fault.LINK_DOWN: lambda lan, host: lan.set_link(host, up=False),
    Fault.LINK_UP: lambda lan, host: lan.set_link(host, up=True),
    Fault.REFUSE: lambda _, host: setattr(host, "refuses_addresses", True),
    Fault.ACCEPT: lambda _, host: setattr(host, "refuses_addresses", False),
}


def calm(weather: Weather, intervals: Collection[float]) -> Weather:
    """The weather of a quiet period: nothing is lost, and delays are as short as the theory wants them."""
    if len(intervals) == 1:
        return replace(weather, longest_delay=min(weather.longest_delay, 1.9 * min(intervals)), loss=0)
    delay = min(weather.longest_delay, 0.45 * min(intervals))
    return replace(weather, shortest_delay=delay / 2, longest_delay=delay, loss=0)


INTERVALS = (10, 20, 100)
"""The advertisement intervals that occur, in centiseconds."""


def _intervals(episode: Episode) -> set[float]:
    """Those that occur in it."""
    configured: set[float] = {machine.parameters.advertisement_interval for machine in episode.machines}
    return configured | {mishap.value for mishap in episode.history if mishap.fault is Fault.INTERVAL}


def run(
    episode: Episode, router: type[VirtualRouter] = VirtualRouter, rules: frozenset[Rule] = frozenset(Rule)
) -> Outcome:
    """Play the episode.

    Raises:
        InvariantError: the routers did what they must not.
    """
    lan = Lan(episode.machines, episode.weather, episode.seed, router)
    referee = Referee(lan, rules)
    for host in lan.hosts:
        lan.start(host)
    for mishap in episode.history:
        lan.run_until(mishap.at)
        befall(lan, mishap)
    share = referee.settle(calm(episode.weather, _intervals(episode)))
    return Outcome(share, lan.now * len(lan.hosts))


def failure(
    episode: Episode, router: type[VirtualRouter] = VirtualRouter, rules: frozenset[Rule] = frozenset(Rule)
) -> InvariantError | None:
    """What is wrong with the episode, if anything is."""
    try:
        run(episode, router, rules)
    except InvariantError as error:
        return error
    return None


def random_episode(seed: int) -> Episode:
    """The episode of that seed."""
    random = Random(seed)
    usual = random.choice(INTERVALS)
    intervals = INTERVALS if random.random() < 0.25 else (usual,)
    owner = random.random() < 0.1
    machines = tuple(
        Machine(
            FIRST_ADDRESS + place,
            replace(
                _random_parameters(random, random.choice(intervals), is_owner=owner and not place),
                hitless=seed % 3 == 0 or (seed % 3 == 1 and random.random() < 0.5),
            ),
            1 + random.uniform(-CLOCK_DEVIATION_MAX, CLOCK_DEVIATION_MAX),
        )
        for place in range(random.randint(2, 5))
    )
    longest_delay = random.choice((0.02, 0.2, 0.45, 2.0)) * usual
    weather = Weather(0, longest_delay, loss=random.choice((0, 0, 0.1, 0.5)), duplication=random.choice((0, 0.1)))
    times = sorted(random.uniform(0, 15 * usual) for _ in range(random.randint(1, 8)))
    return Episode(seed, machines, weather, tuple(_random_mishap(random, time, len(machines)) for time in times))


def _random_parameters(random: Random, interval: int, *, is_owner: bool) -> Parameters:
    return Parameters(
        virtual_router_id=51,
        addresses=VIPS,
        priority=PRIORITY_OWNER if is_owner else random.choice((100, 100, 101, 150, 200, random.randint(1, 254))),
        advertisement_interval=Centiseconds(interval),
        preempt=random.random() < 0.75 or is_owner,
        preempt_delay=Centiseconds(random.choice((0, 0, 0, 0, 0, 5 * interval))),
        recovery_delay=Centiseconds(random.choice((0, 0, 0, interval))),
    )


def _random_mishap(random: Random, at: float, hosts: int) -> Mishap:
    fault = random.choice(_FREQUENT)
    values: dict[Fault, tuple[int, ...] | range] = {
        Fault.PART: (0, 1),
        Fault.SWALLOW: range(hosts),
        Fault.PASS_ON: range(hosts),
        Fault.LOSE: (0, 20, 80, 100),
        Fault.PRIORITY: (50, 100, 160, 250),
        Fault.INTERVAL: INTERVALS,
        Fault.PREEMPT: (0, 1),
    }
    return Mishap(at, fault, random.randrange(hosts), random.choice(values.get(fault, (0,))))


_FREQUENT = (*Fault, Fault.START, Fault.START, Fault.CRASH, Fault.PART, Fault.PART, Fault.LINK_UP, Fault.FREEZE)
"""All faults; some more often, to balance what they take away against what gives it back."""


def shortest(episode: Episode, fails: Callable[[Episode], bool]) -> Episode:
    """The episode with as few mishaps as still fail, by delta debugging (Zeller's ddmin)."""
    history, parts = episode.history, 2
    while history:
        size = -(-len(history) // parts)
        for start in range(0, len(history), size):
            rest = history[:start] + history[start + size :]
            if fails(replace(episode, history=rest)):
                history, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(history))
    return replace(episode, history=history)
