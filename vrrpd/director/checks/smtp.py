"""SMTP_CHECK: the server greets with 220 and takes a HELO with 250 (RFC 5321 sections 4.2 and 4.3)."""

import asyncio
import contextlib
import re
import socket

from vrrpd.config.services import SmtpCheck
from vrrpd.director.checks.probe import CheckFailed
from vrrpd.director.checks.sockets import open_connection
from vrrpd.protocol.advert import IPAddress

REPLY_MAX = 1 << 16
"""Bytes of all lines that one command gets."""
LINE_MAX = 1024
"""Bytes; twice what a server may send."""

_GREETING = 220
_COMPLETED = 250
_LINE = re.compile(rb"(\d{3})(?:([ -]).*)?", re.DOTALL)


async def attempt(check: SmtpCheck, address: IPAddress, port: int) -> None:
    """Be greeted, say HELO and QUIT."""
    with await open_connection(check, address, port) as sock:
        await _expect(_GREETING, sock)
        await asyncio.get_running_loop().sock_sendall(sock, f"HELO {check.helo_name}\r\n".encode())
        await _expect(_COMPLETED, sock)
        with contextlib.suppress(OSError):  # it has shown that it works
            sock.send(b"QUIT\r\n")


async def _expect(wanted: int, sock: socket.socket) -> None:
    """Read a reply, of one line or of several, the last of which has no "-" after the code."""
    total, begun = 0, b""
    while total <= REPLY_MAX and len(begun) <= LINE_MAX:
        chunk = await asyncio.get_running_loop().sock_recv(sock, LINE_MAX)
        if not chunk:
            raise CheckFailed(f"closes the connection before it says {wanted}")
        total += len(chunk)
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            reply = _LINE.fullmatch(line.rstrip(b"\r"))
            if reply is None or int(reply[1]) != wanted:
                said = line.rstrip(b"\r")[:60].decode("utf-8", "backslashreplace")
                raise CheckFailed(f'says "{said}", not {wanted}')
            if reply[2] != b"-":
                return
    raise CheckFailed(f"goes on and on before it says {wanted}")
