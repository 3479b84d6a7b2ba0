"""What probes that were made up come to."""

from collections.abc import Iterable

import pytest

from benchmarks.failover.measure import PATIENCE, passage
from vrrpd.lan.probe import Probe, ProbeResult


def result(answered: Iterable[bool | float]) -> ProbeResult:
    """A probe each 10 ms; a number is how many seconds its answer took."""
    return ProbeResult(
        tuple(
            Probe(at / 100, at / 100 + took if took else None, answered_by="02:00:00:00:02:01" if took else None)
            for at, took in enumerate(answered)
        ),
        interval=0.01,
    )


@pytest.mark.parametrize(
    ("answered", "lost", "outage_ms"),
    [
        ([True] * 9, 0, 0.0),
        ([0.001] * 3 + [False] * 4 + [0.001] * 3, 4, 50.0),
        ([0.001] * 3 + [False] * 4, 4, 40.0),
        ([0.001] * 3 + [2 * PATIENCE] * 4 + [0.001] * 3, 4, 50.0),
        ([False] * 7 + [0.001] * 3, 7, 70.0),
        ([False] * 7 + [0.001] * 3 + [False] * 9 + [0.001], 16, 100.0),
        ([False] * 7, 7, 60.0),
        ([], 0, 0.0),
    ],
)
def test_an_outage_is_the_longest_whenever_it_began(answered: list[bool | float], lost: int, outage_ms: float) -> None:
    found = passage(result([0.001 if one is True else one for one in answered]), "icmp")
    assert found.lost == lost
    assert found.outage_ms == pytest.approx(outage_ms)


@pytest.mark.parametrize(
    ("answered", "lost", "outage_ms"),
    [
        ([0.001] * 9, 0, 0.0),
        ([0.001] * 3 + [0] * 4 + [0.001] * 3, 4, 50.0),
        ([0.001] * 3 + [0] * 4, 4, 39.0),
        ([0] * 4 + [0.001] * 3, 4, 41.0),
        ([0] * 4, 4, 30.0),
        ([], 0, 0.0),
    ],
)
def test_a_stream_stands_still_also_before_its_first_echo_and_after_its_last(
    answered: list[float], lost: int, outage_ms: float
) -> None:
    found = passage(result(answered), "flow")
    assert found.lost == lost
    assert found.outage_ms == pytest.approx(outage_ms)
