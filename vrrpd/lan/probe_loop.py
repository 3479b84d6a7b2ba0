"""What every probing process has in common: its loop, its records, and a socket that the kernel stamps.

A record tells of one probe that was sent, or of one answer:

    u64 sequence number | u64 who answered, 0: the probe was sent | f64 time.monotonic()

Who answered: the hardware address in the lower 48 bits, the TTL or hop limit of the answer above them.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from vrrpd.net.filters import Instruction, attach

RECORD: Final = struct.Struct("=QQd")
_TIMESPEC: Final = struct.Struct("@ll")
_SO_TIMESTAMPNS: Final = 35
_FLUSH_INTERVAL: Final = 0.02
"""Seconds between writes to the watching process."""
_LINGER: Final = 0.1
"""Seconds to wait for the last answers."""


class ProbeLoop(ABC):
    """The probing process: one loop that sends when it is time and takes answers in between.

    Args:
        receiver: what answers come by; `select` looks at it.
    """

    def __init__(self, receiver: socket.socket) -> None:
        self.receiver = receiver
        self.stopped = False
        self._records = bytearray()
        self._sequence = 0
        self._unanswered = 0

    @abstractmethod
    def send(self, sequence: int) -> None:
        """Send a probe.

        Raises:
            OSError: it cannot be sent; it counts as one without an answer.
        """

    @abstractmethod
    def answers(self) -> Iterator[tuple[int, int, float]]:
        """The answers that have come: sequence number, who answered, `time.monotonic()` seconds at which."""

    def run(self, interval: float) -> None:
        """Probe until `stopped`; `interval` in seconds."""
        due = flush_at = time.monotonic()
        while not self.stopped:
            now = time.monotonic()
            if now >= due:
                self._send(now)
                due += interval * max(1, -(-(now - due) // interval))
            if now >= flush_at:
                self._flush()
                flush_at = now + _FLUSH_INTERVAL
            if select.select([self.receiver], [], [], max(0.0, due - time.monotonic()))[0]:
                self._receive()
        until = time.monotonic() + _LINGER
        while self._unanswered and (left := until - time.monotonic()) > 0:
            if select.select([self.receiver], [], [], left)[0]:
                self._receive()
        self._flush()

    def _send(self, now: float) -> None:
        self._records += RECORD.pack(self._sequence, 0, now)
        self._sequence += 1
        try:
            self.send(self._sequence - 1)
        except OSError:  # no route, link down: a probe without an answer
            return
        self._unanswered += 1

    def _receive(self) -> None:
        for sequence, answerer, at in self.answers():
            self._records += RECORD.pack(sequence, answerer, at)
            self._unanswered -= 1

    def _flush(self) -> None:
        if self._records:
            os.write(sys.stdout.fileno(), self._records)
            self._records.clear()


def packet_receiver(ethertype: int, accept: list[Instruction]) -> socket.socket:
    """A socket for the IP packets that classic BPF lets through.

    It sees the sender's hardware address, and when the frame arrived rather than when this process woke up.
    """
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ethertype))
    attach(receiver, accept)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:  # what came before the filter did
            receiver.recv(1)
    return receiver


def arrived(receiver: socket.socket) -> Iterator[tuple[bytes, int, float]]:
    """Each packet that came by a `packet_receiver`, from its IP header on; who sent it; when, by the kernel."""
    offset = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
    while True:
        try:
            packet, ancillary, _, address = receiver.recvmsg(128, 64)
        except BlockingIOError:
            return
        hops = packet[8] if packet[0] >> 4 == 4 else packet[7]
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
        yield packet, hops << 48 | int.from_bytes(address[4], "big"), seconds + nanoseconds * 1e-9 - offset


def probe_until_told(loop: ProbeLoop, interval: float) -> None:
    """Run the loop until SIGTERM."""

    def stop(_number: int, _frame: object) -> None:
        loop.stopped = True

    signal.signal(signal.SIGTERM, stop)
    gc.disable()  # nothing here makes cycles, and a collection is a pause
    loop.run(interval)
