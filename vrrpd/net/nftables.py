"""Our own nftables table, which masquerades the connections to some addresses that IPVS sends elsewhere.

It is made, changed and removed in one transaction each, so that the kernel has the old state or the new one. Tables of
others are never touched; what an earlier life left in ours is replaced.
"""

import contextlib
import errno
import socket
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from vrrpd.net.netlink import ask, attributes, netlink_socket, read
from vrrpd.net.nft_messages import (
    NFGENMSG_SIZE,
    NFTA_GEN_ID,
    add_addresses,
    batch,
    fill_table,
    get_contents,
    get_generation,
    get_table,
    new_table,
    remove_addresses,
    remove_table,
)
from vrrpd.protocol.advert import Family, IPAddress

NETLINK_NETFILTER = 12
_SO_SNDBUFFORCE = 32
_NOT_THERE = (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL)
"""No nfnetlink, no nf_tables in it, or no IP in that."""
_Addresses = Mapping[Family, frozenset[IPAddress]]


class NftablesMissingError(Exception):
    """The kernel has no nftables, or none that could do this."""


class Nftables:
    """The table of the network namespace of the calling thread; nothing is made before `put`.

    Raises:
        NftablesMissingError: the kernel has none.
        OSError: the kernel does not let us ask, such as EPERM without CAP_NET_ADMIN.
    """

    def __init__(self) -> None:
        self._present: _Addresses | None = None
        """What we have put there; None: we cannot know."""
        self._generation = 0
        """Of everybody's tables, when ours was last seen to be as it should."""
        self._picture: list[bytes] | None = None
        """What the kernel told of our table then; None: somebody may have been there before we looked."""
        try:
            self._netlink = netlink_socket(NETLINK_NETFILTER)
        except OSError as error:
            raise _missing_or(error) from error
        try:
            self._transact([new_table(Family.IPV4)], rehearsal=True)
        except OSError as error:
            self._netlink.close()
            raise _missing_or(error) from error

    def close(self) -> None:
        """Let go of the socket; the table stays."""
        self._netlink.close()

    def put(self, addresses: AbstractSet[IPAddress]) -> None:
        """Masquerade what IPVS takes from these addresses elsewhere, and nothing else; without any, there is no table.

        Raises:
            NftablesMissingError: the kernel cannot masquerade this way.
            OSError: the kernel refuses, and keeps what it had.
        """
        wanted = {family: frozenset(a for a in addresses if Family.of(a) is family) for family in Family}
        before = self._ask_generation()
        present, self._present = self._present, None
        if present is None or not self._change(present, wanted):
            self._replace(wanted)
        self._present = wanted
        picture = self._look()
        self._generation = self._ask_generation()
        self._picture = picture if self._generation in (before, before + 1) else None

    def intact(self) -> bool:
        """Whether our table is as `put` left it; costs next to nothing while nobody changes any table.

        Raises:
            OSError: the kernel does not let us ask.
        """
        if self._present is None:
            return False
        generation = self._ask_generation()
        if generation != self._generation:
            if self._picture is None or self._look() != self._picture:
                self._present = None  # so that the next `put` starts from nothing
                return False
            self._generation = generation
        return True

    def _change(self, present: _Addresses, wanted: _Addresses) -> bool:
        """Change the sets by what differs; False: they are not what we thought."""
        requests: list[bytes] = []
        for family in Family:
            old, new = present[family], wanted[family]
            if old and new:
                requests += remove_addresses(family, old - new) + add_addresses(family, new - old)
            elif new:
                requests += _new(family, new)
            elif old:
                requests.append(remove_table(family))
        try:
            self._transact(requests)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _replace(self, wanted: _Addresses) -> None:
        requests: list[bytes] = []
        for family in Family:
            if wanted[family]:
                requests += _new(family, wanted[family])
            elif self._exists(family):
                requests.append(remove_table(family))
        try:
            self._transact(requests)
        except OSError as error:
            raise _missing_or(error, errno.ENOENT) from error  # no such kind of chain or expression

    def _transact(self, requests: list[bytes], *, rehearsal: bool = False) -> None:
        """Carry out all of the requests, or none.

        Raises:
            OSError: why the first of those that the kernel refuses was refused.
        """
        if not requests:
            return
        data = batch(requests, rehearsal=rehearsal)
        with contextlib.suppress(PermissionError):  # one datagram is one transaction, however long
            self._netlink.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(data))
        try:
            ask(self._netlink, data)
        finally:
            read(self._netlink)  # each request that is refused has an answer of its own

    def _ask_generation(self) -> int:
        (answer,) = ask(self._netlink, get_generation())
        return int.from_bytes(attributes(answer.payload, NFGENMSG_SIZE)[NFTA_GEN_ID])

    def _exists(self, family: Family) -> bool:
        try:
            ask(self._netlink, get_table(family))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _look(self) -> list[bytes]:
        """All that the kernel has to tell of our table, as bytes to compare."""
        requests: list[bytes] = []
        for family in filter(self._exists, Family):
            requests += [get_table(family), *get_contents(family)]
        # The header has part of the generation.
        return [answer.payload[NFGENMSG_SIZE:] for request in requests for answer in ask(self._netlink, request)]


def _new(family: Family, addresses: frozenset[IPAddress]) -> list[bytes]:
    """Make the table, having removed what there may be of it."""
    return [new_table(family), remove_table(family), new_table(family), *fill_table(family, addresses)]


def _missing_or(error: OSError, *more: int) -> Exception:
    """What it means that the kernel refused."""
    if error.errno in (*_NOT_THERE, *more):
        return NftablesMissingError(f"the kernel has no nftables that could masquerade: {error.strerror}")
    return error
