"""UDP_CHECK."""

import socket
from typing import Any

import pytest

from tests.director.checks.asking import SHORT, Run, asked, closed_port, patient, udp_server
from vrrpd.config.services import UdpCheck
from vrrpd.protocol.advert import IPAddress


def says_nothing(_data: bytes, _client: Any) -> None:
    return None


@pytest.mark.parametrize("require_reply", [False, True])
def test_a_closed_port(run: Run, address: IPAddress, require_reply: bool) -> None:
    with closed_port(address, socket.SOCK_DGRAM) as port:
        check = patient(UdpCheck, require_reply=require_reply)
        assert run(asked(check, address, port)) == "port unreachable"


@pytest.mark.parametrize("require_reply", [False, True])
def test_silence(run: Run, address: IPAddress, require_reply: bool) -> None:
    async def main() -> None:
        async with udp_server(address, says_nothing) as port:
            outcome = await asked(UdpCheck(require_reply=require_reply, connect_timeout=SHORT), address, port)
            assert outcome == ("no answer within 0.05 s" if require_reply else None)

    run(main())


@pytest.mark.parametrize("require_reply", [False, True])
@pytest.mark.parametrize("payload", [b"", b"\0ping\xff", bytes(8000)], ids=len)
def test_the_payload_arrives_and_a_reply_is_enough(
    run: Run, address: IPAddress, payload: bytes, require_reply: bool
) -> None:
    async def main() -> None:
        received: list[bytes] = []
        async with udp_server(address, lambda data, _: received.append(data) or b"pong") as port:  # type: ignore[func-returns-value]
            check = patient(UdpCheck, payload=payload, require_reply=require_reply)
            assert await asked(check, address, port) is None
            assert received == [payload]

    run(main())


@pytest.mark.parametrize(
    ("bounds", "failure"),
    [
        ({"min_reply_length": 4}, None),
        ({"max_reply_length": 4}, None),
        ({"min_reply_length": 5}, "reply of 4 bytes, not 5-65535"),
        ({"max_reply_length": 3}, "reply of 4 bytes, not 0-3"),
    ],
)
@pytest.mark.parametrize("require_reply", [False, True])
def test_a_reply_has_the_right_length(
    run: Run, address: IPAddress, bounds: dict[str, int], failure: str | None, require_reply: bool
) -> None:
    async def main() -> None:
        async with udp_server(address, lambda *_: b"pong") as port:
            check = patient(UdpCheck, require_reply=require_reply, **bounds)
            assert await asked(check, address, port) == failure

    run(main())


def test_a_payload_that_no_datagram_holds(run: Run, address: IPAddress) -> None:
    assert run(asked(patient(UdpCheck, payload=bytes(70_000)), address, 9)) == "message too long"
