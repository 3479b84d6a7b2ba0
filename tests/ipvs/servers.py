"""Real servers that say who they are."""

import socket
import subprocess
import sys
from typing import Any

from vrrpd.lan.hosts import Host

# Greets with its name and the client's address, then says back whatever it hears.
_SERVER = """
import socket, sys, threading
def serve(connection, client):
    connection.sendall(f"{sys.argv[1]} {client[0].removeprefix('::ffff:')}\\n".encode())
    while heard := connection.recv(64):
        connection.sendall(heard)
server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=server.accept(), daemon=True).start()
"""
# Answers each datagram with its name.
_DATAGRAMS = """
import socket, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", int(sys.argv[2])))
while True:
    _, client = server.recvfrom(64)
    server.sendto(sys.argv[1].encode(), client)
"""


def serve(host: Host, port: int) -> subprocess.Popen[Any]:
    """A TCP server on the host."""
    return host.popen([sys.executable, "-c", _SERVER, host.name, str(port)])


def serve_datagrams(host: Host, port: int) -> subprocess.Popen[Any]:
    """A UDP server on the host."""
    return host.popen([sys.executable, "-c", _DATAGRAMS, host.name, str(port)])


def listens(host: Host, address: str, port: int) -> bool:
    """Whether its TCP server does."""
    try:
        host.call(socket.create_connection, (address, port), 1).close()
    except OSError:
        return False
    return True
