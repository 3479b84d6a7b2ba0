"""HTTP_GET and SSL_GET, against aiohttp's own server, and against bytes that no server should send."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec import Struct

from tests.director.checks.asking import (
    CERTIFICATE,
    HOST_NAME,
    Run,
    asked,
    closed_port,
    patient,
    saying,
    server_context,
    silent,
    tcp_server,
)
from vrrpd.config.services import HttpCheck
from vrrpd.director.checks import http
from vrrpd.protocol.advert import IPAddress

BODY = b"it works: \xc3\xa9 \xff"

both = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


class Heard(Struct):
    """What the server heard."""

    requests: list[web.BaseRequest] = []
    server_names: list[str | None] = []


async def plain(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=BODY)


@asynccontextmanager
async def web_server(
    address: IPAddress,
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = plain,
    *,
    tls: bool = False,
) -> AsyncIterator[tuple[int, Heard]]:
    heard = Heard()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        heard.requests.append(request)
        return await handler(request)

    def named(_socket: Any, name: str | None, _context: ssl.SSLContext) -> None:
        heard.server_names.append(name)

    context = server_context() if tls else None
    if context:
        context.sni_callback = named
    service = web.Server(serve)
    server = await asyncio.get_running_loop().create_server(service, str(address), 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await service.shutdown(0)


def outcome(
    run: Run,
    address: IPAddress,
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = plain,
    *,
    tls: bool = False,
    **settings: Any,
) -> str | int | None:
    async def main() -> str | int | None:
        async with web_server(address, handler, tls=tls) as (port, _):
            return await asked(patient(HttpCheck, tls=tls, **settings), address, port)

    return run(main())


def heard_of(run: Run, address: IPAddress, *, tls: bool = False, **settings: Any) -> tuple[int, Heard]:
    """Port, and what the server heard of a check with which all is well."""

    async def main() -> tuple[int, Heard]:
        async with web_server(address, tls=tls) as (port, heard):
            assert await asked(patient(HttpCheck, tls=tls, **settings), address, port) is None
            return port, heard

    return run(main())


@both
def test_a_request_as_it_arrives(run: Run, address: IPAddress, tls: bool) -> None:
    port, heard = heard_of(run, address, tls=tls)
    (request,) = heard.requests
    host = str(address) if address.version == 4 else f"[{address}]"
    assert (request.method, request.raw_path, request.headers["Host"]) == ("GET", "/", f"{host}:{port}")
    assert request.headers["Connection"] == "close"
    assert request.headers["Accept-Encoding"] == "identity"
    assert heard.server_names == ([None] if tls else [])


@pytest.mark.parametrize(
    ("path", "on_the_wire"),
    [
        ("/health", "/health"),
        ("/a%2Fb/%41;x=1/../c?q=a+b&r=%20&s='*'", "/a%2Fb/%41;x=1/../c?q=a+b&r=%20&s='*'"),
        ("/a b/é?ü", "/a%20b/%C3%A9?%C3%BC"),
        ("/\r\nHost: evil", "/%0D%0AHost:%20evil"),
    ],
)
def test_the_path_goes_out_as_it_is_written(run: Run, address: IPAddress, path: str, on_the_wire: str) -> None:
    _, heard = heard_of(run, address, path=path)
    assert heard.requests[0].raw_path == on_the_wire


@both
@pytest.mark.parametrize("virtualhost", [HOST_NAME, f"{HOST_NAME}:8443"])
def test_the_virtualhost_is_asked_for(run: Run, address: IPAddress, tls: bool, virtualhost: str) -> None:
    _, heard = heard_of(run, address, tls=tls, virtualhost=virtualhost)
    assert heard.requests[0].headers.getall("Host") == [virtualhost]
    assert heard.server_names == ([HOST_NAME] if tls else [])


def test_without_sni(run: Run, address: IPAddress) -> None:
    _, heard = heard_of(run, address, tls=True, virtualhost=HOST_NAME, enable_sni=False)
    assert heard.requests[0].headers["Host"] == HOST_NAME
    assert heard.server_names == [None]


@pytest.mark.parametrize("virtualhost", ["a..b", "a\r\nb", "x" * 64, "a:b"])
def test_a_virtualhost_that_is_none(run: Run, address: IPAddress, virtualhost: str) -> None:
    assert isinstance(outcome(run, address, tls=True, virtualhost=virtualhost), str)


# Certificates


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Has this host trust the certificates of a file."""

    def trust(path: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
        http._tls.cache_clear()

    yield trust
    http._tls.cache_clear()


def test_an_unknown_certificate_is_well_unless_it_is_to_be_verified(
    run: Run, address: IPAddress, trusted: Callable[[str], None]
) -> None:
    trusted("/dev/null")
    assert outcome(run, address, tls=True, virtualhost=HOST_NAME) is None
    failure = outcome(run, address, tls=True, virtualhost=HOST_NAME, verify=True)
    assert failure == "certificate: self-signed certificate"


@pytest.mark.parametrize(
    ("settings", "well"),
    [
        ({"virtualhost": HOST_NAME}, True),
        ({"virtualhost": f"{HOST_NAME}:443"}, True),
        ({"virtualhost": "ftp.example.org"}, False),
        ({}, True),  # it has the address, too
        ({"virtualhost": "ftp.example.org", "enable_sni": False}, True),
    ],
)
def test_a_known_certificate_is_to_be_of_the_name(
    run: Run, address: IPAddress, trusted: Callable[[str], None], settings: dict[str, Any], well: bool
) -> None:
    trusted(str(CERTIFICATE))
    failure = outcome(run, address, tls=True, verify=True, **settings)
    assert failure == (
        None if well else f"certificate: Hostname mismatch, certificate is not valid for '{settings['virtualhost']}'."
    )


def test_tls_with_one_who_knows_none(run: Run, address: IPAddress) -> None:
    async def main() -> str | int | None:
        async with web_server(address) as (port, _):
            return await asked(patient(HttpCheck, tls=True), address, port)

    assert str(run(main())).startswith("TLS: ")


def test_no_tls_with_one_who_wants_it(run: Run, address: IPAddress) -> None:
    async def main() -> str | int | None:
        async with web_server(address, tls=True) as (port, _):
            return await asked(patient(HttpCheck), address, port)

    assert isinstance(run(main()), str)


# Status


@both
@pytest.mark.parametrize(
    ("status", "ranges", "failure"),
    [
        (200, None, None),
        (299, None, None),
        (300, None, "status 300, not 200-299"),
        (503, None, "status 503, not 200-299"),
        (404, ((200, 200), (400, 404)), None),
        (405, ((200, 200), (400, 404)), "status 405, not 200, 400-404"),
        (399, ((200, 200), (400, 404)), "status 399, not 200, 400-404"),
    ],
)
def test_status(  # noqa: PLR0917
    run: Run,
    address: IPAddress,
    tls: bool,
    status: int,
    ranges: tuple[tuple[int, int], ...] | None,
    failure: str | None,
) -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status)

    settings = {} if ranges is None else {"status_code": ranges}
    assert outcome(run, address, handler, tls=tls, **settings) == failure


def test_redirects_are_not_followed(run: Run, address: IPAddress) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.path == "/"
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    assert outcome(run, address, handler) == "status 302, not 200-299"
    assert outcome(run, address, handler, status_code=((302, 302),)) is None


# Body


@both
def test_digest(run: Run, address: IPAddress, tls: bool) -> None:
    digest = hashlib.md5(BODY).hexdigest()
    other = hashlib.md5(BODY + b"\n").hexdigest()
    assert outcome(run, address, tls=tls, digest=digest) is None
    assert outcome(run, address, tls=tls, digest=digest.upper()) is None
    assert outcome(run, address, tls=tls, digest=other) == f"digest {digest}, not {other}"


@pytest.mark.parametrize(
    ("regex", "found"), [("it works", True), ("^it w.rks: é", True), ("IT WORKS", False), ("(?i)IT WORKS", True)]
)
def test_regex(run: Run, address: IPAddress, regex: str, found: bool) -> None:
    assert outcome(run, address, regex=regex) == (None if found else "regex not found in the body")
    failure = outcome(run, address, regex=regex, regex_no_match=True)
    assert failure == ("regex found in the body" if found else None)


def test_a_regex_that_is_none(run: Run, address: IPAddress) -> None:
    assert str(outcome(run, address, regex="(")).startswith("regex: ")


def test_digest_and_regex_must_both_be_right(run: Run, address: IPAddress) -> None:
    digest = hashlib.md5(BODY).hexdigest()
    assert outcome(run, address, digest=digest, regex="works") is None
    assert isinstance(outcome(run, address, digest=digest, regex="fails"), str)
    assert isinstance(outcome(run, address, digest=digest[::-1], regex="works"), str)


@pytest.mark.parametrize("coding", ["gzip", "chunked"])
def test_a_body_is_what_was_sent(run: Run, address: IPAddress, coding: str) -> None:
    """In pieces, but not decompressed: we have not asked for that."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"} if coding == "gzip" else {})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for byte in BODY:
            await response.write(bytes([byte]))
        return response

    assert outcome(run, address, handler, digest=hashlib.md5(BODY).hexdigest()) is None


def test_a_body_that_is_too_long(run: Run, address: IPAddress) -> None:
    """It is no matter where nobody looks at the body."""

    def body(size: int) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
        async def handler(_: web.BaseRequest) -> web.Response:
            return web.Response(body=b"x" * size)

        return handler

    assert outcome(run, address, body(1 << 20), regex="x") is None
    assert outcome(run, address, body((1 << 20) + 1), regex="x") == "body of more than 1048576 bytes"
    assert outcome(run, address, body((1 << 20) + 1), digest="0" * 32) == "body of more than 1048576 bytes"
    assert outcome(run, address, body(10 << 20)) is None


# Servers that are none


def test_a_closed_port(run: Run, address: IPAddress) -> None:
    with closed_port(address) as port:
        assert run(asked(patient(HttpCheck), address, port)) == "connection refused"
        assert run(asked(patient(HttpCheck, tls=True), address, port)) == "connection refused"


@both
@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "connection closed without an answer"),
        (b"220 mail.example.org ESMTP\r\n\r\n", "no HTTP: "),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000 + b"\r\n\r\n", "no HTTP: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "Response payload is not completed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", ""),
    ],
)
def test_no_answer_that_makes_sense(run: Run, address: IPAddress, tls: bool, answer: bytes, failure: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def main() -> str | int | None:
        async with tcp_server(address, closing, tls=tls) as port:
            return await asked(patient(HttpCheck, tls=tls, regex="."), address, port)

    reason = run(main())
    assert isinstance(reason, str)
    assert reason.startswith(failure)


def test_a_body_without_a_length_ends_with_the_connection(run: Run, address: IPAddress) -> None:
    async def main() -> str | int | None:
        async with tcp_server(address, saying(b"HTTP/1.0 200 OK\r\n\r\nyes")) as port:
            return await asked(patient(HttpCheck, digest=hashlib.md5(b"yes").hexdigest()), address, port)

    assert run(main()) is None


def test_a_body_that_never_ends(run: Run, address: IPAddress) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await silent(reader, writer)

    async def main() -> None:
        async with tcp_server(address, handler) as port:
            assert await asked(HttpCheck(connect_timeout=0.1, regex="."), address, port) == "no answer within 0.1 s"
            assert await asked(patient(HttpCheck), address, port) is None

    run(main())
