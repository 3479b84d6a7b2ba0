"""What was heard, shown: a table and its remarks, a line an event, or plain values for machines."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vrrpd.sniff.packets import Heard
from vrrpd.sniff.routers import Event, Reign, Router, Routers, Source

_REFRESH: Final = 0.25
"""Seconds between two pictures."""
_EVENTS_MIN: Final = 3
_FRAME: Final = 8
"""Lines of a picture around its rows and events."""
_EVENTS_KEPT: Final = 100
_BAD_SHOWN: Final = 20
_ADDRESS_WIDTH: Final = 15
"""Of an IPv4 address; longer ones are folded where there is no room."""


class View(Protocol):
    """How it is shown while packets come."""

    def tell(self, events: Iterable[Event]) -> None:
        """Something changed."""

    def refresh(self, now: float) -> None:
        """Show how it is now, if it is time."""

    def shown(self) -> AbstractContextManager[None]:
        """While this lasts."""


class Silent:
    """Nothing but the end is shown."""

    def tell(self, events: Iterable[Event]) -> None:
        """Part of `View`."""

    def refresh(self, now: float) -> None:
        """Part of `View`."""

    def shown(self) -> AbstractContextManager[None]:
        """Part of `View`."""
        return nullcontext()


class Lines(Silent):
    """A line an event, at once."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, events: Iterable[Event]) -> None:
        """Part of `View`."""
        for event in events:
            self._console.print(Text(_line(event)), soft_wrap=True)
            self._console.file.flush()


class Picture:
    """A table that changes, and the latest events below it."""

    def __init__(self, console: Console, routers: Routers, title: str) -> None:
        self._console = console
        self._routers = routers
        self._title = title
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def tell(self, events: Iterable[Event]) -> None:
        """Part of `View`."""
        self._events.extend(events)

    def refresh(self, now: float) -> None:
        """Part of `View`."""
        if now - self._drawn >= _REFRESH:
            self._drawn = now
            self._live.update(self._picture(now), refresh=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Part of `View`."""
        with self._live:
            yield

    def _picture(self, now: float) -> RenderableType:
        room = self._console.height - _FRAME
        remarks = room // 3
        routers = max(1, room - remarks - _EVENTS_MIN)
        events = list(self._events)[-max(_EVENTS_MIN, room - len(self._routers)) :]
        title = Text(f"{self._title}; Ctrl-C ends", style="dim")
        lines = [Text(_line(event), no_wrap=True, overflow="ellipsis") for event in events]
        return Group(title, summary(self._routers, now, routers, remarks), *lines)


def summary(
    routers: Routers, now: float, most_routers: int | None = None, most_remarks: int | None = None
) -> RenderableType:
    """The virtual routers, what contradicts what, and the bad packets.

    Args:
        routers: what was heard.
        now: the time, of the same clock as the packets', for who is silent.
        most_routers: how many rows there is room for; what needs looking after comes first then. None: for all.
        most_remarks: likewise.
    """
    if not len(routers) and not routers.bad:
        return Text("no advert heard")
    said = {router.key: found for router in routers if (found := _remarks(router, now))}
    shown = list(routers)
    if most_routers is not None and len(shown) > most_routers:
        shown = sorted(shown, key=lambda router: router.key not in said)[:most_routers]
    parts: list[RenderableType] = [_table(shown, now)] if shown else [Text("no good advert heard")]
    if left_out := len(routers) - len(shown):
        parts.append(Text(f"and {left_out} more virtual routers", style="dim"))
    remarks: list[RenderableType] = [
        Text(f"! {remark}", style="bold red") for found in said.values() for remark in found
    ]
    remarks += _bad(routers)
    if most_remarks is not None and len(remarks) > most_remarks:
        more = Text(f"! and {len(remarks) - most_remarks} more like these", style="red")
        remarks = [*remarks[:most_remarks], more]
    return Group(*parts, *remarks)


def _table(routers: Sequence[Router], now: float) -> Table:
    shown = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in ("Link", "VRID", "Master", "Prio", "Every", "Addresses", "Checksum", "Adverts"):
        right = name in {"VRID", "Prio", "Every", "Adverts"}
        widest = _ADDRESS_WIDTH if name in {"Master", "Addresses"} else None
        # Addresses are folded where there is no room; of a number all digits are needed.
        shown.add_column(name, justify="right" if right else "left", overflow="fold", min_width=widest, no_wrap=right)
    for router in routers:
        shown.add_row(*_row(router, now))
    return shown


def _row(router: Router, now: float) -> tuple[RenderableType, ...]:
    source = router.master(now)
    last = (source or router.latest).last
    form = "VRRPv2" if last.version == 2 else last.checksum_form.value.removesuffix("_header")
    return (
        str(router.key.place),
        str(router.key.virtual_router_id),
        str(last.sender) if source else Text(f"none; last {last.sender}", style="dim"),
        str(last.priority),
        f"{last.interval:g} s",
        "\n".join(map(str, last.addresses)),
        form,
        str(router.adverts),
    )


def _remarks(router: Router, now: float) -> list[str]:
    found = [f"{router.key}: {conflict.text}" for conflict in router.conflicts(now)]
    if router.in_conflict_at > float("-inf"):
        found.append(f"{router.key}: two masters for {router.two_masters:.3f} s in all")
    last = (router.master(now) or router.latest).last
    if last.version == 2:
        secret = f"; authentication: {last.authentication}" if last.authentication != "none" else ""
        found.append(f"{router.key}: {last.sender} speaks VRRPv2, which a version 3 router discards{secret}")
    return found


def _bad(routers: Routers) -> list[RenderableType]:
    bad = routers.bad
    lines: list[RenderableType] = [
        Text(
            f"! {one.count} bad, {one.last.place}, {one.last.sender}: {one.last.reason}: {one.last.detail}", style="red"
        )
        for one in bad[:_BAD_SHOWN]
    ]
    if more := sum(one.count for one in bad[_BAD_SHOWN:]) + routers.other_bad:
        lines.append(Text(f"! {more} more bad packets", style="red"))
    return lines


def _line(event: Event) -> str:
    try:
        return f"{datetime.fromtimestamp(event.time).astimezone():%H:%M:%S.%f}  {event.text}"
    except (ValueError, OverflowError, OSError):  # a damaged file: no clock has that
        return f"at {event.time:.6f} s  {event.text}"


def as_dict(routers: Routers, now: float) -> dict[str, Any]:
    """Plain values; docs/sniff.md has the keys."""
    return {
        "virtual_routers": [_router(router, now) for router in routers],
        "bad_packets": [
            {
                "interface": one.last.place.interface,
                "vlans": list(one.last.place.vlans),
                "source": str(one.last.sender),
                "mac": one.last.sender.mac,
                "reason": one.last.reason.value,
                "detail": one.last.detail,
                "count": one.count,
                "last": one.last.time,
            }
            for one in routers.bad
        ],
        "other_bad_packets": routers.other_bad,
    }


def _router(router: Router, now: float) -> dict[str, Any]:
    master = router.master(now)
    return {
        "interface": router.key.place.interface,
        "vlans": list(router.key.place.vlans),
        "virtual_router_id": router.key.virtual_router_id,
        "family": f"ipv{router.key.family_number}",
        "master": str(master.last.sender) if master else None,
        "adverts": router.adverts,
        "two_masters_seconds": router.two_masters,
        "conflicts": [{"kind": one.kind.value, "text": one.text} for one in router.conflicts(now)],
        "senders": [_sender(source) for source in router.sources.values()],
        "reigns": [_reign(reign) for reign in router.reigns],
    }


def _sender(source: Source) -> dict[str, Any]:
    last: Heard = source.last
    return {
        "source": str(last.sender),
        "mac": last.sender.mac,
        "version": last.version,
        "priority": last.priority,
        "interval_seconds": last.interval,
        "addresses": [str(address) for address in last.addresses],
        "checksum_form": last.checksum_form.value,
        "authentication": last.authentication,
        "unicast": str(last.unicast) if last.unicast else None,
        "adverts": source.adverts,
        "resignations": source.resignations,
    }


def _reign(reign: Reign) -> dict[str, Any]:
    return {
        "source": str(reign.sender),
        "start": reign.start,
        "last": reign.last,
        "adverts": reign.adverts,
        "resigned": reign.resigned,
        "longest_gap_seconds": reign.longest_gap,
    }
