"""Connections through the proxy: what a real server hears of the client, and what becomes of them later."""

import os
import select
import signal
import socket
import struct
import threading
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, alone, eventually, ip_of, settings, start_as
from vrrpd.ipvs.model import ProxyProtocol
from vrrpd.lan.hosts import Host
from vrrpd.proxy.header import header

pytestmark = pytest.mark.namespaces

PORT = 8000
SERVER_PORT = 9000
A_LOT = 1 << 25
"""More than all buffers on the way hold."""


class Backend:
    """A real server, the connections of which the test holds in its hands."""

    def __init__(self, host: Host, family: int) -> None:
        self.host = host
        self.address = next(
            str(each.ip) for each in host.addresses() if each.version == family and not each.is_link_local
        )
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        self.listening: socket.socket = host.call(
            socket.create_server, (self.address, SERVER_PORT), family=kind, backlog=1024
        )
        self.listening.settimeout(DEADLINE)

    def accept(self) -> socket.socket:
        connection, _ = self.listening.accept()
        connection.settimeout(DEADLINE)
        return connection

    def is_readable(self) -> bool:
        """Whether a connection comes within a moment."""
        return bool(select.select([self.listening], [], [], 0.2)[0])

    def is_waiting(self) -> bool:
        """Whether there is a connection to accept."""
        self.listening.setblocking(False)
        try:
            self.listening.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self.listening.settimeout(DEADLINE)
        return True


def virtual_server(family: int, *lines: str, port: int = PORT, reals: tuple[Backend, ...] = ()) -> list[str]:
    text = [
        "[[virtual_server]]",
        f'address = "{ip_of(VIPS[family])}"',
        f"port = {port}",
        'lvs_method = "PROXY"',
        *lines,
    ]
    for real in reals:
        text += ["[[virtual_server.real_server]]", f'address = "{real.address}"', f"port = {SERVER_PORT}"]
    return text


class Setting:
    """A router with the virtual address, two real servers, and a client."""

    def __init__(self, network: Network, family: int = 4) -> None:
        self.network = network
        self.family = family
        self.vip = ip_of(VIPS[family])
        self.client = network.lan.host("client")
        self.backends = tuple(Backend(network.lan.host(name), family) for name in ("s1", "s2"))
        self.router = network.vrrpd("r1", alone(family))

    def lines(self, *lines: str, reals: tuple[Backend, ...] | None = None) -> list[str]:
        return virtual_server(self.family, *lines, reals=self.backends if reals is None else reals)

    def start(self, *lines: str) -> None:
        self.router.routers = [alone(self.family, *(lines or self.lines()))]
        start_as(MASTER, self.router)
        eventually(self.listens, "the proxy listens")

    def reload(self, *lines: str) -> None:
        self.router.routers = [alone(self.family, *lines)]
        self.router.write_configuration()
        self.router.ask("reload")

    def server(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.router.status()["virtual_servers"][0]
        return entry

    def listens(self) -> bool:
        return listens(self.router)

    def connect(self) -> socket.socket:
        made: socket.socket = self.client.call(socket.create_connection, (self.vip, PORT), DEADLINE)
        return made

    def joined(self, backend: Backend) -> tuple[socket.socket, socket.socket]:
        """A new connection of the client's, and what that real server has of it, after the header."""
        near = self.connect()
        far = backend.accept()
        assert read(far, len(self.expected(near))) == self.expected(near)
        return near, far

    def expected(self, near: socket.socket, form: ProxyProtocol = ProxyProtocol.V1) -> bytes:
        address, port = near.getsockname()[:2]
        return header(form, (ip_address(address), port), (ip_address(self.vip), PORT))


def listens(router: Vrrpd) -> bool:
    servers = router.status()["virtual_servers"]
    return bool(servers) and all(server["programmed"] for server in servers)


def read(end: socket.socket, count: int) -> bytes:
    """So many octets, or fewer if there are no more."""
    got = b""
    while len(got) < count and (piece := end.recv(min(1 << 16, count - len(got)))):
        got += piece
    return got


def say_and_close(end: socket.socket, what: bytes) -> None:
    end.sendall(what)
    end.close()


def is_reset(end: socket.socket) -> bool:
    try:
        while end.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.fixture
def setting(network: Network) -> Setting:
    return Setting(network)


@pytest.mark.parametrize(("family", "form"), [(4, ProxyProtocol.V1), (6, ProxyProtocol.V2)])
def test_a_real_server_hears_who_the_client_is(network: Network, family: int, form: ProxyProtocol) -> None:
    setting = Setting(network, family)
    setting.start(*setting.lines(f'proxy_protocol = "{form}"', reals=setting.backends[:1]))
    with setting.connect() as near, setting.backends[0].accept() as far:
        near.sendall(b"question")
        expected = setting.expected(near, form) + b"question"
        assert read(far, len(expected)) == expected
        far.sendall(b"answer")
        assert read(near, 6) == b"answer"
        eventually(lambda: setting.server()["bytes_out"] == 6, "it is counted")
        seen = setting.server()
        assert (seen["connections"], seen["bytes_in"]) == (1, 8)
        assert seen["real_servers"][0]["active_connections"] == 1
    eventually(lambda: setting.server()["real_servers"][0]["active_connections"] == 0, "it is over")
    assert setting.router.status()["ipvs"]["errors"] == []  # the kernel need not have IPVS


def test_who_speaks_first_and_who_ends_first(setting: Setting) -> None:
    """Either; and who has said all may hear for as long as it takes."""
    setting.start()
    for first in (True, False):
        near = setting.connect()
        far = next(each for each in setting.backends if each.is_readable()).accept()
        read(far, len(setting.expected(near)))
        speaker, listener = (near, far) if first else (far, near)
        speaker.sendall(b"all that I say")
        speaker.shutdown(socket.SHUT_WR)
        assert read(listener, 100) == b"all that I say"  # to the end
        whole = os.urandom(1 << 20)
        sending = threading.Thread(target=say_and_close, args=(listener, whole))
        sending.start()
        assert read(speaker, A_LOT) == whole
        sending.join()
        speaker.close()


def test_a_slow_reader_slows_who_writes_to_it(setting: Setting) -> None:
    setting.start(*setting.lines(reals=setting.backends[:1]))
    near, far = setting.joined(setting.backends[0])
    whole = os.urandom(A_LOT)
    sent = 0
    near.setblocking(False)
    while sent < A_LOT and select.select([], [near], [], 0.5)[1]:
        sent += near.send(whole[sent:])
    assert sent < A_LOT
    near.settimeout(DEADLINE)
    sending = threading.Thread(target=say_and_close, args=(near, whole[sent:]))
    sending.start()
    assert read(far, 2 * A_LOT) == whole
    sending.join()


def test_a_reset_reaches_the_other_end(setting: Setting) -> None:
    setting.start(*setting.lines(reals=setting.backends[:1]))
    for first in (True, False):
        near, far = setting.joined(setting.backends[0])
        broken, whole = (near, far) if first else (far, near)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.close()
        assert is_reset(whole)


def test_a_client_goes_to_whom_there_is_and_is_refused_without_any(setting: Setting) -> None:
    setting.start(*setting.lines('lvs_sched = "rr"'))
    first, second = setting.backends
    first.listening.close()
    for _ in range(4):
        setting.joined(second)
    assert f"{first.address} port {SERVER_PORT} cannot be reached, others are tried: " in setting.router.log
    second.listening.close()
    assert is_reset(setting.connect())
    setting.reload(*setting.lines(reals=()))
    assert is_reset(setting.connect())


def test_connections_outlive_what_others_notice(setting: Setting) -> None:
    """Reloads, a real server that leaves, another director."""
    first, second = setting.backends
    setting.start(*setting.lines(reals=(first,)))
    near, far = setting.joined(first)

    def goes_on() -> bool:
        near.sendall(b"x")
        far.sendall(b"y")
        return read(far, 1) == b"x" and read(near, 1) == b"y"

    setting.reload(*setting.lines('lvs_sched = "rr"', "drain_timeout = 3600"))
    assert goes_on()
    setting.reload(*setting.lines("drain_timeout = 3600", reals=(second,)))
    setting.joined(second)
    assert goes_on()
    (leaving,) = [each for each in setting.server()["real_servers"] if each.get("draining")]
    assert (leaving["address"], leaving["weight"]) == (first.address, 0)
    director = setting.router.status()["processes"]["director"]
    os.kill(director, signal.SIGKILL)
    eventually(lambda: setting.router.status()["processes"]["director"] not in (None, director), "another director")
    eventually(lambda: setting.server()["real_servers"][1:], "it knows who is leaving")
    assert goes_on()
    setting.reload()
    assert goes_on()
    far.close()
    near.close()
    eventually(lambda: setting.router.status()["processes"]["proxy"] is None, "there is nothing left to do for it")


def test_connections_end_when_their_time_is_over(setting: Setting) -> None:
    first, second = setting.backends
    setting.start(*setting.lines(reals=(first,)))
    near, far = setting.joined(first)
    setting.reload(*setting.lines("drain_timeout = 0", reals=(second,)))
    assert is_reset(near)
    assert is_reset(far)
    near, far = setting.joined(second)
    assert setting.router.stop() == 0
    assert is_reset(far)
    near.close()


def test_a_proxy_that_dies_is_back_and_nobody_else_notices(setting: Setting) -> None:
    setting.start()
    before = setting.router.status()
    os.kill(before["processes"]["proxy"], signal.SIGKILL)
    eventually(
        lambda: setting.router.status()["processes"]["proxy"] not in (None, before["processes"]["proxy"]), "back"
    )
    eventually(setting.listens, "it listens")
    near = setting.connect()
    near.close()
    after = setting.router.status()
    assert after["proxy_restarts"] == 1
    assert after["director_restarts"] == after["speaker_restarts"] == 0
    assert after["routers"][0]["counters"]["transitions"] == before["routers"][0]["counters"]["transitions"]
    assert "its connections are gone" in setting.router.log


def test_a_port_that_another_has_is_told_and_asked_for_again(setting: Setting) -> None:
    host = setting.router.host
    other: socket.socket = host.call(socket.create_server, ("0.0.0.0", PORT))
    free = virtual_server(4, port=PORT + 1, reals=setting.backends)
    setting.router.routers = [alone(4, *setting.lines(), *free)]
    start_as(MASTER, setting.router)
    eventually(lambda: setting.router.status()["ipvs"]["errors"], "it is told")
    (error,) = setting.router.status()["ipvs"]["errors"]
    assert error.startswith(f"TCP {setting.vip}:{PORT}: cannot listen: Address already in use: another program")
    assert [server["programmed"] for server in setting.router.status()["virtual_servers"]] == [False, True]
    other.close()
    eventually(setting.listens, "it listens")


def test_hundreds_at_a_time(setting: Setting) -> None:
    setting.start()
    count = 400
    near = [setting.connect() for _ in range(count)]
    far = [backend.accept() for _ in range(count // 2) for backend in setting.backends]
    assert not any(backend.is_waiting() for backend in setting.backends)  # each has its half
    headers = {bytes(setting.expected(each)): each for each in near}
    pairs = [(headers[each.makefile("rb", buffering=0).readline()], each) for each in far]
    for index, (one, other) in enumerate(pairs):
        one.sendall(b"%d" % index)
        other.sendall(b"%d" % -index)
    for index, (one, other) in enumerate(pairs):
        assert other.recv(10) == b"%d" % index
        assert one.recv(10) == b"%d" % -index
    proxy = setting.router.status()["processes"]["proxy"]
    for each in (*near, *far):
        each.close()
    eventually(lambda: not any(each["active_connections"] for each in setting.server()["real_servers"]), "all ended")
    eventually(lambda: len(list(Path(f"/proc/{proxy}/fd").iterdir())) < 40, "and so have their descriptors")


def test_a_backup_listens_before_the_address_comes(network: Network) -> None:
    reals = (Backend(network.lan.host("s1"), 4),)
    routers = [
        network.vrrpd(name, settings(4, priority, *virtual_server(4, reals=reals)))
        for name, priority in (("r1", 200), ("r2", 100))
    ]
    client = network.lan.host("client")
    for router, state in zip(routers, (MASTER, BACKUP), strict=True):
        start_as(state, router)
        eventually(partial(listens, router), "it listens")
    routers[0].stop()
    routers[1].wait_until(MASTER, DEADLINE)
    with client.call(socket.create_connection, (ip_of(VIPS[4]), PORT), DEADLINE) as near, reals[0].accept() as far:
        near.sendall(b"x")
        near.shutdown(socket.SHUT_WR)
        assert read(far, 100).endswith(b"\r\nx")
