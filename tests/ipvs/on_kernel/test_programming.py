"""The kernel takes what we send and has what we meant: read back by us, and by ipvsadm."""

import errno
import itertools
import os
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from tests.ipvs.tables import KEYS, PLACES, tables
from vrrpd.ipvs.kernel import Ipvs
from vrrpd.ipvs.model import (
    FirewallMark,
    Flag,
    Method,
    Protocol,
    RealServer,
    RealServerKey,
    Scheduler,
    ServiceAddress,
    Table,
    VirtualServer,
    VirtualServerKey,
    virtual_server,
)
from vrrpd.ipvs.plan import AddRealServer, AddVirtualServer, RemoveRealServer, plan
from vrrpd.ipvs.reconciler import Reconciler
from vrrpd.protocol.advert import Family

IPVSADM_METHODS = {Method.NAT: "-m", Method.TUN: "-i", Method.DR: "-g"}
IPVSADM_PROTOCOLS = {Protocol.TCP: "-t", Protocol.UDP: "-u", Protocol.SCTP: "--sctp-service"}
MODULES = Path("/lib/modules", os.uname().release, "kernel/net/netfilter/ipvs")
if not MODULES.exists():
    MODULES = Path("/usr/lib/uml/modules", os.uname().release, "kernel/net/netfilter/ipvs")
THERE = {scheduler for scheduler in Scheduler if [*MODULES.glob(f"ip_vs_{scheduler}.ko*")]}
"""What this kernel was built with."""
HTTP = ServiceAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)


@pytest.fixture
def ipvs() -> Iterator[Ipvs]:
    kernel = Ipvs()
    kernel.apply(plan(kernel.table(), {}, kernel.table().keys()))
    assert kernel.table() == {}
    yield kernel
    kernel.close()


def ipvsadm() -> list[str]:
    """Its lines, each an option of its own that would make the entry."""
    listed = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def shown(address: object, port: int) -> str:
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def expected(server: VirtualServer) -> set[str]:
    """What ipvsadm says of a virtual server and its real servers."""
    key = server.key
    if isinstance(key, FirewallMark):
        which = f"-f {key.mark}" + (" -6" if key.family is Family.IPV6 else "")
    else:
        which = f"{IPVSADM_PROTOCOLS[key.protocol]} {shown(key.address, key.port)}"
    lines = {
        f"-A {which} -s {server.scheduler}"
        + (f" -p {server.persistence_timeout}" if server.persistence_timeout else "")
    }
    for real in server.real_servers.values():
        limits = f" -x {real.upper_threshold} -y {real.lower_threshold}" if real.upper_threshold else ""
        place = shown(real.key.address, real.key.port)
        lines.add(f"-a {which} -r {place} {IPVSADM_METHODS[real.method]} -w {real.weight}{limits}")
    return lines


def words(line: str) -> str:
    return " ".join(line.split()).replace(" --tun-type ipip", "")


@pytest.mark.parametrize("scheduler", sorted(THERE), ids=str)
@pytest.mark.parametrize("family", Family, ids=lambda family: f"ipv{family.value}")
def test_every_scheduler_method_and_protocol(ipvs: Ipvs, scheduler: Scheduler, family: Family) -> None:
    address = ip_address("192.0.2.100" if family is Family.IPV4 else "2001:db8::100")
    table: dict[VirtualServerKey, VirtualServer] = {}
    for number, (protocol, method) in enumerate(itertools.product(Protocol, (Method.NAT, Method.TUN, Method.DR))):
        port = 8000 + number
        key = ServiceAddress(protocol, address, port)
        places = [RealServerKey(place.address, port) for place in PLACES[family]]
        reals = tuple(RealServer(place, method, weight) for weight, place in enumerate(places))
        table[key] = virtual_server(key, reals, scheduler=scheduler)
    assert ipvs.apply(plan({}, table)) == []
    assert ipvs.table() == kernels(table)
    assert {words(line) for line in ipvsadm()} == set().union(*map(expected, table.values()))


def kernels(table: Table) -> Table:
    """The table as the kernel tells it: every prefix length is explicit."""
    return {
        key: replace(server, flags=server.flags | HASHED, persistence_granularity=server.granularity)
        for key, server in table.items()
    }


HASHED = Flag(0x02)
"""IP_VS_SVC_F_HASHED, which the kernel adds."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), tables())
def test_plans_converge_on_the_kernel(ipvs: Ipvs, first: Table, second: Table) -> None:
    present = ipvs.table()
    assert ipvs.apply(plan(present, first, present.keys())) == []
    assert ipvs.apply(plan(ipvs.table(), second, first.keys())) == []
    assert ipvs.table() == kernels(second)
    assert plan(ipvs.table(), second, second.keys()) == ()


@pytest.mark.parametrize("flags", [Flag.SCHED_1, Flag.SCHED_2, Flag.SCHED_1 | Flag.SCHED_2, Flag.ONE_PACKET])
def test_flags(ipvs: Ipvs, flags: Flag) -> None:
    key = KEYS[1]  # one-packet scheduling is for UDP
    table = {key: virtual_server(key, (RealServer(PLACES[Family.IPV4][0]),), scheduler=Scheduler.MH, flags=flags)}
    assert ipvs.apply(plan({}, table)) == []
    assert ipvs.table() == kernels(table)
    changed = {key: virtual_server(key, (RealServer(PLACES[Family.IPV4][0]),), scheduler=Scheduler.SH)}
    (edit,) = plan(ipvs.table(), changed)
    assert ipvs.apply([edit]) == []
    assert ipvs.table() == kernels(changed)


@pytest.mark.parametrize("key", [KEYS[0], KEYS[3]], ids=["ipv4", "ipv6"])
def test_persistence_granularity(ipvs: Ipvs, key: VirtualServerKey) -> None:
    table = {
        key: VirtualServer(key, flags=Flag.PERSISTENT, persistence_timeout=90, persistence_granularity=24),
    }
    assert ipvs.apply(plan({}, table)) == []
    assert ipvs.table() == kernels(table)


def test_a_refusal_names_its_step_and_the_others_are_taken(ipvs: Ipvs) -> None:
    first, second, *_ = PLACES[Family.IPV4]
    missing = RemoveRealServer(HTTP, first)
    steps = (AddVirtualServer(VirtualServer(HTTP)), missing, AddRealServer(HTTP, RealServer(second)))
    ((step, error),) = ipvs.apply(steps)
    assert (step, error.errno) == (missing, errno.ENOENT)
    assert [*ipvs.table()[HTTP].real_servers] == [second]


@pytest.mark.parametrize("scheduler", ["nonsense", Scheduler.TWOS])
def test_a_scheduler_that_the_kernel_lacks_is_named(ipvs: Ipvs, scheduler: str) -> None:
    if scheduler in THERE:
        pytest.fail(f"this kernel has {scheduler}: it belongs to the matrix")
    reconciler = Reconciler(ipvs)
    reconciler.want({HTTP: VirtualServer(HTTP, scheduler=scheduler)})
    (refusal,) = reconciler.refusals
    assert f"the kernel has no scheduler {scheduler}: it needs the module ip_vs_{scheduler}" in str(refusal)


def test_the_reconciler_mends_what_others_do_and_leaves_what_is_theirs(ipvs: Ipvs) -> None:
    subprocess.run(["ipvsadm", "-A", "-f", "99", "-s", "rr"], check=True)
    first, second, *_ = PLACES[Family.IPV4]
    wanted: Table = {HTTP: virtual_server(HTTP, (RealServer(first), RealServer(second)))}
    reconciler = Reconciler(ipvs)
    assert reconciler.want(wanted) == 3
    assert sum(reconciler.resync()) == 0
    subprocess.run(["ipvsadm", "-d", "-t", shown(HTTP.address, 80), "-r", shown(first.address, first.port)], check=True)
    assert (sum(reconciler.resync()), reconciler.drift, reconciler.refusals) == (1, 1, ())
    assert ipvs.table()[HTTP] == kernels(wanted)[HTTP]
    assert reconciler.want({}) == 1
    assert [*ipvs.table()] == [FirewallMark(99, Family.IPV4)]


def test_a_virtual_server_that_others_have_stays_theirs(ipvs: Ipvs) -> None:
    first, second, *_ = PLACES[Family.IPV4]
    other = ServiceAddress(Protocol.UDP, HTTP.address, 53)
    wanted: Table = {key: virtual_server(key, (RealServer(first),)) for key in (HTTP, other)}
    at_http, by_others = ("-t", shown(HTTP.address, 80)), ("-r", shown(second.address, second.port), "-m")
    reconciler = Reconciler(ipvs)
    reconciler.want({other: wanted[other]})
    subprocess.run(["ipvsadm", "-A", *at_http, "-s", "wlc"], check=True)
    subprocess.run(["ipvsadm", "-a", *at_http, *by_others], check=True)
    theirs = ipvs.table()[HTTP]
    reconciler.want(wanted)
    assert ipvs.table()[HTTP] == theirs
    assert "there is one that is not ours" in str(reconciler.refusals)
    subprocess.run(["ipvsadm", "-D", *at_http], check=True)
    sum(reconciler.resync())
    assert (ipvs.table(), reconciler.refusals) == (kernels(wanted), ())
    assert reconciler.want({}) == 2
