"""HTTP_GET and SSL_GET: a GET gets what it should."""

import functools
import hashlib
import re
import socket
import ssl
import string
import urllib.parse

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from yarl import URL

from vrrpd.config.services import HttpCheck
from vrrpd.director.checks.probe import CheckFailed, in_words
from vrrpd.director.checks.sockets import open_socket
from vrrpd.protocol.advert import IPAddress

BODY_MAX = 1 << 20
"""Bytes of a body that is looked at."""

_HEADERS = {"User-Agent": "vrrpd", "Accept-Encoding": "identity", "Connection": "close"}
_NO_TIMEOUT = ClientTimeout()
"""`probe` has one for the whole."""


async def attempt(check: HttpCheck, address: IPAddress, port: int) -> None:
    """GET over a connection of its own, without following redirects."""
    connector = TCPConnector(force_close=True, socket_factory=lambda _: open_socket(check, address, socket.SOCK_STREAM))
    headers = _HEADERS if check.virtualhost is None else {**_HEADERS, "Host": check.virtualhost}
    try:
        async with (
            ClientSession(
                connector=connector, cookie_jar=DummyCookieJar(), timeout=_NO_TIMEOUT, auto_decompress=False
            ) as session,
            session.get(
                _url(check, address, port),
                headers=headers,
                allow_redirects=False,
                ssl=_tls(verify=check.verify) if check.tls else True,
                server_hostname=_server_name(check),
            ) as response,
        ):
            await _judge(check, response)
    except (ClientError, ValueError) as error:  # ValueError: it cannot be asked for that
        raise CheckFailed(_in_words(error)) from error


async def _judge(check: HttpCheck, response: ClientResponse) -> None:
    if not any(first <= response.status <= last for first, last in check.status_code):
        wanted = ", ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in check.status_code)
        raise CheckFailed(f"status {response.status}, not {wanted}")
    if check.digest is None and check.regex is None:
        return
    body = await _body(response)
    if check.digest is not None:
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if digest != check.digest.lower():
            raise CheckFailed(f"digest {digest}, not {check.digest.lower()}")
    if check.regex is not None:
        try:
            found = re.search(check.regex, body.decode("utf-8", "replace")) is not None
        except re.error as error:
            raise CheckFailed(f"regex: {error}") from error
        if found == check.regex_no_match:
            raise CheckFailed(f"regex {'' if found else 'not '}found in the body")


async def _body(response: ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_MAX:
            raise CheckFailed(f"body of more than {BODY_MAX} bytes")
    return bytes(body)


def _url(check: HttpCheck, address: IPAddress, port: int) -> URL:
    """The path goes out as it is written, as far as HTTP allows."""
    path, _, query = urllib.parse.quote(check.path, safe=string.punctuation).partition("?")
    scheme = "https" if check.tls else "http"
    host = str(address) if address.version == 4 else f"[{address}]"
    return URL.build(scheme=scheme, host=host, port=port, path=path, query_string=query, encoded=True)


def _server_name(check: HttpCheck) -> str | None:
    """What TLS asks for; None: nothing, and a certificate that is verified must be the address's."""
    if not check.tls or check.virtualhost is None or not check.enable_sni:
        return None
    return URL.build(scheme="https", authority=check.virtualhost).host


@functools.cache
def _tls(*, verify: bool) -> ssl.SSLContext:
    """Reading what this host trusts takes many milliseconds: it is done once."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _in_words(error: ClientError | ValueError) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    match cause:
        case ssl.SSLCertVerificationError():
            return f"certificate: {cause.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
        case OSError():
            return in_words(cause)
        case ServerDisconnectedError():
            return "connection closed without an answer"
        case ClientResponseError():
            return f"no HTTP: {_first_line(cause.message)}"
    return _first_line(str(cause)) or type(cause).__name__


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
