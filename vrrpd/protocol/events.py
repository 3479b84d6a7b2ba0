"""What can happen to a virtual router: facts, told by whoever drives it."""

from enum import StrEnum

from msgspec import Struct

from vrrpd.protocol.advert import Advert, IPAddress
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import Centiseconds


class Timer(StrEnum):
    """The clocks of one virtual router. A router asks for them by effect and is told when one ran out."""

    ADVER = "adver"
    """MASTER: the next advert is due (Adver_Timer)."""
    ACTIVE_DOWN = "active_down"
    """BACKUP: the master has been silent too long (Active_Down_Timer)."""
    PREEMPT_DELAY = "preempt_delay"
    """BACKUP: a master of lower priority has been tolerated long enough."""
    RECOVERY = "recovery"
    """FAULT: the cause has been gone, or left to itself, long enough to try again."""
    RELEASE = "release"
    """YIELDING: a successor has had the time to tell the link, or there is none."""
    REANNOUNCE = "reannounce"
    """MASTER: the predecessor, which answered until its release, does so no longer."""


class Startup(Struct, frozen=True):
    """Take part (RFC 9568 section 6.4.1)."""


class Resume(Struct, frozen=True):
    """Take part, and go on as MASTER: the process that was it has died, and its addresses are still here."""

    silence: Centiseconds
    """How long it has not advertised."""


class Shutdown(Struct, frozen=True):
    """Take part no longer. Said again, it means: now, whatever it costs."""


class Drain(Struct, frozen=True):
    """Let others be master until `Undrain`."""


class Undrain(Struct, frozen=True):
    """Compete again."""


class Overslept(Struct, frozen=True):
    """This MASTER could not run, and did not advertise meanwhile. It is told before anything else that waited."""

    silence: Centiseconds
    """How long it has not advertised."""


class AdvertReceived(Struct, frozen=True):
    """An advert of this router's VRID and family arrived on its interface and was found valid."""

    source: IPAddress
    """The sender's primary address."""
    advert: Advert


class TimerExpired(Struct, frozen=True):
    """A timer that this router had set ran out."""

    timer: Timer


class PriorityChanged(Struct, frozen=True):
    """Tracking or health moved the priority that this router competes with."""

    priority: int
    """1-254, or 255 for an owner."""


class LinkChanged(Struct, frozen=True):
    """What the interface can do now."""

    up: bool
    """It exists, has a carrier and a usable source address, and nothing else is missing that the router needs."""
    address: IPAddress | None = None
    """The interface's primary IPv4 or link-local IPv6 address; given while adverts can be sent from it."""
    reason: str = ""
    """Why it is not up, for people."""


class AddressesFailed(Struct, frozen=True):
    """The kernel refuses the virtual addresses, so packets to them would be lost here."""

    reason: str


class ParametersChanged(Struct, frozen=True):
    """A new configuration of the same router (same VRID, family and interface)."""

    parameters: Parameters


Event = (
    Startup
    | Resume
    | Shutdown
    | Drain
    | Undrain
    | Overslept
    | AdvertReceived
    | TimerExpired
    | PriorityChanged
    | LinkChanged
    | AddressesFailed
    | ParametersChanged
)
