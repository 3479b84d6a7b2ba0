"""A node's containers come and go, and their interfaces with them: the speaker has more important things to do."""

import asyncio

import pytest

from tests.peers import Network, eventually
from vrrpd.channel import Begin
from vrrpd.config.load import parse
from vrrpd.ledger import Ledger
from vrrpd.speaker.speaker import Speaker

pytestmark = pytest.mark.namespaces

FILE = """
[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.100/32"]
track_interface = ["eth1"]
"""


def test_no_router_looks_at_an_interface_that_none_names(network: Network) -> None:
    host = network.lan.host("r1")
    loop = asyncio.new_event_loop()
    begin = Begin(parse(FILE, "vrrpd.toml"), drained=False, burdens={})
    speaker: Speaker = host.call(Speaker, loop, begin, Ledger(), lambda _: None)
    host.call(speaker.start)
    (driver,) = speaker._routers.values()
    looked: list[bool] = []
    driver.look_at_interfaces = lambda: looked.append(True)  # type: ignore[method-assign]

    def seen(name: str) -> bool:
        loop.run_until_complete(asyncio.sleep(0))
        link = speaker.kernel.monitor.link(name)
        return link is not None and link.up

    try:
        host.add_interface("elsewhere", network.lan, ("203.0.113.1/24",))
        eventually(lambda: seen("elsewhere"), "it is known")
        assert not looked
        host.add_interface("eth1", network.lan, ())
        eventually(lambda: seen("eth1"), "it is known")
        assert looked
    finally:
        speaker.close()
        loop.close()
