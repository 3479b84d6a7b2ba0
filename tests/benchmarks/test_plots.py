"""The pictures of more routers and speakers than there are colours."""

from benchmarks.failover.plots import COLOURS, plots, styles
from benchmarks.failover.results import SCHEMA, Results, Segment, Timeline
from tests.benchmarks.samples import MACHINE, run


def test_any_router_that_answers_is_pictured() -> None:
    picture = Timeline({"icmp": [Segment(-100, 0, "r1"), Segment(1, 300, "r5")]}, {"r1": [-50.0], "r5": [1.0]}, [2.0])
    found = Results(SCHEMA, dict(MACHINE), {"x": "1"}, {}, "x", runs=[run("x", 0, 1.0, timeline=picture)])
    svg = plots(found)[0].svg
    assert ">r5<" in svg
    assert COLOURS[4].lower() in svg.lower()


def test_no_two_of_a_dozen_speakers_look_the_same() -> None:
    names = [f"speaker{number}" for number in range(12)]
    found = Results(SCHEMA, dict(MACHINE), dict.fromkeys(names, "1"), {}, names[0])
    assert len({tuple(style.values()) for style in styles(found).values()}) == 12
