"""What a measurement yields: samples of both daemons, their ratio, and whether it is good enough."""

import statistics
from collections.abc import Sequence
from enum import Enum
from typing import Any

from msgspec import Struct, field

COLUMNS = ("what", "vrrpd", "keepalived", "ratio", "must be", "verdict")
_ALIGN = ("<", ">", ">", ">", ">", "<")


class Measure(Enum):
    """What a limit is a limit of."""

    RATIO = "ratio"
    """Of vrrpd's median to keepalived's."""
    ABSOLUTE = "absolute"
    """Of vrrpd's median, in the figure's unit."""
    NOT_MORE = "not more"
    """Of vrrpd's median: keepalived's; for counts, which may be 0."""
    NONE = "none"
    """Reported only."""


class Limit(Struct, frozen=True):
    """What a figure must not exceed."""

    value: float = 0.0
    measure: Measure = Measure.NONE


REPORT_ONLY = Limit()


class Samples(Struct):
    """What was measured of one daemon, run by run."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """One more run."""
        self.values.append(value)

    @property
    def median(self) -> float:
        """The middle run."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """What half of the runs lie between."""
        if len(self.values) < 2:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return first, third


class Figure(Struct):
    """One line of the report; of keepalived there may be nothing to measure."""

    name: str
    unit: str
    limit: Limit = REPORT_ONLY
    vrrpd: Samples = field(default_factory=Samples)
    keepalived: Samples = field(default_factory=Samples)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        if not self.keepalived.values:
            return float("nan")
        return self.vrrpd.median / self.keepalived.median if self.keepalived.median else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit.measure is Measure.NONE:
            return None
        if self.limit.measure is Measure.NOT_MORE:
            return self.vrrpd.median <= self.keepalived.median
        return (self.ratio if self.limit.measure is Measure.RATIO else self.vrrpd.median) <= self.limit.value

    @property
    def row(self) -> tuple[str, ...]:
        """As the table has it, in the order of `COLUMNS`."""
        must_be = {
            Measure.RATIO: f"<= {self.limit.value:.1f} x",
            Measure.ABSOLUTE: f"<= {self.limit.value:g} {self.unit}",
            Measure.NOT_MORE: "<= keepalived",
            Measure.NONE: "",
        }[self.limit.measure]
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        runs = f"{self.name} ({len(self.vrrpd.values)} runs)"
        ratio = f"{self.ratio:.2f}" if self.keepalived.values else ""
        return runs, self._cell(self.vrrpd), self._cell(self.keepalived), ratio, must_be, verdict

    def _cell(self, samples: Samples) -> str:
        if not samples.values:
            return ""
        first, third = samples.quartiles
        return f"{samples.median:.3g} [{first:.3g}-{third:.3g}] {self.unit}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, every run included."""
        return {
            "name": self.name,
            "unit": self.unit,
            "vrrpd": {"median": self.vrrpd.median, "quartiles": self.vrrpd.quartiles, "runs": self.vrrpd.values},
            "keepalived": {
                "median": self.keepalived.median,
                "quartiles": self.keepalived.quartiles,
                "runs": self.keepalived.values,
            }
            if self.keepalived.values
            else None,
            "ratio": self.ratio if self.keepalived.values else None,
            "limit": self.limit.value if self.limit.measure is not Measure.NONE else None,
            "limit_is": self.limit.measure.value,
            "met": self.met,
        }


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, which a terminal shows as well."""
    rows = [COLUMNS, *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "| "
        + " | ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, _ALIGN, widths, strict=True))
        + " |"
        for row in rows
    ]
    rule = "|" + "|".join(
        "-" * (width + 1) + (":" if align == ">" else "-") for align, width in zip(_ALIGN, widths, strict=True)
    )
    return "\n".join([lines[0], rule + "|", *lines[1:]])
