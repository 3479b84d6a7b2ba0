"""A plain netlink socket, and the parts of its messages that are read here.

pyroute2's asyncio core cannot run on uvloop, and its decoder takes 200 us for one link message. Messages are encoded
by pyroute2's classes (`vrrpd.net.addresses`); what comes in is read here, attribute by attribute.

    struct nlmsghdr { u32 len; u16 type; u16 flags; u32 seq; u32 pid; }        include/uapi/linux/netlink.h
    struct nlattr   { u16 len; u16 type; }                                     padded to 4 bytes
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_ATTRIBUTE_TYPE_MASK = 0x3FFF

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300

SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11

RECEIVE_BUFFER = 4 << 20
"""Bytes asked for. A node with a thousand interfaces dumps 1.5 MB; too small means ENOBUFS and a new dump."""
_READ_SIZE = 1 << 18
REQUESTS_A_DATAGRAM = 512
"""The send buffer takes 2,000 for IPv6 addresses, and the receive buffer that many answers."""
_SO_RCVBUFFORCE = 33


class Message(Struct, frozen=True):
    """One netlink message as it came in."""

    type: int
    sequence: int
    payload: bytes


def route_socket(groups: int = 0) -> socket.socket:
    """A non-blocking NETLINK_ROUTE socket that hears `groups` (RTMGRP_* bits).

    Raises:
        OSError: the kernel refuses it.
    """
    return netlink_socket(socket.NETLINK_ROUTE, groups)


def netlink_socket(protocol: int, groups: int = 0) -> socket.socket:
    """A non-blocking socket of that NETLINK_* protocol.

    Raises:
        OSError: the kernel refuses it.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    enlarge_receive_buffer(netlink, RECEIVE_BUFFER)
    netlink.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
    netlink.setblocking(False)
    netlink.bind((0, groups))
    return netlink


def enlarge_receive_buffer(sock: socket.socket, size: int) -> None:
    """Ask for a receive buffer of `size` bytes, past the system's limit where we may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def read(route: socket.socket) -> list[Message]:
    """What is waiting on the socket; empty when nothing is.

    Raises:
        OSError: ENOBUFS when messages were lost, so that what is known must be dumped anew.
    """
    messages: list[Message] = []
    while True:
        try:
            data = route.recv(_READ_SIZE)
        except BlockingIOError:
            return messages
        messages.extend(split(data))


def split(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; a truncated one ends it."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, _, sequence, _ = HEADER.unpack_from(data, at)
        if length < HEADER.size or at + length > len(data):
            return
        yield Message(kind, sequence, data[at + HEADER.size : at + length])
        at += length + 3 & ~3


def attributes(payload: bytes, start: int) -> dict[int, bytes]:
    """The attributes that follow a fixed header of `start` bytes, by type; a truncated one ends them."""
    return {kind: payload[place] for kind, place in attribute_places(payload, start, len(payload))}


def attribute_places(data: bytes, start: int, end: int) -> Iterator[tuple[int, slice]]:
    """The attributes between two places: the type of each, and where its value is; a truncated one ends them."""
    at = start
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > end:
            return
        yield kind & _ATTRIBUTE_TYPE_MASK, slice(at + _ATTRIBUTE.size, at + length)
        at += length + 3 & ~3


def dump(route: socket.socket, request: int, family: int) -> list[Message]:
    """Everything that the kernel lists for an RTM_GET* request; it answers within microseconds, so this waits for it.

    Raises:
        OSError: the kernel refuses the request, or what it sent was lost.
    """
    header = HEADER.pack(HEADER.size + 16, request, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    return ask(route, header + struct.pack("=B15x", family))


def ask(netlink: socket.socket, request: bytes) -> list[Message]:
    """What the kernel answers to a request with NLM_F_DUMP, or with NLM_F_ACK; waits for it, some microseconds.

    Raises:
        OSError: the kernel refuses the request, or what it sent was lost.
    """
    netlink.send(request)
    messages: list[Message] = []
    while True:
        netlink.setblocking(True)
        try:
            data = netlink.recv(_READ_SIZE)
        finally:
            netlink.setblocking(False)
        for message in split(data):
            if message.type == NLMSG_DONE:
                if len(message.payload) >= _ERROR.size and (error := _error(message)):
                    raise error
                return messages
            if message.type == NLMSG_ERROR:
                if error := _error(message):
                    raise error
                return messages  # the acknowledgement
            messages.append(message)


RENEWAL = 0x56 << 24
"""First sequence number of a batch the echo of which a monitor need not hear (`filters.all_but_renewals`)."""


class Batch:
    """Requests that are carried out in one go, encoded together before they are needed.

    The kernel answers failures, and the last request of a datagram in any case: so a `recv` always finds something,
    which costs less than an exception.
    """

    def __init__(self, requests: Sequence[bytes], first_sequence: int = 0) -> None:
        self.size = len(requests)
        self.first_sequence = first_sequence
        self.datagrams = [
            (self._encode(requests, start), range(start, min(start + REQUESTS_A_DATAGRAM, self.size)))
            for start in range(0, self.size, REQUESTS_A_DATAGRAM)
        ]
        """Each with the positions of its requests."""

    def _encode(self, requests: Sequence[bytes], start: int) -> bytes:
        data = bytearray()
        at = 0
        for index, request in enumerate(requests[start : start + REQUESTS_A_DATAGRAM], start):
            at = len(data)
            data += request
            struct.pack_into("=I", data, at + 8, self.first_sequence + index)
        (flags,) = struct.unpack_from("=H", data, at + 6)
        struct.pack_into("=H", data, at + 6, flags | NLM_F_ACK)
        return bytes(data)


NO_OPERATION = Batch([HEADER.pack(HEADER.size, NLMSG_NOOP, NLM_F_REQUEST, 0, 0)])
"""A request that the kernel acknowledges and does nothing about."""


def transact(route: socket.socket, batch: Batch) -> dict[int, OSError]:
    """Carry out the requests, going on past errors; returns the errors by position.

    The kernel works through a datagram inside `send`. Where it takes none, or what it answered is lost, that is the
    error of every request in it. The socket must not hear any groups.
    """
    failed: dict[int, OSError] = {}
    for data, positions in batch.datagrams:
        answered = positions.start - 1
        try:
            route.send(data)
            while answered < positions.stop - 1:
                for message in split(route.recv(_READ_SIZE)):
                    answered = message.sequence - batch.first_sequence
                    if (error := _error(message)) is not None:
                        failed[answered] = error
        except OSError as error:
            failed |= dict.fromkeys(range(answered + 1, positions.stop), error)
            _forget_answers(route)
    return failed


def _forget_answers(route: socket.socket) -> None:
    """Let none be taken for an answer to what is asked next."""
    while True:
        try:
            if not read(route):
                return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # that tells of answers that were lost; others may wait behind
                return


def _error(message: Message) -> OSError | None:
    (code,) = _ERROR.unpack_from(message.payload)
    return OSError(-code, os.strerror(-code)) if code else None
