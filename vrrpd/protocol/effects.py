"""What a virtual router wants done: imperatives, carried out in order by whoever drives it."""

from enum import StrEnum

from msgspec import Struct

from vrrpd.protocol.advert import Advert, IPAddress
from vrrpd.protocol.events import Timer
from vrrpd.protocol.timing import Centiseconds


class State(StrEnum):
    """RFC 9568 section 6.3 (which says Active for MASTER), and what operators need beyond it."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"
    """It should take part and cannot."""
    YIELDING = "YIELDING"
    """It advertises no longer, and answers for the addresses until its successor has told the link."""
    DRAINED = "DRAINED"
    """It is a BACKUP that never takes over, because an operator said so."""

    @property
    def shown(self) -> "State":
        """The one of the first four that people and scripts are told: who holds addresses is their MASTER."""
        return _SHOWN.get(self, self)


_SHOWN = {State.YIELDING: State.MASTER, State.DRAINED: State.BACKUP}


class Anomaly(StrEnum):
    """What a valid advert shows to be wrong between routers; counted, and logged at a limited rate."""

    INTERVAL_DIFFERS = "interval_differs"
    ADDRESSES_DIFFER = "addresses_differ"
    ANOTHER_OWNER = "another_owner"
    CONFLICTING_MASTER = "conflicting_master"
    DUPLICATE_SOURCE = "duplicate_source"


class SendAdvert(Struct, frozen=True):
    """Send an advert to the group, or to each unicast peer."""

    priority: int
    """0 resigns."""


class SetTimer(Struct, frozen=True):
    """Start the timer, or start it anew; `TimerExpired` is owed when `delay` has passed."""

    timer: Timer
    delay: Centiseconds


class CancelTimer(Struct, frozen=True):
    """Stop the timer; no `TimerExpired` is owed any more."""

    timer: Timer


class AddAddresses(Struct, frozen=True):
    """Put these virtual addresses on their interface."""

    addresses: tuple[IPAddress, ...]


class RemoveAddresses(Struct, frozen=True):
    """Take these virtual addresses off their interface, if they are there."""

    addresses: tuple[IPAddress, ...]


class Announce(Struct, frozen=True):
    """Tell the link, by gratuitous ARP or unsolicited NA, that these addresses are here."""

    addresses: tuple[IPAddress, ...]


class Reannounce(Struct, frozen=True):
    """Announce the addresses that were announced before again: another master may have told the link otherwise."""

    at_once: bool = False
    """It has just let go of them, so that nobody answers who still looks for them there."""


class ReportTransition(Struct, frozen=True):
    """Tell people and scripts."""

    before: State
    after: State
    reason: str


class ReportAnomaly(Struct, frozen=True):
    """Count it, and tell people now and then."""

    anomaly: Anomaly
    source: IPAddress
    advert: Advert


Effect = (
    SendAdvert
    | SetTimer
    | CancelTimer
    | AddAddresses
    | RemoveAddresses
    | Announce
    | Reannounce
    | ReportTransition
    | ReportAnomaly
)
