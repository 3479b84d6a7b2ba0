"""Connections that never rest while the master changes: nobody is reset, not even by a real server that leaves."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ipvs.on_kernel.directors import VIP, Director, director, virtual_server, wait_for_master
from tests.ipvs.served import address, answer, direct, echoes, real_servers, who
from tests.ipvs.servers import serve
from tests.peers import DEADLINE, eventually
from vrrpd.lan.daemons import BACKUP
from vrrpd.lan.hosts import Host, Lan

MORE = 100
"""Other virtual servers; were they programmed at the failover, it would take a while."""
CONNECTIONS_MAX = 90
"""Each is hashed to one of three servers; that one of these gets none of so many does not happen."""
RST = 0x04


class Restless(threading.Thread):
    """Says something and hears it back, again and again, until stopped."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.rounds = 0
        self.error: OSError | None = None
        self._over = threading.Event()

    def run(self) -> None:
        """Part of `Thread`."""
        try:
            while not self._over.wait(0.002):
                self.connection.sendall(struct.pack("!Q", self.rounds))
                (heard,) = struct.unpack("!Q", self.connection.recv(8, socket.MSG_WAITALL))
                assert heard == self.rounds
                self.rounds += 1
        except OSError as error:
            self.error = error

    def end(self) -> OSError | None:
        """What has ended it before; None: nothing."""
        self._over.set()
        self.join(DEADLINE)
        return self.error


class Resets:
    """Counts the segments with RST that a host gets."""

    def __init__(self, host: Host) -> None:
        self._socket = host.call(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._socket.setblocking(False)
        self._over = threading.Event()
        self._count = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._over.wait(0.01):
            try:
                while packet := self._socket.recv(2048):
                    self._count += bool(packet[4 * (packet[0] & 15) + 13] & RST)
            except BlockingIOError:
                pass

    def end(self) -> int:
        """How many there were."""
        self._over.set()
        self._reader.join()
        self._socket.close()
        return self._count


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def client(lan: Lan) -> Host:
    return lan.host("client")


def service(port: int, hosts: list[Host]) -> str:
    reals = tuple(map(address, hosts))
    return virtual_server(VIP, port, reals=reals, lvs_method="DR", lvs_sched="mh", **{"mh-port": True})


def served_by(client: Host, *names: str) -> list[tuple[str, str, socket.socket]]:
    """Connections of that client, enough for each of the real servers to have one; no others may answer."""
    served: list[tuple[str, str, socket.socket]] = []
    while (found := {name for name, _, _ in served}) != set(names):
        assert found < set(names)
        assert len(served) < CONNECTIONS_MAX
        served.append(answer(client))
    return served


def pair_with(lan: Lan, directory: Path, *servers: str) -> tuple[Director, Director]:
    """Two directors, the first of which is the master."""
    first, second = (director(lan, name, directory, priority=priority) for name, priority in (("r1", 200), ("r2", 100)))
    first.run_with(*servers)
    wait_for_master(first)
    second.run_with(*servers)
    second.wait_until(BACKUP, DEADLINE)
    eventually(first.weights, "the master is programmed")
    return first, second


@pytest.mark.parametrize("fault", ["stop", "cable"])
def test_nobody_is_reset(lan: Lan, client: Host, tmp_path: Path, fault: str) -> None:
    hosts = real_servers(lan, "s1", "s2", "s3")
    for host in hosts:
        direct(host)
    more = [service(port, hosts) for port in range(1000, 1000 + MORE)]
    first, second = pair_with(lan, tmp_path, *more, service(80, hosts))
    served = served_by(client, "s1", "s2", "s3")
    for one in (first, second):
        one.reload_with(*more, service(80, hosts[:2]))
    for _, _, connection in served_by(client, "s1", "s2"):
        connection.close()
    resets, restless = Resets(client), [Restless(connection) for _, _, connection in served]
    for each in restless:
        each.start()
    eventually(lambda: all(each.rounds for each in restless), "all are heard")
    if fault == "stop":
        first.stop()
    else:
        first.host.cut_carrier()
    wait_for_master(second)
    before = [each.rounds for each in restless]
    eventually(lambda: all(each.rounds > n for each, n in zip(restless, before, strict=True)), "all are heard again")
    assert [each.end() for each in restless] == [None] * len(restless)
    assert resets.end() == 0
    assert who(client)


def test_a_director_that_is_a_real_server_has_it_only_as_the_master(lan: Lan, client: Host, tmp_path: Path) -> None:
    hosts = [lan.host("r1"), lan.host("r2")]
    for host in hosts:
        host.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        host.sysctl("net.ipv4.conf.all.arp_announce", 2)
        serve(host, 80)
    first, second = (director(lan, host, tmp_path, priority=n) for host, n in zip(hosts, (200, 100), strict=True))
    first.run_with(service(80, hosts))
    wait_for_master(first)
    hosts[1].add_address(f"{VIP}/32", "lo")
    second.run_with(service(80, hosts))
    second.wait_until(BACKUP, DEADLINE)
    assert second.weights() is None
    served = served_by(client, "r1", "r2")
    assert all(echoes(connection) for _, _, connection in served)
    own = address(hosts[1])
    hosts[1].run(["ip", "address", "del", f"{own}/24", "dev", "eth0"])
    eventually(lambda: second.weights() is not None, "it is no real server any more")
    hosts[1].add_address(f"{own}/24")
    eventually(lambda: second.weights() is None, "it is one again")
