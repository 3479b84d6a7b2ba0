"""Results without a measurement, for what is made of them."""

from benchmarks.failover.results import SCHEMA, Passage, Results, Run, Scale, Segment, Timeline

MACHINE = {"date": "2026-01-02T03:04:05Z", "kernel": "6.1.0", "processors": 2}


def run(speaker: str, number: int, outage_ms: float, fault: str = "silent", **more: object) -> Run:
    """A run whose pings had that outage."""
    usual: dict[str, object] = {
        "during": {
            "icmp": Passage(2000, round(outage_ms), outage_ms, 2.0),
            "flow": Passage(2000, 1, outage_ms, 0.0, 2),
        },
        "back": {"icmp": Passage(500, 0, 0.0)},
        "successor": "r2",
        "detection_ms": outage_ms + 1,
        "bound_ms": outage_ms,
        "announced_ms": 0.2,
        "timeline": picture(outage_ms) if number == 0 else None,
    }
    return Run(speaker, 0.1, fault, number, **(usual | more))  # type: ignore[arg-type]


def picture(outage_ms: float) -> Timeline:
    """Served by r1, by nobody, by r2."""
    segments = [
        Segment(-100, 0, "r1"),
        Segment(1, outage_ms, None),
        Segment(outage_ms + 1, 900, "r2"),
    ]
    return Timeline(
        {"icmp": segments, "flow": segments}, {"r1": [-50.0], "r2": [outage_ms, outage_ms + 100]}, [outage_ms + 1]
    )


def results(*runs: Run) -> Results:
    """Of two speakers, the second of which is the baseline."""
    found = Results(SCHEMA, dict(MACHINE), {"vrrpd": "0.1.0", "other<&>": "1"}, {"routers": 2}, "other<&>")
    found.runs += runs or [
        *(run("vrrpd", number, 100.0 + number) for number in range(10)),
        *(run("other<&>", number, 200.0 + 2 * number) for number in range(10)),
        run("vrrpd", 0, 0.0, "stop", successor=None, detection_ms=None),
        run("other<&>", 0, 60.0, "stop"),
    ]
    found.scale += [
        Scale("instances", speaker, size, 0.1, {"sender_cpu_percent": size / 10, "receiver_cpu_percent": size / 20})
        for speaker in found.speakers
        for size in (1, 255)
    ]
    found.not_measured.append("delay=5: this kernel has no netem")
    return found
