"""Interfaces that a router depends on beside its own."""

import pytest

from benchmarks.peers import BACKUP, MASTER
from tests.peers import DEADLINE, Network, families, settings, start_as

pytestmark = pytest.mark.namespaces


@families
def test_without_a_tracked_interface_there_is_fault(network: Network, family: int) -> None:
    master = network.vrrpd("r1", settings(family, 200, 'track_interface = ["eth1"]'))
    backup = network.vrrpd("r2", settings(family, 100))
    master.start()
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
