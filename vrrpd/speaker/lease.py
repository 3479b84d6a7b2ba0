"""The lease on the virtual addresses: unless it is renewed, the kernel removes them, whoever has died or hangs."""

import logging
import time
from collections.abc import Callable, Iterable

from vrrpd.net.addresses import LIFETIME_INFINITE
from vrrpd.net.netlink import RENEWAL, Batch, transact
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.rate_limit import RateLimit
from vrrpd.speaker.timers import Timers
from vrrpd.speaker.vips import Vip

log = logging.getLogger(__name__)

KERNEL_LATENESS = 1
"""Seconds by which the kernel may be late to remove an address: it looks at most once a second, or a fraction later."""
RENEWALS = 3
"""How often an address is renewed in its lifetime."""
RETRY_DELAY = 0.1
"""Seconds from a renewal that failed to the next."""


def lifetime(vip_lease: int) -> int:
    """What the kernel is told, in seconds, so that an address is gone when the lease ends."""
    return vip_lease - KERNEL_LATENESS if vip_lease else LIFETIME_INFINITE


class Lease:
    """Renews the addresses of all routers of a speaker in one go; wakes nobody while there are none."""

    def __init__(
        self, kernel: Kernel, timers: Timers, rate_limit: RateLimit, held: Callable[[], Iterable[Vip]]
    ) -> None:
        self.failures = 0
        """Renewals of an address that the kernel refused."""
        self._kernel = kernel
        self._rate_limit = rate_limit
        self._held = held
        self._due = timers.deadline(self.renew)
        self._requests: list[bytes] = []
        self._batch = Batch(())

    def reconfigure(self, vip_lease: int) -> None:
        """Take on a new lease in seconds (0: none); addresses that are held get it at their next renewal."""
        self._kernel.lifetime = lifetime(vip_lease)

    def start(self) -> None:
        """There are addresses to renew, perhaps the first ones."""
        if self._due.when is None and self._kernel.lifetime != LIFETIME_INFINITE:
            self._due.at(time.monotonic() + self._kernel.lifetime / RENEWALS)

    def renew(self) -> None:
        """Start the lifetime of every address anew, now."""
        self._due.cancel()
        vips = [vip for vip in self._held() if vip.prepared]
        if not vips:
            return
        requests = [vip.prepared.renew for vip in vips if vip.prepared]
        if requests != self._requests:
            self._requests, self._batch = requests, Batch(requests, RENEWAL)
        failed = transact(self._kernel.requests, self._batch)
        self.failures += len(failed)
        for position, error in failed.items():
            vip = vips[position]
            if self._rate_limit.allows(("lease", vip.key, error.errno), time.monotonic()):
                log.error(
                    "cannot renew the lease of %s on %s: %s; trying again", vip.config, vip.config.dev, error.strerror
                )
        self.start()
        if failed and self._due.when is not None:
            self._due.at(time.monotonic() + RETRY_DELAY)
