"""Who does not read the daemon's log makes it wait for nothing."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from benchmarks.peers import MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, alone, eventually, ip_of
from vrrpd.lan.capture import Capture

pytestmark = pytest.mark.namespaces

F_SETPIPE_SZ = 1031
PIPE_SIZE = 4096
RELOADS = 100
"""Each says that it was refused, and why: much more than the pipe holds."""


class Unread(Vrrpd):
    """With its log in a pipe that is read when the test says so."""

    pipe: int

    def run(self) -> subprocess.Popen[bytes]:
        """Start with the configuration as it lies there."""
        self.pipe, written = os.pipe()
        fcntl.fcntl(self.pipe, F_SETPIPE_SZ, PIPE_SIZE)
        command = [sys.executable, "-m", "vrrpd", "run", "-c", str(self.configuration)]
        process = self.host.popen(command, stdout=written, stderr=written)
        os.close(written)
        self._roots.append(process)
        return process


class Closed(Vrrpd):
    """Started with no standard streams at all."""

    def run(self) -> subprocess.Popen[bytes]:
        """Start with the configuration as it lies there."""
        command = [sys.executable, "-m", "vrrpd", "run", "-c", str(self.configuration)]
        process = self.host.popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
        self._roots.append(process)
        return process


def test_a_daemon_without_standard_streams_ends_in_order(network: Network) -> None:
    daemon = network.add(Closed, "r1", [alone(4)])
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    with Capture(network.lan) as capture:
        daemon._roots[-1].terminate()
        capture.wait_for(lambda frame: frame.is_advert and frame.priority == 0, DEADLINE)
    assert daemon._roots[-1].wait(DEADLINE) == 0
    assert not daemon.host.has_address(ip_of(VIPS[4]))


def test_a_log_that_nobody_reads(network: Network) -> None:
    daemon = network.add(Unread, "r1", [alone(4)])
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    daemon.configuration.write_text("nonsense = [1, 2, 3]\n" * 20, encoding="utf-8")
    supervisor, speaker, *_ = daemon.pids()
    for done in range(RELOADS):
        os.kill(supervisor, signal.SIGHUP)
        assert daemon.state() == MASTER, f"after {done} reloads"
    os.kill(speaker, signal.SIGKILL)
    eventually(lambda: daemon.state() == MASTER and daemon.status()["speaker_restarts"] == 1, "another goes on")
    os.kill(supervisor, signal.SIGTERM)
    assert daemon._roots[-1].wait(DEADLINE) == 0
    read = b"".join(iter(lambda: os.read(daemon.pipe, 1 << 16), b""))
    os.close(daemon.pipe)
    assert read.startswith(b"20")
    assert read.count(b"reload refused") < RELOADS  # the rest found no reader


def test_a_log_that_is_read_late_is_whole(network: Network) -> None:
    daemon = network.add(Unread, "r1", [alone(4)])
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    daemon.configuration.write_text("nonsense = [1, 2, 3]\n" * 20, encoding="utf-8")
    supervisor, *_ = daemon.pids()
    for _ in range(RELOADS // 4):
        os.kill(supervisor, signal.SIGHUP)
        assert daemon.state() == MASTER
    read = b""
    while read.count(b"reload refused") < RELOADS // 4:
        read += os.read(daemon.pipe, 1 << 16)
    lines = read.decode().splitlines()[:-1]  # the last one may be half here
    assert [line for line in lines if not line.startswith(("20", str(daemon.configuration)))] == []
    os.close(daemon.pipe)
