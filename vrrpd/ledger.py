"""What outlives a speaker: which routers were MASTER, and when they last advertised.

Shared memory between the supervisor, which only keeps it, and the speakers that it forks one after another. A speaker
notes each advert; the next one looks whether the peers have missed any, and if not, goes on where the last one was.
"""

import mmap
import struct

from vrrpd.protocol.advert import Family

_ENTRY = struct.Struct("=16sBBxxxxxxd")
_TIME_AT = 24
ENTRIES_MAX = 8192
"""255 VRIDs in both families on 16 interfaces; a router that finds no room is not resumed."""

RouterKey = tuple[str, Family, int]
"""Interface, family and VRID."""


class Ledger:
    """A table in shared memory. The first entry of no VRID ends it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ENTRIES_MAX * _ENTRY.size)

    def entry(self, key: RouterKey) -> "LedgerEntry":
        """The router's own entry, made if there is none."""
        interface, family, vrid = key
        name = interface.encode()
        for start in range(0, ENTRIES_MAX * _ENTRY.size, _ENTRY.size):
            known_name, known_family, known_vrid, _ = _ENTRY.unpack_from(self._memory, start)
            if not known_vrid:
                _ENTRY.pack_into(self._memory, start, name, family.value, vrid, 0.0)
                return LedgerEntry(self._memory, start)
            if (known_name.rstrip(b"\0"), known_family, known_vrid) == (name, family.value, vrid):
                return LedgerEntry(self._memory, start)
        return LedgerEntry(mmap.mmap(-1, _ENTRY.size), 0)


class LedgerEntry:
    """What one router leaves to the next speaker."""

    __slots__ = ("_time",)

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._time = memoryview(memory)[start + _TIME_AT : start + _ENTRY.size].cast("d")

    @property
    def advertised(self) -> float | None:
        """When it last advertised as MASTER, on `time.monotonic`; None if it does not answer for its addresses."""
        return self._time[0] or None

    def advertise(self, now: float) -> None:
        """It is MASTER and has just advertised."""
        self._time[0] = now

    def clear(self) -> None:
        """It is not MASTER, or no longer."""
        self._time[0] = 0.0
