"""What is shown can be loaded, and is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.config.test_load import EVERYTHING, MINIMAL
from tests.config.test_virtual_servers import SERVICES
from vrrpd.config.load import parse
from vrrpd.config.model import Config
from vrrpd.config.toml import as_toml

GROUPS = """\
[[virtual_server_group]]
name = "web"
members = ["192.0.2.101-103 80"]

[[virtual_server_group]]
name = "marks"
members = ["192.0.2.108 80", "fwmark 3"]

[[virtual_server_group]]
name = "one"
members = ["192.0.2.109 80"]

[[virtual_server]]
virtual_server_group = "web"
[[virtual_server]]
virtual_server_group = "web"
protocol = "UDP"
[[virtual_server]]
virtual_server_group = "marks"
[[virtual_server]]
virtual_server_group = "one"
lvs_sched = "sh"
sh-port = true
[[virtual_server]]
fwmark = 9
[[virtual_server.real_server]]
address = "2001:db8::1"
port = 0
"""


PORTS = """\
[[virtual_server_group]]
name = "g"
members = ["192.0.2.100 80", "192.0.2.100 443", "fwmark 9"]
[[virtual_server]]
virtual_server_group = "g"
lvs_method = "DR"
sorry_server = { address = "198.51.100.99" }
[[virtual_server.real_server]]
address = "198.51.100.1"
"""


def again(config: Config) -> Config:
    return parse(as_toml(config), "shown")


@pytest.mark.parametrize("text", [MINIMAL, EVERYTHING, SERVICES, GROUPS, PORTS])
def test_a_file_that_is_shown_is_loaded_equal(text: str) -> None:
    config = parse(text, "vrrpd.toml")
    assert again(config) == config


CHECKED = """\
[[virtual_server]]
address = "192.0.2.100"
port = 80
check = { type = "TCP", delay_loop = 2 }
[[virtual_server.real_server]]
address = "198.51.100.1"
[[virtual_server.real_server]]
address = "198.51.100.2"
"""


def test_checks_that_all_real_servers_have_are_shown_once() -> None:
    config = parse(CHECKED, "vrrpd.toml")
    assert as_toml(config).count("check = ") == 1
    assert again(config) == config


SHOWN = """\
[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
priority = 100
advert_int = 1.0
virtual_ipaddress = ["192.0.2.100/32"]
"""


def test_defaults_are_left_out() -> None:
    assert as_toml(parse(MINIMAL, "vrrpd.toml")) == SHOWN


def test_settings_of_the_file_itself() -> None:
    top = 'http = "[::1]:9112"\nvip_lease = 7\nrealtime_priority = 3\nmemory_lock = true\n'
    top += 'node_settings = "off"\nresync_interval = 9\n'
    config = parse(top + MINIMAL, "vrrpd.toml")
    assert again(config) == config
    assert as_toml(config).startswith('http = "[::1]:9112"\nvip_lease = 7\n')


def test_nothing_is_shown_of_nothing() -> None:
    assert as_toml(Config(())) == "\n"


@given(arguments=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_any_program_survives(arguments: list[str]) -> None:
    config = parse(GROUPS, "vrrpd.toml")
    server = replace(config.virtual_servers[0], quorum_up=("/bin/a", *arguments))
    config = replace(config, virtual_servers=(server, *config.virtual_servers[1:]))
    assert again(config) == config


PROXIED = """\
[[virtual_server]]
address = "192.0.2.100"
port = 80
protocol = "TCP"
lvs_sched = "lc"
lvs_method = "PROXY"
proxy_protocol = "v2"
[[virtual_server.real_server]]
address = "198.51.100.1"
port = 8080
"""


def test_a_virtual_server_of_the_proxy() -> None:
    config = parse(PROXIED, "vrrpd.toml")
    assert again(config) == config
    assert as_toml(config) == PROXIED
