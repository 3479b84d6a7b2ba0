"""What a port makes of packets that its filters let through."""

import asyncio
import errno
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import cast

import pytest

from vrrpd.net.adverts import AdvertSocket, Datagram, Packet
from vrrpd.protocol.advert import Family
from vrrpd.speaker.host import Host
from vrrpd.speaker.port import DATAGRAMS_AT_ONCE, WAITED_MAX, Listener, Port
from vrrpd.speaker.rate_limit import RateLimit

MASTER = IPv4Address("192.0.2.1")


class Strangers:
    """The part of an advert socket that hears them."""

    strangers = object()

    def __init__(self, vrids: list[int]) -> None:
        self.waiting = [Packet(MASTER, IPv4Address("224.0.0.18"), 255, bytes([0x31, vrid])) for vrid in vrids]

    def receive_stranger(self) -> Packet | None:
        return self.waiting.pop(0) if self.waiting else None

    def strangers_lost(self) -> int:
        return 0


class Loop:
    """One that is never run."""

    def remove_reader(self, _: object) -> None:
        """Part of an event loop."""

    def call_later(self, *_: object) -> None:
        """Part of an event loop."""


class Timers:
    """Those of a loop that is never run."""

    def deadline(self, *_: object) -> None:
        """Part of a speaker's timers."""


def test_adverts_that_came_before_the_filter_are_no_strangers() -> None:
    """The kernel queues from when the socket is opened on, and from before a router is added."""
    host = cast("Host", SimpleNamespace(kernel=None, rate_limit=RateLimit(), timers=Timers()))
    port = Port(cast("asyncio.AbstractEventLoop", Loop()), host, "eth0", Family.IPV4)
    port.listen({51: cast("Listener", object())}, frozenset())
    port._socket = cast("AdvertSocket", Strangers([51, 52, 51]))
    port._strangers_readable()
    assert (port.strangers.count, port.strangers.last_vrid) == (1, 52)


class Flood:
    """The part of an advert socket that hears them, faster than they are read."""

    def __init__(self) -> None:
        self.read = 0

    def receive(self) -> Datagram:
        self.read += 1
        return bytes.fromhex("45 ff70 c0000201 e0000012 3163640001640000 c0000264")


def test_a_flood_keeps_no_timer_waiting_for_more_than_the_receive_buffer_holds() -> None:
    host = cast("Host", SimpleNamespace(kernel=None, rate_limit=RateLimit(), timers=Timers()))
    port = Port(cast("asyncio.AbstractEventLoop", Loop()), host, "eth0", Family.IPV4)
    flood = Flood()
    port._socket = cast("AdvertSocket", flood)
    port.hear_what_waits()
    assert flood.read == DATAGRAMS_AT_ONCE


class Stamped:
    """The part of an advert socket that knows when the last packet came."""

    def __init__(self, since: float | None) -> None:
        self.since = since

    def waited(self) -> float | None:
        return self.since


@pytest.mark.parametrize(
    ("came_before", "waited"),
    [
        (0.0005, 0.0005),
        (0.0, 0.0),
        (-0.0005, 0.0),  # another packet has come since
        (WAITED_MAX * 2, 0.0),
        (3600.0, 0.0),  # the date was moved
        (-3600.0, 0.0),
        (None, 0.0),
    ],
)
def test_how_long_an_advert_had_waited_is_believed_when_it_is_plausible(
    monkeypatch: pytest.MonkeyPatch, came_before: float | None, waited: float
) -> None:
    host = cast("Host", SimpleNamespace(kernel=None, rate_limit=RateLimit(), timers=Timers()))
    port = Port(cast("asyncio.AbstractEventLoop", Loop()), host, "eth0", Family.IPV4)
    heard_at, now = 1000.0, 1000.25
    since = None if came_before is None else now - (heard_at - came_before)
    port._socket = cast("AdvertSocket", Stamped(since))
    monkeypatch.setattr("vrrpd.speaker.port.time.monotonic", lambda: now)
    assert port.waited(heard_at) == pytest.approx(waited, abs=1e-9)


def test_a_socket_that_cannot_be_had_is_tried_again_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often one looks at the interface meanwhile; and no more once the port is closed."""
    waiting: list[object] = []

    def call_later(*_: object) -> SimpleNamespace:
        waiting.append(SimpleNamespace(cancel=waiting.clear))
        return cast("SimpleNamespace", waiting[-1])

    loop = SimpleNamespace(call_later=call_later)
    link = SimpleNamespace(index=1, name="eth0", up=True)

    def refuse(*_: object) -> AdvertSocket:
        raise OSError(errno.EMFILE, "too many open files")

    monitor = SimpleNamespace(link=lambda _: link, source_address=lambda *_: MASTER)
    kernel = SimpleNamespace(monitor=monitor)
    host = cast("Host", SimpleNamespace(kernel=kernel, rate_limit=RateLimit(), timers=Timers()))
    port = Port(cast("asyncio.AbstractEventLoop", loop), host, "eth0", Family.IPV4)
    monkeypatch.setattr("vrrpd.speaker.port.AdvertSocket", refuse)
    for _ in range(10):
        port.look_at_interface()
    assert len(waiting) == 1
    port._try_again()
    assert len(waiting) == 2
    port.close()
    assert waiting == []
