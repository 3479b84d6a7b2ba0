"""All virtual routers of a configuration on one host."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vrrpd.channel import Anomalous, Begin, Burden, Entered, Holds
from vrrpd.config.model import Config, VrrpInstance
from vrrpd.histogram import Histogram
from vrrpd.ledger import Ledger, RouterKey
from vrrpd.net.links import InterfaceAddress, Link
from vrrpd.protocol.advert import Family
from vrrpd.speaker import realtime
from vrrpd.speaker.driver import RouterDriver
from vrrpd.speaker.host import Host
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.lease import Lease
from vrrpd.speaker.leftovers import remove_leftovers
from vrrpd.speaker.pacer import Pacer
from vrrpd.speaker.port import Port
from vrrpd.speaker.rate_limit import RateLimit
from vrrpd.speaker.status import router_status, strangers_status
from vrrpd.speaker.timers import Timers
from vrrpd.speaker.vips import AddressKey, Vip

log = logging.getLogger(__name__)

LATE = 0.005
"""Seconds of lateness at which it is worth looking for what may have happened meanwhile."""


class Speaker:
    """Starts routers, applies new configurations to them, and follows what the kernel says of interfaces.

    Args:
        loop: uvloop's.
        begin: the configuration, whether the routers are to stay BACKUP, and what to add to their priorities.
        ledger: what an earlier speaker has left.
        tell: takes the news of the routers.

    Raises:
        OSError: the kernel refuses a socket that every router needs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        begin: Begin,
        ledger: Ledger,
        tell: Callable[[Holds | Entered | Anomalous], None],
    ) -> None:
        self.kernel = Kernel()
        self.lag = Histogram()
        self._loop = loop
        timers, rate_limit = Timers(loop, self._woke), RateLimit()
        lease = Lease(self.kernel, timers, rate_limit, self._held)
        self._host = Host(self.kernel, timers, Pacer(timers), rate_limit, ledger, lease)
        self._config = begin.config
        self._drained = begin.drained
        self._burdens = begin.burdens
        self._tell = tell
        self._all_left: asyncio.Future[None] | None = None
        self._ports: dict[tuple[str, Family], Port] = {}
        self._routers: dict[RouterKey, RouterDriver] = {}
        self._vips: dict[AddressKey, tuple[RouterDriver, Vip]] = {}
        self._interfaces: set[str] = set()
        """Those that any router has to do with."""
        self._monitored = -1

    def start(self) -> None:
        """Go on as MASTER where a speaker that died was it, remove what else an earlier life left, start the rest."""
        self._watch_monitor()
        self.apply(self._config)
        self._host.lease.renew()  # who died may have been about to
        try:
            self._remove_leftovers()
        except OSError as error:
            log.error("cannot remove what a vrrpd had left: %s", error.strerror)  # noqa: TRY400

    def apply(self, config: Config) -> dict[str, list[str]]:
        """Make `config` the one in force; returns the names of the instances that were touched, by what was done."""
        self._take_on_settings(config)
        wanted = {instance.key: instance for instance in config.instances}
        claims = {vip.place: instance.key for instance in config.instances for vip in instance.virtual_ipaddress}
        known = [*self._routers.values()]
        heirs = {key for driver in known for key in driver.bequeath(claims)}
        removed = [driver for driver in known if driver.instance.key not in wanted and not driver.leaving]
        for driver in removed:
            driver.shutdown()
        kept = [driver for driver in known if driver.instance.key in wanted]
        changed = [driver for driver in kept if driver.instance != wanted[driver.instance.key]]
        touched = {driver: driver.withdraw(wanted[driver.instance.key]) for driver in changed}
        for driver in changed:
            driver.reconfigure(wanted[driver.instance.key], touched[driver])
            if driver.instance.key in heirs and not driver.leaving:
                driver.inherit()
        added = [self._add_router(instance) for key, instance in wanted.items() if key not in self._routers]
        if removed or changed or added:
            self._listen()
        returned = [driver for driver in kept if driver.leaving]
        # First those that were MASTER when a speaker died: their adverts are due.
        for driver in sorted((*returned, *added), key=lambda driver: not driver.was_master):
            driver.startup(drained=self._drained, heir=driver.instance.key in heirs)
        self._index()
        return {
            "added": [driver.instance.name for driver in (*returned, *added)],
            "changed": [driver.instance.name for driver in changed],
            "removed": [driver.instance.name for driver in removed],
        }

    def drain(self) -> None:
        """Hand every address over, and stay BACKUP."""
        self._drained = True
        for driver in self._staying():
            driver.drain()

    def undrain(self) -> None:
        """Compete again."""
        self._drained = False
        for driver in self._staying():
            driver.undrain()

    def burden(self, burdens: Mapping[RouterKey, Burden]) -> None:
        """These burden the routers now, in place of what burdened them before."""
        self._burdens = burdens
        for key, driver in self._routers.items():
            driver.burden(burdens.get(key))

    def _staying(self) -> list[RouterDriver]:
        return [driver for driver in self._routers.values() if not driver.leaving]

    async def shutdown(self) -> None:
        """Stop every router: resign, hand over, remove the addresses.

        Raises:
            OSError: the kernel keeps one.
        """
        self._all_left = self._loop.create_future()
        self.shutdown_now()
        if self._routers:
            await self._all_left
        # What was put back unknown to us, or was not let go the first time, is to outlast us no more than the rest.
        self.kernel.monitor.read_anew()
        self._watch_monitor()
        self._remove_leftovers()

    def shutdown_now(self) -> None:
        """Stop every router; those that are being stopped already wait for no successor any more."""
        for driver in [*self._routers.values()]:
            driver.shutdown()

    def close(self) -> None:
        """Give everything back to the kernel."""
        for port in self._ports.values():
            port.close()
        self._host.timers.close()
        self._loop.remove_reader(self.kernel.monitor.fileno())
        self.kernel.close()

    def status(self) -> dict[str, Any]:
        """The part of `vrrpd status --json` that the speaker knows."""
        return {
            "routers": [router_status(driver) for driver in self._routers.values()],
            "strangers": [strangers_status(port) for port in self._ports.values() if port.strangers.count],
            "loop_lag_seconds": self.lag.as_dict(),
            "lease_renewals_failed": self._host.lease.failures,
        }

    def _add_router(self, instance: VrrpInstance) -> RouterDriver:
        where = (instance.interface, instance.family)
        port = self._ports.get(where)
        if port is None:
            port = self._ports[where] = Port(self._loop, self._host, *where)
        driver = RouterDriver(instance, port, self._host, self._left, self._tell)
        driver.burden(self._burdens.get(instance.key))
        self._routers[instance.key] = driver
        return driver

    def _left(self, driver: RouterDriver) -> None:
        if not driver.leaving:
            return
        del self._routers[driver.instance.key]
        self._listen()
        self._index()
        if self._all_left and not self._routers and not self._all_left.done():
            self._all_left.set_result(None)

    def _take_on_settings(self, config: Config) -> None:
        """What concerns the whole process."""
        before, self._config = self._config, config
        self._host.lease.reconfigure(config.vip_lease)
        if before.vip_lease != config.vip_lease:
            for driver in self._routers.values():
                driver.look_at_interfaces()
            self._host.lease.renew()
        if (before.realtime_priority, before.memory_lock) != (config.realtime_priority, config.memory_lock):
            realtime.apply(config, before)

    def _held(self) -> list[Vip]:
        """What is to be renewed: an address that could not be removed is to go with its lease."""
        return [vip for driver in self._routers.values() if driver.holds for vip in driver.vips.held]

    def _woke(self, lateness: float) -> None:
        self.lag.observe(lateness)
        if lateness > LATE:
            now = time.monotonic()
            for driver in [*self._routers.values()]:
                driver.woke_late(now)
            self._monitor_readable()  # what the kernel removed meanwhile must not be renewed
            for port in [*self._ports.values()]:
                port.hear_what_waits()

    def _listen(self) -> None:
        """Tell each port which routers it serves; close those that serve none."""
        for where, port in [*self._ports.items()]:
            served = {
                vrid: driver
                for (interface, family, vrid), driver in self._routers.items()
                if (interface, family) == where
            }
            if not served:
                port.close()
                del self._ports[where]
                continue
            port.listen(served, frozenset(vip.config.address for driver in served.values() for vip in driver.vips))
            port.look_at_interface()

    def _index(self) -> None:
        """Note which of the kernel's news are about a router."""
        self._vips = {key: (driver, vip) for driver in self._routers.values() for key, vip in driver.vips.by_key()}
        self._interfaces = {name for driver in self._routers.values() for name in driver.interfaces}

    def _remove_leftovers(self) -> None:
        """Addresses that bear our mark but that no router holds are an earlier life's, or have escaped us.

        Raises:
            OSError: the kernel keeps one.
        """
        held = {key for key, (_, vip) in self._vips.items() if vip.held}
        left = [entry for key, entry in self.kernel.monitor.addresses.items() if entry.ours and key not in held]
        if left:
            remove_leftovers(self.kernel.requests, left)
            self._monitor_readable()

    def _watch_monitor(self) -> None:
        fd = self.kernel.monitor.fileno()
        if fd != self._monitored:
            if self._monitored >= 0:
                self._loop.remove_reader(self._monitored)
            self._loop.add_reader(fd, self._monitor_readable)
            self._monitored = fd

    def _monitor_readable(self) -> None:
        changes = self.kernel.monitor.read()
        self._watch_monitor()
        for index in self.kernel.monitor.removed:
            self.kernel.forget_interface(index)
            for port in self._ports.values():
                port.forget_interface(index)
        if any(map(self._concerns_us, changes)):
            for port in [*self._ports.values()]:
                port.look_at_interface()
            for driver in [*self._routers.values()]:
                driver.look_at_interfaces()
            self._index()
        # Afterwards: what went with its interface was not deleted by anybody.
        self._addresses_changed(change for change in changes if isinstance(change, InterfaceAddress))

    def _concerns_us(self, change: Link | InterfaceAddress) -> bool:
        """Whether a router has to look at it: those of containers come and go, and 255 routers would look for long."""
        if isinstance(change, Link):
            return change.name in self._interfaces
        link = self.kernel.monitor.links.get(change.index)  # None: that it is gone is a change as well
        return not change.ours and link is not None and link.name in self._interfaces

    def _addresses_changed(self, changes: Iterable[InterfaceAddress]) -> None:
        arrived: defaultdict[RouterDriver, list[Vip]] = defaultdict(list)
        for key in {change.key for change in changes} & self._vips.keys():
            driver, vip = self._vips[key]
            entry = self.kernel.monitor.addresses.get(key)
            if entry is None:
                driver.address_deleted(vip)
            elif entry.usable:
                arrived[driver].append(vip)
        for driver, vips in arrived.items():
            driver.addresses_arrived(vips)
