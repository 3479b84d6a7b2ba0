"""What all routers of a speaker share on this host."""

from msgspec import Struct

from vrrpd.ledger import Ledger
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.lease import Lease
from vrrpd.speaker.pacer import Pacer
from vrrpd.speaker.rate_limit import RateLimit
from vrrpd.speaker.timers import Timers


class Host(Struct, frozen=True):
    """The kernel's sockets, the clock, the pace of announcements, who was told what, and what outlives us."""

    kernel: Kernel
    timers: Timers
    pacer: Pacer
    rate_limit: RateLimit
    ledger: Ledger
    lease: Lease
