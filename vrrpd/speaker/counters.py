"""What a virtual router counts; the names are the keys of `vrrpd status --json`."""

from collections import Counter

from msgspec import Struct, field

from vrrpd.protocol.advert import DropReason
from vrrpd.protocol.effects import Anomaly, State


class Counters(Struct):
    """Counts since the speaker first heard of the router."""

    adverts_sent: int = 0
    adverts_received: int = 0
    adverts_failed: int = 0
    """Adverts that the kernel refused to send."""
    checksum_forms: Counter[str] = field(default_factory=Counter)
    """Adverts received, by `ChecksumForm`."""
    adverts_dropped: Counter[DropReason] = field(default_factory=Counter)
    anomalies: Counter[Anomaly] = field(default_factory=Counter)
    transitions: Counter[State] = field(default_factory=Counter)
    """Transitions by the state entered."""
    gratuitous_arp_sent: int = 0
    unsolicited_na_sent: int = 0
    addresses_restored: int = 0
    """Times that a virtual address was put back after somebody else had deleted it."""

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Plain values for JSON."""
        return {
            "adverts_sent": self.adverts_sent,
            "adverts_received": self.adverts_received,
            "adverts_failed": self.adverts_failed,
            "checksum_forms": {str(form): count for form, count in self.checksum_forms.items()},
            "adverts_dropped": {str(reason): count for reason, count in self.adverts_dropped.items()},
            "anomalies": {str(anomaly): count for anomaly, count in self.anomalies.items()},
            "transitions": {str(state): count for state, count in self.transitions.items()},
            "gratuitous_arp_sent": self.gratuitous_arp_sent,
            "unsolicited_na_sent": self.unsolicited_na_sent,
            "addresses_restored": self.addresses_restored,
        }
