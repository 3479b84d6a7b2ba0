"""The entries of the ConfigMap."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrpd.agent.grammar import Entry, read_entries
from vrrpd.config.addresses import link_local_of
from vrrpd.config.kinds import interface_address
from vrrpd.ipvs.model import Method

WEB = ("default", "web")
USE_KEY = "use an address such as 192.0.2.100, or 2001-db8--100 for 2001:db8::100"
USE_VALUE = "use NAMESPACE/SERVICE or NAMESPACE/SERVICE:METHOD (NAT, DR, PROXY), or nothing to hold the address only"


def entries(data: dict[str, str]) -> list[Entry]:
    reading = read_entries(data, "ConfigMap default/vips")
    assert not reading.problems
    return list(reading.entries)


def said(data: dict[str, str]) -> list[str]:
    return [str(problem) for problem in read_entries(data, "ConfigMap default/vips").problems]


@pytest.mark.parametrize(
    ("value", "service", "method"),
    [
        ("", None, None),
        ("\n", None, None),
        ("default/web", WEB, None),
        ("  default/web\n", WEB, None),
        ("default/web:NAT", WEB, Method.NAT),
        ("default/web:DR\n", WEB, Method.DR),
        ("default/web:dr", WEB, Method.DR),
        ("kube-system/a.b-c", ("kube-system", "a.b-c"), None),
    ],
)
def test_values(value: str, service: tuple[str, str] | None, method: Method | None) -> None:
    assert entries({"172.16.40.33": value}) == [Entry("172.16.40.33", ip_address("172.16.40.33"), service, method)]


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001-db8--10", "2001:db8::10"),
        ("2001-DB8--10", "2001:db8::10"),
        ("fe80--1", "fe80::1"),
        ("2001-db8-0-0-0-0-0-1", "2001:db8::1"),
        ("64-ff9b--192.0.2.33", "64:ff9b::c000:221"),
    ],
)
def test_keys(key: str, address: str) -> None:
    assert [entry.address for entry in entries({key: ""})] == [ip_address(address)]


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("web", "", f'"web" is not an IP address; {USE_KEY}'),
        ("192.0.2.1_24", "", f'"192.0.2.1_24" is not an IP address; {USE_KEY}'),
        ("192.0.2.256", "", f'"192.0.2.256" is not an IP address; {USE_KEY}'),
        ("127.0.0.1", "", f'"127.0.0.1" is a loopback address, which never leaves the host; {USE_KEY}'),
        ("224.0.0.18", "", f'"224.0.0.18" is a multicast address; {USE_KEY}'),
        ("--", "", f'"::" is the unspecified address; {USE_KEY}'),
        ("192.0.2.1", "web", f'"web" names no service; {USE_VALUE}'),
        ("192.0.2.1", "default/", f'"default/" names no service; {USE_VALUE}'),
        ("192.0.2.1", "/web", f'"/web" names no service; {USE_VALUE}'),
        ("192.0.2.1", "default/web/NAT", f'"default/web/NAT" names no service; {USE_VALUE}'),
        ("192.0.2.1", "default/web:TUN", '"TUN" is no method; use NAT, DR or PROXY'),
        ("192.0.2.1", "default/web:", '"" is no method; use NAT, DR or PROXY'),
    ],
)
def test_a_bad_entry_says_what_is_wrong_and_the_others_go_on(key: str, value: str, wrong: str) -> None:
    data = {key: value, "198.51.100.7": ""}
    assert said(data) == [f"ConfigMap default/vips: {key}: {wrong}"]
    assert [entry.key for entry in read_entries(data, "").entries] == ["198.51.100.7"]


def test_of_two_spellings_of_an_address_the_first_counts() -> None:
    data = {"2001-db8-0--10": "default/web", "2001-db8--10": "default/other"}
    (problem,) = said(data)
    wrong = "2001:db8::10 is the address of the key 2001-db8--10 already; remove one of them"
    assert problem == f"ConfigMap default/vips: 2001-db8-0--10: {wrong}"
    assert [entry.service for entry in read_entries(data, "").entries] == [("default", "other")]


def test_a_bad_spelling_of_an_address_takes_nothing_from_a_good_one() -> None:
    data = {"2001-db8-0--10": "default/web", "2001-db8--10": "nonsense"}
    assert [entry.service for entry in read_entries(data, "").entries] == [("default", "web")]


def test_an_ipv4_address_in_the_form_for_ipv6_is_refused() -> None:
    (problem,) = said({"--ffff-192.0.2.1": ""})
    assert "is 192.0.2.1 in the form for IPv6 sockets" in problem


def test_what_every_ipv6_router_has_of_itself_is_not_for_sharing() -> None:
    assert len(said({str(link_local_of(50).ip).replace(":", "-"): ""})) == 1


def test_entries_come_by_family_and_address() -> None:
    found = entries({"2001-db8--1": "", "192.0.2.10": "", "192.0.2.9": ""})
    assert [entry.key for entry in found] == ["192.0.2.9", "192.0.2.10", "2001-db8--1"]


WORDS = ["192.0.2.", "2001-db8-", "-", ":", "/", "1", "default", "web", "NAT", "PROXY", " ", "\n", "é", "%"]
PARTS = st.sampled_from(WORDS)
TEXTS = st.text() | st.lists(PARTS, max_size=6).map("".join)


@given(data=st.dictionaries(TEXTS, TEXTS, max_size=4))
def test_any_text_is_an_entry_or_a_problem(data: dict[str, str]) -> None:
    reading = read_entries(data, "ConfigMap default/vips")
    assert len(reading.entries) + len(reading.problems) == len(data)
    assert len({entry.address for entry in reading.entries}) == len(reading.entries)
    for entry in reading.entries:
        interface_address(str(entry.address))
    for problem in reading.problems:
        assert problem.key
        assert problem.wrong
        assert problem.remedy
        assert str(problem).isprintable()


@given(number=st.integers(1 << 124, (1 << 125) - 1))
def test_any_unicast_address_has_a_key(number: int) -> None:
    address = ip_address(number)
    assert [entry.address for entry in entries({str(address).replace(":", "-"): ""})] == [address]
