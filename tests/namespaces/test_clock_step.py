"""The date moves by an hour, both ways, under a running daemon: nothing happens but that its log has another date."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import ADVERT_INT, DEADLINE, VIPS, Network, eventually, families, ip_of, settings, start_as
from vrrpd.lan.probe import Prober

pytestmark = [pytest.mark.namespaces, pytest.mark.clock_step]

STEPS = (timedelta(hours=1), timedelta(hours=-1), timedelta(0))
FAR = timedelta(minutes=30)
"""More than a busy machine can make of a step, and less than half of one."""
RELOADED = "reloaded"
WATCHED = 10 * ADVERT_INT
"""Seconds after each step; a BACKUP takes over after a good three intervals."""


@pytest.fixture
def stepping_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], Path]:
    """Runs what it is given so that the processes it starts have the date that the returned file says."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    offset = tmp_path / "offset"
    offset.write_text("+0")

    def run(start: Callable[[], None]) -> Path:
        with monkeypatch.context() as environment:
            environment.setenv("LD_PRELOAD", str(library))
            environment.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
            environment.setenv("FAKETIME_NO_CACHE", "1")
            # A step of the date leaves the monotonic clock alone.
            environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            start()
        return offset

    return run


def date_of(daemon: Vrrpd) -> datetime:
    """What the daemon takes for now: it dates the log line of a reload."""
    seen = daemon.log.count(RELOADED)
    daemon.reload()
    eventually(lambda: daemon.log.count(RELOADED) > seen, "it has reloaded")
    line = next(line for line in reversed(daemon.log.splitlines()) if RELOADED in line)
    return datetime.fromisoformat(line.split()[0])


@families
def test_a_step_of_the_date_is_no_failure(
    network: Network, stepping_clock: Callable[[Callable[[], None]], Path], family: int
) -> None:
    master = network.vrrpd("r1", settings(family, 200))
    backup = network.vrrpd("r2", settings(family, 100))

    def start() -> None:
        start_as(MASTER, master)
        start_as(BACKUP, backup)

    offset = stepping_clock(start)
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        for step in STEPS:
            offset.write_text(f"{int(step.total_seconds()):+d}")
            time.sleep(WATCHED)
            for daemon in (master, backup):
                assert abs(date_of(daemon) - datetime.now(UTC) - step) < FAR, "the date did not move"
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
        result = prober.result(since=began, until=until)
    assert (master.state(), backup.state()) == (MASTER, BACKUP)
    assert "Entering MASTER STATE" not in backup.log
    assert result.lost == 0
