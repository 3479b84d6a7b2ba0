"""Who was master when, read from a capture with the sniffer's decoder."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

from msgspec import Struct

from benchmarks.failover.setting import VRID, Setting
from vrrpd.lan.capture import Frame
from vrrpd.protocol.advert import ChecksumForm
from vrrpd.sniff.packets import Discarded, Heard, Packet, Place, Sender, understand
from vrrpd.sniff.routers import Reign, Routers, time_with_two_masters

_CARP_SIZE: Final = 36
_CARP_HEAD: Final = 0x21
"""Version 2, type 1."""


class Mastership(Struct, frozen=True):
    """A stretch of time in which a router advertised."""

    router: str
    start: float
    """`time.monotonic()` seconds of its first advert."""
    last: float
    resigned: float | None
    interval: float
    """Seconds, as it said."""


class Adverts:
    """What a capture says of one virtual router.

    Args:
        frames: in their order.
        names: router by the address that its adverts come from.
        setting: which virtual router.
        carp: read CARP instead of VRRP.
    """

    def __init__(self, frames: Sequence[Frame], names: dict[str, str], setting: Setting, *, carp: bool) -> None:
        self._frames = frames
        self._setting = setting
        self.heard: list[tuple[float, str, int]] = []
        """Time, router and priority of each advert."""
        self.bad = 0
        """Adverts that a router discards."""
        routers = Routers()
        for frame in frames:
            if not frame.is_advert:
                continue
            outcome = _carp(frame, setting) if carp else understand(Packet(round(frame.time * 1e9), frame.data))
            if isinstance(outcome, Discarded):
                self.bad += 1
            if not isinstance(outcome, Heard) or outcome.virtual_router_id != VRID:
                continue
            routers.take(outcome)
            name = names.get(str(outcome.sender), str(outcome.sender))
            self.heard.append((outcome.time, name, outcome.priority))
        self._reigns = [reign for router in routers for reign in router.reigns]
        self.masterships = [
            Mastership(
                names.get(str(reign.sender), str(reign.sender)),
                reign.start,
                reign.last,
                reign.resigned,
                setting.advert_int,
            )
            for reign in sorted(self._reigns, key=lambda reign: reign.start)
        ]

    def last_of_others(self, router: str) -> float | None:
        """When somebody else advertised last."""
        return max((at for at, name, _ in self.heard if name != router), default=None)

    def announced(self, since: float) -> float | None:
        """When the virtual address was announced first; None: it was not."""
        address = self._setting.address
        times = (frame.time for frame in self._frames if frame.time >= since and str(frame.announces) == address)
        return next(times, None)

    def announcements(self, since: float, until: float) -> list[float]:
        """When it was announced."""
        address = self._setting.address
        return [
            frame.time for frame in self._frames if since <= frame.time <= until and str(frame.announces) == address
        ]

    def two_masters(self, since: float, until: float) -> float:
        """Seconds between these times in which two advertised."""
        clipped = [
            Reign(reign.sender, max(reign.start, since), min(reign.last, until))
            for reign in self._reigns
            if reign.last > since and reign.start < until
        ]
        return time_with_two_masters(clipped)


def _carp(frame: Frame, setting: Setting) -> Heard | None:
    """CARP's advert: version and type, vhid, advskew, length of authentication in words, demotion, advbase and more."""
    payload = frame.payload
    if len(payload) != _CARP_SIZE or payload[0] != _CARP_HEAD:
        return None
    return Heard(
        time=frame.time,
        place=Place(),
        sender=Sender(frame.source, frame.source_mac),
        version=2,
        virtual_router_id=payload[1],
        priority=max(1, 255 - payload[2]),
        interval=payload[5] + payload[2] / 256,
        addresses=(IPv4Address(setting.address),),
        checksum_form=ChecksumForm.MESSAGE,
    )
