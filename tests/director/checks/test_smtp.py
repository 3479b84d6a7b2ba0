"""SMTP_CHECK, against a server that says what it is told to."""

import asyncio
from typing import Any

import pytest

from tests.director.checks.asking import Run, asked, patient, saying, silent, tcp_server
from vrrpd.config.services import SmtpCheck
from vrrpd.protocol.advert import IPAddress

GREETING = b"220 mail.example.org ESMTP\r\n"
HELLO = b"250 mail.example.org\r\n"


def outcome(run: Run, address: IPAddress, *words: bytes, **settings: Any) -> str | int | None:
    async def main() -> str | int | None:
        async with tcp_server(address, saying(*words)) as port:
            return await asked(patient(SmtpCheck, **settings), address, port)

    return run(main())


@pytest.mark.parametrize(
    ("greeting", "hello"),
    [
        (GREETING, HELLO),
        (b"220-mail\r\n220-does not take spam\r\n220 go on\r\n", b"250-mail\r\n250 SIZE 1000\r\n"),
        (b"220\r\n", b"250\n"),
        (b"220 \xc3\xa9\xff\r\n", HELLO),
        (b"220-\r\n" * 5000 + b"220 \r\n", HELLO),
    ],
)
def test_well(run: Run, address: IPAddress, greeting: bytes, hello: bytes) -> None:
    assert outcome(run, address, greeting, hello) is None


def test_a_reply_in_pieces(run: Run, address: IPAddress) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(len(GREETING)):
            writer.write(GREETING[at : at + 1])
            await asyncio.sleep(0.001)
        await reader.readline()
        writer.write(HELLO)
        await silent(reader, writer)

    async def main() -> None:
        async with tcp_server(address, handler) as port:
            assert await asked(patient(SmtpCheck), address, port) is None

    run(main())


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        ((b"554 no\r\n", HELLO), 'says "554 no", not 220'),
        ((HELLO, HELLO), 'says "250 mail.example.org", not 220'),
        ((GREETING, b"421 too busy\r\n"), 'says "421 too busy", not 250'),
        ((b"220-mail\r\n554 no\r\n",), 'says "554 no", not 220'),
        ((b"2200 mail\r\n",), 'says "2200 mail", not 220'),
        ((b"\r\n",), 'says "", not 220'),
        ((b"\xff\r\n",), 'says "\\xff", not 220'),
        ((), "closes the connection before it says 220"),
        ((b"220 mail",), "closes the connection before it says 220"),
        ((b"220-mail\r\n",), "closes the connection before it says 220"),
        ((GREETING,), "closes the connection before it says 250"),
        ((b"220-\r\n" * 50_000,), "goes on and on before it says 220"),
        ((b"2" * 50_000,), "goes on and on before it says 220"),
    ],
)
def test_not_well(run: Run, address: IPAddress, words: tuple[bytes, ...], failure: str) -> None:
    assert outcome(run, address, *words) == failure


@pytest.mark.parametrize("settings", [{}, {"helo_name": "lb.example.org"}])
def test_what_the_server_hears(run: Run, address: IPAddress, settings: dict[str, str]) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        hello = await reader.readline()
        writer.write(HELLO)
        heard.put_nowait(hello + await reader.read())

    async def main() -> None:
        async with tcp_server(address, handler) as port:
            assert await asked(patient(SmtpCheck, **settings), address, port) is None
            name = settings.get("helo_name", "localhost")
            assert await heard.get() == f"HELO {name}\r\nQUIT\r\n".encode()

    run(main())
