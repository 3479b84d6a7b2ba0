"""TCP_CHECK: a connection can be made."""

from vrrpd.config.services import TcpCheck
from vrrpd.director.checks.sockets import open_connection
from vrrpd.protocol.advert import IPAddress


async def attempt(check: TcpCheck, address: IPAddress, port: int) -> None:
    """Connect, and close."""
    (await open_connection(check, address, port)).close()
