"""No address of ours outlasts the daemon: in races that last microseconds, so that the speaker runs in the test."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest
import uvloop

from benchmarks.peers import MASTER
from tests.namespaces.test_crash import kill_speaker
from tests.peers import DEADLINE, VIPS, Network, alone, families, ip_of, start_as
from vrrpd.channel import Begin
from vrrpd.config.load import parse
from vrrpd.lan.hosts import Host
from vrrpd.ledger import Ledger
from vrrpd.net.addresses import ADDRESS_PROTOCOL
from vrrpd.net.netlink import Batch, route_socket, transact
from vrrpd.speaker.driver import RouterDriver
from vrrpd.speaker.speaker import Speaker
from vrrpd.speaker.vips import VirtualAddresses
from vrrpd.supervisor.crashes import CRASHES_TOLERATED

pytestmark = pytest.mark.namespaces

CONFIGURATION = """
vip_lease = 3
[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
advert_int = 0.05
virtual_ipaddress = ["{}"]
"""


async def be_master(family: int, then: Callable[[Speaker], None]) -> None:
    """Be MASTER, do something, and leave."""
    master = asyncio.Event()
    config = parse(CONFIGURATION.format(VIPS[family]), "vrrpd.toml")
    begin = Begin(config, drained=False, burdens={})
    speaker = Speaker(asyncio.get_running_loop(), begin, Ledger(), lambda _: master.set())
    try:
        speaker.start()
        while not speaker._held():
            master.clear()
            await master.wait()
        then(speaker)
        await speaker.shutdown()
    finally:
        speaker.close()


def renew_as_it_goes(speaker: Speaker) -> None:
    """The kernel's lifetime ends, or somebody deletes it, and that is heard after the lease was renewed."""
    removals = [vip.prepared.remove for vip in speaker._held() if vip.prepared]
    with route_socket() as others:
        assert not transact(others, Batch(removals))
    speaker._host.lease.renew()
    speaker._monitor_readable()


def renew_as_it_goes_in_a_handover(speaker: Speaker) -> None:
    speaker.shutdown_now()
    renew_as_it_goes(speaker)


@families
@pytest.mark.parametrize("race", [renew_as_it_goes, renew_as_it_goes_in_a_handover])
def test_nothing_is_left_of_an_address_that_was_renewed_as_it_went(
    network: Network, monkeypatch: pytest.MonkeyPatch, family: int, race: Callable[[Speaker], None]
) -> None:
    """Not even while the daemon goes on: it is not left to the look around at the end."""
    monkeypatch.setattr(Speaker, "_remove_leftovers", lambda _: None)
    require_nothing_left(network.lan.host("r1"), family, race)


@families
def test_what_the_kernel_keeps_the_first_time_is_removed_in_the_end(
    network: Network, monkeypatch: pytest.MonkeyPatch, family: int
) -> None:
    monkeypatch.setattr(VirtualAddresses, "remove", lambda *_: [])
    require_nothing_left(network.lan.host("r1"), family, lambda _: None)


def require_nothing_left(host: Host, family: int, then: Callable[[Speaker], None]) -> None:
    before = host.addresses()
    host.call(lambda: uvloop.run(be_master(family, then)))
    assert host.addresses() == before


def test_a_stop_in_a_crash_loop_looks_for_addresses_once_more(network: Network) -> None:
    master = network.vrrpd("r1", alone(4))
    start_as(MASTER, master)
    for _ in range(CRASHES_TOLERATED - 1):
        kill_speaker(master)
    os.kill(master.status()["processes"]["speaker"], signal.SIGKILL)
    master.wait_until("FAULT", DEADLINE)
    master.host.add_address(VIPS[4], proto=ADDRESS_PROTOCOL)
    assert master.stop() == 0
    assert not master.host.has_address(ip_of(VIPS[4]))


@families
def test_who_dies_while_it_resumes_leaves_the_addresses_to_the_next(
    network: Network, monkeypatch: pytest.MonkeyPatch, family: int
) -> None:
    """Of speakers that die fast one after another, too, none begins as BACKUP."""
    host, ledger, resumed = network.lan.host("r1"), Ledger(), []
    config = parse(CONFIGURATION.format(VIPS[family]), "vrrpd.toml")
    ledger.entry(config.instances[0].key).advertise(time.monotonic())

    async def begin() -> None:
        speaker = Speaker(asyncio.get_running_loop(), Begin(config, drained=False, burdens={}), ledger, lambda _: None)
        speaker.start()
        speaker.close()

    monkeypatch.setattr(RouterDriver, "_resume", lambda _, advertised: resumed.append(advertised))
    for _ in range(2):
        host.call(lambda: uvloop.run(begin()))
    assert len(resumed) == 2
