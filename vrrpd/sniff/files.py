"""Capture files, by scapy: pcap and pcapng in, pcap with nanoseconds out, as Wireshark and tcpdump have them."""

import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapReader, RawPcapWriter

from vrrpd.sniff.packets import ETHERNET, Packet, knows

STANDARD_STREAM: Final = "-"
_SNAP_LENGTH: Final = 1 << 18


class CaptureError(RuntimeError):
    """Packets cannot be had, or not be written, any further; the message says why."""


class _Objections(logging.Handler):
    """What scapy finds wrong with a file: it warns, and reads no further."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Part of `logging.Handler`."""
        self.said.append(record.getMessage())


class _Stream:
    """A file that remembers whether it ended within what was asked for; scapy takes that for its end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.ended_within = False

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self.ended_within = 0 < len(data) < size
        return data

    def close(self) -> None:
        self._file.close()


def read(name: str) -> Iterator[Packet]:
    """The packets of a capture file, `-` for standard input, in its order.

    Raises:
        CaptureError: it cannot be opened, is no capture file, is of a link that has no IP, or ends within a packet;
            what came before was handed out.
    """
    objections = _Objections()
    log = logging.getLogger("scapy.runtime")
    before = log.handlers, log.propagate
    log.handlers, log.propagate = [objections], False
    try:
        yield from _read(name, objections)
    finally:
        log.handlers, log.propagate = before


def _read(name: str, objections: _Objections) -> Iterator[Packet]:
    try:
        reader: Any = RawPcapReader(sys.stdin.buffer if name == STANDARD_STREAM else name)
    except OSError as error:
        raise CaptureError(f"{name}: {error.strerror or error}") from error
    except Scapy_Exception as error:
        raise CaptureError(f"{name} is not a capture file: neither pcap nor pcapng") from error
    reader.f = stream = _Stream(reader.f)
    count = 0
    with reader:
        for data, about in _until_it_breaks(reader, objections):
            if objections.said:
                break
            count += 1
            link_type = int(about.linktype if hasattr(about, "linktype") else reader.linktype)
            if not knows(link_type):
                raise CaptureError(f"{name}: packet {count} is of link type {link_type}, which is not known here")
            interface = (getattr(about, "ifname", None) or b"").decode(errors="replace")
            yield Packet(_time_ns(reader, about), data, link_type, interface, about.wirelen)
    if objections.said or stream.ended_within:
        shown = "; what came before is shown" if count else ""
        raise CaptureError(f"{name} is cut off or damaged within packet {count + 1}{shown}")


def _until_it_breaks(reader: Any, objections: _Objections) -> Iterator[tuple[bytes, Any]]:
    try:
        yield from reader
    except (Scapy_Exception, OSError) as error:
        objections.said.append(str(error))


def _time_ns(reader: Any, about: Any) -> int:
    if hasattr(about, "usec"):
        return int(about.sec) * 10**9 + int(about.usec) * (1 if reader.nano else 1000)
    if about.tshigh is None:  # a simple packet block has no time
        return 0
    return (int(about.tshigh) << 32 | int(about.tslow)) * 10**9 // int(about.tsresol)


class Writer:
    """Writes packets of one kind of link as they come, each at once; a context manager.

    Args:
        name: of the file, which is replaced; `-` for standard output.
        source: what is read meanwhile; None: no file.

    Raises:
        CaptureError: it cannot be written.
    """

    def __init__(self, name: str, source: str | None = None) -> None:
        if source is not None and STANDARD_STREAM not in {name, source}:
            with suppress(OSError):  # one of them is not there
                if Path(name).samefile(source):
                    raise CaptureError(f"{name} is what is read: writing it would destroy it; name another file")
        self._name = name
        self._link_type: int | None = None
        try:
            target = sys.stdout.buffer if name == STANDARD_STREAM else open(name, "wb")  # noqa: PTH123, SIM115
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror}") from error
        self._writer: Any = RawPcapWriter(target, nano=True, sync=True, snaplen=_SNAP_LENGTH)

    def write(self, packet: Packet) -> None:
        """Write one.

        Raises:
            CaptureError: it cannot be written, or is of another kind of link than those before.
        """
        try:
            self._head(packet.link_type)
            seconds, fraction = divmod(packet.time_ns, 10**9)
            self._writer.write_packet(packet.data, sec=seconds, usec=fraction, wirelen=packet.length)
        except OSError as error:
            raise CaptureError(f"{self._name}: {error.strerror}") from error

    def _head(self, link_type: int) -> None:
        if self._link_type is None:
            self._link_type = self._writer.linktype = link_type
            self._writer.write_header(None)
        elif self._link_type != link_type:
            both = f"{self._link_type} and {link_type}"
            raise CaptureError(f"{self._name}: a pcap file has packets of one link type, these are {both}")

    def close(self) -> None:
        """End the file; one without a packet is a capture file all the same."""
        try:
            self._head(ETHERNET if self._link_type is None else self._link_type)
            self._writer.flush()
            if self._name != STANDARD_STREAM:
                self._writer.close()
        except OSError as error:
            raise CaptureError(f"{self._name}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
