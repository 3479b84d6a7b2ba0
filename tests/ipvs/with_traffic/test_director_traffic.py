"""Connections through virtual servers of daemons: shared out, drained, refused; clients hidden or not."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.ipvs.on_kernel.directors import VIP, VIP6, Director, director, virtual_server, wait_for_master
from tests.ipvs.served import address, answer, echoes, real_servers, who
from tests.ipvs.servers import listens, serve, serve_datagrams
from tests.peers import eventually
from vrrpd.lan.hosts import Host, Lan

CHECK = 'check = { type = "TCP", delay_loop = 0.2, warmup = 0, retry = 0, connect_timeout = 2 }'


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def client(lan: Lan) -> Host:
    return lan.host("client")


@pytest.fixture
def one(lan: Lan, tmp_path: Path) -> Iterator[Director]:
    made = director(lan, "r1", tmp_path)
    yield made
    print(made.log)


def serve_on(one: Director, hosts: list[Host], *lines: str, **keys: object) -> None:
    """Start it with a virtual server for these, and wait until it holds the address."""
    one.run_with(virtual_server(VIP, 80, *lines, reals=tuple(map(address, hosts)), **keys))
    wait_for_master(one)


def test_real_servers_beside_the_client_answer_because_it_is_masqueraded(lan: Lan, client: Host, one: Director) -> None:
    hosts = real_servers(lan, "s1", "s2")
    serve_on(one, hosts, lvs_sched="rr")
    found = [answer(client) for _ in range(4)]
    assert {name for name, _, _ in found} == {"s1", "s2"}
    assert {seen for _, seen, _ in found} <= {address(one.host), VIP}
    one.stop()
    assert "MASQUERADE" not in one.host.run(["iptables-legacy-save"]).stdout


def test_one_that_leaves_keeps_its_connections_until_they_are_done(lan: Lan, client: Host, one: Director) -> None:
    first, second = real_servers(lan, "s1", "s2")
    serve_on(one, [first], drain_timeout=60)
    name, _, connection = answer(client)
    assert name == "s1"
    one.reload_with(virtual_server(VIP, 80, reals=(address(second),), drain_timeout=60))
    assert {who(client) for _ in range(4)} == {"s2"}
    assert echoes(connection)
    leaving = next(real for real in one.entry()["real_servers"] if real["address"] == address(first))
    assert (leaving["draining"], leaving["weight"], leaving["active_connections"]) == (True, 0, 1)
    connection.close()
    eventually(lambda: one.weights() == {address(second): 1}, "it has left")


def test_connections_of_one_that_leaves_end_with_its_time(lan: Lan, client: Host, one: Director) -> None:
    first, second = real_servers(lan, "s1", "s2")
    serve_on(one, [first])
    _, _, connection = answer(client)
    one.reload_with(virtual_server(VIP, 80, reals=(address(second),), drain_timeout=2))
    eventually(lambda: one.weights() == {address(second): 1}, "it had to leave")
    with pytest.raises(ConnectionResetError):
        echoes(connection)


def test_one_that_fails_is_taken_out_and_comes_back(lan: Lan, client: Host, one: Director) -> None:
    (first,) = real_servers(lan, "s1")
    second = lan.host("s2")
    server = serve(second, 80)
    serve_on(one, [first, second], CHECK, lvs_sched="rr")
    eventually(lambda: {who(client) for _ in range(2)} == {"s1", "s2"}, "both serve")
    server.kill()
    server.wait()
    eventually(lambda: one.weights() == {address(first): 1}, "the failed one is out")
    failed = one.entry()["real_servers"][1]
    assert (failed["healthy"], failed["programmed"]) == (False, False)
    assert "refused" in failed["reason"]
    assert {who(client) for _ in range(4)} == {"s1"}
    serve(second, 80)
    eventually(lambda: one.weights() == {address(first): 1, address(second): 1}, "it is back")


def test_the_sorry_server_serves_when_nobody_else_does(lan: Lan, client: Host, one: Director) -> None:
    (sorry,) = real_servers(lan, "sorry")
    dead = lan.host("s1")
    line = f'sorry_server = {{ address = "{address(sorry)}", port = 80 }}'
    serve_on(one, [dead], CHECK, line)
    eventually(lambda: one.weights() == {address(sorry): 1}, "the sorry server is in")
    assert who(client) == "sorry"


def test_without_a_real_server_clients_are_refused_at_once(lan: Lan, client: Host, one: Director) -> None:
    serve_on(one, [lan.host("s1")], CHECK)
    eventually(lambda: one.weights() == {}, "it is out")
    with pytest.raises(ConnectionRefusedError):
        answer(client)


def test_udp(lan: Lan, client: Host, one: Director) -> None:
    hosts = [lan.host("s1"), lan.host("s2")]
    for host in hosts:
        serve_datagrams(host, 80)
    serve_on(one, hosts, lvs_sched="rr", protocol="UDP")
    heard: set[bytes] = set()

    def both_answer() -> bool:
        with client.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            try:
                sock.connect((VIP, 80))
                sock.send(b"?")
                heard.add(sock.recv(64))
            except OSError:  # they do not listen yet
                return False
        return len(heard) == 2

    eventually(both_answer, "both answer")


def test_a_tunnel_over_ipv6_does_not_come_from_the_virtual_address(lan: Lan, client: Host, tmp_path: Path) -> None:
    real_server = lan.host("s1")
    own = next(str(entry.ip) for entry in real_server.addresses() if entry.version == 6 and not entry.ip.is_link_local)
    real_server.run(["ip", "link", "add", "tunnel", "type", "ip6tnl", "local", own])
    real_server.set_link("tunnel", state="up")
    real_server.add_address(f"{VIP6}/128", "tunnel")
    serve(real_server, 80)
    eventually(partial(listens, real_server, own, 80), "the real server listens")
    one = director(lan, "r1", tmp_path, f"{VIP6}/128")
    one.run_with(virtual_server(VIP6, 80, reals=(own,), lvs_method="TUN"))
    wait_for_master(one)
    eventually(lambda: one.weights(address=VIP6) == {own: 1}, "it is programmed")
    with client.call(socket.create_connection, (VIP6, 80), 20) as connection:
        assert connection.recv(64).decode().split()[0] == "s1"
