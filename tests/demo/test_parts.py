"""The pure parts of the demo: bounds, priorities, sums and the table."""

import io
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from vrrpd.demo.faults import DEFAULT_FAULTS, FAULTS, nothing, resignation, silence
from vrrpd.demo.report import Measurement, Passage, summary
from vrrpd.demo.run import Event
from vrrpd.demo.setting import ROUTERS_MAX, ROUTERS_MIN, Setting
from vrrpd.demo.view import Lines
from vrrpd.lan.probe import Probe, ProbeResult

MAC = "02:00:00:00:02:01"
PATIENCE = 0.25


def probes(*delays: float | None) -> ProbeResult:
    """A probe each millisecond, answered so many seconds later, or never."""
    return ProbeResult(
        tuple(
            Probe(n / 1000, None, None) if delay is None else Probe(n / 1000, n / 1000 + delay, MAC)
            for n, delay in enumerate(delays)
        ),
        0.001,
    )


def measurement(name: str = "link", outage: float = 0.0, **changes: Any) -> Measurement:
    during = Passage(probes=12345, lost=round(outage * 1000), outage=outage, resolution=0.002 if outage else 0.0)
    usual: dict[str, Any] = {
        "fault": FAULTS[name],
        "master": "r19",
        "successor": "r20",
        "during": during,
        "back": Passage(1000, 0, 0.0, 0.0),
        "outage_bound": FAULTS[name].outage(0.1, 150),
        "takeover": 0.342,
        "takeover_bound": 0.3414,
    }
    return Measurement(**(usual | changes))


def test_the_bounds_are_those_of_the_rfc() -> None:
    assert silence(0.1, 150) == pytest.approx(0.3 + 106 / 256 * 0.1)
    assert resignation(1.0, 100) == pytest.approx(156 / 256)
    assert nothing(1.0, 100) == 0


def test_the_faults_of_the_issue_are_there_and_promise_what_they_must() -> None:
    assert DEFAULT_FAULTS == ("stop", "crash", "link", "freeze")
    hitless = {name for name, fault in FAULTS.items() if fault.outage is nothing}
    assert hitless == {"stop", "crash", "drain", "reload"}
    assert {name for name, fault in FAULTS.items() if fault.takeover is None} == {"crash", "reload"}
    assert set(FAULTS) == {*hitless, "link", "freeze", "kill", "heal"}


@pytest.mark.parametrize("routers", range(ROUTERS_MIN, ROUTERS_MAX + 1))
def test_every_router_is_better_than_the_next(routers: int) -> None:
    priorities = Setting(routers).priorities
    assert (len(priorities), priorities[0], priorities[-1]) == (routers, 200, 100)
    assert all(better > worse for better, worse in pairwise(priorities))


def test_an_outage_is_measured_between_answered_probes() -> None:
    passage = Passage.of(probes(0.0001, None, None, 0.0001, None, 0.0001), PATIENCE)
    assert (passage.probes, passage.lost) == (6, 3)
    assert passage.outage == pytest.approx(0.003)
    assert passage.resolution == pytest.approx(0.002)


def test_an_answer_that_came_too_late_is_none() -> None:
    assert Passage.of(probes(0.0001, 0.3, 0.0001), PATIENCE).lost == 1
    assert Passage.of(probes(0.0001, 0.2, 0.0001), PATIENCE).lost == 0


@pytest.mark.parametrize(
    ("name", "outage", "kept"),
    [("link", 0.0, True), ("link", 0.343, True), ("link", 0.345, False), ("stop", 0.0, True), ("stop", 0.001, False)],
)
def test_a_promise_is_kept_or_broken(name: str, outage: float, *, kept: bool) -> None:
    assert measurement(name, outage).within_bound is kept


def test_a_needless_takeover_breaks_the_promise_though_nothing_was_lost() -> None:
    assert not measurement("crash", takeover_bound=None).within_bound
    assert measurement("crash", takeover=None, takeover_bound=None).within_bound


def test_the_summary_fits_80_columns_and_says_what_each_number_is() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary([measurement(name, 3.3414) for name in FAULTS]))
    text = out.getvalue()
    assert "…" not in text
    for name in FAULTS:
        line = next(line for line in text.splitlines() if line.startswith(f" {name} "))
        assert line.split() == [name, "r19", "→", "r20", "12345", "3341", "3341.4", *line.split()[7:]]
    for column in ("Probes", "Lost", "Outage", "Bound", "Takeover", "Back"):
        assert text.count(column) >= 2, f"{column} stands above a column and in the legend"


def test_a_pipe_gets_a_line_an_event_and_a_machine_none() -> None:
    out = io.StringIO()
    long = "x" * 100
    Lines(Console(file=out, width=80), silent=False).tell(Event(1.234, long))
    Lines(Console(file=out, width=80), silent=True).tell(Event(2, "unseen"))
    assert out.getvalue() == f"  1.23 s  {long}\n"
