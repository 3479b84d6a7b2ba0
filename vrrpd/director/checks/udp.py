"""UDP_CHECK: a datagram meets with no "port unreachable", or gets a reply."""

import asyncio

from vrrpd.config.services import UdpCheck
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.director.checks.sockets import DATAGRAM_MAX, open_datagrams
from vrrpd.protocol.advert import IPAddress


async def attempt(check: UdpCheck, address: IPAddress, port: int) -> None:
    """Send the payload and wait for a reply, whose length must be right; whether it may stay away `probe` knows."""
    with open_datagrams(check, address, port) as sock:
        try:
            sock.send(check.payload)
            reply = await asyncio.get_running_loop().sock_recv(sock, DATAGRAM_MAX)
        except ConnectionRefusedError:
            raise CheckFailed("port unreachable") from None
    if not check.min_reply_length <= len(reply) <= check.max_reply_length:
        raise CheckFailed(f"reply of {len(reply)} bytes, not {check.min_reply_length}-{check.max_reply_length}")
