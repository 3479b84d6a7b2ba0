"""Real servers that the configuration has no more, and whose connections may go on for a while.

Each stays with weight 0 until nothing goes on there any more, or its time is over. UDP has no connections to wait for.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.ipvs.model import (
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
    """With weight 0."""
    deadline: float
    """On `time.monotonic`."""
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
        """Let those real servers of `servers`, which the kernel has, leave that are not known any more.

        Args:
            servers: virtual servers as the kernel has them.
            known: whether the configuration has the real server.
            deadline: until when connections through a virtual server may go on, on `time.monotonic`.
        """
        for server in servers:
            key = server.key
            if isinstance(key, ServiceAddress) and key.protocol is Protocol.UDP:
                continue
            for real_key, real_server in server.real_servers.items():
                if not known(key, real_key) and (key, real_key) not in self._leaving:
                    leaving = replace(real_server, weight=0)
                    self._leaving[key, real_key] = Leaving(replace(server, real_servers={}), leaving, deadline(key))

    def overlay(self, table: Table, away: AbstractSet[IPAddress]) -> dict[VirtualServerKey, VirtualServer]:
        """The table with those that are leaving, but for what is wanted again, or belongs where the address is."""
        result = dict(table)
        for (key, real_key), leaving in [*self._leaving.items()]:
            wanted = key in table and real_key in table[key].real_servers
            gone = isinstance(key, ServiceAddress) and key.address in away
            if wanted or (gone and leaving.real_server.method is not Method.NAT):
                del self._leaving[key, real_key]
                continue
            server = result.get(key, leaving.server)
            result[key] = replace(server, real_servers={**server.real_servers, real_key: leaving.real_server})
        return result

    def poll(self, activity: Callable[[VirtualServerKey], Mapping[RealServerKey, Activity]], now: float) -> None:
        """Forget those that are done.

        Args:
            activity: what the kernel says of a virtual server's real servers.
            now: on `time.monotonic`.
        """
        seen = {key: activity(key) for key in {key for key, _ in self._leaving}}
        for (key, real_key), leaving in [*self._leaving.items()]:
            if now >= leaving.deadline or _is_done(leaving, seen[key].get(real_key), now):
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
