"""Virtual servers: what the file may say of them, what it comes to, and what is refused."""

from ipaddress import ip_address
from typing import Any

import pytest

from tests.config.samples import BASE, said
from vrrpd.config.load import parse
from vrrpd.config.services import (
    DnsCheck,
    HttpCheck,
    Masquerade,
    MiscCheck,
    NodeSettings,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
    VirtualServerSettings,
)
from vrrpd.ipvs.model import FirewallMark, Flag, Method, Protocol, ProxyProtocol, Scheduler, ServiceAddress
from vrrpd.protocol.advert import Family

HEAD = """\
[[virtual_server]]
address = "192.0.2.100"
port = 80
"""
REAL = """\
[[virtual_server.real_server]]
address = "198.51.100.11"
"""
EVERY_KEY = """\
protocol = "udp"
lvs_sched = "mh"
lvs_method = "tun"
persistence_timeout = 90
persistence_granularity = "255.255.255.0"
mh-port = true
mh-fallback = true
quorum = 3
hysteresis = 1
quorum_up = "/bin/up 'a b'"
quorum_down = ["/bin/down", "c d"]
alpha = true
omega = true
ha_suspend = true
vrrp_weight = -20
masquerade = true
drain_timeout = 5
weight = 2
inhibit_on_failure = true
sorry_server = { address = "198.51.100.99", lvs_method = "DR", weight = 4 }
[[virtual_server.real_server]]
address = "198.51.100.11"
weight = 7
uthreshold = 100
lthreshold = 50
inhibit_on_failure = false
notify_up = "/bin/a"
notify_down = "/bin/b"
[[virtual_server.real_server]]
address = "198.51.100.12"
lvs_method = "NAT"
port = 8080
"""
EVERY_CHECK = """\
delay_loop = 7
retry = 4
virtualhost = "www.example.com"
[[virtual_server.real_server]]
address = "198.51.100.11"
check = [
    { type = "TCP", connect_port = 81, connect_ip = "198.51.100.1", bindto = "198.51.100.2", connect_timeout = 3 },
    { type = "HTTP", path = "/x", status_code = [200, "300-399"], digest = "0123456789abcdef0123456789ABCDEF" },
    { type = "https", regex = 'ok \\d', regex_no_match = true, enable_sni = false, verify = true, virtualhost = "b" },
    { type = "UDP", payload = "70696e67", require_reply = true, min_reply_length = 1, max_reply_length = 9 },
    { type = "PING", delay_loop = 1, retry = 0, delay_before_retry = 0.5, warmup = 0 },
    { type = "DNS", record_type = "aaaa", name = "example.com" },
    { type = "SMTP", helo_name = "me.example.com" },
    { type = "MISC", misc_path = "/bin/check 1", misc_dynamic = true },
]
"""
SERVICES = BASE + HEAD + EVERY_KEY + HEAD.replace("80", "81") + EVERY_CHECK
FIRST_LINE = BASE.count("\n") + 1
LINE = FIRST_LINE + HEAD.count("\n")
"""The line after HEAD."""


def servers(text: str) -> tuple[VirtualServerSettings, ...]:
    return parse(BASE + text, "vrrpd.toml").virtual_servers


def server(text: str) -> VirtualServerSettings:
    (only,) = servers(text)
    return only


def complaints(text: str) -> list[str]:
    return [line.removeprefix("vrrpd.toml:") for line in said(BASE + text)]


def test_the_shortest_one() -> None:
    found = server(HEAD + REAL)
    assert found.name == "TCP 192.0.2.100:80"
    assert found.keys == (ServiceAddress(Protocol.TCP, ip_address("192.0.2.100"), 80),)
    assert (found.scheduler, found.method, found.flags) == (Scheduler.WLC, Method.NAT, Flag(0))
    (real,) = found.real_servers
    assert (str(real.address), real.port, real.method, real.weight, real.checks) == (
        "198.51.100.11",
        80,
        Method.NAT,
        1,
        (),
    )


def test_a_file_may_have_virtual_servers_alone() -> None:
    config = parse(HEAD + REAL, "vrrpd.toml")
    assert (len(config.instances), len(config.virtual_servers)) == (0, 1)


def test_every_key() -> None:
    found = server(HEAD + EVERY_KEY)
    assert (found.protocol, found.scheduler, found.method) == (Protocol.UDP, Scheduler.MH, Method.TUN)
    assert found.flags == Flag.PERSISTENT | Flag.SCHED_1 | Flag.SCHED_2
    assert (found.persistence_timeout, found.persistence_granularity) == (90, 24)
    assert (found.quorum, found.hysteresis, found.alpha, found.omega, found.ha_suspend) == (3, 1, True, True, True)
    assert (found.quorum_up, found.quorum_down) == (("/bin/up", "a b"), ("/bin/down", "c d"))
    assert (found.vrrp_weight, found.masquerade, found.drain_timeout) == (-20, Masquerade.ALWAYS, 5)
    assert found.sorry_server
    assert (found.sorry_server.port, found.sorry_server.method, found.sorry_server.weight) == (80, Method.DR, 4)
    first, second = found.real_servers
    assert (first.weight, first.uthreshold, first.lthreshold, first.inhibit_on_failure) == (7, 100, 50, False)
    assert (first.port, first.method, first.notify_up, first.notify_down) == (80, Method.TUN, ("/bin/a",), ("/bin/b",))
    assert (second.port, second.method, second.weight, second.inhibit_on_failure) == (8080, Method.NAT, 2, True)


def test_every_check() -> None:
    found = server(HEAD + EVERY_CHECK)
    tcp, http, https, udp, ping, dns, smtp, misc = found.real_servers[0].checks
    usual: Any = {"delay_loop": 7.0, "retry": 4}
    assert tcp == TcpCheck(
        **usual,
        connect_port=81,
        connect_ip=ip_address("198.51.100.1"),
        bindto=ip_address("198.51.100.2"),
        connect_timeout=3,
    )
    assert http == HttpCheck(
        **usual,
        path="/x",
        status_code=((200, 200), (300, 399)),
        digest="0123456789abcdef" * 2,
        virtualhost="www.example.com",
    )
    assert https == HttpCheck(
        **usual, tls=True, regex=r"ok \d", regex_no_match=True, enable_sni=False, verify=True, virtualhost="b"
    )
    assert udp == UdpCheck(**usual, payload=b"ping", require_reply=True, min_reply_length=1, max_reply_length=9)
    assert ping == PingCheck(delay_loop=1, retry=0, delay_before_retry=0.5, warmup=0)
    assert dns == DnsCheck(**usual, record_type="AAAA", name="example.com")
    assert smtp == SmtpCheck(**usual, helo_name="me.example.com")
    assert misc == MiscCheck(**usual, misc_path=("/bin/check", "1"), misc_dynamic=True)


def test_a_check_of_the_virtual_server_is_for_real_servers_without_their_own() -> None:
    found = server(
        HEAD + 'check = { type = "TCP" }\n' + REAL + REAL.replace("11", "12") + 'check = { type = "PING" }\n'
    )
    assert [real.checks for real in found.real_servers] == [(TcpCheck(),), (PingCheck(),)]


def test_a_group_has_many_addresses_and_marks() -> None:
    found = server(
        """\
[[virtual_server_group]]
name = "web"
members = ["192.0.2.100 80", "192.0.2.101-103 80", "192.0.2.104-192.0.2.105 80", "fwmark 3"]
[[virtual_server]]
virtual_server_group = "web"
"""
        + REAL
    )
    assert found.name == "TCP group web"
    assert [str(address) for address in found.addresses] == [f"192.0.2.{last}" for last in range(100, 106)]
    assert found.keys[-1] == FirewallMark(3, Family.IPV4)


def test_a_firewall_mark_is_of_the_family_of_its_real_servers() -> None:
    found = server(
        '[[virtual_server]]\nfwmark = 9\nlvs_method = "DR"\n[[virtual_server.real_server]]\naddress = "2001:db8::1"'
    )
    assert found.keys == (FirewallMark(9, Family.IPV6),)
    assert found.real_servers[0].port == 0


def test_a_tunnel_may_lead_to_the_other_family() -> None:
    found = server(HEAD + 'lvs_method = "TUN"\n[[virtual_server.real_server]]\naddress = "2001:db8::1"')
    assert str(found.real_servers[0].address) == "2001:db8::1"


def test_the_keys_at_the_top() -> None:
    config = parse('node_settings = "restore"\nresync_interval = 5\n' + BASE, "vrrpd.toml")
    assert (config.node_settings, config.resync_interval) == (NodeSettings.RESTORE, 5)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('lvs_sched = "xyz"', 'lvs_sched: "xyz" is not one of the choices; use'),
        ('lvs_method = "FNAT"', 'lvs_method: "FNAT" is not one of the choices; use "NAT", "DR", "TUN" or "PROXY"'),
        ('protocol = "ICMP"', 'protocol: "ICMP" is not one of the choices; use "TCP", "UDP" or "SCTP"'),
        ("protocol = 6", "protocol: 6 is not one of the choices"),
        ('masquerade = "yes"', 'masquerade: "yes" is not one of the choices; use true, false or "auto"'),
        ("fwmark = 3", "it has address and fwmark; give it one of"),
        ('ops = true\nlvs_method = "DR"', "ops: one-packet scheduling is for UDP"),
        ('ops = true\nprotocol = "UDP"', "ops: the kernel forgets each packet at once"),
        ("sh-port = true", 'sh-port: it is for lvs_sched = "sh", and this is "wlc"; remove it'),
        ("persistence_granularity = 24", "persistence_granularity: it means nothing without persistence_timeout"),
        ("persistence_granularity = 129", "persistence_granularity: 129 is out of range"),
        ('persistence_granularity = "255.0.255.0"', "is neither a prefix length nor a netmask"),
        ('persistence_granularity = "0.0.0.255"', "is neither a prefix length nor a netmask"),
        ('persistence_granularity = "-5"', "is neither a prefix length nor a netmask"),
        ('persistence_granularity = "0.0.0.0"', "is out of range"),
        ("persistence_granularity = 0", "persistence_granularity: 0 is out of range"),
        (
            "persistence_timeout = 9\npersistence_granularity = 64",
            "persistence_granularity: 64 is out of range; use 1-32",
        ),
        ("hysteresis = 1", "hysteresis: the quorum could never be lost"),
        ('quorum_up = "up"', 'quorum_up: "up" does not begin with an absolute path'),
        ('quorum_up = "/bin/up \'a"', "cannot be split into words"),
        ("vrrp_weight = 5", "vrrp_weight: 5 is out of range; use -253-0"),
        ("sorry_server = 3", "sorry_server: 3 is not a table"),
        ("sorry_server = {}", "sorry_server.address: the key is missing"),
        ("check = 3", "check: 3 is not a table"),
        ("check = {}", "check.type: the key is missing; use one of TCP, HTTP"),
        ('check = { type = "X" }', 'check.type: "X" is not one of the choices'),
        ('check = { type = "MISC" }', "check.misc_path: the key is missing"),
        ('check = { type = "TCP", path = "/" }', 'check.path: it is a key of a check of type "HTTP"'),
        ('check = { type = "HTTP", status_code = "20x" }', "is neither a status nor a range"),
        ('check = { type = "HTTP", status_code = "299-200" }', "is neither a status nor a range"),
        ('check = { type = "HTTP", status_code = [] }', "the list is empty"),
        ('check = { type = "HTTP", digest = "abc" }', 'digest: "abc" is no MD5 sum'),
        ('check = { type = "HTTP", regex = "(" }', 'regex: "(" is no regular expression'),
        ('check = { type = "HTTP", path = "x" }', 'path: "x" is not a path'),
        ('check = { type = "UDP", payload = "xy" }', 'payload: "xy" is not hexadecimal'),
        ('check = { type = "UDP", min_reply_length = 2, max_reply_length = 1 }', "it is more than max_reply_length"),
        ('check = { type = "DNS", record_type = "X" }', "is not one that can be asked for"),
        ('virtualhost = "a b"', 'virtualhost: "a b" is not a host name'),
        ("lb_algo = 'rr'", "lb_algo: vrrpd does without this key; use lvs_sched"),
        ("real_servr = []", "real_servr: it is not a known key; did you mean real_server?"),
        ("real_server = 3", "real_server: 3 is not a table"),
        ("priority = 3", "priority: it is a key of [[vrrp_instance]]"),
    ],
)
def test_a_wrong_key_of_a_virtual_server(line: str, complaint: str) -> None:
    found = complaints(HEAD + line + "\n" + ("" if "real_server =" in line else REAL))
    (only,) = [each for each in found if complaint in each]
    assert int(only.partition(":")[0]) >= FIRST_LINE
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("weight = 65536", "weight: 65536 is out of range; use 0-65535"),
        ("lthreshold = 9", "lthreshold: it means nothing without uthreshold; add that one"),
        ("lthreshold = 9\nuthreshold = 8", "lthreshold: it is more than uthreshold, 8; use at most 8"),
        ('notify_up = "x"', "does not begin with an absolute path"),
        ('address = "2001:db8::1"', "is IPv6, and the virtual server is not"),
        ('address = "0.0.0.0"', "is not the address of a host"),
        ('address = "x"', '"x" is not an IP address'),
        (
            'lvs_method = "DR"\nport = 8080',
            "port: DR does not map port 80 to 8080; remove it: NAT and PROXY alone translate ports",
        ),
        ("TCP_CHECK = {}", 'TCP_CHECK: vrrpd does without this key; write check = { type = "TCP" }'),
        ("alpha = true", "alpha: this release does not do it yet; use alpha of the virtual server"),
    ],
)
def test_a_wrong_key_of_a_real_server(line: str, complaint: str) -> None:
    body = line if line.startswith("address") else f'address = "198.51.100.11"\n{line}'
    found = complaints(f"{HEAD}[[virtual_server.real_server]]\n{body}\n")
    (only,) = found
    assert complaint in only
    assert f"virtual_server[0].real_server[0].{line.split(' =', maxsplit=1)[0] if 'DR' not in line else 'port'}" in only


def test_everything_that_is_wrong_is_told_at_its_place() -> None:
    wrong = "[[virtual_server.real_server]]\nport = 1\n" + REAL + REAL + HEAD
    assert complaints(HEAD + wrong) == [
        (
            f"{LINE}: virtual_server[0].real_server[0].address: the key is missing; "
            'add address = "...", where the real server is'
        ),
        (
            f"{LINE + 4}: virtual_server[0].real_server[2]: 198.51.100.11 is a real server of it already; "
            "remove one, or change its port"
        ),
        (
            f"{LINE + 7}: virtual_server[1].address: TCP 192.0.2.100:80 is served already (line {FIRST_LINE}); "
            "make one virtual server of both"
        ),
    ]


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ("3", "members: 3 is not a list with members"),
        ("[]", "members: a list is not a list with members"),
        ('["192.0.2.1"]', 'members[0]: "192.0.2.1" is no member; use "ADDRESS PORT"'),
        ('["192.0.2.9-3 80"]', "is no range"),
        ('["192.0.2.1-2001:db8::1 80"]', "is no range"),
        ('["192.0.2.1 65536"]', "has no valid port"),
        ('["fwmark 0"]', "has no valid mark"),
        ('["x 80"]', '"x" is not an IP address'),
        ("[3]", "3 is no member"),
    ],
)
def test_a_wrong_member_of_a_group(members: str, complaint: str) -> None:
    (only,) = complaints(f'[[virtual_server_group]]\nname = "g"\nmembers = {members}\n')
    assert complaint in only


def test_a_group_that_is_not_there() -> None:
    (only,) = complaints('[[virtual_server]]\nvirtual_server_group = "g"\n')
    assert 'there is no group "g"; the groups are: none' in only


def test_a_weight_on_the_priority_needs_an_instance() -> None:
    (only,) = complaints(HEAD.replace("100", "99") + "vrrp_weight = -5\n" + REAL)
    assert "vrrp_weight: no [[vrrp_instance]] has an address of it" in only


def test_port_zero_goes_with_persistence() -> None:
    text = HEAD.replace("port = 80", "port = 0")
    (only,) = complaints(text)
    assert "port: 0, every port, goes with persistence alone" in only
    assert server(text + "persistence_timeout = 60\n" + 'lvs_method = "DR"\n' + REAL).real_servers[0].port == 0


def test_a_check_without_a_port_to_ask() -> None:
    text = '[[virtual_server]]\nfwmark = 9\nlvs_method = "DR"\n' + REAL
    (only,) = complaints(text + 'check = { type = "TCP" }\n')
    assert "check: there is no port to ask; add connect_port" in only
    assert server(text + 'check = { type = "TCP", connect_port = 80 }\n')
    assert server(text + 'check = { type = "PING" }\n')


def test_a_check_asks_from_an_address_of_the_same_family() -> None:
    (only,) = complaints(HEAD + REAL + 'check = { type = "TCP", bindto = "2001:db8::1" }\n')
    assert "check: bindto is IPv6, and 198.51.100.11, which is asked, is not" in only


def test_a_regular_expression_may_be_of_any_script() -> None:
    found = server(HEAD + "check = { type = 'HTTP', regex = '\\u00e9t\u00e9' }\n" + REAL)
    assert isinstance(found.real_servers[0].checks[0], HttpCheck)


def test_a_group_may_have_several_ports_with_dr() -> None:
    group = '[[virtual_server_group]]\nname = "g"\nmembers = ["192.0.2.100 80", "192.0.2.100 443"]\n'
    found = server(group + '[[virtual_server]]\nvirtual_server_group = "g"\nlvs_method = "DR"\n' + REAL)
    assert (len(found.keys), found.real_servers[0].port) == (2, 0)
    (only,) = complaints(
        group + '[[virtual_server]]\nvirtual_server_group = "g"\nlvs_method = "DR"\n' + REAL + "port = 80"
    )
    assert "DR does not map port 80, 443 to 80" in only
    as_keepalived_has_it = 'virtual_server_group = "g"\nlvs_method = "DR"\n' + REAL + "port = 0"
    assert server(group + "[[virtual_server]]\n" + as_keepalived_has_it) == found


def test_one_group_of_marks_in_both_families() -> None:
    group = '[[virtual_server_group]]\nname = "g"\nmembers = ["fwmark 3"]\n'
    one = '[[virtual_server]]\nvirtual_server_group = "g"\nlvs_method = "DR"\n'
    ipv6 = '[[virtual_server.real_server]]\naddress = "2001:db8::1"\n'
    assert [found.name for found in servers(group + one + REAL + one + ipv6)] == ["TCP group g", "TCP group g (IPv6)"]


def test_the_sorry_server_is_no_real_server_as_well() -> None:
    (only,) = complaints(HEAD + 'sorry_server = { address = "198.51.100.11" }\n' + REAL)
    assert "sorry_server: 198.51.100.11 is a real server of it already" in only


def test_an_address_is_masqueraded_or_not_for_all_ports() -> None:
    text = HEAD + "masquerade = true\n" + REAL + HEAD.replace("80", "443") + "masquerade = false\n" + REAL
    (only,) = complaints(text)
    assert f"virtual_server[1].masquerade: 192.0.2.100 has it otherwise (line {LINE})" in only


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ('address = "x"\nport = 80', 'address: "x" is not an IP address'),
        ('address = "192.0.2.100"\nport = 70000', "port: 70000 is out of range"),
        ('address = "192.0.2.100"', "port: the key is missing"),
        ('address = "192.0.2.100"\nport = 80\nfwmark = 7', "it has address and fwmark"),
        ("fwmark = 0", "fwmark: 0 is out of range"),
        ("port = 80", "it has no address"),
    ],
)
def test_what_clients_ask_for_is_wrong_once(head: str, complaint: str) -> None:
    (only,) = complaints(f"[[virtual_server]]\n{head}\n{REAL}")
    assert complaint in only


def test_single_packets_and_nat_are_refused_without_real_servers_too() -> None:
    (only,) = complaints(HEAD + 'protocol = "UDP"\nops = true\n')
    assert "ops: the kernel forgets each packet at once" in only


PROXIED = """\
[[virtual_server]]
address = "192.0.2.100"
port = 80
lvs_method = "proxy"
"""
EVERY_KEY_PROXIED = """\
proxy_protocol = "v2"
lvs_sched = "wrr"
quorum = 2
masquerade = false
sorry_server = { address = "198.51.100.99", port = 81 }
[[virtual_server.real_server]]
address = "198.51.100.11"
port = 8080
weight = 3
inhibit_on_failure = true
check = { type = "TCP" }
"""


def test_a_virtual_server_of_the_proxy() -> None:
    (server,) = parse(BASE + PROXIED + EVERY_KEY_PROXIED, "vrrpd.toml").virtual_servers
    assert (server.method, server.proxy_protocol, server.scheduler) == (Method.PROXY, ProxyProtocol.V2, Scheduler.WRR)
    assert [(real.method, real.port) for real in server.everybody] == [(Method.PROXY, 8080), (Method.PROXY, 81)]
    (default,) = parse(BASE + PROXIED + REAL, "vrrpd.toml").virtual_servers
    assert (default.proxy_protocol, default.real_servers[0].port) == (ProxyProtocol.V1, 80)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (PROXIED + 'protocol = "UDP"\n', 'protocol: PROXY is for TCP; use protocol = "TCP", or NAT'),
        (PROXIED + 'lvs_sched = "mh"\n', 'lvs_sched: the proxy does not do "mh"; use one of rr, wrr, lc, wlc'),
        (PROXIED + "persistence_timeout = 9\n", "persistence_timeout: the proxy sends each connection where"),
        (PROXIED + "masquerade = true\n", "masquerade: the proxy connects from this host, and says in a header who"),
        (PROXIED + 'proxy_protocol = "v3"\n', "proxy_protocol: "),
        (PROXIED + REAL + "uthreshold = 3\n", "real_server[0].uthreshold: the proxy knows no thresholds; remove it"),
        (
            PROXIED + REAL + 'lvs_method = "NAT"\n',
            "real_server[0].lvs_method: the virtual server is proxied, and NAT is not; remove it, or make two",
        ),
        (
            PROXIED + 'sorry_server = { address = "198.51.100.1", lvs_method = "DR" }\n',
            "sorry_server.lvs_method: the virtual server is proxied, and DR is not",
        ),
        (
            PROXIED + REAL.replace("198.51.100.11", "192.0.2.100"),
            "real_server[0]: the proxy would connect to itself, again and again; use another address or port",
        ),
        (PROXIED.replace("80", "0") + REAL + "port = 80\n", "port: a proxy cannot listen at every port; use 1-65535"),
        (
            '[[virtual_server]]\nfwmark = 3\nlvs_method = "PROXY"\n' + REAL + "port = 80\n",
            "a proxy cannot listen at fwmark 3 (IPv4); give it an address and a port, or use NAT",
        ),
        (
            PROXIED.replace("192.0.2.100", "fe80::7"),
            "address: fe80::7 alone says on no interface where to listen; use an address that is not link-local",
        ),
        (HEAD + 'proxy_protocol = "v1"\n', "proxy_protocol: it goes with PROXY alone; remove it, or use lvs_method"),
        (
            HEAD + REAL + 'lvs_method = "PROXY"\n',
            "real_server[0].lvs_method: one proxy serves all real servers, or none; give the virtual server lvs_method",
        ),
    ],
)
def test_what_a_proxy_cannot_do(text: str, complaint: str) -> None:
    (only,) = complaints(text)
    assert complaint in only


def test_a_proxy_of_a_group() -> None:
    group = '[[virtual_server_group]]\nname = "g"\nmembers = ["192.0.2.1 80", "192.0.2.2 81"]\n'
    server = '[[virtual_server]]\nvirtual_server_group = "g"\nlvs_method = "PROXY"\n'
    found = parse(BASE + group + server + REAL + "port = 8080\n", "vrrpd.toml").virtual_servers[0]
    assert [str(key) for key in found.keys] == ["TCP 192.0.2.1:80", "TCP 192.0.2.2:81"]
    (only,) = complaints(group.replace("192.0.2.2 81", "fwmark 9") + server + REAL + "port = 8080\n")
    assert "a proxy cannot listen at fwmark 9" in only
