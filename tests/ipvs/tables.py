"""Random IPVS tables, and a simulated kernel that refuses what the real one refuses."""

from collections.abc import Iterable
from ipaddress import ip_address

from hypothesis import strategies as st
from msgspec.structs import replace

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
from vrrpd.ipvs.plan import (
    AddRealServer,
    AddVirtualServer,
    EditRealServer,
    EditVirtualServer,
    RemoveRealServer,
    RemoveVirtualServer,
    Step,
)
from vrrpd.protocol.advert import Family

KEYS: tuple[VirtualServerKey, ...] = (
    ServiceAddress(Protocol.TCP, ip_address("192.0.2.100"), 80),
    ServiceAddress(Protocol.UDP, ip_address("192.0.2.100"), 80),
    ServiceAddress(Protocol.SCTP, ip_address("192.0.2.101"), 443),
    ServiceAddress(Protocol.TCP, ip_address("2001:db8::100"), 80),
    FirewallMark(1, Family.IPV4),
    FirewallMark(1, Family.IPV6),
)
PLACES = {
    Family.IPV4: [RealServerKey(ip_address(f"198.51.100.{last}"), 8080) for last in range(1, 5)],
    Family.IPV6: [RealServerKey(ip_address(f"2001:db8:1::{last}"), 8080) for last in range(1, 5)],
}


@st.composite
def virtual_servers(draw: st.DrawFn, key: VirtualServerKey) -> VirtualServer:
    places = draw(st.lists(st.sampled_from(PLACES[key.family]), unique=True))
    real_servers = tuple(
        RealServer(
            place,
            draw(st.sampled_from([Method.NAT, Method.TUN, Method.DR])),
            draw(st.integers(0, 3)),
            draw(st.sampled_from([0, 100])),
        )
        for place in places
    )
    persistent = draw(st.booleans())
    return virtual_server(
        key,
        real_servers,
        scheduler=draw(st.sampled_from([Scheduler.RR, Scheduler.WLC, Scheduler.MH])),
        flags=Flag.PERSISTENT if persistent else Flag(0),
        persistence_timeout=draw(st.sampled_from([60, 300])) if persistent else 0,
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    return {key: draw(virtual_servers(key)) for key in draw(st.lists(st.sampled_from(KEYS), unique=True))}


class SimulatedKernel:
    """A table that is changed step by step.

    Raises:
        AssertionError: a step that the kernel would refuse: adding what is there, changing what is not.
    """

    def __init__(self, table: Table) -> None:
        self.servers: dict[VirtualServerKey, VirtualServer] = dict(table)

    def apply(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.take(step)

    def take(self, step: Step) -> None:
        servers = self.servers
        match step:
            case AddVirtualServer(server):
                assert server.key not in servers, f"EEXIST: {step}"
                servers[server.key] = replace(server, real_servers={})
            case EditVirtualServer(server):
                assert server.key in servers, f"ESRCH: {step}"
                servers[server.key] = replace(server, real_servers=servers[server.key].real_servers)
            case RemoveVirtualServer(key):
                assert key in servers, f"ESRCH: {step}"
                del servers[key]
            case AddRealServer(key, real) | EditRealServer(key, real):
                present = dict(servers[key].real_servers)
                assert (real.key in present) == isinstance(step, EditRealServer), f"EEXIST or ENOENT: {step}"
                servers[key] = replace(servers[key], real_servers=present | {real.key: real})
            case RemoveRealServer(key, real_key):
                left = dict(servers[key].real_servers)
                assert left.pop(real_key, None), f"ENOENT: {step}"
                servers[key] = replace(servers[key], real_servers=left)


def good(server: VirtualServer | None) -> bool:
    """Whether somebody takes its connections."""
    return server is not None and any(real_server.weight for real_server in server.real_servers.values())
