"""Virtual servers to make others of."""

from ipaddress import ip_address
from typing import Any

from vrrpd.config.services import RealServerSettings, TcpCheck, VirtualServerSettings
from vrrpd.ipvs.model import Protocol, RealServerKey, ServiceAddress

VIP = ip_address("192.0.2.100")
KEY = ServiceAddress(Protocol.TCP, VIP, 80)
CHECKED = (TcpCheck(),)


def place(last: int, port: int = 80) -> RealServerKey:
    """Where the real server with that last number is."""
    return RealServerKey(ip_address(f"198.51.100.{last}"), port)


def real(last: int, weight: int = 1, port: int = 80, **settings: Any) -> RealServerSettings:
    """A real server that is checked."""
    return RealServerSettings(
        place(last).address,
        port,
        **{"weight": weight, "checks": CHECKED} | settings,  # type: ignore[arg-type]
    )


def settings(*real_servers: RealServerSettings, **others: Any) -> VirtualServerSettings:
    """A virtual server with these."""
    return VirtualServerSettings("TCP 192.0.2.100:80", (KEY,), real_servers, **others)
