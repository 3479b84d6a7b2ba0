"""From the first packet to the summary."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from msgspec import Struct
from rich.console import Console

from vrrpd import __version__
from vrrpd.sniff.files import CaptureError, Writer, read
from vrrpd.sniff.live import LiveCapture
from vrrpd.sniff.packets import Packet, understand
from vrrpd.sniff.routers import Routers
from vrrpd.sniff.view import Lines, Picture, Silent, View, as_dict, summary

_LOOK = 0.25
"""Seconds without a packet after which the picture changes all the same: somebody is silent."""


_PIPE_WIDTH = 1000
"""Columns where there is no terminal: a program that reads lines wants them whole."""


class Wish(Struct, frozen=True):
    """What is asked for."""

    interface: str | None = None
    """None: every Ethernet interface."""
    read: str | None = None
    """A file instead."""
    write: str | None = None
    """A file for every packet of VRRP, ARP and neighbour advertisement that comes."""
    seconds: float | None = None
    """How long; None: until told to stop."""
    json: bool = False


def sniff(wish: Wish, stopped: Callable[[], bool]) -> None:
    """Show what comes, and in the end all of it.

    Args:
        wish: what to do.
        stopped: whether to come to an end; asked several times a second.

    Raises:
        CaptureError: packets cannot be had or written any more; what came before has been shown.
    """
    # Where packets go to standard output, words go elsewhere.
    console = Console(highlight=False, stderr=wish.write == "-")
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    session = _Session(wish, console, stopped)
    try:
        session.run()
    except CaptureError:
        if session.packets:
            session.sum_up()
        raise
    session.sum_up()


class _Session:
    """What was heard so far."""

    def __init__(self, wish: Wish, console: Console, stopped: Callable[[], bool]) -> None:
        self._wish = wish
        self._console = console
        self._stopped = stopped
        self._routers = Routers()
        self.packets = 0
        self._first: float | None = None
        self._now = 0.0

    def run(self) -> None:
        """Until the packets end."""
        wish = self._wish
        with ExitStack() as stack:
            if wish.read is not None:
                packets = self._until_stopped(read(wish.read))
            else:
                capture = stack.enter_context(LiveCapture(wish.interface))
                packets = self._live(capture)
            writer = stack.enter_context(Writer(wish.write, wish.read)) if wish.write is not None else None
            view = self._view()
            stack.enter_context(view.shown())
            for packet in packets:
                if packet is not None:
                    self._take(packet, writer, view)
                view.refresh(self._now)

    def _view(self) -> View:
        if self._wish.json:
            return Silent()
        if self._console.is_terminal and self._wish.read is None:
            return Picture(self._console, self._routers, f"listening on {self._wish.interface or 'every interface'}")
        return Lines(self._console)

    def _until_stopped(self, packets: Iterator[Packet]) -> Iterator[Packet | None]:
        for packet in packets:
            if self._stopped():
                return
            yield packet

    def _live(self, capture: LiveCapture) -> Iterator[Packet | None]:
        """Packets, and None now and then."""
        until = time.monotonic() + self._wish.seconds if self._wish.seconds is not None else float("inf")
        while not self._stopped() and (left := until - time.monotonic()) > 0:
            yield from capture.packets(min(_LOOK, left))
            self._now = time.time()
            yield None

    def _take(self, packet: Packet, writer: Writer | None, view: View) -> None:
        self.packets += 1
        self._now = packet.time
        self._first = packet.time if self._first is None else self._first
        if writer is not None:
            writer.write(packet)
        outcome = understand(packet)
        if outcome is not None:
            view.tell(self._routers.take(outcome))

    def sum_up(self) -> None:
        """Show all of it."""
        if self._wish.json:
            self._console.print(json.dumps(self._about() | as_dict(self._routers, self._now), indent=2), soft_wrap=True)
        else:
            self._console.print(summary(self._routers, self._now))

    def _about(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "interface": self._wish.interface,
            "file": self._wish.read,
            "packets": self.packets,
            "seconds": self._now - self._first if self._first is not None else 0.0,
        }


__all__ = ["CaptureError", "Wish", "sniff"]
