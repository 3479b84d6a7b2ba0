"""What keeps the speaker from being late, and how late it is."""

import os
from pathlib import Path

import pytest

from benchmarks.peers import MASTER, Vrrpd
from tests.peers import DEADLINE, Network, alone, eventually

pytestmark = pytest.mark.namespaces

PRIORITY = 20


def started(network: Network, *top: str) -> Vrrpd:
    daemon = network.vrrpd("r1", alone(4))
    daemon.top = list(top)
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    return daemon


def speaker(daemon: Vrrpd) -> int:
    pid: int = daemon.status()["processes"]["speaker"]
    return pid


def locked_memory(pid: int) -> int:
    """kB that cannot be swapped out."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmLck:")[2].split()[0])


def reload(daemon: Vrrpd, *top: str) -> None:
    daemon.top = list(top)
    daemon.reload()


def test_realtime_priority_is_the_speakers_alone_and_follows_a_reload(network: Network) -> None:
    daemon = started(network, f"realtime_priority = {PRIORITY}")
    pid = speaker(daemon)
    eventually(lambda: os.sched_getscheduler(pid) == os.SCHED_FIFO, "it is scheduled in real time")
    assert os.sched_getparam(pid).sched_priority == PRIORITY
    assert os.sched_getscheduler(daemon.pids()[0]) == os.SCHED_OTHER
    reload(daemon)
    eventually(lambda: os.sched_getscheduler(pid) == os.SCHED_OTHER, "it is scheduled as any process")


def test_memory_is_locked_while_that_is_configured(network: Network) -> None:
    daemon = started(network, "memory_lock = true")
    pid = speaker(daemon)
    eventually(lambda: locked_memory(pid) > 0, "memory is locked")
    reload(daemon)
    eventually(lambda: locked_memory(pid) == 0, "memory is not locked")


def test_the_lag_of_the_loop_is_a_histogram(network: Network) -> None:
    daemon = started(network)
    before = daemon.status()["loop_lag_seconds"]
    eventually(lambda: daemon.status()["loop_lag_seconds"]["count"] > before["count"] + 10, "wake-ups are counted")
    lag = daemon.status()["loop_lag_seconds"]
    counts = list(lag["buckets"].values())
    assert counts == sorted(counts)
    assert counts[-1] == lag["count"]
    assert 0 <= lag["sum"] <= lag["count"] * lag["max"]


def test_the_lag_of_a_speaker_that_was_stopped_is_seen(network: Network) -> None:
    daemon = started(network)
    worst = daemon.status()["loop_lag_seconds"]["max"]
    pid = speaker(daemon)
    daemon.freeze()
    eventually(lambda: state_of(pid) == "T", "it is stopped")
    stopped_for_longer_than(daemon, worst)
    daemon.thaw()
    eventually(lambda: daemon.status()["loop_lag_seconds"]["max"] > worst, "the lag is seen")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def stopped_for_longer_than(daemon: Vrrpd, seconds: float) -> None:
    """Wait on the daemon's host, whose clock is the daemon's."""
    daemon.host.run(["sleep", f"{seconds + 0.2:.3f}"])
