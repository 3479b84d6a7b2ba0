"""Intervals and timers of RFC 9568 section 6.1, in the protocol's own unit.

The wire carries centiseconds, so the core counts in them; `seconds` and `centiseconds` are the only conversions. The
values are floats because a skew is a fraction of a centisecond. They are exact all the same: `(256 - priority) *
interval / 256` divides integers of at most 20 bits by a power of two.
"""

from typing import NewType

Centiseconds = NewType("Centiseconds", float)

PRIORITY_OWNER = 255
PRIORITY_DEFAULT = 100
PRIORITY_RESIGN = 0
"""What a MASTER advertises when it stops taking part (RFC 9568 section 5.2.4)."""

ADVERT_INTERVAL_MIN = Centiseconds(1)
ADVERT_INTERVAL_MAX = Centiseconds(4095)
"""The field has 12 bits (RFC 9568 section 5.2.7)."""


def seconds(interval: Centiseconds) -> float:
    """The interval in seconds, as clocks count."""
    return interval / 100


def centiseconds(interval_seconds: float) -> Centiseconds:
    """The interval in centiseconds, as the wire and the core count."""
    return Centiseconds(interval_seconds * 100)


def skew_time(priority: int, active_adver_interval: Centiseconds) -> Centiseconds:
    """How much longer than three intervals a BACKUP waits: the longer, the lower its priority (section 6.1)."""
    return Centiseconds((256 - priority) * active_adver_interval / 256)


def active_down_interval(priority: int, active_adver_interval: Centiseconds) -> Centiseconds:
    """How long a BACKUP hears nothing before it takes over (section 6.1)."""
    return Centiseconds(3 * active_adver_interval + skew_time(priority, active_adver_interval))
