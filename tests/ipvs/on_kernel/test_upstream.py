"""What docs/upstream.md says of pyroute2's IPVS is still so; when one of these fails, it was mended there."""

import socket
import subprocess
from collections.abc import Iterator
from socket import IPPROTO_TCP
from typing import Any

import pytest
from pyroute2 import IPVS, IPVSDest, IPVSService, NetlinkError

from vrrpd.ipvs.kernel import Ipvs
from vrrpd.ipvs.model import Method, RealServer, VirtualServer
from vrrpd.ipvs.plan import plan

VIP, VIP6, REAL = "192.0.2.100", "2001:db8::100", "198.51.100.11"


@pytest.fixture
def kernel() -> Iterator[Ipvs]:
    found = Ipvs()
    found.apply(plan(found.table(), {}, found.table().keys()))
    yield found
    found.close()


@pytest.fixture
def pyroute2() -> Iterator[Any]:
    with IPVS() as found:
        yield found


def service(address: str = VIP, **more: Any) -> Any:
    return IPVSService(addr=address, port=80, protocol=IPPROTO_TCP, **more)


def only(kernel: Ipvs) -> VirtualServer:
    (server,) = kernel.table().values()
    return server


def only_real(kernel: Ipvs) -> RealServer:
    (real,) = only(kernel).real_servers.values()
    return real


def test_update_deletes(kernel: Ipvs, pyroute2: Any) -> None:
    pyroute2.service("add", service=service())
    pyroute2.dest("add", service=service(), dest=IPVSDest(addr=REAL, port=80))
    pyroute2.dest("update", service=service(), dest=IPVSDest(addr=REAL, port=80, weight=5))
    assert only(kernel).real_servers == {}
    pyroute2.service("update", service=service(sched_name="rr"))
    assert kernel.table() == {}


def test_set_sends_defaults_for_what_it_is_not_told(kernel: Ipvs, pyroute2: Any) -> None:
    pyroute2.service("add", service=service())
    pyroute2.dest("add", service=service(), dest=IPVSDest(addr=REAL, port=80, weight=9, fwd_method=0))
    pyroute2.dest("set", service=service(), dest=IPVSDest(addr=REAL, port=80, u_thresh=10))
    assert (only_real(kernel).method, only_real(kernel).weight) == (Method.DR, 1)


def test_a_service_of_ipv6_lacks_its_netmask(kernel: Ipvs, pyroute2: Any) -> None:
    with pytest.raises(NetlinkError, match="Invalid argument"):
        pyroute2.service("add", service=service(VIP6))
    pyroute2.service("add", service=service(VIP6, netmask="128.0.0.0"))  # the number 128 of a little-endian machine
    assert only(kernel).granularity == 128


def test_a_mark_lacks_its_netmask(kernel: Ipvs, pyroute2: Any) -> None:
    with pytest.raises(NetlinkError):
        pyroute2.service("add", service=IPVSService(fwmark=3, af=2))
    assert kernel.table() == {}


def test_the_port_of_a_tunnel_is_in_the_order_of_the_host(kernel: Ipvs, pyroute2: Any) -> None:
    pyroute2.service("add", service=service())
    tunnel = IPVSDest(addr=REAL, port=80, fwd_method=2, tun_type=1, tun_port=6080)
    pyroute2.dest("add", service=service(), dest=tunnel)
    assert only_real(kernel).method is Method.TUN
    listed = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True)
    assert f"--tun-type gue --tun-port {socket.htons(6080)}" in listed.stdout
