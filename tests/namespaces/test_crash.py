"""A speaker that dies is no failover; one that always dies is; one that hangs notices before it says anything."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.namespaces.test_lease import lifetime
from tests.peers import (
    DEADLINE,
    VIPS,
    Network,
    advert_of,
    alone,
    eventually,
    families,
    ip_of,
    master_and_backup,
    settings,
    start_as,
    start_as_master_soon,
    wait_served_by,
)
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober
from vrrpd.supervisor.control import ask

pytestmark = pytest.mark.namespaces

CRASHES_TO_A_LOOP = 5
NO_FORK_WHILE = """
import errno, os, pathlib, sys
scarce, fork = pathlib.Path(sys.argv.pop(1)), os.fork

def refuse() -> int:
    if scarce.exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = refuse
from vrrpd.cli import main
sys.exit(main())
"""


class WithoutRoom(Vrrpd):
    """Where the kernel gives the daemon no further process once there is the file `scarce`."""

    @property
    def scarce(self) -> Path:
        return self.directory / "scarce"

    def run(self) -> subprocess.Popen[bytes]:
        return self._popen(
            [sys.executable, "-c", NO_FORK_WHILE, str(self.scarce), "run", "-c", str(self.configuration)]
        )


def kill_speaker(router: Vrrpd) -> None:
    """SIGKILL, and wait until another one answers."""
    before = router.status()
    os.kill(before["processes"]["speaker"], signal.SIGKILL)
    eventually(
        lambda: router.state() and router.status()["speaker_restarts"] > before["speaker_restarts"], "another speaker"
    )


@families
def test_a_dead_speaker_is_replaced_without_a_failover(network: Network, family: int) -> None:
    """At an interval at which a busy machine is fast enough in any case; the fast one is measured."""
    master, backup = master_and_backup(network, family, advert_int=1.0)
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        for _ in range(CRASHES_TO_A_LOOP - 1):
            kill_speaker(master)
        eventually(lambda: master.router_status()["counters"]["adverts_sent"] > 2, "it advertises")
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
    assert prober.result(since=began, until=until).lost == 0
    assert master.status()["speaker_restarts"] == CRASHES_TO_A_LOOP - 1
    assert backup.router_status()["counters"]["transitions"] == {"BACKUP": 1}
    assert master.router_status()["reason"] == "resumed"


@families
def test_a_dead_speakers_successor_renews_the_lease_at_once(network: Network, family: int) -> None:
    """Else the addresses would go where each speaker dies before it is its turn to renew them."""
    master = network.vrrpd("r1", alone(family))
    master.top = ["vip_lease = 3600"]
    start_as(MASTER, master)
    vip = VIPS[family]
    given = lifetime(master, vip)
    eventually(lambda: lifetime(master, vip) < given - 1, "time passes")
    kill_speaker(master)
    eventually(lambda: lifetime(master, vip) >= given - 1, "it is renewed, long before its time")


@families
def test_a_crash_loop_resigns(network: Network, family: int) -> None:
    master, backup = master_and_backup(network, family)
    with Capture(network.lan) as capture, Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        began = time.monotonic()
        for _ in range(CRASHES_TO_A_LOOP - 1):
            kill_speaker(master)
        os.kill(master.status()["processes"]["speaker"], signal.SIGKILL)
        capture.wait_for(advert_of(master, 0), DEADLINE, since=began)
        backup.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, backup)
    assert not master.host.has_address(ip_of(VIPS[family]))
    status = master.router_status()
    assert status["state"] == "FAULT"
    assert "keeps crashing" in status["reason"]
    assert "for the 5th time within 10 s" in master.log
    assert master.stop() == 0


def test_what_no_speaker_can_be_forked_for_is_resigned_at_the_end(network: Network) -> None:
    """Without a lease nobody else would remove the address."""
    master = WithoutRoom(network.lan.host("r1"), network.directory / "r1", [settings(4)])
    network.daemons.append(master)
    master.top = ["vip_lease = 0"]
    start_as(MASTER, master)
    eventually(lambda: len(master.pids()) == 3, "a standby")
    _, speaker, standby = master.pids()
    master.scarce.touch()
    os.kill(standby, signal.SIGKILL)
    eventually(lambda: "cannot fork a standby" in master.log, "there is no standby")
    with Capture(network.lan) as capture:
        os.kill(speaker, signal.SIGKILL)
        eventually(lambda: "cannot fork a speaker" in master.log, "there is no speaker")
        assert master.host.has_address(ip_of(VIPS[4]))
        began = time.monotonic()
        assert master.stop() == 0
        capture.wait_for(advert_of(master, 0), DEADLINE, since=began)
    assert not master.host.has_address(ip_of(VIPS[4]))


def test_a_speaker_that_is_stopped_for_long_yields_before_it_says_anything(network: Network) -> None:
    """The two would else be masters together; the one that hung is the better one."""
    master, backup = master_and_backup(network, 4)
    vip = ip_of(VIPS[4])
    with Capture(network.lan) as capture, Prober(network.lan.host("client"), vip) as prober:
        prober.wait_answered(DEADLINE)
        pids = master.freeze()
        backup.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, backup)
        thawed = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        wait_served_by(prober, master)
        master.wait_until(MASTER, DEADLINE)
    # Nothing until it had listened for three intervals and its skew, as a BACKUP does.
    mac = master.host.mac()
    since = [frame for frame in capture.frames if frame.source_mac == mac and frame.time > thawed]
    first = next(frame for frame in since if frame.is_advert or frame.announces)
    assert first.is_advert
    beside = [frame for frame in capture.adverts(51) if thawed < frame.time < first.time and frame.source_mac != mac]
    assert len(beside) >= 3
    assert "it was silent for" in master.log
    backup.wait_until(BACKUP, DEADLINE)  # it yields first
    assert backup.router_status()["counters"]["transitions"] == {"BACKUP": 2, "MASTER": 1}


@families
def test_a_backup_that_was_stopped_for_long_does_not_take_over(network: Network, family: int) -> None:
    """What the master said meanwhile waits in the socket, and is heard before the timer runs out."""
    master, backup = master_and_backup(network, family, advert_int=0.02)
    for _ in range(10):
        received = backup.router_status()["counters"]["adverts_received"]
        sent = master.router_status()["counters"]["adverts_sent"]
        pids = backup.freeze()
        wait_for_more_than(master, sent + 8)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: backup.router_status()["counters"]["adverts_received"] > received, "it hears again")  # noqa: B023
    assert backup.router_status()["counters"]["transitions"] == {"BACKUP": 1}
    assert master.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


def wait_for_more_than(router: Vrrpd, adverts: int) -> None:
    eventually(lambda: router.router_status()["counters"]["adverts_sent"] > adverts, f"{adverts} adverts are sent")


def test_a_standby_that_dies_is_replaced_and_counts_for_nothing(network: Network) -> None:
    master = network.vrrpd("r1", settings(4))
    master.start()
    master.wait_until(MASTER, DEADLINE)
    eventually(lambda: len(master.pids()) == 3, "a standby")
    supervisor, speaker, standby = master.pids()
    os.kill(standby, signal.SIGKILL)
    eventually(lambda: len(pids := master.pids()) == 3 and standby not in pids, "another standby")
    assert master.pids()[:2] == [supervisor, speaker]
    assert master.status()["speaker_restarts"] == 0
    kill_speaker(master)
    assert master.status()["speaker_restarts"] == 1
    assert master.router_status()["reason"] == "resumed"


@pytest.mark.lan
def test_a_speaker_that_hangs_does_not_keep_the_daemon_from_stopping(network: Network) -> None:
    """It is killed, not replaced; what it held is removed."""
    master = network.vrrpd("r1", settings(4))
    master.start()
    master.wait_until(MASTER, DEADLINE)
    os.kill(master.status()["processes"]["speaker"], signal.SIGSTOP)
    assert master.stop() == 1
    assert not master.host.has_address(ip_of(VIPS[4]))


@pytest.mark.parametrize("afterwards", ["reload", "drain", "undrain"])
def test_nothing_takes_back_a_stop(network: Network, afterwards: str) -> None:
    master = network.vrrpd("r1", settings(4, advert_int=1.0))
    start_as_master_soon(master)
    (process,) = master._roots
    process.send_signal(signal.SIGTERM)
    eventually(lambda: master.router_status()["yielding"], "it hands over")
    if afterwards == "reload":
        process.send_signal(signal.SIGHUP)
    assert ask(master.control_socket, afterwards) == {"ok": False, "error": "the daemon is stopping"}
    assert process.wait(DEADLINE) == 0
    assert not master.host.has_address(ip_of(VIPS[4]))


@pytest.mark.lan
def test_only_one_vrrpd_runs_in_a_network_namespace(network: Network) -> None:
    """Each would take the other's addresses for leftovers."""
    first = network.vrrpd("r1", settings(4))
    first.start()
    first.wait_until(MASTER, DEADLINE)
    second = network.vrrpd("second", settings(4, vrid=52, addresses=("192.0.2.110/32",)), host=first.host)
    second.write_configuration()
    assert second.run().wait(DEADLINE) == 1
    assert "another vrrpd runs in this network namespace" in second.log
    assert first.host.has_address(ip_of(VIPS[4]))


def test_a_supervisor_that_dies_takes_the_standby_along(network: Network) -> None:
    master = network.vrrpd("r1", settings(4))
    master.start()
    master.wait_until(MASTER, DEADLINE)
    pids = master.pids()
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in pids[1:]), "speaker and standby are gone")
    assert not master.host.has_address(ip_of(VIPS[4]))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
