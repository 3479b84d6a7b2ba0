"""What keepalived is given, keepalived takes."""

from pathlib import Path

import pytest

from tests.config.accepted import accepted
from tests.config.test_load import EVERYTHING, MINIMAL
from tests.config.test_toml import GROUPS
from vrrpd.config.keepalived import as_keepalived
from vrrpd.config.load import parse

SERVERS = """\
[[vrrp_instance]]
name = "VI 1"
interface = "eth0"
virtual_router_id = 51
priority = 150
nopreempt = true
garp_master_delay = 1
garp_master_refresh = 2.5
unicast_src_ip = "192.0.2.1"
unicast_peer = ["192.0.2.2", "192.0.2.3"]
virtual_ipaddress = ["192.0.2.100/32", { address = "192.0.2.101/24", label = "eth0:vip", noprefixroute = true }]

[[vrrp_script]]
name = "chk proxy"
script = "/usr/bin/test -e /tmp"
interval = 0.5
rise = 2

[[vrrp_instance]]
name = "six"
track_script = [{ script = "chk proxy", weight = -20 }]
interface = "eth0"
virtual_router_id = 51
preempt_delay = 2.5
virtual_ipaddress = ["2001:db8::100/64"]

[[virtual_server]]
address = "192.0.2.100"
port = 80
lvs_sched = "mh"
mh-port = true
persistence_timeout = 60
persistence_granularity = 24
quorum = 2
hysteresis = 1
quorum_up = "/bin/echo 'a b'"
alpha = true
omega = true
ha_suspend = true
vrrp_weight = -20
sorry_server = { address = "198.51.100.9", port = 80 }
[[virtual_server.real_server]]
address = "198.51.100.1"
port = 8080
inhibit_on_failure = true
uthreshold = 100
lthreshold = 50
notify_down = "/bin/true"
check = [
    { type = "TCP", connect_timeout = 3, connect_ip = "198.51.100.7", connect_port = 81, bindto = "198.51.100.8" },
    { type = "HTTP", path = "/a?b=c", status_code = ["200-299", 301], virtualhost = "www.example.com" },
    { type = "HTTPS", verify = true, digest = "d41d8cd98f00b204e9800998ecf8427e" },
    { type = "UDP", payload = "70696e67", require_reply = true, min_reply_length = 4, max_reply_length = 90 },
    { type = "PING", warmup = 3 },
    { type = "DNS", record_type = "A", name = "www.example.com" },
    { type = "SMTP", helo_name = "mail.example.com" },
    { type = "MISC", misc_path = "/bin/true 'a b'", misc_dynamic = true },
]
[[virtual_server.real_server]]
address = "198.51.100.2"
port = 80
lvs_method = "DR"

[[virtual_server]]
address = "2001:db8::100"
port = 53
protocol = "UDP"
lvs_method = "DR"
persistence_timeout = 60
persistence_granularity = 64
[[virtual_server.real_server]]
address = "2001:db8::1"
"""


@pytest.mark.interop
@pytest.mark.parametrize("text", [MINIMAL, "realtime_priority = 2\nmemory_lock = true\n" + SERVERS, GROUPS])
def test_keepalived_takes_it_without_a_word(text: str, tmp_path: Path) -> None:
    accepted(parse(text, "vrrpd.toml"), tmp_path)


def test_the_virtual_router_is_the_same() -> None:
    text = as_keepalived(parse(SERVERS, "vrrpd.toml"))
    assert "vrrp_version 3" in text
    assert (
        'vrrp_instance "VI 1" {\n    state BACKUP\n    interface eth0\n    virtual_router_id 51\n    priority 150\n'
        "    advert_int 1\n    nopreempt\n" in text
    )
    assert "        fe80::200:5eff:fe00:233/128 dev eth0\n        2001:db8::100/64 dev eth0\n" in text


def test_what_keepalived_has_no_word_for_is_a_comment() -> None:
    text = "".join(as_keepalived(parse(each, "vrrpd.toml")) for each in (EVERYTHING, SERVERS))
    for comment in ('# no checksum = "message"', '# no garp_form = "reply"', "# no vrrp_weight = -20", "# no verify"):
        assert comment in text


def test_an_owner_is_master_from_the_start() -> None:
    text = as_keepalived(parse(MINIMAL + "priority = 255\n", "vrrpd.toml"))
    assert "state MASTER" in text


PROXIED = """
[[virtual_server_group]]
name = "g"
members = ["192.0.2.101 80"]
[[virtual_server]]
virtual_server_group = "g"
lvs_method = "PROXY"
[[virtual_server.real_server]]
address = "198.51.100.1"
port = 8080
"""


def test_what_the_proxy_serves_is_a_comment() -> None:
    text = as_keepalived(parse(MINIMAL + PROXIED, "vrrpd.toml"))
    assert "\n# keepalived has no proxy: it takes another program, such as HAProxy, to serve this\n" in text
    assert "\n# virtual_server group g {\n" in text
    assert "\nvirtual_server" not in text
