"""The demo as it happens: a live view for a terminal, a line an event for anything else."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vrrpd.demo.report import table
from vrrpd.demo.run import PATIENCE, Demo, Event
from vrrpd.demo.setting import VRID
from vrrpd.lan.daemons import MASTER, Vrrpd
from vrrpd.lan.probe import Probe

REFRESHES: Final = 5
"""A second. The routers need the processor, too."""
COLOURS: Final = ("green", "cyan", "magenta", "yellow", "blue")
"""Of the routers."""
LOST: Final = "·"
CELL: Final = 0.025
"""Seconds that a character of the client's strip stands for."""
STRIP_DELAY: Final = 0.1
"""Seconds by which the strip lags: the last answers are on their way still."""
EVENTS_MIN: Final = 3
_GLANCE: Final = 0.15
"""Seconds that a router gets to say how it is."""


class Lines:
    """A line an event, at once; or nothing at all."""

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent

    def tell(self, event: Event) -> None:
        """Print an event."""
        if not self._silent:
            self._console.print(Text(_line(event)), soft_wrap=True)
            self._console.file.flush()

    def shown(self, _demo: Demo) -> AbstractContextManager[None]:
        """There is nothing between the events."""
        return nullcontext()


class LiveView:
    """What a terminal shows while the demo runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._events: deque[Event] = deque(maxlen=40)
        self._demo: Demo | None = None

    def tell(self, event: Event) -> None:
        """Take an event."""
        self._events.append(event)

    @contextmanager
    def shown(self, demo: Demo) -> Iterator[None]:
        """Show it inside the block; it is gone afterwards."""
        self._demo = demo
        with Live(
            get_renderable=self._picture,
            console=self._console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def _picture(self) -> RenderableType:
        demo = self._demo
        if demo is None or not demo.ready.is_set():
            return Group(*self._last_events(EVENTS_MIN), Text("waiting for the election …", style="dim"))
        parts = [self._title(demo), _routers(demo), _strip(demo, self._console.width - 10)]
        used = 8 + len(demo.routers)
        if demo.measurements:
            parts.append(table(demo.measurements))
            used += 3 + len(demo.measurements)
        else:
            parts.append(Text())
        return Group(*parts, *self._last_events(self._console.height - used - 1))

    def _title(self, demo: Demo) -> RenderableType:
        setting = demo.setting
        what = f"  VRID {VRID}, {setting.address}, advert_int {setting.advert_int:g} s"
        title = Table.grid(expand=True)
        title.add_column()
        title.add_column(justify="right")
        title.add_row(
            Text.assemble(("vrrpd demo", "bold"), what),
            Text(f"{demo.seconds:.0f} s, Ctrl-C ends", style="dim"),
        )
        return title

    def _last_events(self, count: int) -> list[Text]:
        events = list(self._events)[-max(EVENTS_MIN, count) :]
        return [Text(_line(event), no_wrap=True, overflow="ellipsis") for event in events]


def _line(event: Event) -> str:
    return f"{event.at:6.2f} s  {event.text}"


def _routers(demo: Demo) -> Table:
    sent = Counter(advert.source_mac for advert in demo.capture.adverts(VRID))
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for name in ("Router", "Priority", "State", "Adverts", demo.setting.address, ""):
        shown.add_column(name, justify="right" if name in {"Priority", "Adverts"} else "left", no_wrap=True)
    for number, router in enumerate(demo.routers):
        shown.add_row(*_row(demo, router, _colour(number), sent[router.host.mac()]))
    return shown


def _row(demo: Demo, router: Vrrpd, colour: str, adverts: int) -> tuple[RenderableType, ...]:
    name = router.host.name
    mark = demo.marks.get(name, "")
    entry = router.glance(_GLANCE)
    state = ("yields" if entry.get("yielding") else entry["state"]) if entry else "-"
    priority = entry["effective_priority"] if entry else router.routers[0].priority
    return (
        Text(name, style=f"bold {colour}"),
        str(priority),
        Text(state, style=f"bold {colour}" if state == MASTER else "dim"),
        str(adverts),
        Text("● here", style=colour) if router.host.has_address(demo.setting.address) else Text("-", style="dim"),
        Text(mark, style="bold red"),
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _strip(demo: Demo, width: int) -> Text:
    """Who answered the client just now, 25 ms a character: the router's number, or a dot where an answer is missing."""
    until = time.monotonic() - STRIP_DELAY
    until -= until % CELL  # so that a character stays the same while it moves
    first = until - width * CELL
    cells: list[list[Probe]] = [[] for _ in range(width)]
    for probe in demo.prober.result(first, until).probes:
        cells[min(width - 1, int((probe.sent_at - first) / CELL))].append(probe)
    strip = Text("  client  ", style="bold", no_wrap=True, overflow="crop")
    for cell in cells:
        strip.append(*_character(demo, cell))
    return strip


def _character(demo: Demo, cell: list[Probe]) -> tuple[str, str]:
    if not cell:
        return " ", ""
    worst = next((probe for probe in cell if not _answered(probe)), None)
    if worst is not None:
        return LOST, "bold red"
    router = demo.router_of(cell[-1].answered_by)
    if router is None:
        return "?", ""
    number = demo.routers.index(router)
    return router.host.name[-1], _colour(number)


def _answered(probe: Probe) -> bool:
    return probe.answered_at is not None and probe.answered_at - probe.sent_at <= PATIENCE
