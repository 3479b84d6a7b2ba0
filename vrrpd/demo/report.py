"""What the demo found: a table for people, plain values for machines."""

import json
from collections.abc import Sequence
from typing import Any, Final, Self

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vrrpd.demo.faults import Fault
from vrrpd.lan.probe import ProbeResult

LEGEND: Final = (
    ("Probes, Lost", "the client's echo requests meanwhile; those without an answer"),
    ("Outage", "ms from the last answered probe to the next, at the longest gap"),
    ("Takeover", "ms from the master's last advert to its successor's first"),
    ("Bound", "silent master: 3 x advert_int + skew; resigned: skew; 0: promised"),
    ("Back", "probes lost while the master came back; 0 is promised"),
)


class Passage(Struct, frozen=True):
    """What the client saw in a stretch of time."""

    probes: int
    lost: int
    outage: float
    """Seconds of the longest one; 0: nothing was lost."""
    resolution: float
    """Seconds that it may be off: the distance between the probes at its edges."""

    @classmethod
    def of(cls, result: ProbeResult, patience: float) -> Self:
        """Sum up; an answer that took longer than `patience` seconds is none."""
        outages = result.outages(patience)
        longest = max(outages, key=lambda outage: outage.seconds, default=None)
        return cls(
            probes=len(result.probes),
            lost=sum(outage.lost for outage in outages),
            outage=longest.seconds if longest else 0.0,
            resolution=longest.resolution if longest else 0.0,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "probes": self.probes,
            "lost": self.lost,
            "outage_ms": _milliseconds(self.outage),
            "resolution_ms": _milliseconds(self.resolution),
        }


class Measurement(Struct, frozen=True):
    """One fault, from its infliction until everything was as before; times in seconds."""

    fault: Fault
    master: str
    successor: str | None
    """Who took over; None: nobody."""
    during: Passage
    back: Passage
    outage_bound: float
    takeover: float | None
    takeover_bound: float | None

    @property
    def within_bound(self) -> bool:
        """Whether the promise was kept, as closely as the probes can tell: the outage, and no needless takeover."""
        if self.usurped:
            return False
        if not self.outage_bound:
            return not self.during.lost
        return self.during.outage - self.during.resolution <= self.outage_bound

    @property
    def usurped(self) -> bool:
        """Whether somebody took over though nobody was to."""
        return self.takeover is not None and self.takeover_bound is None

    @property
    def who(self) -> str:
        """The master and its successor, for people."""
        return f"{self.master} → {self.successor}" if self.successor else f"{self.master} stays"

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        return (
            f"{self.fault.name}: lost {self.during.lost} of {self.during.probes}, "
            f"outage {_shown(self.during.outage)} ms, bound {_shown(self.outage_bound)} ms; back: lost {self.back.lost}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; docs/demo.md has the keys."""
        return {
            "fault": self.fault.name,
            "what": self.fault.what,
            "promise": self.fault.promise,
            "master": self.master,
            "successor": self.successor,
            **self.during.as_dict(),
            "bound_ms": _milliseconds(self.outage_bound),
            "within_bound": self.within_bound,
            "takeover_ms": _milliseconds(self.takeover),
            "takeover_bound_ms": _milliseconds(self.takeover_bound),
            "back": self.back.as_dict(),
        }


def as_json(about: dict[str, Any], measurements: Sequence[Measurement]) -> str:
    """One object."""
    return json.dumps(about | {"faults": [measurement.as_dict() for measurement in measurements]}, indent=2)


def summary(measurements: Sequence[Measurement]) -> RenderableType:
    """The table, and what its numbers are."""
    legend = Table.grid(padding=(0, 1))
    for name, meaning in LEGEND:
        legend.add_row(Text(f"  {name}", style="bold"), meaning)
    return Group(table(measurements), legend)


def table(measurements: Sequence[Measurement]) -> Table:
    """A line a fault; times in milliseconds."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, right in (
        ("Fault", False),
        ("Master", False),
        ("Probes", True),
        ("Lost", True),
        ("Outage", True),
        ("Bound", True),
        ("Takeover", True),
        ("Bound", True),
        ("Back", True),
    ):
        shown.add_column(name, justify="right" if right else "left", no_wrap=True)
    for measurement in measurements:
        during = measurement.during
        shown.add_row(
            Text(measurement.fault.name, style="bold"),
            measurement.who,
            str(during.probes),
            _judged(str(during.lost), good=measurement.within_bound),
            _judged(_shown(during.outage), good=measurement.within_bound),
            _shown(measurement.outage_bound),
            _judged(_shown(measurement.takeover), good=not measurement.usurped),
            _shown(measurement.takeover_bound),
            _judged(str(measurement.back.lost), good=not measurement.back.lost),
        )
    return shown


def _judged(text: str, *, good: bool) -> Text:
    return Text(text, style="green" if good else "bold red")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f}" if seconds else "0"
