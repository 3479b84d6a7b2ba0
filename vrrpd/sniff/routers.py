"""The virtual routers that are heard: who is master, since when, and what contradicts what."""

from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Final

from msgspec import Struct

from vrrpd.protocol.advert import DropReason, Family
from vrrpd.protocol.timing import PRIORITY_OWNER, PRIORITY_RESIGN
from vrrpd.sniff.packets import Discarded, Heard, Place, Sender

SILENCE: Final = 4.0
"""Intervals without an advert after which a master is none: 3 and the longest skew (RFC 9568 section 6.1)."""
REIGNS_KEPT: Final = 10_000
"""Of a virtual router; older ones are forgotten."""
SENDERS_MAX: Final = 64
"""Of a virtual router. More than that are somebody's random addresses."""
DISCARDED_MAX: Final = 1000
"""Kinds of bad packets that are told apart, likewise."""


class Key(Struct, frozen=True, order=True):
    """What makes a virtual router (RFC 9568 section 5.2.3: the VRID is of a link and a family)."""

    place: Place
    virtual_router_id: int
    family_number: int

    @property
    def family(self) -> Family:
        """IPv4 or IPv6."""
        return Family(self.family_number)

    def __str__(self) -> str:
        return f"{self.place} VRID {self.virtual_router_id} IPv{self.family_number}"


class Reign(Struct):
    """From a sender's first advert as a master to its last before it resigned or fell silent."""

    sender: Sender
    start: float
    last: float
    adverts: int = 1
    resigned: float | None = None
    """When it sent priority 0."""
    longest_gap: float = 0.0
    """Seconds between two of its adverts."""


class Source(Struct):
    """A sender of adverts of one virtual router."""

    last: Heard
    """Its last advert that was no resignation."""
    adverts: int = 0
    resignations: int = 0
    reign: Reign | None = None
    """The one that goes on; None: it resigned, or never was master."""

    def silent(self, now: float) -> bool:
        """Whether a BACKUP would have taken over from it."""
        return self.reign is None or now - self.reign.last > SILENCE * self.last.interval


class ConflictKind(StrEnum):
    """What contradicts what."""

    MASTERS = "masters"
    INTERVALS = "intervals"
    ADDRESSES = "addresses"
    VERSIONS = "versions"
    CHECKSUMS = "checksums"
    OWNERS = "owners"


class Conflict(Struct, frozen=True):
    """Two senders of one virtual router that do not agree."""

    kind: ConflictKind
    text: str


class Event(Struct, frozen=True):
    """Something that changed."""

    time: float
    text: str


class Router:
    """One virtual router, as its adverts have it."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.sources: dict[Sender, Source] = {}
        self.reigns: deque[Reign] = deque(maxlen=REIGNS_KEPT)
        """In the order in which they began."""
        self.two_masters = 0.0
        """Seconds in which two were masters at once, so far."""
        self.in_conflict_at = float("-inf")
        """When that was seen last for longer than an interval: a handover from one to the other may take as long."""
        self._together = 0.0
        """Seconds for which there have been two, this time."""
        self._together_at = float("-inf")
        self._counted_until = float("-inf")
        self.unlisted = 0
        """Adverts of senders beyond `SENDERS_MAX`."""
        self._last: Reign | None = None
        """Whose advert was the last."""
        self._told: set[ConflictKind] = set()

    def master(self, now: float) -> Source | None:
        """Who sent the last advert and is not silent; None: nobody."""
        masters = [source for source in self.sources.values() if not source.silent(now)]
        return max(masters, key=lambda source: source.last.time, default=None)

    @property
    def latest(self) -> Source:
        """Who was master last, or has resigned since."""
        return max(self.sources.values(), key=lambda source: source.last.time)

    @property
    def adverts(self) -> int:
        """All of them, resignations included."""
        return self.unlisted + sum(source.adverts + source.resignations for source in self.sources.values())

    def take(self, heard: Heard) -> list[Event]:
        """Have the next advert; says what it changes."""
        source = self.sources.get(heard.sender)
        if source is None:
            if len(self.sources) >= SENDERS_MAX:
                self.unlisted += 1
                return []
            source = self.sources[heard.sender] = Source(heard)
        if heard.priority == PRIORITY_RESIGN:
            return self._resigned(source, heard)
        told = self._described(source, heard)
        source.last = heard
        source.adverts += 1
        told += self._reigns_on(source, heard)
        return told + self._contradictions(heard)

    def conflicts(self, now: float) -> list[Conflict]:
        """What contradicts what: of the masters now, of the rest among all who were heard."""
        found = []
        if now - self.in_conflict_at <= SILENCE * max(source.last.interval for source in self.sources.values()):
            names = sorted(str(source.last.sender) for source in self.sources.values() if not source.silent(now))
            found.append(Conflict(ConflictKind.MASTERS, f"{' and '.join(names)} are masters at once"))
        heard = [source.last for source in self.sources.values() if source.adverts]
        shown = {
            ConflictKind.INTERVALS: {one.sender: f"{one.interval:g} s" for one in heard},
            ConflictKind.ADDRESSES: {one.sender: _list(sorted(map(str, one.addresses))) for one in heard},
            ConflictKind.VERSIONS: {one.sender: f"VRRPv{one.version}" for one in heard},
            ConflictKind.CHECKSUMS: {one.sender: one.checksum_form.value for one in heard},
        }
        for kind, values in shown.items():
            if len(set(values.values())) > 1:
                each = "; ".join(f"{sender} has {value}" for sender, value in values.items())
                found.append(Conflict(kind, f"{kind.value} differ: {each}"))
        owners = [str(one.sender) for one in heard if one.priority == PRIORITY_OWNER]
        if len(owners) > 1:
            found.append(Conflict(ConflictKind.OWNERS, f"{' and '.join(owners)} both own the addresses (priority 255)"))
        return found

    def _resigned(self, source: Source, heard: Heard) -> list[Event]:
        source.resignations += 1
        if source.reign is None:
            return []
        source.reign.resigned = heard.time
        source.reign = None
        return [Event(heard.time, f"{self.key}: {heard.sender} resigns")]

    def _described(self, source: Source, heard: Heard) -> list[Event]:
        """What a sender says otherwise than before."""
        before = source.last
        if not source.adverts:
            return []
        changes = [
            f"{what} {new}, was {old}"
            for what, old, new in (
                ("priority", str(before.priority), str(heard.priority)),
                ("interval", f"{before.interval:g} s", f"{heard.interval:g} s"),
                ("addresses", _list(before.addresses), _list(heard.addresses)),
                ("version", str(before.version), str(heard.version)),
            )
            if new != old
        ]
        return [Event(heard.time, f"{self.key}: {heard.sender} has {'; '.join(changes)}")] if changes else []

    def _reigns_on(self, source: Source, heard: Heard) -> list[Event]:
        now, reign = heard.time, source.reign
        if reign is not None and now - reign.last <= SILENCE * heard.interval:
            self._meet(self._overlap(reign), heard)
            reign.longest_gap = max(reign.longest_gap, now - reign.last)
            reign.last = now
            reign.adverts += 1
            self._last = reign
            return []
        before = self._last
        source.reign = self._last = Reign(heard.sender, now, now)
        self.reigns.append(source.reign)
        what = f"{self.key}: {heard.sender} is master, {_what(heard)}"
        if before is not None:
            what += f"; {now - before.last:.3f} s after the last advert of {before.sender}"
        return [Event(now, what)]

    def _meet(self, overlap: float, heard: Heard) -> None:
        if not overlap:
            return
        if heard.time - self._together_at > SILENCE * heard.interval:
            self._together = 0.0
        self._together_at = heard.time
        self._together += overlap
        self.two_masters += overlap
        if self._together > heard.interval:
            self.in_conflict_at = heard.time

    def _overlap(self, reign: Reign) -> float:
        """Seconds since this master's last advert in which another one was master as well."""
        since, most = max(reign.last, self._counted_until), 0.0  # of three, two have counted for themselves
        for source in self.sources.values():
            other = source.reign
            if other is not None and other is not reign and other.last - max(since, other.start) > most:
                most = other.last - max(since, other.start)
                self._counted_until = other.last
        return most

    def _contradictions(self, heard: Heard) -> list[Event]:
        if len(self.sources) == 1:
            return []
        conflicts = {conflict.kind: conflict for conflict in self.conflicts(heard.time)}
        new = conflicts.keys() - self._told
        self._told = set(conflicts)
        return [Event(heard.time, f"{self.key}: {conflicts[kind].text}") for kind in sorted(new)]


class Bad(Struct):
    """Packets that were discarded for one reason, from one sender."""

    last: Discarded
    count: int = 0


class Routers:
    """Every virtual router that is heard, and every bad packet."""

    def __init__(self) -> None:
        self._routers: dict[Key, Router] = {}
        self._bad: dict[tuple[Place, Sender, DropReason], Bad] = {}
        self.other_bad = 0
        """Bad packets beyond `DISCARDED_MAX` kinds."""

    def __iter__(self) -> Iterator[Router]:
        return iter(sorted(self._routers.values(), key=lambda router: router.key))

    def __len__(self) -> int:
        return len(self._routers)

    @property
    def bad(self) -> list[Bad]:
        """What was discarded, most frequent first."""
        return sorted(self._bad.values(), key=lambda bad: -bad.count)

    def take(self, outcome: Heard | Discarded) -> list[Event]:
        """Have the next packet; says what it changes."""
        if isinstance(outcome, Discarded):
            return self._discard(outcome)
        key = Key(outcome.place, outcome.virtual_router_id, outcome.family.value)
        router = self._routers.get(key)
        if router is None:
            router = self._routers[key] = Router(key)
        return router.take(outcome)

    def _discard(self, packet: Discarded) -> list[Event]:
        key = packet.place, packet.sender, packet.reason
        bad = self._bad.get(key)
        if bad is None:
            if len(self._bad) >= DISCARDED_MAX:
                self.other_bad += 1
                return []
            bad = self._bad[key] = Bad(packet)
        bad.last = packet
        bad.count += 1
        where = f"{packet.place}: a bad packet of {packet.sender} ({packet.sender.mac})"
        return [Event(packet.time, f"{where}: {packet.reason}: {packet.detail}")] if bad.count == 1 else []


def time_with_two_masters(reigns: Iterable[Reign]) -> float:
    """Seconds in which at least two of these were going on; a reign lasts from its first advert to its last."""
    edges = sorted(edge for reign in reigns for edge in ((reign.start, 1), (reign.last, -1)))
    total, masters = 0.0, 0
    for (at, step), (then, _) in pairwise([*edges, *edges[-1:]]):
        masters += step
        total += then - at if masters > 1 else 0.0
    return total


def _what(heard: Heard) -> str:
    words = [f"priority {heard.priority}", f"every {heard.interval:g} s", _list(heard.addresses)]
    words += [f"VRRPv{heard.version}, which a version 3 router discards"] if heard.version != 3 else []
    words += [f"authentication: {heard.authentication}"] if heard.authentication not in {"", "none"} else []
    words += [f"sent to {heard.unicast} alone"] if heard.unicast else []
    return ", ".join(words)


def _list(addresses: Iterable[object]) -> str:
    return " ".join(map(str, addresses))
