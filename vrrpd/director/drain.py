"""Real servers that the configuration has no more, and whose connections may go on for a while.

Each stays with weight 0 until nothing goes on there any more, or its time is over. UDP has no connections to wait for.
On a director that does not hold the address each stays for all of its time: it may hold it at any moment.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.director.service import passing_over
from vrrpd.ipvs.model import (
    CONSISTENT,
    Activity,
    Method,
    Protocol,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Table,
    VirtualServer,
    VirtualServerKey,
)
from vrrpd.protocol.advert import IPAddress

QUIET = 3.0
"""Seconds without a packet after which connections that the kernel only waits to forget (TIME_WAIT) are done."""


class Leaving(Struct):
    """One of them."""

    server: VirtualServer
    """The virtual server as it was, for when it is to go as well."""
    real_server: RealServer
    """As it was, too."""
    deadline: float
    """On `time.monotonic`."""
    unseen: bool = False
    """Its virtual address has been elsewhere meanwhile: nobody here knows whether it still has connections."""
    packets: int = -1
    """So many had gone in and out at the last look."""
    quiet_since: float = 0.0


class Draining:
    """All that are leaving."""

    def __init__(self) -> None:
        self._leaving: dict[tuple[VirtualServerKey, RealServerKey], Leaving] = {}

    def __len__(self) -> int:
        return len(self._leaving)

    def __contains__(self, place: tuple[VirtualServerKey, RealServerKey]) -> bool:
        return place in self._leaving

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """Virtual addresses through which connections may still go on."""
        return frozenset(key.address for key, _ in self._leaving if isinstance(key, ServiceAddress))

    def retire(self, servers: Iterable[VirtualServer], known: Callable[[VirtualServerKey, RealServerKey], bool],
               deadline: Callable[[VirtualServerKey], float]) -> None:  # fmt: skip
        """Let those real servers of `servers` leave that are not known any more; those that are known again stay.

        Args:
            servers: virtual servers as they were.
            known: whether the configuration has the real server.
            deadline: until when connections through a virtual server may go on, on `time.monotonic`.
        """
        self._leaving = {place: leaving for place, leaving in self._leaving.items() if not known(*place)}
        for server in servers:
            key = server.key
            if isinstance(key, ServiceAddress) and key.protocol is Protocol.UDP:
                continue
            for real_key, real_server in server.real_servers.items():
                if not known(key, real_key) and (key, real_key) not in self._leaving:
                    self._leaving[key, real_key] = Leaving(replace(server, real_servers={}), real_server, deadline(key))

    def lose_sight(self, addresses: AbstractSet[IPAddress]) -> None:
        """These virtual addresses are elsewhere, so that connections through them are not known here."""
        for (key, _), leaving in self._leaving.items():
            leaving.unseen |= isinstance(key, ServiceAddress) and key.address in addresses

    def overlay(self, table: Table, configured: Container[VirtualServerKey], away: AbstractSet[IPAddress],
                own: AbstractSet[IPAddress]) -> dict[VirtualServerKey, VirtualServer]:  # fmt: skip
        """The table with those that are leaving.

        The connections that come here with an address are nobody's that this kernel knows: the schedulers that go by a
        hash find the real server of each, if it has a weight. So there one that leaves keeps its weight to the end.

        Args:
            table: without them.
            configured: virtual servers; those of them that are not in the table are to be nowhere here.
            away: virtual addresses that are held elsewhere.
            own: this host's addresses: if it is leaving by DR or TUN itself, it takes what the master forwards to it.
        """
        result, to_itself = dict(table), set()
        if not self._leaving:
            return result
        for (key, real_key), leaving in self._leaving.items():
            elsewhere = isinstance(key, ServiceAddress) and key.address in away
            if elsewhere and not leaving.real_server.method.maps_ports and real_key.address in own:
                to_itself.add(key)
            if key in result or key not in configured:
                server = result.get(key, leaving.server)
                if (server.proxy_protocol is None) is (leaving.real_server.method is Method.PROXY):
                    continue  # the proxy cannot go on with a connection of the kernel's, nor the other way round
                kept = leaving.unseen and server.scheduler in CONSISTENT
                real_server = leaving.real_server if kept else replace(leaving.real_server, weight=0)
                result[key] = replace(server, real_servers={**server.real_servers, real_key: real_server})
        for key in to_itself:
            result.pop(key, None)
        return {key: passing_over(server) if server is not table.get(key) else server for key, server in result.items()}

    def poll(self, activity: Callable[[VirtualServerKey], Mapping[RealServerKey, Activity]], now: float) -> None:
        """Forget those that are done.

        Args:
            activity: what the kernel says of a virtual server's real servers.
            now: on `time.monotonic`.
        """
        seen = {key: activity(key) for key in {key for (key, _), each in self._leaving.items() if not each.unseen}}
        for (key, real_key), leaving in [*self._leaving.items()]:
            done = not leaving.unseen and _is_done(leaving, seen[key].get(real_key), now)
            if done or now >= leaving.deadline:
                del self._leaving[key, real_key]


def _is_done(leaving: Leaving, activity: Activity | None, now: float) -> bool:
    if activity is None:
        return True  # somebody else has removed it
    packets = activity.traffic.packets_in + activity.traffic.packets_out
    if packets != leaving.packets:
        leaving.packets, leaving.quiet_since = packets, now
    if activity.active:
        return False
    return not activity.inactive or now - leaving.quiet_since >= QUIET
