"""A right file to make wrong ones of, and what is said of these."""

import pytest

from vrrpd.config.load import parse
from vrrpd.config.problems import ConfigError, Problem

BASE = """\
control_socket = "/run/vrrpd/vrrpd.sock"

[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.100/24"]
"""

USE_INTERFACE = 'use the name of an interface, such as "eth0"'
USE_NAME = 'use a string of printable characters, such as "VI_1"'
USE_PATH = 'use an absolute path, such as "/run/vrrpd/vrrpd.sock"'
USE_ADDRESS = 'use "ADDRESS/PREFIX", such as "192.0.2.100/24" or "2001:db8::100/64"'
USE_HOST = "use the address of a host"
USE_LABEL = 'use the name of the interface, or that, a colon and a word, such as "eth0:vip"'
USE_COMMAND = 'use an absolute path and arguments: "/usr/bin/check --fast", or a list of them'
USE_BOOLEAN = "use true or false, without quotes"
NOT_YET = "this release does not do it yet"
NEVER = "vrrpd does without this key"
ADD_INSTANCE = "add a [[vrrp_instance]] with name, interface, virtual_router_id and virtual_ipaddress"


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "vrrpd.toml")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return caught.value.problems


def said(text: str) -> list[str]:
    return list(map(str, problems_of(text)))
