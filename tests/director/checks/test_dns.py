"""DNS_CHECK, against answers that dnspython makes."""

import socket
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from tests.director.checks.asking import Run, asked, closed_port, patient, udp_server
from vrrpd.config.services import DnsCheck
from vrrpd.protocol.advert import IPAddress

ZONE = dns.rrset.from_text("www.example.org.", 60, "IN", "AAAA", "2001:db8::1", "2001:db8::2")
ROOT = dns.rrset.from_text(".", 60, "IN", "SOA", "ns. mail. 1 2 3 4 5")


def zone(question: dns.message.Message) -> dns.message.Message:
    """What a server of `ZONE` and `ROOT` says."""
    response = dns.message.make_response(question)
    for known in (ZONE, ROOT):
        if question.question[0].name == known.name:
            response.answer += [known] if question.question[0].rdtype == known.rdtype else []
            return response
    response.set_rcode(dns.rcode.NXDOMAIN)
    return response


def outcome(run: Run, address: IPAddress, answer: Callable[[bytes], bytes], **settings: Any) -> str | int | None:
    async def main() -> str | int | None:
        async with udp_server(address, lambda data, _: answer(data)) as port:
            return await asked(patient(DnsCheck, **settings), address, port)

    return run(main())


def serving_zone(data: bytes) -> bytes:
    return zone(dns.message.from_wire(data)).to_wire()


@pytest.mark.parametrize(
    ("settings", "failure"),
    [
        ({}, None),
        ({"name": "www.example.org", "record_type": "AAAA"}, None),
        ({"name": "www.example.org.", "record_type": "aaaa"}, None),
        ({"name": "www.example.org"}, "no SOA record of www.example.org"),
        ({"record_type": "AAAA"}, "no AAAA record of ."),
        ({"name": "ftp.example.org"}, "answers NXDOMAIN"),
    ],
)
def test_what_is_asked(run: Run, address: IPAddress, settings: dict[str, str], failure: str | None) -> None:
    assert outcome(run, address, serving_zone, **settings) == failure


@pytest.mark.parametrize("name", ["SERVFAIL", "REFUSED", "FORMERR"])
def test_errors(run: Run, address: IPAddress, name: str) -> None:
    """Records do not help; nor does it matter that such an answer may leave the question out."""

    def answer(data: bytes) -> bytes:
        response = zone(dns.message.from_wire(data))
        response.set_rcode(dns.rcode.from_text(name))
        if name == "FORMERR":
            response.question.clear()
        return response.to_wire()

    assert outcome(run, address, answer) == f"answers {name}"


def other_id(response: dns.message.Message) -> None:
    response.id ^= 1


def other_question(response: dns.message.Message) -> None:
    response.question = dns.message.make_query("org.", "SOA").question


def no_response(response: dns.message.Message) -> None:
    response.flags &= ~dns.flags.QR


@pytest.mark.parametrize("spoil", [other_id, other_question, no_response])
def test_an_answer_to_something_else(
    run: Run, address: IPAddress, spoil: Callable[[dns.message.Message], None]
) -> None:
    def answer(data: bytes) -> bytes:
        response = zone(dns.message.from_wire(data))
        spoil(response)
        return response.to_wire()

    assert outcome(run, address, answer) == "answers another question"


def test_no_dns_at_all(run: Run, address: IPAddress) -> None:
    failure = outcome(run, address, lambda _: b"HTTP/1.1 400 Bad Request\r\n")
    assert str(failure).startswith("answers with what is no DNS message")


def test_a_closed_port(run: Run, address: IPAddress) -> None:
    with closed_port(address, socket.SOCK_DGRAM) as port:
        assert run(asked(patient(DnsCheck), address, port)) == "connection refused"


@pytest.mark.parametrize(
    "settings",
    [{"name": "a..b"}, {"name": "x" * 64}, {"record_type": "NONSENSE"}, {"record_type": "TYPE70000"}],
    ids=str,
)
def test_what_cannot_be_asked(run: Run, address: IPAddress, settings: dict[str, str]) -> None:
    assert str(run(asked(patient(DnsCheck, **settings), address, 53))).startswith("cannot ask for")
