"""A reload touches what it changes and nothing else."""

import json
import os
import signal
import time
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.peers import BACKUP, MASTER, RouterSettings, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, alone, eventually, families, ip_of, settings
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober
from vrrpd.supervisor.control import ask

pytestmark = pytest.mark.namespaces

MANY = 200
RELOADS = 1000
RELOADS_PER_SECOND = 100


def many(**changes: Any) -> RouterSettings:
    """A router with the usual address, and others."""
    others = tuple(f"203.0.113.{number}/32" for number in range(1, MANY))
    return settings(4, 200, **({"addresses": (VIPS[4], *others)} | changes))


def master_beside_backup(network: Network, router: RouterSettings) -> tuple[Vrrpd, Vrrpd]:
    master, backup = network.vrrpd("r1", router), network.vrrpd("r2", settings(4, 100))
    for daemon, state in ((master, MASTER), (backup, BACKUP)):
        daemon.start()
        daemon.wait_until(state, DEADLINE)
    return master, backup


def apply(daemon: Vrrpd, router: RouterSettings) -> dict[str, object]:
    """Write the configuration anew and have it applied; what the daemon answers."""
    daemon.routers = [router]
    daemon.write_configuration()
    return ask(daemon.control_socket, "reload")


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": (VIPS[4], *(f"203.0.113.{number}/32" for number in range(1, MANY + 1)))},
        {"addresses": (VIPS[4], *(f"203.0.113.{number}/32" for number in range(2, MANY)))},
        {"addresses": (VIPS[4], "203.0.113.1/24", *(f"203.0.113.{number}/32" for number in range(2, MANY)))},
    ],
    ids=["one more", "one less", "another prefix"],
)
def test_one_of_200_addresses_is_changed_and_the_others_are_not_touched(
    network: Network, changes: dict[str, Any]
) -> None:
    master = network.vrrpd("r1", many())
    master.start()
    master.wait_until(MASTER, DEADLINE)
    eventually(lambda: master.router_status()["counters"]["gratuitous_arp_sent"] >= 5 * MANY, "the first set is out")
    before = created(master)
    with Capture(network.lan) as capture:
        began = time.monotonic()
        assert apply(master, many(**changes))["ok"]
        wanted = master.routers[0].addresses
        wait_for_adverts(master)
        capture.wait_for(lambda frame: frame.announces is not None or len(wanted) < MANY, DEADLINE, since=began)
        announced = {str(frame.announces) for frame in capture.frames if frame.announces and frame.time > began}
    after = created(master)
    assert {ip_of(address) for address in master.routers[0].addresses} <= after.keys()
    touched = {address for address in before.keys() | after.keys() if before.get(address) != after.get(address)}
    assert len(touched) == 1
    assert announced == touched & after.keys()
    assert master.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


def wait_for_adverts(daemon: Vrrpd) -> None:
    sent = daemon.router_status()["counters"]["adverts_sent"]
    eventually(lambda: daemon.router_status()["counters"]["adverts_sent"] > sent + 2, "it advertises on")


def created(daemon: Vrrpd) -> dict[str, tuple[int, int]]:
    """The prefix length of each address of eth0, and when it was put there, which a renewal does not change."""
    return {
        message.get_attr("IFA_ADDRESS"): (message["prefixlen"], message.get_attr("IFA_CACHEINFO")["cstamp"])
        for message in daemon.host.netlink("get_addr", index=daemon.host.index("eth0"))
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": 150},
        {"priority": 254},
        {"advert_int": 0.05},
        {"advert_int": 1.0},
        {"preempt": False},
        {"lines": ("garp_master_repeat = 1", "garp_master_refresh = 1", 'garp_form = "reply"')},
        {"lines": ('checksum = "message"', 'handover = "immediate"')},
    ],
    ids=" ".join,
)
def test_other_settings_never_leave_master(network: Network, changes: dict[str, Any]) -> None:
    router = settings(4, 200)
    master, backup = master_beside_backup(network, router)
    with Prober(network.lan.host("client"), ip_of(VIPS[4])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        lines = changes.pop("lines", ())
        for one in (settings(4, changes.pop("priority", 200), *lines, **changes), router):
            assert apply(master, one)["ok"]
            wait_for_adverts(master)
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
    assert prober.result(since=began, until=until).lost == 0
    assert master.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}
    assert backup.router_status()["counters"]["transitions"] == {"BACKUP": 1}


def test_an_address_that_moves_between_instances_stays(network: Network) -> None:
    moving = "203.0.113.7/32"
    one, other = settings(4, 200), settings(4, 200, vrid=52, addresses=("192.0.2.110/32",))
    with_it = [replace(router, addresses=(*router.addresses, moving)) for router in (one, other)]
    daemon = network.vrrpd("r1", with_it[0], other)
    daemon.start()
    for router in daemon.routers:
        daemon.wait_until(MASTER, DEADLINE, router)
    for routers in ([one, with_it[1]], [with_it[0], other], [one, with_it[1]]):
        daemon.routers = routers
        daemon.write_configuration()
        assert ask(daemon.control_socket, "reload")["ok"]
        assert daemon.host.has_address(ip_of(moving))
    counters = [daemon.router_status(router)["counters"] for router in daemon.routers]
    assert [count["addresses_restored"] for count in counters] == [0, 0]


@pytest.mark.lan
def test_reloads_as_fast_as_they_come(network: Network) -> None:
    """Every second one changes an address and the priority."""
    one, other = settings(4, 200), settings(4, 210, addresses=(VIPS[4], "192.0.2.101/32"))
    master, backup = master_beside_backup(network, one)
    texts = []
    for router in (one, other):
        master.routers = [router]
        master.write_configuration()
        texts.append(master.configuration.read_text(encoding="utf-8"))
    supervisor = master.pids()[0]
    with Prober(network.lan.host("client"), ip_of(VIPS[4])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        for number in range(RELOADS):
            replacement = master.configuration.with_suffix(".new")
            replacement.write_text(texts[number % 2], encoding="utf-8")
            replacement.rename(master.configuration)
            os.kill(supervisor, signal.SIGHUP)
            time.sleep(max(0.0, began + number / RELOADS_PER_SECOND - time.monotonic()))
        eventually(lambda: master.router_status()["priority"] == 210, "the last one is applied")
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
    assert prober.result(since=began, until=until).lost == 0
    assert master.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}
    assert backup.router_status()["counters"]["transitions"] == {"BACKUP": 1}


@families
def test_a_bad_file_changes_nothing_and_the_caller_is_told(network: Network, family: int) -> None:
    master = network.vrrpd("r1", settings(family))
    master.start()
    master.wait_until(MASTER, DEADLINE)
    before = master.router_status()
    with master.configuration.open("a", encoding="utf-8") as file:
        file.write("priorty = 3\nadvert_int = 0\n")
    answer = ask(master.control_socket, "reload")
    assert answer["ok"] is False
    assert len(json.loads(json.dumps(answer["problems"]))) == 2
    after = master.router_status()
    assert (after["state"], after["priority"]) == (before["state"], before["priority"])
    assert master.host.has_address(ip_of(VIPS[family]))


@families
@pytest.mark.parametrize("moved_to", ["another VRID", "a new instance", "an instance that is MASTER"])
def test_an_address_that_moves_to_another_instance_is_here_all_the_time(
    network: Network, family: int, moved_to: str
) -> None:
    vip, other = VIPS[family], VIPS[family].replace("100", "101")
    kept, new = alone(family, addresses=(other,)), alone(family, vrid=52, addresses=(vip,))
    here = [replace(kept, addresses=(vip, other))]
    if "MASTER" in moved_to:
        here.append(replace(new, addresses=(VIPS[family].replace("100", "102"),)))
    router = network.vrrpd("r1", *here)
    router.start()
    for each in router.routers:
        router.wait_until(MASTER, DEADLINE, each)
    with Prober(network.lan.host("client"), ip_of(vip)) as prober:
        prober.wait_answered(DEADLINE)
        since = time.monotonic()
        router.routers = [new] if "VRID" in moved_to else [kept, new]
        router.reload()
        router.wait_until(MASTER, DEADLINE, new)
        eventually(lambda: len(router.status()["routers"]) == len(router.routers), "the old one has left")
        prober.wait_answered(DEADLINE)
        until = time.monotonic()
        prober.wait_answered(DEADLINE)
    assert prober.result(since, until=until).lost == 0
    assert router.host.has_address(ip_of(vip))
    if "MASTER" not in moved_to:
        assert router.router_status(new)["reason"] == "resumed"
    assert router.stop() == 0
    assert not router.host.has_address(ip_of(vip))


def test_while_a_file_is_read_a_crash_is_mended(network: Network) -> None:
    daemon = network.vrrpd("r1", alone(4))
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    text = daemon.configuration.read_text()
    daemon.configuration.unlink()
    os.mkfifo(daemon.configuration)  # a file that takes long to read
    processes = daemon.status()["processes"]
    os.kill(processes["supervisor"], signal.SIGHUP)
    os.kill(processes["speaker"], signal.SIGKILL)
    eventually(lambda: "another goes on" in daemon.log, "another speaks")
    daemon.wait_until(MASTER, DEADLINE)
    daemon.configuration.write_text(text.replace("priority = 100", "priority = 123"))
    eventually(lambda: daemon.router_status()["priority"] == 123, "what was read is in force")
