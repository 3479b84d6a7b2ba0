r"""The PROXY protocol's header, by which a real server learns whose connection this is. Pure.

https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, sections 2.1 and 2.2:

    PROXY TCP4 198.51.100.7 192.0.2.100 40000 80\r\n          version 1: the client, what it asked for, both ports

    0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A   21   11   00 0C      version 2: signature; version 2, PROXY; TCP over IPv4;
    addresses, then ports, as in version 1                      octets that follow
"""

import struct

from vrrpd.ipvs.model import ProxyProtocol
from vrrpd.protocol.advert import IPAddress

Endpoint = tuple[IPAddress, int]
"""Address and port."""

_HEAD = struct.Struct("!12sBBH")
_PORTS = struct.Struct("!HH")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY = 0x21
_TCP = {4: 0x11, 6: 0x21}


def header(form: ProxyProtocol, client: Endpoint, asked: Endpoint) -> bytes:
    """What comes before the client's first octet.

    Args:
        form: what the real server understands.
        client: where the connection comes from.
        asked: what the client has connected to, of the same family.
    """
    (source, source_port), (destination, port) = client, asked
    if form is ProxyProtocol.V1:
        return f"PROXY TCP{source.version} {source} {destination} {source_port} {port}\r\n".encode("ascii")
    block = source.packed + destination.packed + _PORTS.pack(source_port, port)
    return _HEAD.pack(_SIGNATURE, _PROXY, _TCP[source.version], len(block)) + block
