"""A keepalived.conf to make others of, and what is said of these."""

from pathlib import Path

import pytest

from vrrpd.config.keepalived.reading import Imported, read_keepalived
from vrrpd.config.model import VrrpInstance
from vrrpd.config.problems import ConfigError
from vrrpd.config.services import VirtualServerSettings

SAMPLES = Path("/usr/share/doc/keepalived/samples")
FILE = "keepalived.conf"
GLOBAL = "global_defs {\n    vrrp_version 3\n}\n"


def instance(*lines: str, head: str = GLOBAL) -> str:
    """A file with an instance, the lines of which begin on line 8; with an address unless they have some."""
    own = any("virtual_ipaddress {" in line for line in lines)
    return "\n".join(
        [
            f"{head}vrrp_instance VI_1 {{",
            "interface eth0",
            "virtual_router_id 51",
            "" if own else "virtual_ipaddress { 192.0.2.100/24 }",
            *lines,
            "}\n",
        ]
    )


def server(*lines: str, real: str = "", head: str = "192.0.2.100 80") -> str:
    """A file with a virtual server of TCP, the lines of which begin on line 3, and a real server that follows them."""
    return "\n".join(
        [f"virtual_server {head} {{", "protocol TCP", *lines, f"real_server 198.51.100.1 80 {{\n{real}\n}}", "}\n"]
    )


def read(text: str) -> Imported:
    return read_keepalived(text, FILE, "here")


def router(text: str) -> VrrpInstance:
    (found,) = read(text).config.instances
    return found


def service(text: str) -> VirtualServerSettings:
    (found,) = read(text).config.virtual_servers
    return found


def remarks(text: str) -> list[str]:
    return list(map(str, read(text).remarks))


def said(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return list(map(str, caught.value.problems))
