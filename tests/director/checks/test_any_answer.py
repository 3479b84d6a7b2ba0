"""Whatever comes back, an attempt ends well or with CheckFailed."""

import asyncio

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.director.checks.asking import Run, asked, patient, tcp_server, udp_server
from vrrpd.config.services import Check, DnsCheck, HttpCheck, SmtpCheck, TcpCheck, UdpCheck
from vrrpd.protocol.advert import IPAddress

HTTP_WORDS = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 ",
    b"Content-Length: ",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: br\r\n",
    b"Content-Type: text/plain; charset=\xff\r\n",
    b"Set-Cookie: ",
    b"Location: http://[\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
]
SMTP_WORDS = [b"220 ", b"220-", b"250", b"\r\n", b"\n"]
TLS_WORDS = [b"\x16\x03\x03", b"\x00\x02", b"\x02\x00\x00\x4a\x03\x03", b"\x15\x03\x03\x00\x02\x02\x28"]
DNS_WORDS = [b"\x84\x00", b"\x00\x01" * 4, b"\x00\x00\x06\x00\x01", b"\xc0\x0c", b"\xc0\x00", b"\x3f"]


def answers(words: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes in which such words are frequent."""
    return st.lists(st.sampled_from(words) | st.binary(max_size=20), max_size=12).map(b"".join)


any_number = settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)


@pytest.mark.parametrize(
    "check",
    [
        patient(TcpCheck),
        patient(SmtpCheck),
        patient(HttpCheck),
        patient(HttpCheck, regex="x", status_code=((0, 999),)),
        patient(HttpCheck, tls=True),
    ],
    ids=lambda check: type(check).__name__,
)
@any_number
@given(answer=answers(HTTP_WORDS) | answers(SMTP_WORDS) | answers(TLS_WORDS) | st.binary(), at_once=st.booleans())
def test_over_tcp(run: Run, address: IPAddress, check: Check, answer: bytes, at_once: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not at_once:
            await reader.read(1)
        writer.write(answer)
        writer.write_eof()
        await reader.read()

    async def main() -> None:
        async with tcp_server(address, handler) as port:
            await asked(check, address, port)

    assume(at_once or not isinstance(check, SmtpCheck))  # who speaks SMTP waits to be greeted
    run(main())


@pytest.mark.parametrize(
    "check",
    [patient(UdpCheck, payload=b"x", require_reply=True), patient(DnsCheck)],
    ids=lambda check: type(check).__name__,
)
@any_number
@given(answer=answers(DNS_WORDS) | st.binary(min_size=1), with_id=st.booleans())
def test_over_udp(run: Run, address: IPAddress, check: Check, answer: bytes, with_id: bool) -> None:
    async def main() -> None:
        async with udp_server(address, lambda data, _: data[: 2 if with_id else 0] + answer or b"-") as port:
            await asked(check, address, port)

    run(main())
