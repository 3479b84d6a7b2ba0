"""Interfaces that a router depends on beside its own, and programs."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import DEADLINE, Network, eventually, families, settings, start_as

pytestmark = pytest.mark.namespaces


@families
def test_without_a_tracked_interface_there_is_fault(network: Network, family: int) -> None:
    master = network.vrrpd("r1", settings(family, 200, 'track_interface = ["eth1"]'))
    backup = network.vrrpd("r2", settings(family, 100))
    start_as("FAULT", master)
    start_as(MASTER, backup)
    assert master.state() == "FAULT"
    assert master.router_status()["reason"] == "eth1, which is tracked, does not exist"
    master.host.add_interface("eth1", network.lan, ())
    master.wait_until(MASTER, DEADLINE)
    backup.wait_until(BACKUP, DEADLINE)
    master.host.cut_carrier("eth1")
    backup.wait_until(MASTER, DEADLINE)
    assert master.router_status()["reason"] == "eth1, which is tracked, is down or has no carrier"
    assert backup.router_status()["reason"] == "the master resigned"
    master.host.restore_carrier("eth1")
    master.wait_until(MASTER, DEADLINE)


@families
def test_a_weight_moves_the_mastership_and_no_reload_moves_it_back(network: Network, family: int) -> None:
    weighed = 'track_interface = [{ interface = "eth1", weight = -150 }]'
    master = network.vrrpd("r1", settings(family, 200, weighed))
    backup = network.vrrpd("r2", settings(family, 100))
    master.host.add_interface("eth1", network.lan, ())
    start_as(MASTER, master)
    start_as(BACKUP, backup)
    master.host.cut_carrier("eth1")
    backup.wait_until(MASTER, DEADLINE)
    master.wait_until(BACKUP, DEADLINE)
    assert master.router_status()["effective_priority"] == 50
    master.reload()
    assert master.router_status()["effective_priority"] == 50
    master.host.restore_carrier("eth1")
    master.wait_until(MASTER, DEADLINE)
    assert master.router_status()["effective_priority"] == 200


def scripted(tmp_path: Path, weight: int) -> tuple[str, Path]:
    """An instance's last lines, and the file without which its program fails."""
    well = tmp_path / "well"
    lines = [
        f'track_script = [{{ script = "chk", weight = {weight} }}]',
        "[[vrrp_script]]",
        'name = "chk"',
        f'script = "/usr/bin/test -e {well}"',
        "interval = 0.1",
        "timeout = 5",
    ]
    return "\n".join(lines), well


def kill(daemon: Vrrpd, process: str) -> None:
    """SIGKILL, and wait until another one is there."""
    pid = daemon.status()["processes"][process]
    os.kill(pid, signal.SIGKILL)
    another = lambda: daemon.state() and daemon.status()["processes"][process] not in (None, pid)  # noqa: E731
    eventually(another, f"another {process}")


@families
def test_a_program_that_fails_means_fault(network: Network, family: int, tmp_path: Path) -> None:
    lines, well = scripted(tmp_path, weight=0)
    master = network.vrrpd("r1", settings(family, 200, lines))
    backup = network.vrrpd("r2", settings(family, 100))
    master.start()
    start_as(MASTER, backup)
    failing = "vrrp_script chk fails: /usr/bin/test exited with 1"
    eventually(lambda: master.router_status()["reason"] == failing, failing)
    assert master.state() == "FAULT"
    well.touch()
    master.wait_until(MASTER, DEADLINE)
    backup.wait_until(BACKUP, DEADLINE)
    assert master.status()["scripts"] == [{"name": "chk", "works": True, "reason": ""}]
    kill(master, "director")
    kill(master, "speaker")  # while nobody knows whether the program works
    eventually(lambda: master.router_status()["reason"] == "resumed", "it goes on")
    assert master.state() == "MASTER"
    well.unlink()
    backup.wait_until(MASTER, DEADLINE)
    assert backup.router_status()["reason"] == "the master resigned"
    assert master.state() == "FAULT"
    assert master.status()["scripts"] == [{"name": "chk", "works": False, "reason": "/usr/bin/test exited with 1"}]


@families
def test_a_program_that_fails_takes_from_the_priority(network: Network, family: int, tmp_path: Path) -> None:
    lines, well = scripted(tmp_path, weight=-150)
    well.touch()
    master = network.vrrpd("r1", settings(family, 200, lines))
    backup = network.vrrpd("r2", settings(family, 100))
    start_as(MASTER, master)
    start_as(BACKUP, backup)
    well.unlink()
    backup.wait_until(MASTER, DEADLINE)
    master.wait_until(BACKUP, DEADLINE)
    assert master.router_status()["effective_priority"] == 50
    well.touch()
    master.wait_until(MASTER, DEADLINE)
    assert master.router_status()["effective_priority"] == 200


@families
def test_who_is_master_stays_it_whatever_befalls_the_director(network: Network, family: int, tmp_path: Path) -> None:
    lines, well = scripted(tmp_path, weight=0)
    well.touch()
    master = network.vrrpd("r1", settings(family, 200, f"{lines}\ninit_fail = true"))
    start_as(MASTER, master)
    before = master.router_status()["counters"]["transitions"]
    kill(master, "director")
    eventually(lambda: master.status().get("scripts"), "the new director has its programs")
    master.routers = [settings(family, 200, f"{lines}\ninit_fail = true\nrise = 2")]
    master.reload()
    eventually(lambda: master.status()["scripts"], "they are there")
    assert master.router_status()["counters"]["transitions"] == before
    well.unlink()
    eventually(lambda: master.state() == "FAULT", "it is heeded nevertheless")


def test_a_program_that_does_not_end_holds_up_nothing_else(network: Network, tmp_path: Path) -> None:
    lines, well = scripted(tmp_path, weight=0)
    well.touch()
    slow = '[[vrrp_script]]\nname = "slow"\nscript = "/usr/bin/sleep 600"\ntimeout = 600'
    master = network.vrrpd("r1", settings(4, 200, lines))
    start_as(MASTER, master)
    both = lines.replace("track_script = [", 'track_script = ["slow", ')
    master.routers = [settings(4, 200, f"{both}\n{slow}")]
    master.reload()
    assert master.state() == "MASTER"
    well.unlink()
    eventually(lambda: master.state() == "FAULT", "what is known to fail is enough")


def test_a_start_is_no_fault(network: Network, tmp_path: Path) -> None:
    lines, well = scripted(tmp_path, weight=0)
    gate = f"until test -e {tmp_path / 'gate'}; do sleep 0.1; done"
    told = tmp_path / "told"
    slow = lines.replace(f"/usr/bin/test -e {well}", f"/bin/sh -c '{gate}'").replace("timeout = 5", "timeout = 600")
    notify = f"""notify = ["/bin/sh", "-c", 'echo "$3" >> {told}', "notify"]"""
    router = network.vrrpd("r1", settings(4, 200, f"{notify}\n{slow}"))
    router.start()
    router.wait_until("INIT", DEADLINE)
    assert router.router_status()["reason"] == "its track_script has no result yet"
    (tmp_path / "gate").touch()
    router.wait_until(MASTER, DEADLINE)
    assert router.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}
    eventually(lambda: told.exists() and told.read_text() == "BACKUP\nMASTER\n", "its program is told the same")


def test_another_vrid_leaves_the_address_here(network: Network, tmp_path: Path) -> None:
    """Though nothing was said of the new router's programs yet."""
    lines, well = scripted(tmp_path, weight=0)
    well.touch()
    before, after = settings(4, 200, lines), settings(4, 200, lines, vrid=52)
    router = network.vrrpd("r1", before)
    start_as(MASTER, router)
    router.routers = [after]
    router.reload()
    router.wait_until(MASTER, DEADLINE, after)
    assert router.router_status(after)["counters"]["transitions"] == {"MASTER": 1}
    well.unlink()
    eventually(lambda: router.state(after) == "FAULT", "its program is heeded")
