"""Real servers on the LAN of everybody else, and clients of a virtual server."""

import socket
from functools import partial

from tests.ipvs.on_kernel.directors import VIP
from tests.ipvs.servers import listens, serve
from tests.peers import eventually
from vrrpd.lan.hosts import Host, Lan

TIMEOUT = 20.0
"""Seconds after which an answer will not come any more, however slow the machine is."""


def address(host: Host) -> str:
    return next(str(entry.ip) for entry in host.addresses() if entry.version == 4)


def real_servers(lan: Lan, *names: str) -> list[Host]:
    """Hosts that serve, on the LAN of everybody else."""
    hosts = [lan.host(name) for name in names]
    for host in hosts:
        serve(host, 80)
    for host in hosts:
        eventually(partial(listens, host, address(host), 80), f"{host.name} listens")
    return hosts


def answer(client: Host, port: int = 80) -> tuple[str, str, socket.socket]:
    """Who answers the client, whom it sees, and the connection."""
    connection = client.call(socket.create_connection, (VIP, port), TIMEOUT)
    name, seen = connection.recv(64).decode().split()
    return name, seen, connection


def who(client: Host) -> str:
    name, _, connection = answer(client)
    connection.close()
    return name


def echoes(connection: socket.socket) -> bool:
    connection.sendall(b"still there?")
    return connection.recv(64) == b"still there?"


def direct(host: Host) -> None:
    """A real server of DR: it has the address, and is silent about it."""
    host.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    host.sysctl("net.ipv4.conf.all.arp_announce", 2)
    host.add_address(f"{VIP}/32", "lo")
