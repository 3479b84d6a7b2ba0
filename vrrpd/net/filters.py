"""Classic BPF programs that let the kernel sort adverts by VRID, so that foreign ones wake nobody.

struct sock_filter { u16 code; u8 jt; u8 jf; u32 k; };                include/uapi/linux/filter.h
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Iterable

from vrrpd.protocol.advert import Family

SO_ATTACH_FILTER = 26

# Codes of instructions (include/uapi/linux/bpf_common.h)
LOAD_WORD = 0x20  # A = the four bytes at k, as big-endian
LOAD_HALF = 0x28  # A = the two bytes at k, likewise
LOAD_BYTE = 0x30  # A = the byte at k
LOAD_LENGTH = 0x80  # A = length of the packet
LOAD_WORD_AT_X = 0x40  # A = word at X + k
LOAD_BYTE_AT_X = 0x50  # A = byte at X + k
LOAD_IP_HEADER_LENGTH = 0xB1  # X = 4 * (byte at k & 0xf)
LOAD_X = 0x01  # X = k
_SUBTRACT_X = 0x1C  # A -= X
IF_EQUAL = 0x15
_IF_AT_LEAST = 0x35
RETURN = 0x06

_WHOLE_PACKET = 0xFFFF
_WHOLE_MESSAGE = 0xFFFFFFFF
_NOTHING = 0

Instruction = tuple[int, int, int, int]

NOTHING: list[Instruction] = [(RETURN, 0, 0, _NOTHING)]
"""Let through no packet at all."""


def only(vrids: Iterable[int], family: Family) -> list[Instruction]:
    """Let through packets of these VRIDs, and those too short to have one: the codec counts them."""
    return _sort_by_vrid(vrids, family, listed=_WHOLE_PACKET, others=_NOTHING, short=_WHOLE_PACKET)


def all_but(vrids: Iterable[int], family: Family) -> list[Instruction]:
    """Let through packets of other VRIDs."""
    return _sort_by_vrid(vrids, family, listed=_NOTHING, others=_WHOLE_PACKET, short=_NOTHING)


def all_but_renewals(request: int, port: int, first_sequence: int) -> list[Instruction]:
    """Keep the echo of one's own requests from a netlink socket that hears a group.

    Args:
        request: type of the message, such as RTM_NEWADDR.
        port: the netlink address of the socket that sends the requests.
        first_sequence: what their sequence numbers start from; the highest byte marks them.
    """
    mark_at = 8 if sys.byteorder == "big" else 11
    return [
        (LOAD_HALF, 0, 0, 4),
        (IF_EQUAL, 0, 5, _as_loaded(request, 2)),
        (LOAD_WORD, 0, 0, 12),
        (IF_EQUAL, 0, 3, _as_loaded(port, 4)),
        (LOAD_BYTE, 0, 0, mark_at),
        (IF_EQUAL, 0, 1, first_sequence >> 24),
        (RETURN, 0, 0, _NOTHING),
        (RETURN, 0, 0, _WHOLE_MESSAGE),
    ]


def _as_loaded(value: int, size: int) -> int:
    """A number in the host's order as a load instruction, which takes it for the network's, sees it."""
    return int.from_bytes(value.to_bytes(size, sys.byteorder), "big")


def encoded(program: Iterable[Instruction]) -> bytes:
    """The program as the kernel takes it."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def attach(sock: socket.socket, program: list[Instruction]) -> None:
    """Have the kernel run `program` on everything that arrives on `sock` from now on.

    Raises:
        OSError: the kernel refuses the program.
    """
    code = encoded(program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def _sort_by_vrid(vrids: Iterable[int], family: Family, *, listed: int, others: int, short: int) -> list[Instruction]:
    # A raw IPv4 socket's packets start with the IP header, a raw IPv6 socket's with the payload.
    skip_header = (LOAD_IP_HEADER_LENGTH, 0, 0, 0) if family is Family.IPV4 else (LOAD_X, 0, 0, 0)
    program = [
        skip_header,
        (LOAD_LENGTH, 0, 0, 0),
        (_SUBTRACT_X, 0, 0, 0),
        (_IF_AT_LEAST, 1, 0, 2),
        (RETURN, 0, 0, short),
        (LOAD_BYTE_AT_X, 0, 0, 1),
    ]
    for vrid in sorted(vrids):
        program += [(IF_EQUAL, 0, 1, vrid), (RETURN, 0, 0, listed)]
    return [*program, (RETURN, 0, 0, others)]
