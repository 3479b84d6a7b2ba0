"""One attempt to find out whether a real server works, whatever the kind of check.

Each kind has a module with a coroutine `attempt(check, address, port)`: it returns if the real server is well, and
raises `CheckFailed` or an OSError otherwise. It need not watch the clock, and leaves nothing behind when cancelled.
"""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

from vrrpd.config.services import (
    Check,
    DnsCheck,
    HttpCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from vrrpd.protocol.advert import IPAddress

Attempt = Callable[[Any, IPAddress, int], Awaitable[int | None]]

REASON_MAX = 200
"""Characters of a reason; servers can say much more."""

_MODULES: dict[type[Check], str] = {
    TcpCheck: "tcp",
    HttpCheck: "http",
    UdpCheck: "udp",
    PingCheck: "ping",
    DnsCheck: "dns",
    SmtpCheck: "smtp",
    MiscCheck: "misc",
}


class CheckFailed(Exception):  # noqa: N818  (an answer that was asked for, rather than an error)
    """The real server does not work; the text says why, in a few words on one line, whatever the server has said."""

    def __init__(self, reason: str) -> None:
        printable = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in reason[:REASON_MAX])
        super().__init__(printable)


async def probe(check: Check, address: IPAddress, port: int) -> int | None:
    """Ask once, within `connect_timeout`; the weight that the answer gives the real server, if it gives one.

    Args:
        check: how to ask.
        address: the real server's, unless the check has a `connect_ip`.
        port: likewise.

    Raises:
        CheckFailed: it does not work.
    """
    attempt = prepare(check)
    asked_address = address if check.connect_ip is None else check.connect_ip
    asked_port = port if check.connect_port is None else check.connect_port
    limit = asyncio.timeout(check.connect_timeout)
    try:
        async with limit:
            return await attempt(check, asked_address, asked_port)
    except OSError as error:
        if not (isinstance(error, TimeoutError) and limit.expired()):
            raise CheckFailed(in_words(error)) from error
    if isinstance(check, UdpCheck) and not check.require_reply:
        return None  # silence is what many services answer to what they do not understand
    raise CheckFailed(f"no answer within {check.connect_timeout:g} s")


def prepare(check: Check) -> Attempt:
    """Import what checks of that kind need, unless it was: a third of a second for HTTP, which others need not pay."""
    attempt: Attempt = importlib.import_module(f"{__package__}.{_MODULES[type(check)]}").attempt
    return attempt


def in_words(error: OSError) -> str:
    """What the kernel says, such as "connection refused"; event loops put their own words into `strerror`."""
    if error.errno is not None and error.errno > 0:
        text = os.strerror(error.errno)
    else:  # the resolver's and OpenSSL's own numbers
        text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
