"""Memory that is there when it is needed.

A forked process shares its parent's pages until it writes to them, and Python writes to whatever it uses: a first
takeover would copy 50 pages, a few microseconds each, between the deadline and the advert.
"""

import ctypes
from pathlib import Path

_MADV_POPULATE_WRITE = 23


def own_pages() -> None:
    """Copy every page now that a later write would copy; costs milliseconds, and kernels before 5.14 refuse it."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:  # no descriptor is left, or there is no /proc: what is written is copied then
        return
    madvise = ctypes.CDLL(None).madvise
    for line in maps.splitlines():
        span, mode, _ = line.split(maxsplit=2)
        if mode == "rw-p":
            start, end = (int(address, 16) for address in span.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_POPULATE_WRITE)
