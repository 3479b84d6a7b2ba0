"""What is answered by HTTP, by a daemon on a host."""

import contextlib
import os
import signal
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_address

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import VIPS, Network, alone, eventually, ip_of, settings, start_as
from vrrpd.web.metrics import STATES

pytestmark = pytest.mark.namespaces

PORT = 9112
VIP = VIPS[4]
ALWAYS = {
    "vrrpd_info",
    "vrrpd_state",
    "vrrpd_transitions_total",
    "vrrpd_adverts_sent_total",
    "vrrpd_adverts_received_total",
    "vrrpd_gratuitous_total",
    "vrrpd_loop_lag_seconds_bucket",
    "vrrpd_conflicting_masters_total",
    "vrrpd_vip_present",
    "vrrpd_speaker_restarts_total",
    "vrrpd_ipvs_services",
    "vrrpd_ipvs_real_servers",
    "vrrpd_ipvs_drift_total",
    "vrrpd_ipvs_sync_seconds_bucket",
}
"""Metrics that are there before anything has happened."""


def get(daemon: Vrrpd, path: str, host: str = "127.0.0.1", port: int = PORT, **headers: str) -> tuple[int, str]:
    """The code of the answer, and its text; 0: nobody answers."""

    def ask() -> tuple[int, str]:
        connection = HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            answer: HTTPResponse = connection.getresponse()
            return answer.status, answer.read().decode()
        except (ConnectionRefusedError, ConnectionResetError):  # the latter from one that is just leaving
            return 0, ""
        finally:
            connection.close()

    return daemon.host.call(ask)


def metrics(daemon: Vrrpd) -> dict[tuple[str, ...], float]:
    """Values by the sample's name and its labels' values, in the order of the labels' names."""
    code, text = get(daemon, "/metrics")
    assert code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def serving(network: Network, name: str, priority: int, address: str = "127.0.0.1") -> Vrrpd:
    daemon = network.vrrpd(name, settings(4, priority))
    daemon.top = [f'http = "{address}:{PORT}"']
    return daemon


def test_a_program_that_fails_is_in_the_metrics_and_on_the_page(network: Network) -> None:
    lines = """track_script = ["broken"]
[[vrrp_script]]
name = "broken"
script = "/bin/false"
[[vrrp_script]]
name = "untracked"
script = "/bin/true"
"""
    router = network.vrrpd("r1", settings(4, 100, lines))
    router.top = [f'http = "127.0.0.1:{PORT}"']
    router.start()
    eventually(lambda: get(router, "/live")[0] == 200, "it answers")
    eventually(lambda: metrics(router).get(("vrrpd_script_works", "broken")) == 0.0, "the metric")
    assert ("vrrpd_script_works", "untracked") not in metrics(router)
    assert "vrrp_script broken: /bin/false exited with 1" in get(router, "/status")[1]


def test_metrics_follow_the_router(network: Network) -> None:
    master, backup = serving(network, "r1", 200), serving(network, "r2", 100, "")
    for state, daemon in ((MASTER, master), (BACKUP, backup)):
        start_as(state, daemon)
        eventually(lambda: get(daemon, "/live")[0] == 200, "it answers")  # noqa: B023
    for daemon, state, present in ((master, MASTER, 1), (backup, BACKUP, 0)):
        name, found = daemon.routers[0].name, metrics(daemon)
        assert {sample[0] for sample in found} >= ALWAYS
        assert found["vrrpd_state", "ipv4", name, "eth0", "51"] == STATES[state]
        assert found["vrrpd_transitions_total", name, state] == 1
        assert found["vrrpd_vip_present", VIP, name] == present
        assert (get(daemon, "/health"), get(daemon, "/ready")) == ((200, "OK"), (200, "OK"))
    assert metrics(master)["vrrpd_gratuitous_total", master.routers[0].name, "arp"] > 0
    assert metrics(backup)["vrrpd_adverts_received_total", backup.routers[0].name] > 0
    assert get(backup, "/live", str(ip_of(str(backup.host.addresses()[0]))))[0] == 200
    assert get(backup, "/live", "::1")[0] == 200
    assert get(master, "/live", str(ip_of(str(master.host.addresses()[0]))))[0] == 0
    master.stop()
    backup.wait_until(MASTER, 20)
    assert metrics(backup)["vrrpd_state", "ipv4", backup.routers[0].name, "eth0", "51"] == STATES[MASTER]
    text = get(backup, "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
    assert text.endswith("# EOF\n")


def test_health_is_about_addresses_and_readiness_about_faults_too(network: Network) -> None:
    master, backup = serving(network, "r1", 200), serving(network, "r2", 100)
    start_as(MASTER, master)
    start_as(BACKUP, backup)
    eventually(lambda: get(backup, "/health") == (200, "OK"), "it answers")
    backup.host.add_address(VIP)
    eventually(lambda: get(backup, "/health")[0] == 500, "the address is where it should not be")
    said = f"{backup.routers[0].name}: BACKUP, and {VIP} is still on eth0"
    assert get(backup, "/health")[1] == get(backup, "/ready")[1] == said
    assert get(backup, "/ready")[0] == 503
    assert get(backup, "/live") == (200, "OK")
    backup.host.delete_address(VIP)
    eventually(lambda: get(backup, "/health")[0] == 200, "the address is gone")
    backup.host.cut_carrier()
    eventually(lambda: get(backup, "/ready")[0] == 503, "it cannot take over")
    assert f"{backup.routers[0].name}: FAULT: " in get(backup, "/ready")[1]
    assert get(backup, "/health") == (200, "OK")


def test_a_speaker_that_hangs_is_told_by_every_page(network: Network) -> None:
    daemon = serving(network, "r1", 200)
    start_as(MASTER, daemon)
    eventually(lambda: get(daemon, "/live")[0] == 200, "it answers")
    _, speaker, *_ = daemon.pids()
    os.kill(speaker, signal.SIGSTOP)
    try:
        code, said = get(daemon, "/live")
        assert (code, "the speaker died, or did not answer" in said) == (503, True)
    finally:
        os.kill(speaker, signal.SIGCONT)
    eventually(lambda: get(daemon, "/live") == (200, "OK"), "it goes on")


def test_the_page_for_people_and_the_same_for_programs(network: Network) -> None:
    daemon = serving(network, "r1", 200)
    start_as(MASTER, daemon)
    eventually(lambda: get(daemon, "/")[0] == 200, "it answers")
    page = get(daemon, "/status")[1]
    assert all(word in page for word in ("<title>vrrpd</title>", daemon.routers[0].name, "MASTER", VIP))
    for text in (get(daemon, "/status?format=json")[1], get(daemon, "/status", Accept="application/json")[1]):
        assert '"routers": [{' in text
    assert get(daemon, "/nothing")[0] == 404


def test_a_reload_moves_it_and_an_address_that_is_taken_is_told_and_tried_again(network: Network) -> None:
    daemon = network.vrrpd("r1", alone(4))
    start_as(MASTER, daemon)
    assert get(daemon, "/live")[0] == 0
    own = str(ip_address(ip_of(str(daemon.host.addresses()[0]))))
    other = network.vrrpd("r2", alone(4, addresses=("192.0.2.101/32",), vrid=52))
    other.top = [f'http = "{own}:{PORT}"']
    start_as(MASTER, other)
    eventually(lambda: f"cannot listen on {own}:{PORT}" in other.log, "it is told")
    other.host.add_address(f"{own}/32", "lo")
    eventually(lambda: get(other, "/live", own)[0] == 200, "it is tried again")
    daemon.top = [f'http = "[::1]:{PORT}"']
    daemon.reload()
    eventually(lambda: get(daemon, "/live", "::1")[0] == 200, "it is started")
    daemon.top = [f'http = "127.0.0.1:{PORT + 1}"']
    daemon.reload()
    eventually(lambda: get(daemon, "/live", port=PORT + 1)[0] == 200, "it moves")
    assert get(daemon, "/live", "::1")[0] == 0
    daemon.top = []
    daemon.reload()
    eventually(lambda: get(daemon, "/live", port=PORT + 1)[0] == 0, "it is over")
    assert daemon.state() == MASTER


def test_in_a_crash_loop_every_page_says_so(network: Network) -> None:
    daemon = serving(network, "r1", 200)
    start_as(MASTER, daemon)
    eventually(lambda: get(daemon, "/live")[0] == 200, "it answers")
    while daemon.state() != "FAULT":
        speaker = daemon.status()["processes"]["speaker"]
        if speaker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(speaker, signal.SIGKILL)
    code, said = get(daemon, "/ready")
    assert (code, said) == (503, f"{daemon.routers[0].name}: FAULT: the speaker keeps crashing; look at the log")
    assert get(daemon, "/health") == get(daemon, "/live") == (200, "OK")
    assert "keeps crashing" in get(daemon, "/")[1]
    assert metrics(daemon)["vrrpd_state", "ipv4", daemon.routers[0].name, "eth0", "51"] == STATES["FAULT"]


def test_of_two_reloads_the_second_one_counts(network: Network) -> None:
    """The first waits for a speaker that cannot run; the second, which is not about the speaker, overtakes it."""
    daemon = serving(network, "r1", 200)
    start_as(MASTER, daemon)
    eventually(lambda: get(daemon, "/live")[0] == 200, "it answers")
    supervisor, speaker, *_ = daemon.pids()
    os.kill(speaker, signal.SIGSTOP)
    try:
        daemon.routers = [settings(4, 199)]
        daemon.write_configuration()
        os.kill(supervisor, signal.SIGHUP)
        eventually(lambda: "priority = 199" in daemon.ask("show")["text"], "the first one is taken up")
        daemon.top = [f'http = "127.0.0.1:{PORT + 1}"']
        daemon.write_configuration()
        os.kill(supervisor, signal.SIGHUP)
        eventually(lambda: f":{PORT + 1}" in daemon.log, "the second one, too")
    finally:
        os.kill(speaker, signal.SIGCONT)
    eventually(lambda: daemon.router_status()["priority"] == 199, "the speaker has it")
    eventually(lambda: daemon.log.count("reloaded") == 2, "both are done")
    assert get(daemon, "/live", port=PORT + 1)[0] == 200
    assert daemon.log.rindex(f":{PORT + 1}") > daemon.log.rfind(f"listening on 127.0.0.1:{PORT}\n")
