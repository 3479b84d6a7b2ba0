"""The configurations of several hosts side by side: who becomes master, who follows, and where they disagree.

The election is not computed but played: the real `VirtualRouter`s, on a LAN without delay or loss, under a clock that
jumps from timer to timer.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace

from vrrpd.config.findings import Finding, note, span, warning
from vrrpd.config.model import Config, VrrpInstance
from vrrpd.protocol.advert import Advert, Family, IPAddress
from vrrpd.protocol.effects import CancelTimer, SendAdvert, SetTimer, State
from vrrpd.protocol.events import AdvertReceived, Event, LinkChanged, Startup, Timer, TimerExpired
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import PRIORITY_OWNER, Centiseconds


class Contender(NamedTuple):
    """One host's part in a virtual router."""

    host: str
    """What to call it: its configuration file."""
    instance: VrrpInstance


def compare(hosts: Sequence[tuple[str, Config]]) -> tuple[Finding, ...]:
    """What the hosts, each a name and its configuration, will do together."""
    return tuple(
        finding
        for contenders in _virtual_routers(hosts)
        for rule in (_alone, _disagreements, _small_weights, _history)
        for finding in rule(contenders)
    )


def _virtual_routers(hosts: Sequence[tuple[str, Config]]) -> list[list[Contender]]:
    """Who contends with whom: same VRID and family, and, where a host has several of these, same interface."""
    groups: dict[tuple[Family, int], list[Contender]] = {}
    for host, config in hosts:
        for instance in config.instances:
            key = instance.family, instance.virtual_router_id
            groups.setdefault(key, []).append(Contender(host, instance))
    routers: list[list[Contender]] = []
    for group in groups.values():
        if len({contender.host for contender in group}) == len(group):
            routers.append(group)
            continue
        by_interface: dict[str, list[Contender]] = {}
        for contender in group:
            by_interface.setdefault(contender.instance.interface, []).append(contender)
        routers.extend(by_interface.values())
    return routers


def _alone(contenders: list[Contender]) -> Iterator[Finding]:
    if len(contenders) == 1:
        ((host, instance),) = contenders
        yield warning(
            instance.name,
            f"only {host} has VRID {instance.virtual_router_id} for IPv{instance.family.value}: nobody takes over",
        )


def _disagreements(contenders: list[Contender]) -> Iterator[Finding]:
    first, *others = contenders
    addresses = {vip.address for vip in first.instance.virtual_ipaddress}
    for host, instance in others:
        difference = addresses ^ {vip.address for vip in instance.virtual_ipaddress}
        if difference:
            shown = ", ".join(map(str, sorted(difference, key=int)))
            yield warning(
                instance.name,
                f"{first.host} and {host} do not have the same addresses ({shown}): those move only with some masters, "
                "and keepalived would ignore the other's adverts",
            )
        if instance.advert_int != first.instance.advert_int:
            yield warning(
                instance.name,
                f"advert_int is {first.instance.advert_int:g} on {first.host} and {instance.advert_int:g} on {host}: "
                "how long a failover takes depends on who is master",
            )
    for one, other in combinations(contenders, 2):
        yield from _deaf(one, other)
        yield from _deaf(other, one)
        priority = _full_priority(one.instance)
        if priority == _full_priority(other.instance):
            owners = ", and only one router can own the addresses" if priority == PRIORITY_OWNER else ""
            yield warning(
                other.instance.name,
                f"{one.host} and {other.host} have the same priority {priority}{owners}: the higher "
                f"primary address decides, here taken to be that of {one.host}",
            )


def _small_weights(contenders: list[Contender]) -> Iterator[Finding]:
    """Weights that do not make the best router worse than the next."""
    if len(contenders) == 1:
        return
    best, next_best = sorted(contenders, key=lambda contender: -_full_priority(contender.instance))[:2]
    other = _full_priority(next_best.instance)
    for tracked, weight in best.instance.weights:
        left = _full_priority(best.instance) - abs(weight)
        if left >= other:
            yield warning(
                best.instance.name,
                f"without {tracked}, {best.host} has {left}, and {next_best.host} has {other}: it stays "
                f"master; use a weight of more than {_full_priority(best.instance) - other}",
            )


def _full_priority(instance: VrrpInstance) -> int:
    """While all that it tracks is up and works."""
    if instance.priority == PRIORITY_OWNER:
        return PRIORITY_OWNER
    return min(instance.priority + sum(max(0, weight) for _, weight in instance.weights), PRIORITY_OWNER - 1)


def _deaf(listener: Contender, speaker: Contender) -> Iterator[Finding]:
    """Whether one will never hear the other, as far as addresses are known."""
    peers, source = listener.instance.unicast_peer, speaker.instance.unicast_src_ip
    if bool(peers) != bool(speaker.instance.unicast_peer):
        hears, speaks = ("its unicast_peer", "the group") if peers else ("the group", "its unicast_peer")
        what = f"{listener.host} listens to {hears} alone, and {speaker.host} speaks to {speaks}: two masters"
        yield warning(listener.instance.name, what)
    elif peers and source and source not in peers:
        what = f"{speaker.host} sends from {source}, which is no unicast_peer of {listener.host}: two masters"
        yield warning(listener.instance.name, what)


def _history(contenders: list[Contender]) -> Iterator[Finding]:
    """Start all, let each master crash in turn, bring the first one back."""
    if len(contenders) == 1:
        return
    instances = [contender.instance for contender in contenders]
    lan = _Lan([replace(instance, priority=_full_priority(instance)) for instance in instances])
    for index in range(len(contenders)):
        lan.start(index)
    lan.settle()
    first = lan.master()
    text = f"{contenders[first].host} becomes master"
    master = first
    for _ in contenders[1:]:
        crashed_at = lan.crash(master)
        lan.settle()
        master = lan.master()
        text += (
            f"; when it is silent, {contenders[master].host} after {span(Centiseconds(lan.since[master] - crashed_at))}"
        )
    lan.start(first)
    lan.settle()
    back = "it takes over" if lan.master() == first else f"{contenders[lan.master()].host} stays master"
    yield note(contenders[0].instance.name, f"{text}; when {contenders[first].host} is back, {back}")


class _Lan:
    """Virtual routers that hear each other at once."""

    def __init__(self, instances: list[VrrpInstance]) -> None:
        self._instances = instances
        self._routers: dict[int, VirtualRouter] = {}
        """Those that are running, by position."""
        self._timers: dict[tuple[int, Timer], float] = {}
        self._events: deque[tuple[int, Event]] = deque()
        self._now = 0.0
        self.since: dict[int, float] = {}
        """When each became master last, in centiseconds."""

    def start(self, index: int) -> None:
        """Let a host take part, from the beginning, with its link up."""
        self._routers[index] = VirtualRouter(self._instances[index].parameters())
        self._tell(index, LinkChanged(up=True, address=self._address(index)))
        self._tell(index, Startup())

    def crash(self, index: int) -> float:
        """Silence a host right after an advert of it; returns when that was."""
        self._run(self._timers[index, Timer.ADVER])
        del self._routers[index]
        self._timers = {key: due for key, due in self._timers.items() if key[0] != index}
        return self._now

    def settle(self) -> None:
        """Let the time pass in which everything that was started or stopped has had its effect."""
        parameters = [instance.parameters() for instance in self._instances]
        longest = max(each.advertisement_interval for each in parameters)
        self._run(self._now + 10 * longest + max(each.preempt_delay for each in parameters))

    def master(self) -> int:
        """The position of the master; after `settle` there is one."""
        return next(index for index, router in self._routers.items() if router.state is State.MASTER)

    def _run(self, until: float) -> None:
        while self._timers and min(self._timers.values()) <= until:
            (index, timer), self._now = min(self._timers.items(), key=lambda item: (item[1], item[0][0]))
            del self._timers[index, timer]
            self._tell(index, TimerExpired(timer))
        self._now = max(self._now, until)

    def _tell(self, index: int, event: Event) -> None:
        self._events.append((index, event))
        while self._events:
            self._carry_out(*self._events.popleft())

    def _carry_out(self, index: int, event: Event) -> None:
        router = self._routers[index]
        was_master = router.state is State.MASTER
        for effect in router.handle(event):
            if isinstance(effect, SetTimer):
                self._timers[index, effect.timer] = self._now + effect.delay
            elif isinstance(effect, CancelTimer):
                self._timers.pop((index, effect.timer), None)
            elif isinstance(effect, SendAdvert):
                mine = router.parameters
                interval, addresses = mine.advertisement_interval, mine.addresses
                advert = Advert(mine.virtual_router_id, effect.priority, interval, addresses)
                heard = AdvertReceived(self._address(index), advert)
                self._events.extend((other, heard) for other in self._routers if other != index)
        if router.state is State.MASTER and not was_master:
            self.since[index] = self._now

    def _address(self, index: int) -> IPAddress:
        """A primary address: the earlier the file was named, the higher."""
        if self._instances[index].family is Family.IPV4:
            return IPv4Address("192.0.2.254") - index
        return IPv6Address("fe80::ffff") - index
