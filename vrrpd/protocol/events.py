"""What can happen to a virtual router: facts, told by whoever drives it."""

from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class Startup:
    """Take part (RFC 9568 section 6.4.1)."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Take part, and go on as MASTER: the process that was it has died, and its addresses are still here."""

    silence: Centiseconds
    """How long it has not advertised."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Take part no longer. Said again, it means: now, whatever it costs."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Let others be master until `Undrain`."""


@dataclass(frozen=True, slots=True)
class Undrain:
    """Compete again."""


@dataclass(frozen=True, slots=True)
class Overslept:
    """This MASTER could not run, and did not advertise meanwhile. It is told before anything else that waited."""

    silence: Centiseconds
    """How long it has not advertised."""


@dataclass(frozen=True, slots=True)
class AdvertReceived:
    """An advert of this router's VRID and family arrived on its interface and was found valid."""

    source: IPAddress
    """The sender's primary address."""
    advert: Advert


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A timer that this router had set ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class PriorityChanged:
    """Tracking or health moved the priority that this router competes with."""

    priority: int
    """1-254, or 255 for an owner."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """What the interface can do now."""

    up: bool
    """It exists, has a carrier and a usable source address."""
    address: IPAddress | None = None
    """The interface's primary IPv4 or link-local IPv6 address; given while `up`."""
    reason: str = ""
    """Why it is not up, for people."""


@dataclass(frozen=True, slots=True)
class AddressesFailed:
    """The kernel refuses the virtual addresses, so packets to them would be lost here."""

    reason: str


@dataclass(frozen=True, slots=True)
class ParametersChanged:
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
