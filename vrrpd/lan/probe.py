"""A client that pings an address every millisecond, and what it says about outages.

The probes are sent and answered in a process of their own (this module, run as a program on the client), so that nothing
which the watching process does can delay them. It writes the records of `probe_loop`, which `Prober` reads.

A probe goes out when its time has come or, on a busy machine, later: then the slots that were missed are left out. So
no probe is ever counted that was not sent, and `Outage.resolution` tells how far apart the probes at an edge really were.
"""

import argparse
import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fcntl import F_SETPIPE_SZ, fcntl
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from vrrpd.lan.probe_loop import RECORD, ProbeLoop, arrived, packet_receiver, probe_until_told
from vrrpd.net.filters import Instruction, attach
from vrrpd.protocol.advert import ones_complement_sum

if TYPE_CHECKING:
    from vrrpd.lan.hosts import Host

_ECHO: Final = struct.Struct("!BBHHHQ")  # type, code, checksum, identifier, sequence, then the whole sequence number
_START_TIMEOUT: Final = 10.0
"""Seconds in which the first probe must have been sent."""


class _Protocol(Struct, frozen=True):
    """How one family echoes: numbers, and where the answer is in a packet that starts with the IP header."""

    family: socket.AddressFamily
    protocol: int
    ethertype: int
    echo_request: int
    echo_payload: int
    """Offset of the whole sequence number; IPv4 options never occur in answers to packets that had none."""
    answers: tuple[Instruction, ...]
    """Classic BPF that lets echo replies through; the identifier to compare with is appended."""


_IPV4: Final = _Protocol(
    family=socket.AF_INET,
    protocol=socket.IPPROTO_ICMP,
    ethertype=0x0800,
    echo_request=8,
    echo_payload=28,
    answers=((0x30, 0, 0, 9), (0x15, 0, 5, 1), (0x30, 0, 0, 20), (0x15, 0, 3, 0), (0x28, 0, 0, 24)),
)
_IPV6: Final = _Protocol(
    family=socket.AF_INET6,
    protocol=socket.IPPROTO_ICMPV6,
    ethertype=0x86DD,
    echo_request=128,
    echo_payload=48,
    answers=((0x30, 0, 0, 6), (0x15, 0, 5, 58), (0x30, 0, 0, 40), (0x15, 0, 3, 129), (0x28, 0, 0, 44)),
)


class Probe(Struct, frozen=True):
    """One echo request."""

    sent_at: float
    answered_at: float | None
    """When the answer reached the client's interface; None: it has not, yet or ever."""
    answered_by: str | None
    """The hardware address that the answer came from, which tells the router that serves the address."""
    hops: int | None = None
    """TTL or hop limit of the answer, which tells routers apart that share a hardware address."""


class Outage(Struct, frozen=True):
    """Consecutive probes without an answer."""

    start: float
    """When the last probe that was answered had been sent."""
    end: float | None
    """When the next probe that was answered was sent; None: none was."""
    last_sent: float
    """When the last probe of the outage was sent."""
    lost: int
    """Probes without an answer."""
    resolution: float
    """Seconds that the two edges may be off together: the distance between the probes there, added up."""

    @property
    def seconds(self) -> float:
        """From the last answered probe to the next answered one, or so far."""
        return (self.last_sent if self.end is None else self.end) - self.start

    @property
    def milliseconds(self) -> float:
        """The same in milliseconds."""
        return self.seconds * 1000


class ProbeResult(Struct, frozen=True):
    """What the client saw in some stretch of time."""

    probes: tuple[Probe, ...]
    interval: float
    """Seconds between probes, as asked for."""

    @property
    def lost(self) -> int:
        """Probes that never had an answer."""
        return sum(probe.answered_at is None for probe in self.probes)

    @property
    def longest_pause(self) -> float:
        """The longest time in seconds between two probes: the prober's own lateness shows here."""
        return max(
            (after.sent_at - before.sent_at for before, after in zip(self.probes, self.probes[1:], strict=False)),
            default=0.0,
        )

    def outages(self, patience: float = inf) -> list[Outage]:
        """Every stretch of unanswered probes after the first answered one.

        Args:
            patience: seconds after which an answer counts as none. A probe that waited in a queue until somebody
                answered ARP is answered at last, but its sender did not have the service.
        """
        found: list[Outage] = []
        last_good: Probe | None = None
        missing: list[Probe] = []
        for probe in self.probes:
            if probe.answered_at is None or probe.answered_at - probe.sent_at > patience:
                missing.append(probe)
                continue
            if last_good and missing:
                found.append(_outage(last_good, missing, probe))
            last_good, missing = probe, []
        if last_good and missing:
            found.append(_outage(last_good, missing, None))
        return found

    def longest_outage(self, patience: float = inf) -> float:
        """Seconds of the longest outage; 0: nothing was lost."""
        return max((outage.seconds for outage in self.outages(patience)), default=0.0)


def _outage(before: Probe, missing: list[Probe], after: Probe | None) -> Outage:
    first_gap = missing[0].sent_at - before.sent_at
    last_gap = after.sent_at - missing[-1].sent_at if after else 0.0
    return Outage(
        start=before.sent_at,
        end=after.sent_at if after else None,
        last_sent=missing[-1].sent_at,
        lost=len(missing),
        resolution=first_gap + last_gap,
    )


class Prober:
    """Pings an address from a host until stopped; a context manager that starts and stops the process.

    Args:
        host: the client.
        address: IPv4 or IPv6 address to ping.
        interval: seconds between probes.
        program: the probing process, if not this module; it gets the address and `--interval=` and writes such records.

    Raises:
        RuntimeError: the probing process failed to start; the message has its last words.
    """

    def __init__(
        self, host: "Host", address: str, *, interval: float = 0.001, program: Sequence[str] = ("vrrpd.lan.probe",)
    ) -> None:
        self.interval = interval
        self._changed = threading.Condition()
        self._sent = array("d")
        self._answered = array("d")  # infinity: not answered
        self._answered_by = array("Q")
        self._last_answer = -1
        self._first = 0
        self._process = host.popen(
            [sys.executable, "-m", *program, address, f"--interval={interval}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        fcntl(self._pipe, F_SETPIPE_SZ, 1 << 20)
        self._reader = threading.Thread(target=self._read, name="probe-reader", daemon=True)
        self._reader.start()
        with self._changed:
            started = self._changed.wait_for(lambda: self._sent or not self._reader.is_alive(), _START_TIMEOUT)
        if not (started and self._sent):
            self.stop()
            assert self._process.stderr is not None
            raise RuntimeError(f"the prober did not start: {self._process.stderr.read().decode(errors='replace')}")

    def _read(self) -> None:
        remainder = b""
        while chunk := os.read(self._pipe, 1 << 16):
            data = remainder + chunk
            whole = len(data) - len(data) % RECORD.size
            remainder = data[whole:]
            with self._changed:
                for sequence, answerer, at in RECORD.iter_unpack(data[:whole]):
                    self._record(sequence, answerer, at)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _record(self, sequence: int, answerer: int, at: float) -> None:
        if not answerer:
            self._sent.append(at)
            self._answered.append(inf)
            self._answered_by.append(0)
        elif self._answered[sequence] == inf:  # else two routers answered, and the first counts
            self._answered[sequence] = at
            self._answered_by[sequence] = answerer
            self._last_answer = max(self._last_answer, sequence)

    def _probe(self, index: int) -> Probe:
        answered_at = self._answered[index]
        if answered_at == inf:
            return Probe(self._sent[index], None, None)
        hops, mac = divmod(self._answered_by[index], 1 << 48)
        return Probe(self._sent[index], answered_at, mac.to_bytes(6, "big").hex(":"), hops)

    @property
    def latest(self) -> Probe:
        """The probe that was sent last; its answer may be on its way still."""
        with self._changed:
            return self._probe(len(self._sent) - 1)

    @property
    def latest_answered(self) -> Probe | None:
        """The last probe that was answered; None: no probe was yet."""
        with self._changed:
            return self._probe(self._last_answer) if self._last_answer >= 0 else None

    def wait_answered(self, timeout: float, since: float | None = None) -> Probe:
        """Wait until a probe that was sent after `since` (by default: now) has been answered.

        Raises:
            TimeoutError: none was within `timeout` seconds.
        """
        after = time.monotonic() if since is None else since
        with self._changed:
            answered = self._changed.wait_for(
                lambda: self._last_answer >= 0 and self._sent[self._last_answer] >= after, timeout
            )
            if not answered:
                raise TimeoutError(f"nothing answered the probes in {timeout} s")
            return self._probe(self._last_answer)

    def result(self, since: float = -inf, until: float = inf) -> ProbeResult:
        """The probes that were sent between two times. While probing goes on, the last ones are not answered yet."""
        with self._changed:
            chosen = range(bisect_left(self._sent, since), bisect_left(self._sent, until))
            probes = tuple(map(self._probe, chosen))
        return ProbeResult(probes, self.interval)

    def pause(self) -> None:
        """Send nothing until `resume`, so that nobody's processor is taken meanwhile."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop probing and collect the last answers."""
        self.resume()
        self._process.send_signal(signal.SIGTERM)
        self._reader.join()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


# The program on the client


class _Pinger(ProbeLoop):
    """Echo requests."""

    def __init__(self, address: str) -> None:
        self._address = (address, 0)
        self._protocol = _IPV6 if ipaddress.ip_address(address).version == 6 else _IPV4
        self._identifier = os.getpid() & 0xFFFF
        self._sender = socket.socket(self._protocol.family, socket.SOCK_RAW, self._protocol.protocol)
        self._sender.setblocking(False)
        attach(self._sender, [(0x06, 0, 0, 0)])  # answers come by the other socket
        accept = ((0x15, 0, 1, self._identifier), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
        super().__init__(packet_receiver(self._protocol.ethertype, [*self._protocol.answers, *accept]))

    def send(self, sequence: int) -> None:
        """Part of `ProbeLoop`."""
        request = self._protocol.echo_request
        fields = (self._identifier, sequence & 0xFFFF, sequence)
        packet = _ECHO.pack(request, 0, 0, *fields)
        if self._protocol is _IPV4:  # the kernel does it for ICMPv6
            packet = _ECHO.pack(request, 0, ~ones_complement_sum(packet) & 0xFFFF, *fields)
        self._sender.sendto(packet, self._address)

    def answers(self) -> Iterator[tuple[int, int, float]]:
        """Part of `ProbeLoop`."""
        for packet, answerer, at in arrived(self.receiver):
            yield int.from_bytes(packet[self._protocol.echo_payload :][:8], "big"), answerer, at


def main() -> None:
    """Probe until SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("address")
    parser.add_argument("--interval", type=float, default=0.001, help="seconds between probes")
    arguments = parser.parse_args()
    probe_until_told(_Pinger(arguments.address), arguments.interval)


if __name__ == "__main__":
    main()
