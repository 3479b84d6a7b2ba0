"""Routers, adverts and packets that the tests of the core start from."""

from ipaddress import IPv4Address, IPv6Address

from vrrpd.protocol.advert import Advert, Family, IPAddress
from vrrpd.protocol.effects import State
from vrrpd.protocol.events import AdvertReceived, LinkChanged, Startup, Timer, TimerExpired
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.router import VirtualRouter
from vrrpd.protocol.timing import Centiseconds

OWN = IPv4Address("192.0.2.11")
LOWER = IPv4Address("192.0.2.9")
"""Lower than `OWN` as a number, higher as a string."""
HIGHER = IPv4Address("192.0.2.12")
OWN_IPV6 = IPv6Address("fe80::11")

GROUP = IPv4Address("224.0.0.18")
GROUP_IPV6 = IPv6Address("ff02::12")

VIPS = (IPv4Address("192.0.2.100"), IPv4Address("192.0.2.101"))
VIPS_IPV6 = (IPv6Address("fe80::100"), IPv6Address("2001:db8::100"))

PARAMETERS = Parameters(virtual_router_id=51, addresses=VIPS, hitless=False)
"""Priority 100 at 100 cs: skew_time 60.9375 cs, active_down_interval 360.9375 cs. The letter of the RFC."""
DOWN_INTERVAL = Centiseconds(360.9375)
SKEW_TIME = Centiseconds(60.9375)

LINK_UP = LinkChanged(up=True, address=OWN)
LINK_DOWN = LinkChanged(up=False, reason="no carrier")


def router_in_init(parameters: Parameters = PARAMETERS, address: IPAddress = OWN) -> VirtualRouter:
    """A router that knows that its link is up and was not started."""
    router = VirtualRouter(parameters)
    router.handle(LinkChanged(up=True, address=address))
    return router


def router_in_backup(parameters: Parameters = PARAMETERS, address: IPAddress = OWN) -> VirtualRouter:
    """A router that was started and has heard nobody yet."""
    router = router_in_init(parameters, address)
    router.handle(Startup())
    assert router.state is State.BACKUP
    return router


def router_in_master(parameters: Parameters = PARAMETERS, address: IPAddress = OWN) -> VirtualRouter:
    """A router that heard nobody and took over."""
    router = router_in_init(parameters, address)
    router.handle(Startup())
    router.handle(TimerExpired(Timer.ACTIVE_DOWN))
    assert router.state is State.MASTER
    return router


def heard(
    priority: int, interval: float = 100, source: IPAddress = HIGHER, addresses: tuple[IPAddress, ...] = VIPS
) -> AdvertReceived:
    """An advert of another router."""
    return AdvertReceived(source, Advert(51, priority, Centiseconds(interval), addresses))


def sealed(message: bytes, source: IPAddress | None, destination: IPAddress = GROUP) -> bytes:
    """`message` with its checksum field (bytes 6 and 7) made right; without `source`, over the message alone.

    Arithmetic modulo 65535 is the one's complement sum of RFC 1071 by another road than the code's.
    """
    covered = message[:6] + b"\0\0" + message[8:]
    if source is not None:
        length = len(message).to_bytes(2 if source.version == Family.IPV4.value else 4)
        covered += bytes(len(covered) % 2) + source.packed + destination.packed + length + (112).to_bytes(2)
    covered += bytes(len(covered) % 2)
    words = (int.from_bytes(covered[at : at + 2]) for at in range(0, len(covered), 2))
    return message[:6] + (65535 - sum(words) % 65535).to_bytes(2) + message[8:]
