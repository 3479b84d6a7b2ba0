"""One run: a fault is inflicted, watched and undone, and what clients and the link saw of it."""

import random
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from benchmarks.failover.adverts import Adverts, Mastership
from benchmarks.failover.arena import Arena
from benchmarks.failover.faults import Fault, bound
from benchmarks.failover.results import Passage, Run, Segment, Timeline
from benchmarks.failover.setting import REFERENCE
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Probe, ProbeResult

PATIENCE: Final = 0.25
"""Seconds after which an answer counts as none: a client would have tried again."""
LEAD: Final = 0.1
"""Seconds before the fault from which probes are counted: an outage begins with one that was answered."""
NOISE_LIMIT: Final = 0.01
"""Seconds that the prober may be late; a run in which it was later says more of the machine than of the speaker."""
RESTORE_TIMEOUT: Final = 20.0
"""Seconds after which clients are not served again."""
_STEADY: Final = 0.3
"""Seconds for which every probe must be answered before it is over."""
_HEARD: Final = 2.0
"""Intervals within which one advertises if there is a master; those of CARP come less often than they say."""
_POLL: Final = 0.02
_FLOW: Final = "flow"
_FLOW_GAP: Final = 0.02
"""Seconds between two echoes from which on a stream has stood still."""


class Span(Struct, frozen=True):
    """From when to when, `time.monotonic()` seconds."""

    start: float
    end: float


class Conditions(Struct, frozen=True):
    """Under which a run is done."""

    load: str = ""
    """What the machine is burdened with, for the record."""
    noise_limit: float = NOISE_LIMIT
    """Seconds that the prober may be late."""
    pcap: Path | None = None
    """Where the capture is written; None: nowhere."""


USUAL: Final = Conditions()


def measure(arena: Arena, fault: Fault, number: int, conditions: Conditions = USUAL) -> Run:
    """Do it once; everything is as before in the end.

    Args:
        arena: where.
        fault: what.
        number: of the run; the first keeps its timeline.
        conditions: under which.

    Raises:
        ArenaError: the fault cannot be inflicted, or the routers do not come back to what they were.
    """
    arena.wake()
    try:
        arena.wait_calm()
        fault.prepare(arena)
        with Capture(arena.lan) as capture:
            # At any moment between two adverts, and with some before it.
            time.sleep(LEAD + (3 + random.random()) * arena.setting.advert_int)
            began = time.monotonic()
            with arena.orders():
                fault.inflict(arena)
            restored = _watch(arena, capture, began)
            ended = time.monotonic()
            with arena.orders():
                fault.undo(arena)
            arena.wait_calm()
            whole = time.monotonic()
            time.sleep(PATIENCE + LEAD)  # the last answers
        adverts = arena.adverts(capture)
        if conditions.pcap:
            capture.write_pcap(conditions.pcap)
    finally:
        arena.rest()
    span = Span(began, ended)
    results = {name: arena.answers(name, began - LEAD, ended) for name in arena.probers}
    all_of_it = (arena.answers(name, began - LEAD, whole) for name in arena.probers)
    noise = max(result.longest_pause for result in all_of_it) - arena.setting.probe_interval
    change: dict[str, Any] = _change(adverts, span, arena) if fault.takeover else {}
    return Run(
        speaker=arena.speaker.name,
        advert_int=arena.setting.advert_int,
        fault=fault.name,
        number=number,
        load=conditions.load,
        noise_ms=_ms(max(0.0, noise)),
        noisy=noise > conditions.noise_limit or bool(capture.dropped),
        during={name: passage(result, name) for name, result in results.items()},
        back={name: passage(arena.answers(name, ended - LEAD, whole), name) for name in arena.probers},
        two_masters_ms=_ms(adverts.two_masters(began, ended)),
        back_two_masters_ms=_ms(adverts.two_masters(ended, whole)),
        flaps=max(0, len(_changes(adverts, span)) - fault.changes),
        restored=restored,
        timeline=None if number else _timeline(arena, adverts, results, span),
        **change,
    )


def _watch(arena: Arena, capture: Capture, began: float) -> bool:
    """Wait until nothing will come any more: a master is heard, and every kind of probe is answered.

    Returns:
        Whether clients are served, as far as pings tell.
    """
    interval = arena.setting.advert_int
    dead = (arena.speaker.intervals_until_dead or 4.0) * interval
    earliest = began + max(dead + max(0.5, interval), _STEADY + PATIENCE)
    latest = began + max(RESTORE_TIMEOUT, 2 * dead)
    while (now := time.monotonic()) < latest:
        there = now > earliest and _heard(capture, now - _HEARD * interval)
        if there and all(_steady(arena, name) for name in arena.probers):
            return True
        time.sleep(_POLL)
    return _steady(arena, REFERENCE)


def _heard(capture: Capture, since: float) -> bool:
    """Whether anybody has advertised."""
    return any(frame.is_advert and frame.time >= since for frame in reversed(capture.frames))


def _steady(arena: Arena, name: str) -> bool:
    """Whether that kind of probe has been answered for a while."""
    now = time.monotonic()
    recent = arena.answers(name, now - _STEADY - PATIENCE, now - PATIENCE)
    return bool(recent.probes) and not _lost(recent)


def _lost(result: ProbeResult) -> list[Probe]:
    return [probe for probe in result.probes if not _answered(probe)]


def _answered(probe: Probe) -> bool:
    return probe.answered_at is not None and probe.answered_at - probe.sent_at <= PATIENCE


def passage(result: ProbeResult, name: str) -> Passage:
    """Sum up."""
    if name == _FLOW:
        return _flow(result)
    longest = max(result.outages(PATIENCE), key=lambda outage: outage.seconds, default=None)
    unserved = _unserved_at_first(result)
    if longest is None or unserved > longest.seconds:
        outage, resolution = unserved, 0.0
    else:
        outage, resolution = longest.seconds, longest.resolution
    return Passage(
        probes=len(result.probes), lost=len(_lost(result)), outage_ms=_ms(outage), resolution_ms=_ms(resolution)
    )


def _unserved_at_first(result: ProbeResult) -> float:
    """Seconds until the first answered probe, of an outage that was there before: longer than that it was."""
    probes = result.probes
    if not probes or _answered(probes[0]):
        return 0.0
    return next((probe for probe in probes if _answered(probe)), probes[-1]).sent_at - probes[0].sent_at


def _flow(result: ProbeResult) -> Passage:
    """Of a stream, whose data wait for each other: how long nothing came, rather than which was late."""
    times = sorted(probe.answered_at for probe in result.probes if probe.answered_at is not None)
    ends = [result.probes[0].sent_at, *times, result.probes[-1].sent_at] if result.probes else []
    silence = max((after - before for before, after in pairwise(ends)), default=0.0)
    return Passage(
        probes=len(result.probes),
        lost=len(_lost(result)),
        outage_ms=_ms(silence) if silence > _FLOW_GAP else 0.0,
        connections=max(1, len({probe.answered_by for probe in result.probes if probe.answered_by})),
    )


def _changes(adverts: Adverts, span: Span) -> list[Mastership]:
    """Each time that another router than before began to advertise."""
    before = next((one.router for one in reversed(adverts.masterships) if one.start <= span.start), None)
    found = []
    for one in adverts.masterships:
        if span.start < one.start <= span.end and one.router != before:
            found.append(one)
            before = one.router
    return found


def _change(adverts: Adverts, span: Span, arena: Arena) -> dict[str, Any]:
    """Who took over, how long it took, and when the link was told."""
    changes = _changes(adverts, span)
    old = next((one for one in reversed(adverts.masterships) if one.start <= span.start), None)
    if not changes or old is None:
        return {}
    new = changes[0]
    resigned = old.resigned is not None and span.start <= old.resigned <= new.start
    said = [at for at, router, priority in adverts.heard if router == old.router and at < new.start and priority]
    last = old.resigned if resigned and old.resigned is not None else said[-1]
    if not resigned and new.start - last < arena.setting.advert_int:
        return {"successor": new.router}  # the old one goes on: nobody's time was over
    announced = adverts.announced(max(last, span.start))
    return {
        "successor": new.router,
        "detection_ms": _ms(new.start - last),
        "bound_ms": _bound_ms(arena, new.router, resigned=resigned),
        "announced_ms": None if announced is None or announced > span.end else _ms(announced - new.start),
    }


def _bound_ms(arena: Arena, successor: str, *, resigned: bool) -> float | None:
    """None: that is none of the routers."""
    priorities = {router.host.name: router.routers[0].priority for router in arena.routers}
    if successor not in priorities:
        return None
    speaker = arena.speaker
    return _ms(
        bound(
            arena.setting.advert_int,
            priorities[successor],
            resigned=resigned,
            intervals_until_dead=speaker.intervals_until_dead,
            carp=speaker.carp,
        )
    )


def _timeline(arena: Arena, adverts: Adverts, results: dict[str, ProbeResult], span: Span) -> Timeline:
    sent: dict[str, list[float]] = {}
    for at, router, _ in adverts.heard:
        if span.start - LEAD <= at <= span.end:
            sent.setdefault(router, []).append(_ms(at - span.start))
    return Timeline(
        segments={name: list(_segments(arena, result, span.start, name)) for name, result in results.items()},
        adverts=sent,
        announcements=[_ms(at - span.start) for at in adverts.announcements(span.start - LEAD, span.end)],
    )


def _segments(arena: Arena, result: ProbeResult, began: float, name: str) -> Iterator[Segment]:
    def fate(probe: Probe) -> str | None:
        if not _answered(probe):
            return None
        return "" if name == _FLOW else arena.name_of(probe.hops) or ""

    for who, probes in groupby(result.probes, fate):
        some = list(probes)
        yield Segment(_ms(some[0].sent_at - began), _ms(some[-1].sent_at - began), who)


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
