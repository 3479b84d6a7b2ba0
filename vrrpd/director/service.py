"""One virtual server: who is well, whether that is enough, and what its part of the kernel's table should be. Pure."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.config.services import RealServerSettings, VirtualServerSettings
from vrrpd.ipvs.model import (
    CONSISTENT,
    Flag,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Table,
    VirtualServer,
    VirtualServerKey,
    virtual_server,
)
from vrrpd.protocol.advert import IPAddress


class Health(Struct, frozen=True):
    """What the checks of one real server have found."""

    up: bool = True
    weight: int | None = None
    """What a check wants its weight to be; None: it stays as configured."""


class Service:
    """Takes on health, and forgets none of it when the settings change.

    Args:
        settings: the virtual server.
        before: the same under earlier settings.
        adopted: else, what an earlier life has left of it in the kernel.
    """

    def __init__(
        self,
        settings: VirtualServerSettings,
        before: "Service | None" = None,
        adopted: Mapping[RealServerKey, Health] | None = None,
    ) -> None:
        self.settings = settings
        known: Mapping[RealServerKey, Health] = before.health if before else adopted or {}
        self.health: dict[RealServerKey, Health] = {
            key: self._at_first(real, known.get(key)) for real in settings.real_servers for key in [real.key]
        }
        """In the order of the real servers."""
        self.has_quorum: bool = before.has_quorum if before else self.weight >= settings.quorum
        """Whether those who are well are enough."""
        self._judge()

    def _at_first(self, real: RealServerSettings, known: Health | None) -> Health:
        if not real.checks:
            return Health()
        return known or Health(up=not self.settings.alpha)

    @property
    def weight(self) -> int:
        """Of all that are well, together."""
        return sum(_weight(real, health) for real, health in self._healths())

    def _healths(self) -> Iterator[tuple[RealServerSettings, Health]]:
        """The real servers and theirs; to look up 50,000 keys takes a while."""
        return zip(self.settings.real_servers, self.health.values(), strict=True)

    def hear(self, key: RealServerKey, health: Health) -> bool:
        """A real server is well, or is not; returns whether that is news."""
        if self.health.get(key, health) == health:
            return False
        self.health[key] = health
        self._judge()
        return True

    def _judge(self) -> None:
        """The quorum is lost and gained with hysteresis."""
        quorum, hysteresis = self.settings.quorum, self.settings.hysteresis
        if self.has_quorum:
            self.has_quorum = self.weight >= quorum - hysteresis
        else:
            self.has_quorum = self.weight >= quorum + hysteresis

    def table(self, away: AbstractSet[IPAddress] = frozenset()) -> dict[VirtualServerKey, VirtualServer]:
        """What the kernel should have of it.

        Nobody knows where the address of a firewall mark is: it goes with the addresses of its group, if there are any.

        Args:
            away: addresses for which there is to be nothing.
        """
        settings = self.settings
        serving = tuple(self._serving())
        gone = bool(settings.addresses) and away >= {*settings.addresses}
        return {
            key: passing_over(
                virtual_server(
                    key,
                    tuple(programmed(key, real, weight) for real, weight in serving),
                    scheduler=settings.scheduler,
                    flags=settings.flags,
                    persistence_timeout=settings.persistence_timeout,
                    persistence_granularity=settings.persistence_granularity,
                    proxy_protocol=settings.proxy_protocol if settings.proxied else None,
                )
            )
            for key in settings.keys
            if not (key.address in away if isinstance(key, ServiceAddress) else gone)
        }

    def _serving(self) -> Iterator[tuple[RealServerSettings, int]]:
        """Who takes part, and with what weight."""
        sorry = self.settings.sorry_server
        instead = sorry is not None and not self.has_quorum
        if sorry and instead:
            yield sorry, sorry.weight
        for real, health in self._healths():
            if health.up or real.inhibit_on_failure:
                # Its connections may go on beside the sorry server's.
                yield real, 0 if instead else _weight(real, health)

    def found(self, key: VirtualServerKey) -> list[tuple[RealServer, Health | None]]:
        """Everybody, as the kernel is or would be told; the sorry server, who is not checked, without a health."""
        sorry = self.settings.sorry_server
        reals: list[tuple[RealServer, Health | None]] = [
            (programmed(key, real, _weight(real, health)), health) for real, health in self._healths()
        ]
        return [*reals, (programmed(key, sorry, sorry.weight), None)] if sorry else reals

    def knows(self, server: VirtualServerKey, key: RealServerKey) -> bool:
        """Whether a real server of the kernel's table is one that it has, well or not."""
        return any(programmed(server, real, 0).key == key for real in self.settings.everybody)


def _weight(real: RealServerSettings, health: Health) -> int:
    if not health.up:
        return 0
    return real.weight if health.weight is None else health.weight


def programmed(key: VirtualServerKey, real: RealServerSettings, weight: int) -> RealServer:
    """A real server as the kernel is to have it."""
    port = real.port
    if not real.method.maps_ports:  # a group may have several ports, and none is translated
        port = key.port if isinstance(key, ServiceAddress) else 0
    return RealServer(RealServerKey(real.address, port), real.method, weight, real.uthreshold, real.lthreshold)


def is_served_by(settings: VirtualServerSettings, own: AbstractSet[IPAddress]) -> bool:
    """Whether this host is a real server by DR or TUN: then it has a part in the service only where its address is.

    The packets that the master forwards to it would be forwarded anew, and go round in circles.

    Args:
        settings: the virtual server.
        own: the addresses of this host.
    """
    return any(not real.method.maps_ports and real.address in own for real in settings.everybody)


def passing_over(server: VirtualServer) -> VirtualServer:
    """The same, so that a client whose hash is that of a real server with weight 0 is not refused."""
    if server.scheduler not in CONSISTENT or all(real.weight for real in server.real_servers.values()):
        return server
    return replace(server, flags=server.flags | Flag.SCHED_1)


def adopted(settings: VirtualServerSettings, present: Table) -> dict[RealServerKey, Health]:
    """Who was well when an earlier life ended: those that the kernel still gives connections to.

    Args:
        settings: the virtual server.
        present: what the earlier life has left in the kernel.
    """
    found: dict[RealServerKey, Health] = {}
    for key in settings.keys & present.keys():
        there = present[key].real_servers
        serving = {place for place, real in there.items() if real.weight}
        if serving and serving.isdisjoint(programmed(key, real, 0).key for real in settings.everybody):
            continue  # all of them are replaced now, by some of whom nobody knows anything: they must not wait
        for real in settings.real_servers:
            left = there.get(programmed(key, real, 0).key)
            found[real.key] = Health(up=left is not None and (left.weight > 0 or not real.weight))
    return found
