"""What a router depends on beside its own link: a source for unicast, interfaces, and what health checks come to."""

import logging
import time
from collections.abc import Callable

from vrrpd.channel import Burden
from vrrpd.config.model import VrrpInstance
from vrrpd.net.links import LinkMonitor
from vrrpd.protocol.advert import IPAddress
from vrrpd.protocol.events import LinkChanged
from vrrpd.protocol.timing import PRIORITY_OWNER
from vrrpd.speaker.timers import Timers

log = logging.getLogger(__name__)

UNTOLD_MAX = 30.0
"""Seconds for which an instance waits for the first results of its track_script before it goes on without them."""
_UNTOLD = Burden(lacking="its track_script has no result yet")


class Tracking:
    """Whether one router can take part, and what its priority gains or loses.

    Args:
        instance: its configuration.
        monitor: knows the host's interfaces and addresses.
        timers: the process's.
        changed: called when it is another burden than before.
    """

    def __init__(
        self, instance: VrrpInstance, monitor: LinkMonitor, timers: Timers, changed: Callable[[], None]
    ) -> None:
        self.instance = instance
        self._monitor = monitor
        self._changed = changed
        self._burden = _UNTOLD if instance.track_script else Burden()
        self._patience = timers.deadline(self._go_on_untold)

    def start(self, *, as_master: bool) -> None:
        """Take part from now on; who goes on as MASTER waits for no word of the programs, others for a while."""
        if as_master and self.untold:
            self._burden = Burden()
        elif self.untold:
            self._patience.at(time.monotonic() + UNTOLD_MAX)

    def stop(self) -> None:
        """Take part no longer."""
        self._patience.cancel()

    def burden(self, burden: Burden | None) -> None:
        """This burdens the router now; None: nothing does, or nothing is known yet and what was said last holds."""
        if burden is None and self.instance.track_script:
            return
        self._burden = burden or Burden()
        self._patience.cancel()
        self._changed()

    @property
    def interfaces(self) -> set[str]:
        """Those that the router has anything to do with."""
        tracked = {each.interface for each in self.instance.track_interface}
        return {self.instance.interface} | tracked | {vip.dev for vip in self.instance.virtual_ipaddress}

    @property
    def untold(self) -> bool:
        """Whether nothing is known yet of the programs that are tracked."""
        return self._burden is _UNTOLD and bool(self.instance.track_script)

    @property
    def priority(self) -> int:
        """What to compete with; an owner's is what it is."""
        priority = self.instance.priority
        if priority == PRIORITY_OWNER:
            return priority
        tracked = self.instance.track_interface
        weight = sum(each.weight for each in tracked if self._is_up(each.interface) == (each.weight > 0))
        return max(1, min(priority + self._burden.weight + weight, PRIORITY_OWNER - 1))

    def usable(self, link: LinkChanged) -> LinkChanged:
        """What the link can do, unless a source, or something else that the instance needs, is missing."""
        if not link.up:
            return link
        instance, source = self.instance, self._source(link.address)
        reason = self._lacking() or (self._burden.lacking if instance.track_script else "")
        if source is None:
            reason = f"{instance.interface} has no {instance.unicast_src_ip} (unicast_src_ip) to send adverts from"
        return LinkChanged(up=not reason, address=source, reason=reason)

    def _source(self, primary: IPAddress | None) -> IPAddress | None:
        """Where adverts come from; None: it is not there."""
        source = self.instance.unicast_src_ip
        if source is None:
            return primary
        return source if self._monitor.has(self.instance.interface, source) else None

    def _lacking(self) -> str:
        """Which interface is missing, without which nothing can be held; empty: none."""
        needed = {each.interface: "is tracked" for each in self.instance.track_interface if not each.weight}
        needed |= {vip.dev: "carries virtual addresses" for vip in self.instance.virtual_ipaddress}
        reason = ""
        for dev, role in sorted(needed.items()):
            if not self._is_up(dev):
                what = "is down or has no carrier" if self._monitor.link(dev) else "does not exist"
                reason = f"{dev}, which {role}, {what}"
        return reason

    def _is_up(self, interface: str) -> bool:
        link = self._monitor.link(interface)
        return link is not None and link.up

    def _go_on_untold(self) -> None:
        log.warning(
            "(%s) nothing is known of its track_script after %g s: it goes on as if all worked; "
            "vrrpd status says which programs run still, and the log whether no director runs them",
            *(self.instance.name, UNTOLD_MAX),
        )
        self.burden(Burden())
