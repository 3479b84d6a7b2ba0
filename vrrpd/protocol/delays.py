"""How long a router waits where the RFC has no timer for it."""

from vrrpd.protocol.timing import Centiseconds, skew_time

ADDRESSES_RETRY_DELAY = Centiseconds(500)
ADDRESSES_RETRY_DELAY_MAX = Centiseconds(60000)
"""How long a router whose addresses were refused stays in FAULT; doubled each time, since each try takes the addresses
away from a master that holds them."""

ADVERTS_UNTIL_SOUND = 4
"""Adverts after which a MASTER is taken to have its addresses and a voice: a peer has not so much patience."""

RELEASE_DELAY = Centiseconds(5)
"""How long a master that has heard a better one goes on to answer: the other needs it to add and announce its addresses
(keepalived 2.2 was seen to need 0.3 ms for one address, 10 for 200)."""
HANDOVER_DELAY = Centiseconds(20)
"""The same for one that resigned. 255 routers of a keepalived took 86 ms, and a successor may wait for a processor."""
HANDOVER_MARGIN = Centiseconds(50)
"""How much later than the longest skew_time a successor may be before there is none."""

REANNOUNCE_DELAY = Centiseconds(40)
"""When a successor announces once more: a neighbour that asked meanwhile may have been answered by the predecessor."""
CONFLICT_MARGIN = Centiseconds(2)
"""How much later than its interval the next advert of another master may be before it counts as silent."""


def handover_bound(interval: Centiseconds) -> Centiseconds:
    """How long to wait for a successor among routers of that interval: the longest skew_time, and a margin."""
    return Centiseconds(skew_time(1, interval) + HANDOVER_MARGIN)
