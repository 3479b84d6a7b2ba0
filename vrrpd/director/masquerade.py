"""Has the replies of NAT's real servers come back through the director, where they would not by themselves.

IPVS rewrites a packet's destination; the reply must pass the director, which rewrites it back. It does where the
director is the real server's gateway. Elsewhere the director hides the client behind its own address. That needs
`net.ipv4.vs.conntrack = 1`, else conntrack knows nothing of connections through IPVS.
"""

import contextlib
import errno
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Protocol

from vrrpd.config import services
from vrrpd.config.services import VirtualServerSettings
from vrrpd.ipvs.model import Method
from vrrpd.net.iptables import Iptables, IptablesError
from vrrpd.net.nft_messages import TABLE
from vrrpd.net.nftables import Nftables, NftablesMissingError
from vrrpd.protocol.advert import IPAddress

Interface = IPv4Interface | IPv6Interface

_REMEDIES = {
    errno.EPERM: f"give the daemon CAP_NET_ADMIN, and see that no other program owns a table {TABLE}",
    errno.EMSGSIZE: "the change is longer than a socket may send: raise net.core.wmem_max",
}


class MasqueradeError(Exception):
    """Clients cannot be masqueraded, or not as they should; says why, and what to do."""


class _Firewall(Protocol):
    """What `Nftables` and `Iptables` have in common."""

    def put(self, addresses: AbstractSet[IPAddress]) -> None:
        """Masquerade what IPVS takes from these addresses elsewhere, and nothing else."""

    def intact(self) -> bool:
        """Whether it is as `put` left it."""

    def close(self) -> None:
        """Let go of it; what was put stays."""


class Masquerade:
    """One for a network namespace: that of the thread that first calls `want`. Nothing is touched before."""

    def __init__(self) -> None:
        self._firewall: _Firewall | None = None
        self._wanted: frozenset[IPAddress] | None = None
        """What is there; None: what an earlier life has left, or a failure."""

    def want(self, addresses: AbstractSet[IPAddress]) -> None:
        """Masquerade the connections of NAT that clients make to these virtual addresses, and no others.

        Returns at once when they are those of the last time. With nftables it takes well below a millisecond for a
        few addresses, with iptables as long as its programs do.

        Connections that are masqueraded already go on, but not beyond the last address of a family: where no chain of
        NAT is left, the kernel translates nothing any more. So an address is wanted for as long as its connections are.

        Raises:
            MasqueradeError: it cannot be done; the next call tries again.
        """
        if addresses == self._wanted:
            return
        self._wanted = None
        with _failures_told():
            self._put(addresses)
        self._wanted = frozenset(addresses)

    def resync(self) -> bool:
        """Look whether others have changed what is ours, as `nft flush ruleset` does, and mend it; whether they had.

        Raises:
            MasqueradeError: it cannot be seen or mended.
        """
        if self._firewall is None or self._wanted is None:
            return False
        with _failures_told():
            if self._firewall.intact():
                return False
        wanted, self._wanted = self._wanted, None
        self.want(wanted)
        return True

    def _put(self, addresses: AbstractSet[IPAddress]) -> None:
        if self._firewall is None:
            try:
                self._firewall = Nftables()
            except NftablesMissingError:
                self._firewall = Iptables()
        try:
            self._firewall.put(addresses)
        except NftablesMissingError:  # it has nftables, but without NAT
            self._firewall.close()
            self._firewall = Iptables()
            self._firewall.put(addresses)

    def close(self) -> None:
        """Remove everything.

        Raises:
            MasqueradeError: it cannot be removed.
        """
        try:
            self.want(frozenset())
        finally:
            if self._firewall is not None:
                self._firewall.close()
            self._firewall = self._wanted = None


@contextlib.contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except IptablesError as error:
        raise MasqueradeError(
            f"cannot masquerade: the kernel has no nftables for it, and by iptables it failed: {error}; or load the"
            " kernel modules nft_masq and nft_chain_nat"
        ) from error
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"see what `nft list table ip {TABLE}` and the kernel's log say")
        raise MasqueradeError(
            f"cannot masquerade: the kernel refuses our nftables table {TABLE} ({error.strerror}): {remedy}"
        ) from error


def masqueraded(servers: Iterable[VirtualServerSettings], own: Iterable[Interface]) -> frozenset[IPAddress]:
    """Which virtual addresses need it: those with a real server of NAT whose replies would not come back through us.

    An address that clients are served at is nobody's gateway: two virtual servers in the LAN of their real servers must
    not take each other for that. A virtual server with a firewall mark has no address to go by, and is left out. It
    takes one virtual server to have an address masqueraded, for all ports that are served by NAT.

    Args:
        servers: all virtual servers.
        own: the virtual addresses that VRRP gives us, with the prefix lengths of their networks.
    """
    servers = tuple(servers)
    served = frozenset(address for server in servers for address in server.addresses)
    networks = frozenset(interface.network for interface in own if interface.ip not in served)
    return frozenset(address for server in servers if _needs_it(server, networks) for address in server.addresses)


def _needs_it(server: VirtualServerSettings, networks: AbstractSet[IPv4Network | IPv6Network]) -> bool:
    real_servers = [real.address for real in server.everybody if real.method is Method.NAT]
    match server.masquerade:
        case services.Masquerade.ALWAYS:
            return bool(real_servers)
        case services.Masquerade.NEVER:
            return False
        case services.Masquerade.AUTO:
            return not all(any(real in network for network in networks) for real in real_servers)
