"""PING_CHECK: an echo request is answered (RFC 792, RFC 4443 section 4).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|     Type      |     Code      |           Checksum            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          Identifier           |        Sequence Number        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|     Data ...
+-+-+-+-+-
"""

import asyncio
import itertools
import random
import socket
import struct

from vrrpd.config.services import PingCheck
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.director.checks.sockets import DATAGRAM_MAX, open_socket
from vrrpd.net.filters import (
    IF_EQUAL,
    LOAD_BYTE_AT_X,
    LOAD_IP_HEADER_LENGTH,
    LOAD_WORD_AT_X,
    LOAD_X,
    RETURN,
    Instruction,
    attach,
)
from vrrpd.protocol.advert import IPAddress, ones_complement_sum

DATA_SIZE = 32
"""Bytes of random data that must come back, so that nobody else's ping is taken for ours."""

_HEADER = struct.Struct("!BBHI")
_ECHOED_AT = 4
"""From the identifier on, a reply has what its request had."""
_PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}

_numbers = itertools.count(random.getrandbits(32))
"""Identifier and sequence number together: each ping has its own."""


async def attempt(check: PingCheck, address: IPAddress, _port: int) -> None:
    """Send an echo request, and wait for its reply."""
    version = address.version
    number = next(_numbers) & 0xFFFFFFFF
    request = _echo_request(version, number)
    try:
        sock = open_socket(check, address, socket.SOCK_RAW, _PROTOCOL[version])
    except PermissionError:
        raise CheckFailed("no right to open a raw socket (CAP_NET_RAW)") from None
    with sock:
        attach(sock, _only_reply_to(version, number))
        sock.connect((str(address), 0))
        sock.send(request)
        while True:
            packet = await asyncio.get_running_loop().sock_recv(sock, DATAGRAM_MAX)
            # A raw IPv4 socket's packets start with the IP header, a raw IPv6 socket's with the payload.
            start = 4 * (packet[0] & 0x0F) if version == 4 else 0
            if packet[start + _ECHOED_AT :] == request[_ECHOED_AT:]:
                return
            await asyncio.sleep(0)  # a flood must not keep the clock from running out


def _echo_request(version: int, number: int) -> bytes:
    """The message; in IPv6 the kernel fills in the checksum, which covers addresses."""
    data = random.randbytes(DATA_SIZE)
    checksum = 0
    if version == 4:
        checksum = 0xFFFF ^ ones_complement_sum(_HEADER.pack(_REQUEST[version], 0, 0, number) + data)
    return _HEADER.pack(_REQUEST[version], 0, checksum, number) + data


def _only_reply_to(version: int, number: int) -> list[Instruction]:
    """Let through the reply with that number: other pings, and requests to this host, wake nobody."""
    return [
        (LOAD_IP_HEADER_LENGTH, 0, 0, 0) if version == 4 else (LOAD_X, 0, 0, 0),
        (LOAD_BYTE_AT_X, 0, 0, 0),
        (IF_EQUAL, 0, 3, _REPLY[version]),
        (LOAD_WORD_AT_X, 0, 0, _ECHOED_AT),
        (IF_EQUAL, 0, 1, number),
        (RETURN, 0, 0, DATAGRAM_MAX),
        (RETURN, 0, 0, 0),
    ]
