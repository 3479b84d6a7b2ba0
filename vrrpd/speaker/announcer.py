"""Gratuitous ARP and unsolicited NA: the first ones within the transition, the others paced, only while MASTER.

A router with 200 addresses and five rounds owes the link 1,000 frames. Sent in one go they would hold up the adverts of
every router for 7 ms, so a few leave at a time, and adverts go in between.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address

from vrrpd.config.model import GarpForm, GarpSettings
from vrrpd.net.frames import ARP_REPLY, ARP_REQUEST, announcement
from vrrpd.speaker.counters import Counters
from vrrpd.speaker.host import Host
from vrrpd.speaker.pacer import BURST
from vrrpd.speaker.vips import Vip

IPV4 = 4
CONFLICT_PAUSE = 0.1
"""Seconds between two rounds that conflicting masters cause, so that they cannot make us flood the link."""
LAST_WORD_PAUSE = 1.0
"""Seconds between two rounds beyond these."""


class Announcer:
    """The announcements of one router."""

    def __init__(self, host: Host, counters: Counters, vips: Iterable[Vip]) -> None:
        self.settings = GarpSettings()
        self._kernel = host.kernel
        self._pacer = host.pacer
        self._counters = counters
        self._vips = vips
        self._frames: dict[Vip, tuple[str, GarpForm, bytes]] = {}
        self._awaited: set[Vip] = set()
        self._second_set = host.timers.deadline(self._repeat)
        self._again = host.timers.deadline(self.conflict)
        self._refresh = host.timers.deadline(self._refresh_all)
        self._last_conflict = self._last_word = 0.0

    def start(self, vips: Sequence[Vip]) -> None:
        """Announce addresses that have just come: a first burst at once, what is left of the set at the pace.

        The kernel finishes an IPv6 address after it has acknowledged it; announced before, it would draw packets that
        are dropped. Such an address waits for `arrived`.
        """
        now = time.monotonic()
        if not all(map(self._is_usable, vips)):
            self._awaited.update(vip for vip in vips if not self._is_usable(vip))
            vips = [vip for vip in vips if vip not in self._awaited]
        for vip in vips[:BURST]:
            self.send(vip)
        self._pacer.add(self, vips[BURST:])
        for _ in range(self.settings.master_repeat - 1):
            self._pacer.add(self, vips)
        if self.settings.master_delay:
            self._second_set.at(now + self.settings.master_delay)
        if self.settings.master_refresh:
            self._refresh.at(now + self.settings.master_refresh)

    def arrived(self, vips: Iterable[Vip]) -> None:
        """The kernel says that these addresses can be used."""
        awaited = [vip for vip in vips if vip in self._awaited]
        self._awaited.difference_update(awaited)
        if awaited:
            self.start(awaited)

    def conflict(self, *, at_once: bool = False) -> None:
        """Another master was heard: what it made others believe must be put right, at once but not at its pace.

        While a round waits for the pace of all, the next one does too: what waits would become ever more.

        Args:
            at_once: it said its last word, which does not wait for the pace; not so often that it could be abused.
        """
        now = time.monotonic()
        heeded = at_once and now - self._last_word >= LAST_WORD_PAUSE
        paused = now - self._last_conflict >= CONFLICT_PAUSE
        if heeded or (paused and not self._pacer.owes(self)):
            self._last_conflict = now
            if heeded:
                self._last_word = now
            self._queue_rounds(1)
        elif self._again.when is None:
            self._again.at((now if paused else self._last_conflict) + CONFLICT_PAUSE)

    def reconfigure(self, settings: GarpSettings, *, active: bool) -> None:
        """Take on new settings; a MASTER refreshes at the new pace from now on."""
        changed, self.settings = settings != self.settings, settings
        if active and changed:
            self._refresh.cancel()
            if settings.master_refresh:
                self._refresh.at(time.monotonic() + settings.master_refresh)

    def stop(self) -> None:
        """No longer MASTER: the addresses are somebody else's."""
        self._second_set.cancel()
        self._again.cancel()
        self._refresh.cancel()
        self._pacer.forget(self)
        self._awaited.clear()

    def prepare(self, vips: Collection[Vip]) -> None:
        """Encode the frames, and open what sends them, before they are needed."""
        self._frames = {vip: frame for vip, frame in self._frames.items() if vip in vips}
        for vip in vips:
            self._frame(vip)
            self._kernel.prepare_frames(vip.index)

    def rehearse(self) -> None:
        """Look at what `start` will need."""
        vip = next(iter(self._vips))
        self._kernel.prepare_frames(vip.index)
        self._frame(vip)

    def send(self, vip: Vip) -> None:
        """Announce one address now, if it is here."""
        if not vip.present or not vip.mac or vip in self._awaited:
            return
        if self._kernel.send_frame(vip.index, self._frame(vip)):
            if isinstance(vip.config.address, IPv4Address):
                self._counters.gratuitous_arp_sent += 1
            else:
                self._counters.unsolicited_na_sent += 1

    def _is_usable(self, vip: Vip) -> bool:
        if not vip.held or vip.config.address.version == IPV4:
            return True
        entry = self._kernel.monitor.addresses.get(vip.key)
        return entry is not None and entry.usable

    def _frame(self, vip: Vip) -> bytes:
        known = self._frames.get(vip)
        if known is None or known[:2] != (vip.mac, self.settings.form):
            known = (vip.mac, self.settings.form, encode_announcement(vip, self.settings.form))
            self._frames[vip] = known
        return known[2]

    def _queue_rounds(self, rounds: int) -> None:
        vips = tuple(self._vips)
        for _ in range(rounds):
            self._pacer.add(self, vips)

    def _repeat(self) -> None:
        self._queue_rounds(self.settings.master_repeat)

    def _refresh_all(self) -> None:
        if not self._pacer.owes(self):
            self._queue_rounds(self.settings.master_refresh_repeat)
        self._refresh.at(time.monotonic() + self.settings.master_refresh)


def encode_announcement(vip: Vip, form: GarpForm) -> bytes:
    """The frame that announces an address; empty while its interface has no hardware address."""
    if not vip.mac:
        return b""
    return announcement(vip.config.address, vip.mac, ARP_REQUEST if form is GarpForm.REQUEST else ARP_REPLY)
