"""What becomes of virtual servers, real servers, groups and checks."""

import contextlib
from typing import Any

import pytest

from tests.config.keepalived.files import remarks, said, server, service
from vrrpd.config.keepalived.checks import CHECKS
from vrrpd.config.keepalived.reading import read_keepalived
from vrrpd.config.keepalived.servers import REAL_SERVER, VIRTUAL_SERVER
from vrrpd.config.problems import ConfigError
from vrrpd.config.services import (
    Check,
    DnsCheck,
    HttpCheck,
    Masquerade,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from vrrpd.ipvs.model import FirewallMark, Flag, Method, Protocol, Scheduler


def checks(block: str, *lines: str, real: str = "") -> tuple[Check, ...]:
    return service(server(*lines, real=f"{real}\n{block}")).real_servers[0].checks


def check(block: str, *lines: str, real: str = "") -> Any:
    (found,) = checks(block, *lines, real=real)
    return found


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("", "scheduler", Scheduler.WLC),
        ("", "masquerade", Masquerade.NEVER),
        ("lb_algo rr", "scheduler", Scheduler.RR),
        ("lvs_sched sh", "scheduler", Scheduler.SH),
        ("lb_kind DR", "method", Method.DR),
        ("lvs_method TUN type ipip", "method", Method.TUN),
        ("persistence_timeout", "persistence_timeout", 360),
        ("persistence_timeout 50", "persistence_timeout", 50),
        ("persistence_granularity 255.255.255.0", "persistence_timeout", 360),
        ("persistence_timeout 5\npersistence_granularity 255.255.255.0", "persistence_granularity", 24),
        ("protocol udp", "protocol", Protocol.UDP),
        ("quorum 3\nweight 9", "quorum", 3),
        ("quorum 3", "quorum", 1),
        ("quorum 3\nhysteresis 1\nweight 3", "hysteresis", 1),
        ("quorum_up '/bin/x a'", "quorum_up", ("/bin/x", "a")),
        ("quorum_down /bin/x nobody", "quorum_down", ("/bin/x",)),
        ("alpha", "alpha", True),
        ("alpha no", "alpha", False),
        ("omega", "omega", True),
        ("ha_suspend", "ha_suspend", True),
        ("lvs_sched mh\nmh-port\nmh-fallback", "flags", Flag.SCHED_1 | Flag.SCHED_2),
        ("lvs_sched sh\nflag-1", "flags", Flag.SCHED_1),
        ("flag-2\nlvs_sched mh", "flags", Flag.SCHED_2),
        ("protocol UDP\nlvs_method DR\nops", "flags", Flag.ONE_PACKET),
    ],
)
def test_what_is_a_key_of_ours(line: str, field: str, value: object) -> None:
    assert getattr(service(server(line)), field) == value


def test_a_real_server_and_a_sorry_server() -> None:
    text = server(
        "sorry_server 198.51.100.9 81",
        "sorry_server_lvs_method DR",
        "lvs_method NAT",
        "inhibit_on_failure",
        real="weight 7\nuthreshold 9\nlthreshold 5\nnotify_up '/bin/up a'\nnotify_down /bin/down root",
    )
    with pytest.raises(ValueError, match="sorry_server: port: DR does not map port 80 to 81"):
        service(text)
    found = service(text.replace(" 81", " 80"))
    (real,) = found.real_servers
    assert (real.weight, real.uthreshold, real.lthreshold) == (7, 9, 5)
    assert (real.notify_up, real.notify_down) == (("/bin/up", "a"), ("/bin/down",))
    assert real.inhibit_on_failure
    assert found.sorry_server
    assert (str(found.sorry_server.address), found.sorry_server.port) == ("198.51.100.9", 80)
    assert (found.method, found.sorry_server.method) == (Method.NAT, Method.DR)


def test_marks_and_groups() -> None:
    (key,) = service(server(head="fwmark 7")).keys
    assert (type(key), getattr(key, "mark", 0)) == (FirewallMark, 7)
    group = "virtual_server_group web {\n192.0.2.100 80\n192.0.2.101-103 81\n2001:db8::1 80\nfwmark 3\n}\n"
    tunnel = server("lvs_method TUN", head="group web").replace("198.51.100.1 80", "198.51.100.1")
    found = service(group + tunnel)
    assert len(found.keys) == 6
    assert found.name == "TCP group web"
    with pytest.raises(ValueError, match=r'keepalived.conf:2: 192.0.2.0/29: "192.0.2.0/29" is not taken as a range'):
        service(group.replace("192.0.2.100", "192.0.2.0/29") + tunnel)
    with pytest.raises(ValueError, match=r"keepalived.conf:3: 192.0.2.101-1: .* is no range"):
        service(group.replace("-103", "-1") + tunnel)
    assert remarks(group.replace("fwmark 3", "fwmark 3 inet6") + tunnel) == [
        "keepalived.conf:5: fwmark: its family is that of the real servers"
    ]


def test_what_does_not_go_together_is_made_to_as_keepalived_does() -> None:
    text = server("quorum 9", "hysteresis 5", real="weight 3")
    assert (service(text).quorum, service(text).hysteresis) == (3, 2)
    assert remarks(text) == [
        "keepalived.conf:3: quorum: it is no more than the real servers weigh together, as in keepalived"
    ]
    for group, head in (("", "fwmark 3"), ("virtual_server_group g {\nfwmark 3\n}\n", "group g")):
        text = server("ha_suspend", head=head) + group
        assert not service(text).ha_suspend
        assert "ha_suspend: a firewall mark has no address to go by" in "".join(remarks(text))


def test_without_a_protocol_it_is_udp_as_in_keepalived() -> None:
    text = server().replace("protocol TCP\n", "")
    assert service(text).protocol is Protocol.UDP
    assert remarks(text) == ["keepalived.conf:1: virtual_server: without protocol it is UDP, as in keepalived"]
    assert remarks(server(head="fwmark 3").replace("protocol TCP\n", "")) == []


def test_without_a_port_every_port_is_served() -> None:
    (key,) = service(server("persistence_timeout 60", head="192.0.2.100")).keys
    assert str(key) == "TCP 192.0.2.100:0"
    text = server(head="192.0.2.100")
    assert service(text).persistence_timeout == 360
    assert "every port is served with persistence alone, which is of 360 s then" in "".join(remarks(text))
    text = server(head="group g") + "virtual_server_group g {\n192.0.2.100\n192.0.2.101 80\n}\n"
    assert service(text).persistence_timeout == 360


def test_a_family_that_real_servers_do_not_have() -> None:
    assert service(server("ip_family inet", head="fwmark 7"))
    (line,) = said(server("ip_family inet6", head="fwmark 7"))
    assert line.startswith("keepalived.conf:3: ip_family: a firewall mark has the family of its real servers")


def test_what_has_no_real_server_is_left_out_as_keepalived_does() -> None:
    text = "virtual_server 192.0.2.101 80 {\n}\n" + server()
    assert len(read_keepalived(text, "keepalived.conf").config.virtual_servers) == 1
    assert remarks(text) == [
        "keepalived.conf:1: virtual_server: keepalived leaves out what has no real server, and so does vrrpd"
    ]


@pytest.mark.parametrize(
    ("block", "kind", "retry", "delay_before_retry", "connect_timeout"),
    [
        ("TCP_CHECK {\n}", TcpCheck, 1, 1, 5),
        ("HTTP_GET {\nurl {\npath /\n}\n}", HttpCheck, 1, 3, 5),
        ("SSL_GET {\nurl {\npath /\n}\n}", HttpCheck, 1, 3, 5),
        ("UDP_CHECK {\n}", UdpCheck, 1, 1, 5),
        ("PING_CHECK {\n}", PingCheck, 1, 1, 5),
        ("DNS_CHECK {\n}", DnsCheck, 3, 60, 5),
        ("SMTP_CHECK {\n}", SmtpCheck, 1, 1, 5),
        ("MISC_CHECK {\nmisc_path /bin/x\n}", MiscCheck, 0, 1, 60),
    ],
)
def test_the_defaults_are_those_of_keepalived(
    block: str, kind: type[Check], retry: int, delay_before_retry: float, connect_timeout: float
) -> None:
    found = check(block)
    assert type(found) is kind
    assert (found.delay_loop, found.retry, found.delay_before_retry) == (60, retry, delay_before_retry)
    assert found.connect_timeout == connect_timeout
    if isinstance(found, HttpCheck):
        assert (found.tls, found.status_code) == (block.startswith("SSL"), ((200, 299),))
        assert found.enable_sni is not found.tls
    if isinstance(found, UdpCheck):
        assert found.max_reply_length == 255
    if isinstance(found, SmtpCheck):
        assert found.helo_name == "smtpchecker.keepalived.org"


def test_the_nearer_word_counts() -> None:
    lines = ("delay_loop 6", "retry 2", "connect_timeout 4", "warmup 0", "virtualhost vs")
    found = checks("TCP_CHECK {\nretry 4\n}\nMISC_CHECK {\nmisc_path /bin/x\n}", *lines, real="retry 3\ndelay_loop 7")
    assert [(each.retry, each.delay_loop, each.connect_timeout, each.warmup) for each in found] == [
        (4, 7, 4, 0),
        (3, 7, 7, 0),  # a program has a timeout of its own
    ]
    http = "HTTP_GET {{\nurl {{\npath /\n{}}}\n{}}}"
    assert check(http.format("", ""), *lines).virtualhost == "vs"
    assert check(http.format("", ""), *lines, real="virtualhost rs").virtualhost == "rs"
    assert check(http.format("", "virtualhost check\n"), *lines, real="virtualhost rs").virtualhost == "check"
    assert check(http.format("virtualhost url\n", "virtualhost check\n"), *lines).virtualhost == "url"


def test_what_an_url_must_answer() -> None:
    digest = "640205b7b0fc66c1ea91c463fac6334d"
    url = f'path /a\ndigest {digest}\nstatus_code 200 300-302\nregex "up \\"(now|soon)\\" \\\\d+"\nregex_no_match'
    first, second = checks(
        f"HTTP_GET {{\nurl {{\n{url}\nregex_options caseless utf dotall\n}}\nurl {{\npath /b\n}}\n"
        "connect_ip 198.51.100.7\nconnect_port 81\nbindto 198.51.100.8\nnb_get_retry 9\n}"
    )
    assert isinstance(first, HttpCheck)
    assert isinstance(second, HttpCheck)
    assert (first.path, first.digest, first.status_code) == ("/a", digest, ((200, 200), (300, 302)))
    assert (first.regex, first.regex_no_match) == (r'(?is)up "(now|soon)" \d+', True)
    assert (second.path, second.digest, second.regex) == ("/b", None, None)
    for each in (first, second):
        assert (str(each.connect_ip), each.connect_port, str(each.bindto), each.retry) == (
            "198.51.100.7",
            81,
            "198.51.100.8",
            9,
        )


def test_the_other_checks() -> None:
    udp = check("UDP_CHECK {\npayload Ab12f 3 456\nrequire_reply\nmin_reply_length 2\n}", "protocol UDP")
    assert (udp.payload.hex(), udp.require_reply, udp.min_reply_length) == ("0ab12f030456", True, 2)
    dns = check("DNS_CHECK {\ntype aaaa\nname www.example.com\n}")
    assert (dns.record_type, dns.name) == ("AAAA", "www.example.com")
    misc = check('MISC_CHECK {\nmisc_path "/bin/x a b"\nmisc_timeout 3\nmisc_dynamic\nuser nobody\n}')
    assert (misc.misc_path, misc.connect_timeout, misc.misc_dynamic) == (("/bin/x", "a", "b"), 3, True)
    hosts = checks("SMTP_CHECK {\nhelo_name a\nhost {\nconnect_ip 198.51.100.2\n}\nhost {\nconnect_port 587\n}\n}")
    assert [(str(each.connect_ip), each.connect_port) for each in hosts] == [("198.51.100.2", None), ("None", 587)]
    assert {each.helo_name for each in hosts if isinstance(each, SmtpCheck)} == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        server("lvs_method TUN type gue port 5555").replace("198.51.100.1 80", "198.51.100.1"),
        server("persistence_engine sip"),
        server("flag-3"),
        server(real="alpha"),
        server(real="BFD_CHECK {\nname x\n}"),
        server(real="FILE_CHECK {\ntrack_file x\n}"),
        *(server(real=f"TCP_CHECK {{\n{line}\n}}") for line in ("bind_port 7", "bind_if eth0", "fwmark 3", "alpha")),
        server(real="HTTP_GET {\nurl {\npath /\nregex x\nregex_options ungreedy\n}\n}"),
        server(real="HTTP_GET {\nurl {\npath /\nregex x\nregex_max_offset 5\n}\n}"),
        server("protocol UDP", real="UDP_CHECK {\nrequire_reply 1234\n}"),
    ],
)
def test_what_matters_and_is_not_here_is_refused_unless_it_may_be_left_out(text: str) -> None:
    (problem,) = said(text)
    imported = read_keepalived(text, "keepalived.conf", partial=True)
    assert list(map(str, imported.left_out)) == [problem]
    assert len(imported.config.virtual_servers) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (server("lb_algo xyz"), '3: lb_algo: "xyz" is not one of the choices'),
        (server("lb_kind"), "3: lb_kind: its value is missing"),
        (server("lb_kind FOO"), '3: lb_kind: "FOO" is not one of the choices'),
        (server("flag-1"), '3: flag-1: the scheduler "wlc" has no such flag'),
        (server("delay_loop x", real="TCP_CHECK {\n}\nPING_CHECK {\n}"), '3: delay_loop: "x" is not a number'),
        (server(real="TCP_CHECK {\nconnect_port 0\n}"), "5: connect_port: 0 is out of range"),
        (server(real="TCP_CHECK {\nconect_port 1\n}"), "5: conect_port: it is not a known word of TCP_CHECK"),
        (server(real="TCP_CHECK"), "4: TCP_CHECK: it has no block"),
        (server(real="HTTP_GET {\n}"), "4: HTTP_GET: it has no url, and keepalived ignores it"),
        (server(real="HTTP_GET {\nurl {\npath x\n}\n}"), '6: path: "x" is not a path'),
        (server(real="MISC_CHECK {\n}"), "4: MISC_CHECK: misc_path: the key is missing"),
        (server("sorry_server"), "3: sorry_server: its address is missing"),
        (server("sorry_server x 1"), '3: sorry_server: address: "x" is not an IP address'),
        (server("ip_family x"), '3: ip_family: "x" is no family'),
        (server(head="192.0.2.1 80 tcp"), '1: virtual_server: "192.0.2.1 80 tcp" is more than an address and a port'),
        (server(head="group nobody"), '1: virtual_server: there is no group "nobody"'),
        (server() + server(), "7: virtual_server: TCP 192.0.2.100:80 is served already (line 1)"),
    ],
)
def test_what_is_wrong(text: str, problem: str) -> None:
    assert said(text)[0].startswith(f"keepalived.conf:{problem}"), said(text)
    assert len(said(text)) == 1


@pytest.mark.parametrize("words", [VIRTUAL_SERVER, REAL_SERVER, *(kind.words for kind in CHECKS.values())])
def test_any_word_alone_is_translated_or_told(words: dict[str, object]) -> None:
    """None of them raises anything but what is to be told."""
    kinds = [name for name, kind in CHECKS.items() if kind.words is words]
    for word in words:
        for rest in ("", " 1", " x y z", " {\n}", " {\nx\n}"):
            line = f"{word}{rest}"
            text = server(line) if words is VIRTUAL_SERVER else server(real=line)
            for name in kinds:
                text = server(real=f"{name} {{\n{line}\n}}")
            with contextlib.suppress(ConfigError):
                read_keepalived(text, "keepalived.conf", partial=True)
