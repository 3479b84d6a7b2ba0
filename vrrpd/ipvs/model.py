"""An IPVS table as plain values: virtual servers, each with its real servers (include/uapi/linux/ip_vs.h).

A virtual server is told from others by its address, protocol and port, or by a mark of the firewall; a real server by
its address and port within a virtual server. Everything else about them can be changed in place.

These keys remember their hash: a plan looks each up, and an IPv4Address works its own out anew every time.
"""

from collections.abc import Mapping
from enum import IntEnum, IntFlag, StrEnum

from msgspec import Struct

from vrrpd.protocol.advert import Family, IPAddress


class Protocol(IntEnum):
    """The number that IP gives it."""

    TCP = 6
    UDP = 17
    SCTP = 132


class Method(IntEnum):
    """How packets get to a real server: IP_VS_CONN_F_FWD_MASK's values."""

    NAT = 0
    LOCAL = 1
    """The kernel's own word for a real server that is an address of this host; nobody asks for it."""
    TUN = 2
    DR = 3
    PROXY = 8
    """None of the kernel's: our proxy (`vrrpd.proxy`) takes the connection and makes another to the real server."""

    @property
    def maps_ports(self) -> bool:
        """Whether a real server may listen at another port; DR and TUN hand packets on as they are."""
        return self in (Method.NAT, Method.PROXY)


class ProxyProtocol(StrEnum):
    """The header by which the proxy tells a real server of its client (haproxy.org's proxy-protocol.txt)."""

    V1 = "v1"
    """A line of text."""
    V2 = "v2"
    """Binary."""


class Scheduler(StrEnum):
    """The kernel's names; the module is `ip_vs_NAME`."""

    RR = "rr"
    WRR = "wrr"
    LC = "lc"
    WLC = "wlc"
    LBLC = "lblc"
    LBLCR = "lblcr"
    DH = "dh"
    SH = "sh"
    MH = "mh"
    SED = "sed"
    NQ = "nq"
    FO = "fo"
    OVF = "ovf"
    TWOS = "twos"
    """Younger than the others; not every distribution builds it."""


CONSISTENT = (Scheduler.MH, Scheduler.SH)
"""By these two directors send a client to the same real server, so that connections survive a failover (sloppy_tcp)."""


class Flag(IntFlag):
    """IP_VS_SVC_F_*, as far as they can be asked for."""

    PERSISTENT = 0x01
    ONE_PACKET = 0x04
    """UDP: each packet is scheduled anew."""
    SCHED_1 = 0x08
    """`sh-fallback` and `mh-fallback`: a real server of weight 0 is passed over."""
    SCHED_2 = 0x10
    """`sh-port` and `mh-port`: the client's port counts, too."""


ASKED_FOR = Flag.PERSISTENT | Flag.ONE_PACKET | Flag.SCHED_1 | Flag.SCHED_2
"""The kernel adds flags of its own to these."""


class ServiceAddress(Struct, frozen=True, cache_hash=True):
    """What clients ask for."""

    protocol: Protocol
    address: IPAddress
    port: int
    """0: every port, for a persistent virtual server alone."""

    @property
    def family(self) -> Family:
        """The family of the address."""
        return Family.of(self.address)

    def __str__(self) -> str:
        """As people write it: `TCP 192.0.2.100:80`, `TCP [2001:db8::100]:80`."""
        address = f"[{self.address}]" if self.family is Family.IPV6 else str(self.address)
        return f"{self.protocol.name} {address}:{self.port}"


class FirewallMark(Struct, frozen=True, cache_hash=True):
    """What the host's firewall has marked so."""

    mark: int
    family: Family

    def __str__(self) -> str:
        return f"fwmark {self.mark} (IPv{self.family.value})"


VirtualServerKey = ServiceAddress | FirewallMark


class RealServerKey(Struct, frozen=True, cache_hash=True):
    """Where a real server listens."""

    address: IPAddress
    port: int


class RealServer(Struct, frozen=True):
    """One of those that do the work."""

    key: RealServerKey
    method: Method = Method.NAT
    weight: int = 1
    """0: no new connections, and those that are there go on."""
    upper_threshold: int = 0
    """Connections beyond which it gets no new ones; 0: no limit."""
    lower_threshold: int = 0
    """Connections below which it gets new ones again."""


class VirtualServer(Struct, frozen=True):
    """A service, and the real servers among which its connections are shared out."""

    key: VirtualServerKey
    scheduler: str = Scheduler.WLC
    """A name that the kernel knows; what is read from it need not be a `Scheduler`."""
    flags: Flag = Flag(0)
    persistence_timeout: int = 0
    """Seconds; with `Flag.PERSISTENT`."""
    persistence_granularity: int | None = None
    """Prefix length of the clients that go to one real server together; None: each of its own."""
    proxy_protocol: ProxyProtocol | None = None
    """With it our proxy serves, by `Method.PROXY`; None: the kernel does."""
    real_servers: Mapping[RealServerKey, RealServer] = {}

    def __post_init__(self) -> None:
        for key, real_server in self.real_servers.items():
            if key != real_server.key:
                raise ValueError(f"{real_server.key} is filed under {key}")

    @property
    def settings(self) -> tuple[object, ...]:
        """What one message about the virtual server itself tells the kernel."""
        return (
            self.key,
            self.scheduler,
            self.flags & ASKED_FOR,
            self.persistence_timeout,
            self.granularity,
        )

    @property
    def granularity(self) -> int:
        """The prefix length that it comes to."""
        if self.persistence_granularity is not None:
            return self.persistence_granularity
        return 8 * self.key.family.address_size


class Traffic(Struct, frozen=True):
    """What the kernel counts of a virtual server or a real server (IPVS_STATS_ATTR_*). Rates are over some seconds."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_per_second: int = 0
    packets_in_per_second: int = 0
    packets_out_per_second: int = 0
    bytes_in_per_second: int = 0
    bytes_out_per_second: int = 0


class Activity(Struct, frozen=True):
    """What a real server has to do."""

    active: int = 0
    """Connections that are established."""
    inactive: int = 0
    """Those that are being set up or closed; for UDP, all."""
    persistent: int = 0
    """Clients that are to come back to it."""
    traffic: Traffic = Traffic()


class ServiceActivity(Struct, frozen=True):
    """What a virtual server and each of its real servers have to do."""

    traffic: Traffic
    real_servers: Mapping[RealServerKey, Activity]


Table = Mapping[VirtualServerKey, VirtualServer]
"""A whole table, or the part of it that is ours."""


def virtual_server(
    key: VirtualServerKey, real_servers: tuple[RealServer, ...] = (), **settings: object
) -> VirtualServer:
    """A virtual server with these real servers.

    Raises:
        ValueError: two of the real servers listen at one address and port.
    """
    by_key = {real_server.key: real_server for real_server in real_servers}
    if len(by_key) < len(real_servers):
        raise ValueError(f"{key} has one real server twice")
    return VirtualServer(key, real_servers=by_key, **settings)  # type: ignore[arg-type]  # the fields by name
