"""Sockets to ask with: they do not block, and are bound where a check wants it."""

import asyncio
import socket

from vrrpd.config.services import Check
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.protocol.advert import IPAddress

DATAGRAM_MAX = 1 << 16

# include/uapi/linux/in.h, in6.h, where Python has no name
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_IP_BIND_ADDRESS_NO_PORT = 24


def open_socket(check: Check, address: IPAddress, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket with which `address` can be asked; not connected yet.

    Raises:
        CheckFailed: `bindto` is of the other family.
        OSError: no right to open it, or `bindto` is not an address of this host.
    """
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind, protocol)
    try:
        sock.setblocking(False)
        if check.bindto is not None:
            if check.bindto.version != address.version:
                raise CheckFailed(f"bindto {check.bindto} is of another family than {address}")
            if kind is socket.SOCK_STREAM:
                # Else a connection that was closed keeps its port from all others of this address for a minute.
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((str(check.bindto), 0))
    except BaseException:
        sock.close()
        raise
    return sock


async def open_connection(check: Check, address: IPAddress, port: int) -> socket.socket:
    """A TCP connection.

    Raises:
        CheckFailed, OSError: as of `open_socket`, or there is none to be had.
    """
    sock = open_socket(check, address, socket.SOCK_STREAM)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock


def open_datagrams(check: Check, address: IPAddress, port: int) -> socket.socket:
    """A UDP socket that receives from that address and port alone, and learns that the host is unreachable, too.

    Raises:
        CheckFailed, OSError: as of `open_socket`, or there is no route.
    """
    sock = open_socket(check, address, socket.SOCK_DGRAM)
    try:
        if address.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        sock.connect((str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock
