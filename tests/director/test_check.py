"""What `vrrpd check` says of virtual servers."""

from ipaddress import ip_interface

import pytest

from tests.config.samples import BASE
from vrrpd.config.host import HostAddress, Interface
from vrrpd.config.load import parse
from vrrpd.config.model import Config
from vrrpd.director.check import compare, findings

CHECK = 'check = { type = "TCP", connect_port = 80 }'


def said(*lines: str, base: str = BASE, reals: tuple[str, ...] = ("198.51.100.11",), check: str = CHECK) -> list[str]:
    """What is said of a virtual server with these lines."""
    text = [base, "[[virtual_server]]", *lines]
    if not any(line.startswith(("address", "fwmark")) for line in lines):
        text += ['address = "192.0.2.100"', "port = 80"]
    for real in reals:
        text += ["[[virtual_server.real_server]]", f'address = "{real}"', check]
    return list(map(str, findings(parse("\n".join(text), "vrrpd.toml"), {})))


def test_nat_that_is_masqueraded() -> None:
    summary, replies = findings(parse(f"""{BASE}
[[virtual_server]]
address = "192.0.2.100"
port = 80
[[virtual_server.real_server]]
address = "198.51.100.11"
{CHECK}
""", "vrrpd.toml"), {})  # fmt: skip
    assert str(summary) == "TCP 192.0.2.100:80: wlc, NAT, 1 real server, programmed whoever is master"
    assert str(replies) == (
        "TCP 192.0.2.100:80: clients are masqueraded (no other virtual address is in their network): real servers see "
        "this host's address as the client's"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('lvs_method = "DR"', "1 real server, programmed whoever is master"),
        ('lvs_method = "DR"', "must have 192.0.2.100 on lo, and be silent about it"),
        ('lvs_method = "DR"', 'established connections end with a failover; with "mh" they survive it'),
        ('lvs_method = "DR"\nlvs_sched = "sh"', "unless both kernels got their real servers in the same order"),
        ('address = "192.0.2.99"\nport = 80', "no [[vrrp_instance]] and no interface has 192.0.2.99"),
        ("fwmark = 7", "serves what the firewall of this host marks with 7"),
        ("quorum = 2", "the weights come to 1: a quorum of 2 is never reached"),
        ("quorum = 1\nhysteresis = 0\nweight = 1", "1 real server"),
        ("weight = 3\nquorum = 3\nhysteresis = 1", "a quorum that was lost is never gained again"),
        ("ha_suspend = true\nvrrp_weight = -5", "ha_suspend has no effect beside vrrp_weight"),
        ("fwmark = 7\nmasquerade = true", "masquerade has no effect on firewall marks"),
        ('fwmark = 7\nlvs_method = "DR"', "it is programmed on a BACKUP as well"),
        ("masquerade = true", "clients are masqueraded (asked for)"),
        ("masquerade = false", "real servers must send their replies through this host"),
        ('lvs_method = "PROXY"', "wlc, PROXY, 1 real server, served by our proxy"),
        ('lvs_method = "PROXY"', "the client's in the header of PROXY protocol v1, which they must expect"),
        ('lvs_method = "PROXY"', "to listen at port 80 takes CAP_NET_BIND_SERVICE"),
        ('protocol = "UDP"', "a TCP check says nothing of a UDP service"),
        ('address = "192.0.2.99"\nport = 80\nha_suspend = true', "ha_suspend has no effect"),
    ],
)
def test_a_sentence(line: str, sentence: str) -> None:
    assert sentence in " ".join(said(line))


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        ("", "its real servers are not checked"),
        ('check = { type = "PING" }', "PING alone does not tell whether the service answers"),
        ('check = { type = "MISC", misc_path = "/bin/x" }', "its scripts run as vrrpd does"),
    ],
)
def test_a_sentence_about_checks(check: str, sentence: str) -> None:
    assert sentence in " ".join(said(check=check))


def test_without_real_servers() -> None:
    assert "it has no real servers: clients are refused" in " ".join(said(reals=()))
    assert "refused" not in " ".join(said('sorry_server = { address = "198.51.100.9" }', reals=()))


def test_a_virtual_address_in_their_network_is_their_gateway() -> None:
    base = BASE.replace('["192.0.2.100/24"]', '["192.0.2.100/24", "198.51.100.1/24"]')
    text = " ".join(said(base=base))
    assert "the virtual address in their network must be their gateway" in text
    assert "clients in that network get no answer" in text
    assert "masqueraded" not in text


def test_ipv6_forwarding_has_a_price() -> None:
    text = " ".join(said('address = "2001:db8::100"', "port = 80", reals=("2001:db8:1::1",)))
    assert "accept_ra = 2" in text


def test_a_director_that_is_a_real_server() -> None:
    text = f"""{BASE}
[[virtual_server]]
address = "192.0.2.100"
port = 80
lvs_method = "DR"
[[virtual_server.real_server]]
address = "198.51.100.11"
"""
    own = {"eth0": Interface(addresses=(HostAddress(ip_interface("198.51.100.11/24")),))}
    said_first, *_ = findings(parse(text, "vrrpd.toml"), own)
    assert "programmed while VI_1 is MASTER here, since this host is a real server" in str(said_first)

    def warned(*addresses: str, tells_of_others: bool) -> list[str]:
        found = tuple(HostAddress(ip_interface(address)) for address in addresses)
        here = {"lo": Interface(addresses=found[1:]), "eth0": Interface(True, found[:1], 1500, tells_of_others)}
        said = findings(parse(text, "vrrpd.toml"), here)
        return [str(each) for each in said if "this host is a real server, and" in str(each)]

    lost, telling = warned("198.51.100.11/24", tells_of_others=True)
    assert "lo has no 192.0.2.100: as a BACKUP it takes no packets" in lost
    assert "answers ARP for it as a BACKUP, too, on eth0: set net.ipv4.conf.all.arp_ignore = 1" in telling
    assert warned("198.51.100.11/24", "192.0.2.100/32", tells_of_others=False) == []
    assert warned("198.51.100.12/24", tells_of_others=True) == []


def test_consistent_hashing_says_nothing_of_a_failover() -> None:
    assert "failover" not in " ".join(said('lvs_method = "DR"', 'lvs_sched = "mh"'))


def test_an_address_with_several_ports_is_named_once() -> None:
    group = '[[virtual_server_group]]\nname = "g"\nmembers = ["192.0.2.99 80", "192.0.2.99 81"]\n'
    text = f'{BASE}\n{group}[[virtual_server]]\nvirtual_server_group = "g"\nlvs_method = "DR"\n'
    found = " ".join(map(str, findings(parse(text, "vrrpd.toml"), {})))
    assert "no interface has 192.0.2.99:" in found


def test_a_program_that_is_not_there() -> None:
    check = 'check = { type = "MISC", misc_path = "/bin/sh -c true" }'
    text = " ".join(said("quorum_up = '/no/such'\nquorum_down = '/bin'", check=check))
    assert "/no/such is not there, or cannot be executed, at present" in text
    assert "/bin is not there, or cannot be executed, at present" in text
    assert "/bin/sh is not" not in text


def test_what_two_hosts_do_not_have_in_common() -> None:
    def config(*servers: tuple[int, str]) -> Config:
        text = [BASE]
        for port, line in servers:
            text += ["[[virtual_server]]", 'address = "192.0.2.100"', f"port = {port}", line]
        return parse("\n".join(text), "vrrpd.toml")

    one = config((80, ""), (81, ""), (82, ""))
    other = config((80, ""), (82, 'lvs_sched = "mh"\nquorum = 2'), (83, ""))
    assert [str(finding) for finding in compare([("a", one), ("b", other)])] == [
        "TCP 192.0.2.100:81: warning: only a of a and b has it: it is gone after a failover",
        "TCP 192.0.2.100:82: warning: a and b do not have the same scheduler, quorum",
        "TCP 192.0.2.100:83: warning: only b of a and b has it: it is gone after a failover",
    ]
    assert compare([("a", one), ("b", one)]) == ()
