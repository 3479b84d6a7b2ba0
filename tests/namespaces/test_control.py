"""The control socket, `vrrpd status`, `vrrpd reload` and the signals, with clients that mean ill."""

import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from benchmarks.peers import MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, advert_of, alone, eventually, families, ip_of, settings
from vrrpd import __version__
from vrrpd.lan.capture import Capture
from vrrpd.supervisor.control import CONNECTIONS_MAX

pytestmark = pytest.mark.namespaces

ROUTER_KEYS = {
    *("name", "interface", "family", "virtual_router_id", "state", "priority", "effective_priority"),
    *("master_address", "master_priority", "last_transition", "vips", "counters"),
}
"""What every version of `status --json` has for a router."""
MANY_CLIENTS = 100


@pytest.fixture
def router(network: Network) -> Vrrpd:
    """The only router of its LAN, MASTER."""
    daemon = network.vrrpd("r1", alone(4))
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    return daemon


def command(router: Vrrpd, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "vrrpd", *words, "-c", str(router.configuration)]
    return router.host.run(argv, check=False)


def connected(router: Vrrpd) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(router.control_socket))  # without a timeout, which would not wait for room in the backlog
    client.settimeout(DEADLINE)
    return client


def listens(router: Vrrpd) -> bool:
    """Whether it does; its socket has a name a moment earlier."""
    try:
        connected(router).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def received(client: socket.socket) -> bytes:
    with client:
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def spoken(router: Vrrpd, request: bytes) -> bytes:
    """What the daemon answers to these bytes until it hangs up."""
    with connected(router) as client:
        try:
            client.sendall(request)
            return received(client)
        except (BrokenPipeError, ConnectionResetError):  # it hung up on the rest
            return b""


@families
def test_status_json_has_the_promised_keys(network: Network, family: int) -> None:
    router = network.vrrpd("r1", settings(family, priority=150))
    source = router.host.link_local() if family == 6 else ip_of(str(router.host.addresses()[0]))
    router.start()
    router.wait_until(MASTER, DEADLINE)
    done = command(router, "status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    status = json.loads(done.stdout)
    assert status["version"] == __version__
    assert status["uptime_seconds"] > 0
    assert status["virtual_servers"] == []
    (entry,) = status["routers"]
    assert entry.keys() >= ROUTER_KEYS
    assert (entry["interface"], entry["family"], entry["virtual_router_id"]) == ("eth0", f"ipv{family}", 51)
    assert (entry["state"], entry["priority"], entry["effective_priority"]) == (MASTER, 150, 150)
    assert (entry["master_address"], entry["master_priority"]) == (source, 150)
    assert entry["last_transition"].endswith("Z")
    assert {vip["address"]: vip["present"] for vip in entry["vips"]}[VIPS[family]] is True
    assert entry["counters"]["adverts_sent"] > 0


def test_the_socket_is_for_its_owner_alone(router: Vrrpd) -> None:
    assert stat.S_IMODE(router.control_socket.stat().st_mode) == 0o600


GARBAGE = (
    b"\n",
    b"status\n",
    b"[]\n",
    b"null\n",
    b'{"command": 1}\n',
    b'{"command": ["status"]}\n',
    b'{"command": "\\ud800"}\n',
    b'{"command": "shutdown"}\n',
    b'{"command": ' + b"9" * 5000 + b"}\n",
    b"[" * 60000 + b"\n",
    b'{"command":' * 5000 + b"\n",
    b"\xff\xfe\x00\x80\n",
    b"GET / HTTP/1.1\r\nHost: vrrpd\r\n\r\n",
)


def test_garbage_is_answered_with_an_error(router: Vrrpd) -> None:
    for line in GARBAGE:
        answer = json.loads(spoken(router, line))
        assert answer["ok"] is False
        assert answer["error"]
    assert router.state() == MASTER
    assert router.status()["speaker_restarts"] == 0


def test_a_huge_line_is_cut_off(router: Vrrpd) -> None:
    assert spoken(router, b"x" * (1 << 20)) == b""
    assert router.state() == MASTER


def test_silent_clients_keep_nobody_from_asking(router: Vrrpd) -> None:
    clients = [connected(router) for _ in range(CONNECTIONS_MAX + MANY_CLIENTS)]
    try:
        assert command(router, "status").returncode == 0
        assert router.state() == MASTER
    finally:
        for client in clients:
            client.close()
    assert router.state() == MASTER


def test_clients_that_do_not_read_their_answer_disturb_nobody(router: Vrrpd) -> None:
    clients = [connected(router) for _ in range(MANY_CLIENTS)]
    sent_before = router.router_status()["counters"]["adverts_sent"]
    for client in clients:
        client.sendall(b'{"command": "status"}\n')
    eventually(lambda: router.router_status()["counters"]["adverts_sent"] > sent_before + 3, "adverts go on")
    for client in clients:
        client.close()
    assert router.state() == MASTER


def test_who_asks_while_the_daemon_starts_is_answered(network: Network) -> None:
    """The request reaches the speaker together with the word to begin."""
    router = network.vrrpd("r1", alone(4))
    router.start()
    eventually(lambda: listens(router), "the control socket")
    clients = []
    for _ in range(MANY_CLIENTS):
        client = connected(router)
        client.sendall(b'{"command": "status"}\n')
        clients.append(client)
    answers = [json.loads(received(client)) for client in clients]
    assert [answer.get("error") for answer in answers] == [None] * MANY_CLIENTS


def by_command(router: Vrrpd) -> None:
    assert command(router, "reload").returncode == 0


def by_signal(router: Vrrpd) -> None:
    router.reload()


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_reload_adds_changes_and_removes_routers(router: Vrrpd, reload: Callable[[Vrrpd], None]) -> None:
    second = settings(4, vrid=52, addresses=("192.0.2.101/32", "192.0.2.102/32"))
    router.routers.append(second)
    router.write_configuration()
    reload(router)
    router.wait_until(MASTER, DEADLINE, second)
    assert router.host.has_address("192.0.2.102")

    router.routers[1] = settings(4, 120, vrid=52, addresses=("192.0.2.102/32", "192.0.2.103/32"))
    router.write_configuration()
    reload(router)
    eventually(lambda: router.host.has_address("192.0.2.103"), "the new address")
    eventually(lambda: router.router_status(second)["priority"] == 120, "the new priority")
    assert [router.host.has_address(f"192.0.2.{host}") for host in (100, 101, 102)] == [True, False, True]
    assert router.router_status(second)["state"] == MASTER

    del router.routers[0]
    router.write_configuration()
    reload(router)
    eventually(lambda: not router.host.has_address("192.0.2.100"), "the address of the removed router goes")
    assert [entry["virtual_router_id"] for entry in router.status()["routers"]] == [52]
    assert router.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


BROKEN = 'priority = 300\nadvert_intt = 1\nvirtual_ipaddress = ["192.0.2.300"]\n'


def test_reload_of_a_broken_file_changes_nothing_and_says_why(router: Vrrpd) -> None:
    good = router.configuration.read_text()
    before = router.router_status()
    router.configuration.write_text(good + "[[vrrp_instance]]\n" + BROKEN)
    done = command(router, "reload")
    assert done.returncode == 2
    line = good.count("\n") + 2
    for at, key in enumerate(("priority", "advert_intt", "virtual_ipaddress")):
        assert f"{router.configuration}:{line + at}: " in done.stderr
        assert key in done.stderr
    after = router.router_status()
    assert (after["state"], after["vips"], after["last_transition"]) == (
        MASTER,
        before["vips"],
        before["last_transition"],
    )


def test_sighup_with_a_broken_file_changes_nothing_and_logs_why(router: Vrrpd) -> None:
    router.configuration.write_text("[[vrrp_instance]]\n" + BROKEN)
    router.host.run(["kill", "-HUP", str(router.status()["processes"]["supervisor"])])
    eventually(lambda: f"{router.configuration}:2: " in router.log, "the error in the log")
    assert router.state() == MASTER
    assert router.host.has_address(ip_of(VIPS[4]))


def test_a_reload_that_no_longer_needs_a_missing_interface_ends_the_fault(router: Vrrpd) -> None:
    text = router.configuration.read_text()
    missing = '{ address = "192.0.2.120/32", dev = "eth9" }'
    router.configuration.write_text(text.replace('["192.0.2.100/32"]', f'["192.0.2.100/32", {missing}]'))
    by_command(router)
    router.wait_until("FAULT", DEADLINE)
    assert "eth9" in router.router_status()["reason"]
    router.configuration.write_text(text)
    by_command(router)
    router.wait_until(MASTER, DEADLINE)


@families
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_stopped_resigns_and_takes_its_addresses_along(
    network: Network, family: int, number: signal.Signals
) -> None:
    router = network.vrrpd("r1", alone(family))
    router.write_configuration()
    process = router.run()
    router.wait_until(MASTER, DEADLINE)
    with Capture(network.lan) as capture:
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0
        capture.wait_for(advert_of(router, priority=0), DEADLINE)
        assert [frame.priority for frame in capture.adverts()][-1] == 0
    assert not router.host.has_address(ip_of(VIPS[family]))
    assert not router.control_socket.exists()


def test_a_second_daemon_on_the_same_socket_is_refused(router: Vrrpd) -> None:
    done = command(router, "run")
    assert done.returncode == 1
    assert f"control_socket {router.control_socket}: another vrrpd listens there" in done.stderr
    assert "Traceback" not in done.stderr
    assert router.state() == MASTER
    assert router.host.has_address(ip_of(VIPS[4]))


@pytest.mark.parametrize("capability", ["net_raw", "net_admin"])
def test_a_daemon_without_its_capabilities_says_which_it_lacks(network: Network, capability: str) -> None:
    router = network.vrrpd("r1", alone(4))
    router.write_configuration()
    run = [sys.executable, "-m", "vrrpd", "run", "-c", str(router.configuration)]
    done = router.host.run(["setpriv", f"--bounding-set=-{capability}", *run], check=False, timeout=DEADLINE)
    assert done.returncode == 1
    assert f"CAP_{capability.upper()}" in done.stderr
    assert "Traceback" not in done.stderr


def test_reload_tells_which_settings_of_the_whole_daemon_have_changed(router: Vrrpd) -> None:
    router.top = ["vip_lease = 9"]
    router.write_configuration()
    done = command(router, "reload")
    assert (done.returncode, done.stdout) == (0, "settings: vip_lease\n")
    assert "settings vip_lease" in router.log


def test_a_control_socket_moves_at_the_next_start(router: Vrrpd) -> None:
    asked = router.control_socket
    text = router.configuration.read_text(encoding="utf-8")
    for socket_path, said in ((asked.with_name("other.sock"), "at the next start: control_socket\n"), (asked, "")):
        router.configuration.write_text(text.replace(str(asked), str(socket_path)), encoding="utf-8")
        done = router.host.run(
            [sys.executable, "-m", "vrrpd", "reload", "-c", str(router.configuration), "-s", str(asked)], check=False
        )
        assert (done.returncode, done.stdout) == (0, said or "nothing changed\n")
