"""Probes of UDP, of TCP connections and of one established TCP flow, as programs on the client.

    python -m benchmarks.failover.transport {udp,connect,flow} ADDRESS --interval=SECONDS

Each writes the records of `vrrpd.lan.probe_loop`. Answers of `udp` and `connect` are stamped by the kernel; those of
`flow` when this program has read them, and who answered is then the number of the connection, so that one sees whether
it survived.
"""

import argparse
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.failover.echo import CONNECT_PORT, FLOW_PORT, UDP_PORT
from vrrpd.lan.probe_loop import ProbeLoop, arrived, packet_receiver, probe_until_told
from vrrpd.net.filters import (
    IF_EQUAL,
    LOAD_BYTE,
    LOAD_HALF,
    NOTHING,
    RETURN,
    Instruction,
    attach,
)
from vrrpd.protocol.advert import ones_complement_sum

_SEQUENCE: Final = struct.Struct("!Q")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_SYN: Final = 0x02
_SYN_ACK: Final = 0x12
_FIRST_PORT: Final = 20_000
_PORTS: Final = 40_000
_IPV6_CHECKSUM: Final = 7
_RETRY: Final = 0.05
"""Seconds after which a connection that is not there yet is tried anew."""


class _Wire:
    """Where things are in a packet of one family."""

    def __init__(self, address: str) -> None:
        self.version = ipaddress.ip_address(address).version
        self.family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        self.ethertype = 0x0800 if self.version == 4 else 0x86DD
        self.protocol_at = 9 if self.version == 4 else 6
        self.header = 20 if self.version == 4 else 40

    def only(self, protocol: int, port: int, *more: tuple[int, int, int]) -> list[Instruction]:
        """Let through what comes from that port; `more`: load instruction, offset after the IP header, value."""
        tests = [(LOAD_BYTE, self.protocol_at, protocol), (LOAD_HALF, self.header, port)]
        tests += [(load, self.header + at, value) for load, at, value in more]
        program: list[Instruction] = []
        for number, (load, at, value) in enumerate(tests):
            program += [(load, 0, 0, at), (IF_EQUAL, 0, 2 * (len(tests) - number - 1) + 1, value)]
        return [*program, (RETURN, 0, 0, 0xFFFF), (RETURN, 0, 0, 0)]


class Udp(ProbeLoop):
    """Datagrams with a number, which come back."""

    def __init__(self, address: str) -> None:
        self._wire = _Wire(address)
        self._address = (address, UDP_PORT)
        self._sender = socket.socket(self._wire.family, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        attach(self._sender, NOTHING)  # answers come by the other socket
        super().__init__(packet_receiver(self._wire.ethertype, self._wire.only(socket.IPPROTO_UDP, UDP_PORT)))

    def send(self, sequence: int) -> None:
        """Part of `ProbeLoop`."""
        self._sender.sendto(_SEQUENCE.pack(sequence), self._address)

    def answers(self) -> Iterator[tuple[int, int, float]]:
        """Part of `ProbeLoop`."""
        for packet, answerer, at in arrived(self.receiver):
            yield _SEQUENCE.unpack_from(packet, self._wire.header + 8)[0], answerer, at


class Connect(ProbeLoop):
    """SYNs from ever new ports; the SYN-ACK is the answer, and this kernel, which knows no such connection, resets it.

    So a probe is what connect() waits for, without its retransmissions, and leaves nothing behind on either side.
    """

    def __init__(self, address: str) -> None:
        self._wire = _Wire(address)
        self._address = (address, 0)
        with socket.socket(self._wire.family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, CONNECT_PORT))
            source = ipaddress.ip_address(asked.getsockname()[0])
        self._pseudo_header = source.packed + ipaddress.ip_address(address).packed + struct.pack("!HH", 6, _TCP.size)
        self._sender = socket.socket(self._wire.family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._sender.setblocking(False)
        if self._wire.version == 6:
            self._sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, 16)
        attach(self._sender, NOTHING)
        answers = self._wire.only(socket.IPPROTO_TCP, CONNECT_PORT, (LOAD_BYTE, 13, _SYN_ACK))
        super().__init__(packet_receiver(self._wire.ethertype, answers))

    def send(self, sequence: int) -> None:
        """Part of `ProbeLoop`."""
        port = _FIRST_PORT + sequence % _PORTS
        fields = (port, CONNECT_PORT, sequence, 0, _TCP.size // 4 << 4, _SYN, 0xFFFF)
        segment = _TCP.pack(*fields, 0, 0)
        if self._wire.version == 4:  # the kernel does it for IPv6
            checksum = ~ones_complement_sum(self._pseudo_header + segment) & 0xFFFF
            segment = _TCP.pack(*fields, checksum, 0)
        self._sender.sendto(segment, self._address)

    def answers(self) -> Iterator[tuple[int, int, float]]:
        """Part of `ProbeLoop`: the acknowledgement is the number that was sent, and one."""
        for packet, answerer, at in arrived(self.receiver):
            yield struct.unpack_from("!I", packet, self._wire.header + 8)[0] - 1, answerer, at


class Flow(ProbeLoop):
    """Numbers in one TCP connection, which come back; one that breaks is made anew at once."""

    def __init__(self, address: str) -> None:
        self._wire = _Wire(address)
        self._address = (address, FLOW_PORT)
        self._nothing = socket.socket(self._wire.family, socket.SOCK_DGRAM)
        self._connection: socket.socket | None = None
        self._established = False
        self._number = 0
        self._since = 0.0
        self._remainder = b""
        super().__init__(self._nothing)

    def send(self, sequence: int) -> None:
        """Part of `ProbeLoop`."""
        if self._connection is None:
            self._connect()
        assert self._connection is not None
        if not self._established:
            self._look()
        try:
            self._connection.send(_SEQUENCE.pack(sequence))
        except BlockingIOError:
            raise
        except OSError:
            self._drop()
            raise

    def _connect(self) -> None:
        self._connection = self.receiver = socket.socket(self._wire.family, socket.SOCK_STREAM)
        self._connection.setblocking(False)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._since = time.monotonic()
        self._remainder = b""
        try:
            self._connection.connect(self._address)
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            raise

    def _look(self) -> None:
        """Whether the connection has come about; a probe cannot be sent before it has."""
        assert self._connection is not None
        try:
            self._connection.getpeername()
        except OSError:
            if time.monotonic() - self._since > _RETRY or self._connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_ERROR
            ):
                self._drop()
            raise
        self._established = True
        self._number += 1

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._established = False
        self.receiver = self._nothing

    def answers(self) -> Iterator[tuple[int, int, float]]:
        """Part of `ProbeLoop`."""
        if self._connection is None:
            return
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        now = self._since = time.monotonic()
        data = self._remainder + data
        whole = len(data) - len(data) % _SEQUENCE.size
        self._remainder = data[whole:]
        for (sequence,) in _SEQUENCE.iter_unpack(data[:whole]):
            yield sequence, self._number, now


KINDS: Final[dict[str, type[Udp] | type[Connect] | type[Flow]]] = {"udp": Udp, "connect": Connect, "flow": Flow}


def main() -> None:
    """Probe until SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("address")
    parser.add_argument("--interval", type=float, default=0.001, help="seconds between probes")
    arguments = parser.parse_args()
    probe_until_told(KINDS[arguments.kind](arguments.address), arguments.interval)


if __name__ == "__main__":
    main()
