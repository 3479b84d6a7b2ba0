"""Daemons with virtual servers: what their kernel has, and what it keeps when they go, come back, or are killed."""

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.ipvs.on_kernel.directors import REALS, VIP, Director, director, virtual_server, wait_for_master
from tests.peers import DEADLINE, eventually
from vrrpd.ipvs.model import ServiceAddress
from vrrpd.lan.daemons import BACKUP, MASTER
from vrrpd.lan.hosts import Lan

FIRST, SECOND = REALS


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def one(lan: Lan, tmp_path: Path) -> Iterator[Director]:
    made = director(lan, "r1", tmp_path)
    yield made
    print(made.log)


def test_everything_is_programmed_before_the_address_comes(lan: Lan, tmp_path: Path) -> None:
    pair = [director(lan, name, tmp_path, priority=priority) for name, priority in (("r1", 200), ("r2", 100))]
    servers = (virtual_server(port=80), virtual_server(port=81, lvs_method="DR"))
    for one, state in zip(pair, (MASTER, BACKUP), strict=True):
        one.run_with(*servers)
        one.wait_until(state, DEADLINE)
        assert one.weights(80) == one.weights(81) == {FIRST: 1, SECOND: 1}


def test_a_reload_touches_what_changed_and_a_stop_removes_what_is_ours(one: Director) -> None:
    one.ipvsadm("-A", "-f", "99", "-s", "rr")
    one.run_with(virtual_server(port=80), virtual_server(port=81))
    said = one.reload_with(virtual_server(port=80, weight=3), virtual_server(port=82))
    assert said["virtual servers added"] == [f"TCP {VIP}:82"]
    assert said["virtual servers changed"] == [f"TCP {VIP}:80"]
    assert said["virtual servers removed"] == [f"TCP {VIP}:81"]
    assert (one.weights(80), one.weights(81), one.weights(82)) == (
        {FIRST: 3, SECOND: 3},
        {FIRST: 0, SECOND: 0},  # leaving, until somebody has looked whether it has connections
        {FIRST: 1, SECOND: 1},
    )
    eventually(lambda: one.weights(81) is None, "it had no connections")
    assert one.stop() == 0
    assert len(one.table()) == 1


def test_a_killed_daemon_leaves_its_virtual_servers_and_the_next_one_takes_them_over(one: Director) -> None:
    one.run_with(virtual_server(port=80), virtual_server(port=81))
    one.ipvsadm("-A", "-f", "99", "-s", "rr")
    one.kill()
    assert one.weights(80) == one.weights(81) == {FIRST: 1, SECOND: 1}
    one.run_with(virtual_server(port=80, reals=(FIRST,)))
    eventually(lambda: one.weights(81) is None, "what is configured no more goes")
    eventually(lambda: one.weights(80) == {FIRST: 1}, "a real server that is configured no more goes")
    assert len(one.table()) == 2
    one.stop()
    assert len(one.table()) == 1


def test_a_director_that_dies_is_followed_by_another_and_nothing_is_touched(one: Director) -> None:
    one.run_with(virtual_server(port=80))
    wait_for_master(one)
    pid = one.status()["processes"]["director"]
    os.kill(pid, signal.SIGKILL)
    assert one.weights(80) == {FIRST: 1, SECOND: 1}
    eventually(lambda: one.status()["processes"]["director"] not in (None, pid), "another one")
    eventually(lambda: one.directs, "it answers")
    one.reload_with(virtual_server(port=80, weight=2))
    assert one.weights(80) == {FIRST: 2, SECOND: 2}
    assert one.status()["director_restarts"] == 1
    assert one.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


def test_whatever_happens_meanwhile_the_kernel_gets_what_the_file_says_last(one: Director) -> None:
    chance = random.Random(5)
    one.top = ['node_settings = "off"']

    def next_file() -> dict[int, int]:
        """Hundreds of virtual servers, most of them as before; returns their weights."""
        for _ in range(chance.choice([1, 3, 100])):
            wanted[chance.randrange(1, 700)] = chance.randrange(1, 9)
            wanted.pop(chance.choice([*wanted]))
        one.servers = tuple(
            virtual_server(port=port, weight=weight, drain_timeout=0, masquerade=False)
            for port, weight in wanted.items()
        )
        one.write_configuration()
        return {**wanted}

    def is_there(weights: dict[int, int]) -> bool:
        found = {key.port: server for key, server in one.table().items() if isinstance(key, ServiceAddress)}
        return {port: {real.weight for real in server.real_servers.values()} for port, server in found.items()} == {
            port: {weight} for port, weight in weights.items()
        }

    wanted = dict.fromkeys(range(200, 500), 1)
    next_file()
    one.run_with(*one.servers)
    for victim in ("director", "speaker", None):
        for _ in range(3):
            weights = next_file()
            os.kill(one.pids()[0], signal.SIGHUP)
            time.sleep(chance.choice([0, 0.02, 0.2]))
        process = victim and one.state() and one.status()["processes"][victim]
        if process:
            os.kill(process, signal.SIGKILL)
        eventually(partial(is_there, weights), f"the kernel has the last file, {victim or 'nobody'} was killed")
    assert one.status()["ipvs"]["refused"] == []


def test_what_others_change_is_put_right_and_counted(one: Director) -> None:
    one.top = ["resync_interval = 1"]
    one.run_with(virtual_server(port=80))
    assert one.sysctl_value("net.ipv4.vs.conntrack") == "1"
    assert one.status()["ipvs"]["drift"] == 0
    one.host.sysctl("net.ipv4.vs.conntrack", 0)
    one.ipvsadm("-d", "-t", f"{VIP}:80", "-r", f"{FIRST}:80")
    one.ipvsadm("-e", "-t", f"{VIP}:80", "-r", f"{SECOND}:80", "-m", "-w", "7")
    eventually(lambda: one.weights(80) == {FIRST: 1, SECOND: 1}, "it is mended")
    eventually(lambda: one.sysctl_value("net.ipv4.vs.conntrack") == "1", "so is the setting")
    eventually(lambda: one.status()["ipvs"]["drift"] == 3, "all are counted")
    one.host.run(["iptables-legacy", "-t", "nat", "-F", "POSTROUTING"])
    eventually(lambda: one.status()["ipvs"]["drift"] == 4, "and our rules")


def test_what_others_had_and_removed_is_ours_for_the_next_life_too(one: Director) -> None:
    one.top = ["resync_interval = 1"]
    one.ipvsadm("-A", "-t", f"{VIP}:80", "-s", "rr")
    one.run_with(virtual_server(port=80), virtual_server(port=81))
    assert one.weights(80) == {}
    one.ipvsadm("-D", "-t", f"{VIP}:80")
    eventually(lambda: one.weights(80) == {FIRST: 1, SECOND: 1}, "it can be had")
    eventually(lambda: one.status()["ipvs"]["refused"] == [], "all is well")
    assert one.status()["ipvs"]["drift"] == 0
    one.kill()
    one.run_with(virtual_server(port=80, weight=2), virtual_server(port=81))
    assert one.status()["ipvs"]["refused"] == []
    assert one.weights(80) == {FIRST: 2, SECOND: 2}


def test_the_status_has_what_the_kernel_counts(one: Director) -> None:
    one.run_with(virtual_server(port=80, lvs_sched="mh", persistence_timeout=90))
    entry = one.entry()
    assert (entry["address"], entry["protocol"], entry["lvs_sched"], entry["lvs_method"]) == (VIP, "TCP", "mh", "NAT")
    assert [(real["address"], real["healthy"], real["weight"]) for real in entry["real_servers"]] == [
        (FIRST, True, 1),
        (SECOND, True, 1),
    ]
    assert entry["connections"] == entry["real_servers"][0]["active_connections"] == 0


def test_settings_of_the_node_are_made_and_put_back_when_asked(one: Director) -> None:
    one.top = ['node_settings = "restore"']
    one.run_with(virtual_server(port=80, lvs_sched="mh", persistence_timeout=90))
    names = ["ipv4.vs.expire_nodest_conn", "ipv4.vs.expire_quiescent_template", "ipv4.vs.sloppy_tcp", "ipv4.ip_forward"]
    assert [one.sysctl_value(f"net.{name}") for name in names] == ["1"] * 4
    one.stop()
    assert [one.sysctl_value(f"net.{name}") for name in names] == ["0"] * 4


def test_the_quorum_lowers_the_priority_and_the_better_router_takes_over(lan: Lan, tmp_path: Path) -> None:
    lowers = virtual_server(port=80, quorum=2, vrrp_weight=-150)
    first = director(lan, "r1", tmp_path, priority=200)
    second = director(lan, "r2", tmp_path, priority=100)
    first.run_with(lowers)
    wait_for_master(first)
    second.run_with(lowers)
    second.wait_until(BACKUP, DEADLINE)
    first.reload_with(virtual_server(port=80, quorum=2, vrrp_weight=-150, reals=(FIRST,)))
    wait_for_master(second)
    assert first.router_status()["effective_priority"] == 50
    first.reload_with(lowers)
    wait_for_master(first)
    assert first.state() == MASTER
