"""The virtual addresses of one router: on the interface while it is MASTER, and whose they are."""

import errno
from collections.abc import Iterable, Iterator

from msgspec import Struct

from vrrpd.config.model import VirtualAddress
from vrrpd.net.addresses import LIFETIME_INFINITE, AddressRequests, Ipv4Setting, requests
from vrrpd.net.links import LinkMonitor
from vrrpd.net.netlink import NO_OPERATION, Batch, transact
from vrrpd.protocol.advert import IPAddress
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.leftovers import GONE

AddressKey = tuple[int, IPAddress, int]


class Vip(Struct, eq=False):
    """One virtual address and what is known of it on this host."""

    config: VirtualAddress
    shown: str
    """The address, for people: to make it up takes longer than all the rest of a status."""
    index: int = 0
    """Of the interface that carries it; 0 while that does not exist."""
    mac: str = ""
    held: bool = False
    """We put it there, or took over what an earlier life had put there."""
    hosts_own: bool = False
    """It was there before, and stays when we go."""
    foreign: bool = False
    """Somebody other than a vrrpd has put it there, with whatever prefix length."""
    error: str = ""
    """Why the kernel refused it, the last time."""
    noprefixroute: bool = True
    lifetime: int = 0
    """Seconds, as `prepared` has it."""
    prepared: AddressRequests | None = None

    @property
    def key(self) -> AddressKey:
        """What the kernel tells it by."""
        return self.index, self.config.address, self.config.interface_address.network.prefixlen

    @property
    def route_would_stay(self) -> bool:
        """Whether the kernel would keep its route when it removes it."""
        return self.config.address.version == 6 and not self.noprefixroute and self.lifetime != LIFETIME_INFINITE

    @property
    def present(self) -> bool:
        """Whether packets to it reach this host."""
        return self.held or self.hosts_own


class VirtualAddresses:
    """Adds and removes the virtual addresses of one router. Requests are encoded before they are needed."""

    def __init__(self, kernel: Kernel, configured: Iterable[VirtualAddress]) -> None:
        self._kernel = kernel
        self._vips: dict[IPAddress, Vip] = {}
        self._additions: list[bytes] = []
        self._addition = Batch(())
        self.reconfigure(configured)

    def reconfigure(self, configured: Iterable[VirtualAddress]) -> None:
        """Take on a new list; what is known of addresses that stay is kept.

        Addresses that were changed or dropped are expected to have been removed before.
        """
        before, self._vips = self._vips, {}
        for config in configured:
            known = before.get(config.address)
            self._vips[config.address] = known if known and known.config == config else Vip(config, str(config))

    def look_at_interfaces(self) -> list[Vip]:
        """Learn the index of each interface and encode what must be encoded for it.

        Returns the addresses that are to be put there again: the host's own that the host has given up, and those that
        were on another interface, which had the name until now.
        """
        monitor, missing = self._kernel.monitor, []
        foreign = {(entry.index, entry.address) for entry in monitor.addresses.values() if not entry.ours}
        for vip in self._vips.values():
            was_here, index = vip.present, vip.index
            self._prepare(vip)
            vip.foreign = (vip.index, vip.config.address) in foreign
            entry = monitor.addresses.get(vip.key)
            if vip.held and entry is not None and not entry.ours and monitor.keeps_marks:
                vip.held, vip.hosts_own = False, True  # somebody has put it there again, over ours
            given_up = vip.hosts_own and not vip.foreign
            if given_up:
                vip.hosts_own = False
            if given_up or (was_here and vip.index not in (0, index)):
                missing.append(vip)
        self._encode_addition([vip for vip in self._vips.values() if not vip.foreign])
        return missing

    def __iter__(self) -> Iterator[Vip]:
        return iter(self._vips.values())

    def of(self, addresses: Iterable[IPAddress]) -> list[Vip]:
        """Those of `addresses` that are configured, in that order."""
        return [self._vips[address] for address in addresses if address in self._vips]

    def by_key(self) -> Iterator[tuple[AddressKey, Vip]]:
        """The addresses by what the kernel tells them by."""
        return ((vip.key, vip) for vip in self._vips.values() if vip.index)

    def add(self, addresses: Iterable[IPAddress]) -> list[Vip]:
        """Put the addresses on their interfaces in one go; returns those that the kernel refused, with `error` set."""
        refused: list[Vip] = []
        batch: list[Vip] = []
        wanted = self.of(addresses)
        if not all(vip.prepared for vip in wanted):
            self.look_at_interfaces()
        for vip in wanted:
            if vip.foreign:
                vip.hosts_own, vip.error = True, ""
            elif vip.held:  # an earlier life has put it there
                vip.error = ""
            elif vip.prepared is None:
                vip.error = f"{vip.config.dev} does not exist"
                refused.append(vip)
            else:
                vip.hosts_own = False
                batch.append(vip)
        failed = transact(self._kernel.requests, self._encode_addition(batch))
        for position, vip in enumerate(batch):
            error = failed.get(position)
            vip.held = error is None or error.errno == errno.EEXIST
            vip.error = "" if vip.held or error is None else _explain(error, vip)
            if not vip.held:
                refused.append(vip)
        return refused

    def adopt(self) -> None:
        """Take over what an earlier life of the daemon has left here, as far as it is configured."""
        for key, vip in self.by_key():
            entry = self._kernel.monitor.addresses.get(key)
            vip.held = vip.held or (entry is not None and entry.ours)

    @property
    def held(self) -> list[Vip]:
        """Those that we put there, and that go with us."""
        return [vip for vip in self._vips.values() if vip.held]

    def rehearse(self) -> None:
        """Talk to the kernel as `add` does, of nothing."""
        transact(self._kernel.requests, NO_OPERATION)

    def remove(self, addresses: Iterable[IPAddress]) -> list[Vip]:
        """Take the addresses off again, but for the host's own; returns those that the kernel would not let go."""
        batch = [vip for vip in self.of(addresses) if vip.held and vip.prepared]
        first = [vip.prepared.perpetuate for vip in batch if vip.prepared and vip.route_would_stay]
        removals = [vip.prepared.remove for vip in batch if vip.prepared]
        failed = transact(self._kernel.requests, Batch([*first, *removals]))
        stuck: list[Vip] = []
        for position, vip in enumerate(batch, len(first)):
            error = failed.get(position)
            gone = error is None or error.errno in GONE
            vip.held = not gone
            vip.error = "" if gone or error is None else _explain(error, vip)
            if not gone:
                stuck.append(vip)
        return stuck

    def _encode_addition(self, vips: Iterable[Vip]) -> Batch:
        """The requests that add these addresses; what was asked for last is at hand, and a takeover asks for that."""
        additions = [vip.prepared.add for vip in vips if vip.prepared]
        if additions != self._additions:
            self._additions, self._addition = additions, Batch(additions)
        return self._addition

    def _prepare(self, vip: Vip) -> None:
        monitor = self._kernel.monitor
        link = monitor.link(vip.config.dev)
        if vip.held and (link is None or link.index != vip.index):
            self.remove((vip.config.address,))  # the interface has another name now, or is gone
        if link is None:
            vip.index, vip.mac, vip.prepared, vip.held, vip.hosts_own = 0, "", None, False, False
            return
        if link.index != vip.index:
            vip.held = vip.hosts_own = False  # whatever became of it there
        noprefixroute = _noprefixroute(vip.config, link.index, monitor)
        lifetime = self._kernel.lifetime
        encoded_for = vip.index, vip.noprefixroute, vip.lifetime
        if vip.prepared is None or encoded_for != (link.index, noprefixroute, lifetime):
            vip.prepared = requests(
                vip.config.interface_address, label=vip.config.label, noprefixroute=noprefixroute, lifetime=lifetime
            ).on(link.index)
        if _can_be_first(vip.config, link.index, monitor):
            self._kernel.turn_on(link, Ipv4Setting.PROMOTE_SECONDARIES)
        vip.index, vip.mac, vip.noprefixroute, vip.lifetime = link.index, link.mac, noprefixroute, lifetime


def _noprefixroute(config: VirtualAddress, index: int, monitor: LinkMonitor) -> bool:
    """Whether a route to the address's own prefix would be useless or a second one.

    A prefix of full length needs none; one that another address of the interface covers has one already, and a
    failover that took it away and brought it back would disturb connections that have nothing to do with the VIP.
    """
    if config.noprefixroute is not None:
        return config.noprefixroute
    network = config.interface_address.network
    if network.prefixlen == network.max_prefixlen:
        return True
    return any(
        entry.prefix_length <= network.prefixlen and config.address in entry.network
        for entry in monitor.addresses_on(index)
        if entry.address.version == network.version and not entry.ours
    )


def _can_be_first(config: VirtualAddress, index: int, monitor: LinkMonitor) -> bool:
    """Whether others, of ours and of the host, may be secondary to it, and would go with it if nobody saw to that."""
    network = config.interface_address.network
    return (
        network.version == 4
        and network.num_addresses > 1
        and not any(
            entry.prefix_length == network.prefixlen and entry.address in network
            for entry in monitor.addresses_on(index)
            if not entry.ours
        )
    )


_REMEDIES = {
    errno.EPERM: "vrrpd needs CAP_NET_ADMIN",
    errno.EACCES: "IPv6 is disabled there; set net.ipv6.conf.{dev}.disable_ipv6 to 0",
    errno.ENODEV: "the interface went away",
    errno.EINVAL: "the kernel takes no such address or label there",
    errno.ENOBUFS: "the kernel is short of memory",
}


def _explain(error: OSError, vip: Vip) -> str:
    remedy = _REMEDIES.get(error.errno or 0, "").format(dev=vip.config.dev)
    return f"{vip.config} on {vip.config.dev}: {error.strerror}" + (f"; {remedy}" if remedy else "")
