"""One virtual server: who is well, whether that is enough, and what its part of the kernel's table should be. Pure."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct

from vrrpd.config.services import RealServerSettings, VirtualServerSettings
from vrrpd.ipvs.model import (
    Method,
    RealServer,
    RealServerKey,
    ServiceAddress,
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
    """

    def __init__(self, settings: VirtualServerSettings, before: "Service | None" = None) -> None:
        self.settings = settings
        known: Mapping[RealServerKey, Health] = before.health if before else {}
        self.health: dict[RealServerKey, Health] = {
            real.key: self._at_first(real, known.get(real.key)) for real in settings.real_servers
        }
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
        return sum(self._weight(real) for real in self.settings.real_servers if self.health[real.key].up)

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

    def table(self, away: AbstractSet[IPAddress]) -> dict[VirtualServerKey, VirtualServer]:
        """What the kernel should have of it.

        With DR and TUN a director that does not hold the address has no part in it: if it is a real server as well, the
        packets that the master forwards to it would be forwarded anew.

        Args:
            away: virtual addresses of this host's instances that are held elsewhere.
        """
        settings = self.settings
        table: dict[VirtualServerKey, VirtualServer] = {}
        for key in settings.keys:
            here = not isinstance(key, ServiceAddress) or key.address not in away
            if not here and settings.method is not Method.NAT:
                continue
            table[key] = virtual_server(
                key,
                tuple(self.programmed(key, real) for real in self._serving() if here or real.method is Method.NAT),
                scheduler=settings.scheduler,
                flags=settings.flags,
                persistence_timeout=settings.persistence_timeout,
                persistence_granularity=settings.persistence_granularity,
            )
        return table

    def _serving(self) -> Iterator[RealServerSettings]:
        settings = self.settings
        if settings.sorry_server and not self.has_quorum:
            yield settings.sorry_server
            return
        for real in settings.real_servers:
            if self.health[real.key].up or real.inhibit_on_failure:
                yield real

    def programmed(self, key: VirtualServerKey, real: RealServerSettings) -> RealServer:
        """A real server as the kernel is to have it."""
        port = real.port
        if real.method is not Method.NAT:  # a group may have several ports, and none is translated
            port = key.port if isinstance(key, ServiceAddress) else 0
        return RealServer(
            RealServerKey(real.address, port), real.method, self._weight(real), real.uthreshold, real.lthreshold
        )

    def _weight(self, real: RealServerSettings) -> int:
        health = self.health.get(real.key)
        if health is None:  # the sorry server
            return real.weight
        if not health.up:
            return 0
        return real.weight if health.weight is None else health.weight

    def knows(self, key: RealServerKey) -> bool:
        """Whether a real server of the kernel's table is one that it has, well or not."""
        reals = (*self.settings.real_servers, *([self.settings.sorry_server] if self.settings.sorry_server else []))
        return any(
            real.address == key.address and (real.port == key.port or real.method is not Method.NAT) for real in reals
        )
