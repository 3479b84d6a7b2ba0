"""DNS_CHECK: a question over UDP is answered without an error, with at least one record."""

import asyncio

from dns.exception import DNSException
from dns.message import Message, from_wire, make_query
from dns.rcode import NOERROR
from dns.rcode import to_text as rcode_name

from vrrpd.config.services import DnsCheck
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.director.checks.sockets import DATAGRAM_MAX, open_datagrams
from vrrpd.protocol.advert import IPAddress


async def attempt(check: DnsCheck, address: IPAddress, port: int) -> None:
    """Ask, over a socket of our own: it learns of "port unreachable", which dnspython's does not."""
    try:
        query = make_query(check.name, check.record_type)
    except (DNSException, ValueError) as error:
        raise CheckFailed(f"cannot ask for {check.record_type} of {check.name}: {error}") from error
    with open_datagrams(check, address, port) as sock:
        sock.send(query.to_wire())
        wire = await asyncio.get_running_loop().sock_recv(sock, DATAGRAM_MAX)
    response = _parsed(wire)
    if not query.is_response(response):
        raise CheckFailed("answers another question")
    if response.rcode() != NOERROR:
        raise CheckFailed(f"answers {rcode_name(response.rcode())}")
    if not response.answer:
        raise CheckFailed(f"no {check.record_type} record of {check.name}")


def _parsed(wire: bytes) -> Message:
    try:
        return from_wire(wire)
    except (DNSException, ValueError) as error:
        raise CheckFailed(f"answers with what is no DNS message: {error}") from error
