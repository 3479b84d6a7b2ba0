"""A planned handover, and a preemption, lose no packet: whoever takes over, and however fast the adverts are."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.peers import BACKUP, MASTER, Daemon, Frr, Keepalived, Vrrpd
from tests.peers import (
    DEADLINE,
    VIPS,
    Network,
    advert_of,
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

pytestmark = pytest.mark.namespaces

INTERVALS = (1.0, 0.1, 0.01)
SUCCESSORS: tuple[type[Daemon], ...] = (Vrrpd, Keepalived, Frr)


def lost_while(prober: Prober, began: float) -> int:
    """Probes that were sent since then and not answered; waits for those that are on their way."""
    until = time.monotonic()
    prober.wait_answered(DEADLINE)
    return prober.result(since=began, until=until).lost


@families
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("successor", SUCCESSORS, ids=lambda kind: kind.name)
def test_a_stopped_master_is_succeeded_without_a_lost_probe(
    network: Network, family: int, successor: type[Daemon], interval: float
) -> None:
    """A stop loses nothing.

    keepalived announces an IPv6 address that its kernel has not finished yet, and draws what it cannot answer: of that
    it may lose a probe, which is none that was sent before.
    """
    if missing := successor.missing():
        pytest.fail(missing)
    master = network.vrrpd("r1", settings(family, 200, advert_int=interval))
    backup = network.add(successor, "r2", [settings(family, 100, advert_int=interval)])
    start_as_master_soon(master)
    start_as(BACKUP, backup)
    vip = ip_of(VIPS[family])
    with Prober(network.lan.host("client"), vip) as prober, Capture(network.lan) as capture:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        assert master.stop() == 0
        backup.wait_until(MASTER, DEADLINE)
        if successor is not Frr:  # FRR answers from the virtual MAC
            wait_served_by(prober, backup)
        until = time.monotonic()
        if (successor, family) == (Keepalived, 6):
            mac = backup.host.mac()
            announced = next(
                frame.time for frame in capture.frames if str(frame.announces) == vip and frame.source_mac == mac
            )
            until = announced - prober.interval
        prober.wait_answered(DEADLINE)
        assert prober.result(since=began, until=until).lost == 0
    assert not master.host.has_address(ip_of(VIPS[family]))


@families
def test_the_priority_0_advert_is_the_last_one(network: Network, family: int) -> None:
    master, backup = master_and_backup(network, family)
    with Capture(network.lan) as capture:
        master.stop()
        backup.wait_until(MASTER, DEADLINE)
    sent = [frame.priority for frame in capture.adverts(51) if frame.source_mac == master.host.mac()]
    assert sent[-1] == 0
    assert sent.count(0) == 1


@families
def test_a_better_router_takes_over_without_a_lost_probe(network: Network, family: int) -> None:
    master, backup = master_and_backup(network, family)
    master.stop()
    backup.wait_until(MASTER, DEADLINE)
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober, Capture(network.lan) as capture:
        wait_served_by(prober, backup)
        began = time.monotonic()
        master.start()
        master.wait_until(MASTER, DEADLINE)
        backup.wait_until(BACKUP, DEADLINE)
        wait_served_by(prober, master)
        assert lost_while(prober, began) == 0
        # It lets itself be heard once more when its addresses are gone, and the better one announces them again.
        first = capture.wait_for(advert_of(master, 200), DEADLINE, since=began)
        last_word = capture.wait_for(advert_of(backup, 1), DEADLINE, since=first.time)
        capture.wait_for(
            lambda frame: str(frame.announces) == ip_of(VIPS[family]) and frame.source_mac == master.host.mac(),
            DEADLINE,
            since=last_word.time,
        )
    assert master.router_status()["counters"]["anomalies"] == {}


def test_immediate_is_the_letter_of_the_rfc(network: Network) -> None:
    """The addresses are gone when the advert of priority 0 is out; the client waits for the skew."""
    master, backup = master_and_backup(network, 4, 'handover = "immediate"')
    with Prober(network.lan.host("client"), ip_of(VIPS[4])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        master.stop()
        backup.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, backup)
        assert lost_while(prober, began) > 0


def test_who_has_no_successor_goes_all_the_same(network: Network) -> None:
    master = network.vrrpd("r1", settings(4))
    master.start()
    master.wait_until(MASTER, DEADLINE)
    assert master.stop() == 0
    assert not master.host.has_address(ip_of(VIPS[4]))


def test_told_to_stop_twice_it_goes_at_once(network: Network) -> None:
    """At advert_int 40 s the handover may take as long; a second SIGTERM does not wait for it."""
    master = network.vrrpd("r1", settings(4, 255, advert_int=40.0))
    master.write_configuration()
    process = master.run()
    master.wait_until(MASTER, DEADLINE)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: master.router_status()["yielding"], "the handover has begun")
    assert master.host.has_address(ip_of(VIPS[4]))
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0
    assert not master.host.has_address(ip_of(VIPS[4]))


def test_an_instance_that_is_removed_hands_over(network: Network) -> None:
    master, backup = master_and_backup(network, 4)
    other = settings(4, 200, vrid=52, addresses=("192.0.2.110/32",))
    with Prober(network.lan.host("client"), ip_of(VIPS[4])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        master.routers = [other]
        master.reload()
        backup.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, backup)
        assert lost_while(prober, began) == 0
    eventually(lambda: not master.host.has_address(ip_of(VIPS[4])), "the addresses are gone")
    assert [router["virtual_router_id"] for router in master.status()["routers"]] == [52]


def test_a_removal_that_is_taken_back_is_no_failover(network: Network) -> None:
    router, other = settings(4), settings(4, vrid=52, addresses=("192.0.2.110/32",))
    master = network.vrrpd("r1", router)
    master.start()
    master.wait_until(MASTER, DEADLINE)
    with Prober(network.lan.host("client"), ip_of(VIPS[4])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        master.routers = [other]
        master.reload()
        eventually(lambda: master.router_status(router)["yielding"], "the handover has begun")
        master.routers = [router, other]
        master.reload()
        eventually(lambda: not master.router_status(router)["yielding"], "the handover is called off")
        master.wait_until(MASTER, DEADLINE)
        assert lost_while(prober, began) == 0


def command(daemon: Vrrpd, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "vrrpd", *words, "-c", str(daemon.configuration)]
    return daemon.host.run(argv, check=False)


@families
def test_drain_hands_over_and_undrain_competes_again(network: Network, family: int) -> None:
    master, backup = master_and_backup(network, family)
    vip = ip_of(VIPS[family])
    with Prober(network.lan.host("client"), vip) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        drained = command(master, "drain")
        assert (drained.returncode, drained.stderr) == (0, "")
        assert "took over" in drained.stdout
        assert not master.host.has_address(vip)
        wait_served_by(prober, backup)
        status = master.router_status()
        assert (status["state"], status["drained"]) == (BACKUP, True)
        assert command(master, "undrain").returncode == 0
        wait_served_by(prober, master)
        assert lost_while(prober, began) == 0
    assert master.router_status()["drained"] is False


def test_a_drained_router_does_not_take_over_and_stays_drained(network: Network) -> None:
    """Neither when the master dies, nor when its own speaker does, nor after a reload."""
    master, backup = master_and_backup(network, 4)
    command(master, "drain")
    backup.wait_until(MASTER, DEADLINE)
    backup.kill()
    master.host.run(["kill", "-KILL", str(master.status()["processes"]["speaker"])])
    eventually(lambda: master.state() and master.status()["speaker_restarts"] == 1, "another speaker")
    master.routers = [settings(4, 201)]
    master.reload()
    eventually(lambda: master.router_status()["priority"] == 201, "the reload is done")
    status = master.router_status()
    assert (status["state"], status["drained"]) == (BACKUP, True)
    assert not master.host.has_address(ip_of(VIPS[4]))
    command(master, "undrain")
    master.wait_until(MASTER, DEADLINE)


def test_drain_without_a_daemon_says_so(network: Network) -> None:
    master = network.vrrpd("r1", settings(4))
    master.write_configuration()
    for word in ("drain", "undrain"):
        done = command(master, word)
        assert done.returncode == 1
        assert "no vrrpd listens there" in done.stderr


@pytest.mark.lan
def test_a_router_that_comes_back_while_its_host_is_drained_competes_after_the_drain(network: Network) -> None:
    """A reload removes it, the host is drained, a reload puts it back, all before its addresses are released."""
    kept, removed = (
        settings(4, 200, advert_int=1),
        settings(4, 200, vrid=52, addresses=("192.0.2.101/32",), advert_int=1),
    )
    daemon = network.vrrpd("r1", kept, removed)
    start_as_master_soon(daemon)
    daemon.routers = [kept]
    daemon.reload()
    daemon.ask("drain")
    daemon.routers = [kept, removed]
    daemon.reload()
    for router in (kept, removed):
        daemon.wait_until(BACKUP, DEADLINE, router)
    daemon.ask("undrain")
    for router in (kept, removed):
        daemon.wait_until(MASTER, DEADLINE, router)
    daemon.stop()


@families
def test_a_speaker_that_dies_in_a_handover_loses_no_probe(network: Network, family: int) -> None:
    """Another begins the handover anew. The successor's priority has it wait for a second."""
    master = network.vrrpd("r1", settings(family, 200, advert_int=1.0))
    backup = network.vrrpd("r2", settings(family, 1, advert_int=1.0))
    start_as_master_soon(master)
    start_as(BACKUP, backup)
    with Prober(network.lan.host("client"), ip_of(VIPS[family])) as prober:
        prober.wait_answered(DEADLINE)
        began = time.monotonic()
        with ThreadPoolExecutor(1) as executor:
            told = executor.submit(command, master, "drain")
            eventually(lambda: master.router_status()["yielding"], "the handover")
            master.host.run(["kill", "-KILL", str(master.status()["processes"]["speaker"])])
            assert told.result().returncode in (0, 1)  # who has asked may be told that nobody answered
        wait_served_by(prober, backup)
        assert lost_while(prober, began) == 0
    assert master.status()["speaker_restarts"] == 1
    status = master.router_status()
    assert (status["state"], status["drained"]) == (BACKUP, True)
