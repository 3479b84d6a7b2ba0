"""What a demo is made of."""

from typing import Final

from msgspec import Struct

VRID: Final = 51
ADDRESS: Final = {4: "192.0.2.100/32", 6: "2001:db8::100/128"}
"""The virtual address of a family."""
ROUTERS_MIN: Final = 2
ROUTERS_MAX: Final = 20
ADVERT_INT_MIN: Final = 0.01
ADVERT_INT_MAX: Final = 40.95
BEST_PRIORITY: Final = 200
WORST_PRIORITY: Final = 100

_DEADLINE: Final = 20.0
"""Seconds, beyond some advert intervals, after which something will not happen any more."""
_DEADLINE_INTERVALS: Final = 8
_DWELL: Final = 0.6
"""Seconds at least that the client is watched, and a person can see, after something has happened."""
_DWELL_INTERVALS: Final = 3


class Setting(Struct, frozen=True):
    """How many routers, how fast, which family."""

    routers: int = 3
    advert_int: float = 0.1
    """Seconds."""
    family: int = 4
    """4 or 6."""

    @property
    def address(self) -> str:
        """The virtual address, without its prefix length."""
        return ADDRESS[self.family].partition("/")[0]

    @property
    def priorities(self) -> list[int]:
        """Of the routers, best first, evenly spread."""
        step = (BEST_PRIORITY - WORST_PRIORITY) / (self.routers - 1)
        return [round(BEST_PRIORITY - step * number) for number in range(self.routers)]

    @property
    def deadline(self) -> float:
        """Seconds after which something will not happen any more, however busy the machine is."""
        return _DEADLINE + _DEADLINE_INTERVALS * self.advert_int

    @property
    def dwell(self) -> float:
        """Seconds to watch after something has happened."""
        return max(_DWELL, _DWELL_INTERVALS * self.advert_int)
