"""Virtual servers as the file has them, in keepalived's words: what is to be served, by whom, and who is well.

`vrrpd.director.service` makes a table of them. Whoever else knows of services, such as a cluster, makes these first.
"""

from enum import StrEnum

from msgspec import Struct

from vrrpd.ipvs.model import (
    Flag,
    Method,
    Protocol,
    ProxyProtocol,
    RealServerKey,
    Scheduler,
    ServiceAddress,
    VirtualServerKey,
)
from vrrpd.protocol.advert import IPAddress

DRAIN_TIMEOUT = 60.0
"""Seconds that connections may go on, unless configured otherwise."""
Command = tuple[str, ...]
"""A program with an absolute path and its arguments; no shell takes part."""


class NodeSettings(StrEnum):
    """What becomes of the kernel's settings that virtual servers need."""

    KEEP = "keep"
    """They are made, and stay."""
    RESTORE = "restore"
    """They are made; what was there before comes back at the end."""
    OFF = "off"
    """Others see to them; what is missing is reported."""


class Masquerade(StrEnum):
    """Whether clients' addresses are hidden from the real servers of NAT."""

    AUTO = "auto"
    """Unless replies come back through us: a virtual address of ours is in the network of the real server."""
    ALWAYS = "always"
    NEVER = "never"


class Check(Struct, frozen=True, kw_only=True):
    """How to find out whether a real server works. Times are in seconds."""

    connect_ip: IPAddress | None = None
    """Whom to ask; None: the real server."""
    connect_port: int | None = None
    """None: the real server's."""
    bindto: IPAddress | None = None
    """From where to ask; None: the kernel chooses."""
    connect_timeout: float = 5.0
    """For the whole of one attempt."""
    delay_loop: float = 5.0
    """Between two checks of one that is well, or has failed for good."""
    retry: int = 1
    """Further attempts before a real server that was well has failed."""
    delay_before_retry: float = 1.0
    warmup: float | None = None
    """The first check comes after a random part of it; None: of `delay_loop`. So 5,000 checks do not come at once."""


class TcpCheck(Check, frozen=True, kw_only=True):
    """A connection can be made."""


class HttpCheck(Check, frozen=True, kw_only=True):
    """A GET gets what it should."""

    tls: bool = False
    path: str = "/"
    virtualhost: str | None = None
    """The Host header, and the name that TLS asks for (SNI); None: the address, and no name."""
    enable_sni: bool = True
    verify: bool = False
    """Whether the certificate must be one that this host trusts, for the name asked for or else the address."""
    status_code: tuple[tuple[int, int], ...] = ((200, 299),)
    """Ranges, both ends included."""
    digest: str | None = None
    """MD5 of the body, as `genhash` prints it."""
    regex: str | None = None
    """Python's; must be found in the body, as UTF-8."""
    regex_no_match: bool = False
    """Whether `regex` must not be found instead."""


class UdpCheck(Check, frozen=True, kw_only=True):
    """A datagram meets with no "unreachable", of port or host, or gets a reply."""

    payload: bytes = b""
    require_reply: bool = False
    min_reply_length: int = 0
    max_reply_length: int = 65535


class PingCheck(Check, frozen=True, kw_only=True):
    """An echo request is answered."""


class DnsCheck(Check, frozen=True, kw_only=True):
    """A question over UDP is answered without an error, with at least one record."""

    record_type: str = "SOA"
    name: str = "."


class SmtpCheck(Check, frozen=True, kw_only=True):
    """The server greets with 220 and takes a HELO with 250."""

    helo_name: str = "localhost"


class MiscCheck(Check, frozen=True, kw_only=True):
    """A program exits with 0 within `connect_timeout`."""

    misc_path: Command
    misc_dynamic: bool = False
    """Whether an exit code of 2-255 means "well, with a weight of that less 2"; 0 leaves the weight as it is."""


class RealServerSettings(Struct, frozen=True):
    """One of those that do the work."""

    address: IPAddress
    port: int
    """The virtual server's own for DR and TUN; 0 with a firewall mark: that of each connection."""
    method: Method = Method.NAT
    weight: int = 1
    inhibit_on_failure: bool = False
    """Whether one that fails is left with weight 0 rather than taken out: its connections may go on."""
    uthreshold: int = 0
    lthreshold: int = 0
    checks: tuple[Check, ...] = ()
    """It is well while all of them find it so; without any, always."""
    notify_up: Command | None = None
    notify_down: Command | None = None

    @property
    def key(self) -> RealServerKey:
        """What tells it from the others of its virtual server."""
        return RealServerKey(self.address, self.port)


class VirtualServerSettings(Struct, frozen=True):
    """One `[[virtual_server]]`."""

    name: str
    """For people, such as `TCP 192.0.2.100:80`."""
    keys: tuple[VirtualServerKey, ...]
    """One, or the members of its group, each of which gets the same real servers."""
    real_servers: tuple[RealServerSettings, ...] = ()
    protocol: Protocol = Protocol.TCP
    scheduler: Scheduler = Scheduler.WLC
    method: Method = Method.NAT
    """That of all real servers, if it is PROXY."""
    flags: Flag = Flag(0)
    persistence_timeout: int = 0
    persistence_granularity: int | None = None
    """Prefix length."""
    sorry_server: RealServerSettings | None = None
    """Serves while there is no quorum, alone."""
    quorum: int = 1
    """Weight that those who are well must have together."""
    hysteresis: int = 0
    """The quorum is gained with this more, and lost with this less."""
    quorum_up: Command | None = None
    quorum_down: Command | None = None
    alpha: bool = False
    """Whether real servers count as failed until a check has found them well."""
    omega: bool = False
    """Whether `notify_down` and `quorum_down` are called when the daemon stops."""
    ha_suspend: bool = False
    """Whether checks rest while no address of it is held here."""
    vrrp_weight: int = 0
    """Added to the priority of the instances that hold its addresses while there is no quorum; -253 to 0."""
    masquerade: Masquerade = Masquerade.AUTO
    drain_timeout: float = DRAIN_TIMEOUT
    """Seconds that connections of a real server which is taken out of the configuration may go on."""
    proxy_protocol: ProxyProtocol = ProxyProtocol.V1
    """What real servers of PROXY understand."""

    @property
    def proxied(self) -> bool:
        """Whether our proxy serves it, and not the kernel."""
        return self.method is Method.PROXY

    @property
    def everybody(self) -> tuple[RealServerSettings, ...]:
        """The real servers, and the sorry server if there is one."""
        return self.real_servers if self.sorry_server is None else (*self.real_servers, self.sorry_server)

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """What clients ask for, each once, whatever its ports; none for firewall marks."""
        return tuple(dict.fromkeys(key.address for key in self.keys if isinstance(key, ServiceAddress)))
