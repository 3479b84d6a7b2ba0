"""The configuration as plain values: what the file said, checked, in the units of its keys."""

from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from msgspec import Struct

from vrrpd.config.services import Command, NodeSettings, VirtualServerSettings
from vrrpd.protocol.advert import ChecksumForm, Family, IPAddress
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import PRIORITY_DEFAULT, Centiseconds, centiseconds

DEFAULT_FILE = Path("/etc/vrrpd/vrrpd.toml")
DEFAULT_CONTROL_SOCKET = Path("/run/vrrpd/vrrpd.sock")


class GarpForm(StrEnum):
    """The operation field of a gratuitous ARP (RFC 5227 section 3): some switches and hosts heed only one."""

    REQUEST = "request"
    REPLY = "reply"


class Handover(StrEnum):
    """What a master does that is to go, or that has heard a better one."""

    HITLESS = "hitless"
    """It answers for the addresses until its successor does."""
    IMMEDIATE = "immediate"
    """It removes them at once (RFC 9568 section 6.4.3)."""


class VirtualAddress(Struct, frozen=True):
    """One entry of `virtual_ipaddress`."""

    interface_address: IPv4Interface | IPv6Interface
    """Address and prefix length, as the kernel is to have them."""
    dev: str
    """The interface that carries it; the instance's own unless said otherwise."""
    label: str | None = None
    """IPv4 only, at most 15 characters."""
    noprefixroute: bool | None = None
    """Whether to keep the kernel from adding a route to the prefix. None: where another address has one already."""

    @property
    def place(self) -> tuple[str, IPv4Interface | IPv6Interface]:
        """What the kernel tells it by."""
        return self.dev, self.interface_address

    @property
    def address(self) -> IPAddress:
        """The address without its prefix length."""
        return self.interface_address.ip

    def __str__(self) -> str:
        return str(self.interface_address)


class GarpSettings(Struct, frozen=True):
    """When gratuitous ARP (IPv6: unsolicited NA) is repeated; keepalived's keys and meaning."""

    master_delay: float = 5.0
    """Seconds from the transition to the second set; 0: no second set."""
    master_repeat: int = 5
    """Announcements of each address in a set."""
    master_refresh: float = 0.0
    """Seconds between refreshes while MASTER; 0: none."""
    master_refresh_repeat: int = 1
    """Announcements of each address in a refresh."""
    form: GarpForm = GarpForm.REQUEST


class TrackedInterface(Struct, frozen=True):
    """Another interface that an instance depends on."""

    interface: str
    weight: int = 0
    """What is added to the priority: if positive while it is up, if negative while it is not. 0: without it, FAULT."""


class VrrpScript(Struct, frozen=True):
    """One `[[vrrp_script]]`: a program that finds out whether something works which instances depend on."""

    name: str
    script: Command
    """It succeeds if it exits with 0."""
    interval: float = 1.0
    """Seconds from the start of one run to that of the next."""
    timeout: float = 1.0
    """Seconds after which a run counts as failed, and is killed with what it has started."""
    rise: int = 1
    """Successes in a row after which one that failed counts as working again."""
    fall: int = 1
    """Failures in a row after which one that worked counts as failed."""
    init_fail: bool = False
    """Whether it counts as failed at first; else its first run decides."""


class TrackedScript(Struct, frozen=True):
    """A program that an instance depends on."""

    script: str
    """The name of its `VrrpScript`."""
    weight: int = 0
    """What is added to the priority: if positive while it works, if negative while it fails. 0: without it, FAULT."""


class VrrpInstance(Struct, frozen=True):
    """One `[[vrrp_instance]]`."""

    name: str
    interface: str
    virtual_router_id: int
    virtual_ipaddress: tuple[VirtualAddress, ...]
    """All of one family; for IPv6 a link-local one comes first."""
    priority: int = PRIORITY_DEFAULT
    advert_int: float = 1.0
    """Seconds, a whole number of centiseconds."""
    nopreempt: bool = False
    preempt_delay: float = 0.0
    """Seconds."""
    link_up_delay: float = 0.5
    """Seconds that a link must have been up again before the instance leaves FAULT."""
    handover: Handover = Handover.HITLESS
    checksum: ChecksumForm = ChecksumForm.PSEUDO_HEADER
    """The form in which IPv4 adverts are sent; both are received."""
    garp: GarpSettings = GarpSettings()
    unicast_src_ip: IPAddress | None = None
    """Where adverts to the peers come from; None: the interface's primary address."""
    unicast_peer: tuple[IPAddress, ...] = ()
    """Whom adverts are sent to, each its own, and come from; empty: the multicast group."""
    track_interface: tuple[TrackedInterface, ...] = ()
    track_script: tuple[TrackedScript, ...] = ()
    notify: Command | None = None
    """The program to call with `INSTANCE`, the name, the state that was entered and the priority."""

    @property
    def weights(self) -> tuple[tuple[str, int], ...]:
        """What it tracks that moves its priority, and by how much."""
        tracked = [(each.interface, each.weight) for each in self.track_interface]
        tracked += ((each.script, each.weight) for each in self.track_script)
        return tuple((name, weight) for name, weight in tracked if weight)

    @property
    def family(self) -> Family:
        """The family of its virtual addresses."""
        return Family.of(self.virtual_ipaddress[0].address)

    @property
    def key(self) -> tuple[str, Family, int]:
        """What makes two configurations speak of the same virtual router."""
        return self.interface, self.family, self.virtual_router_id

    def parameters(self) -> Parameters:
        """The same in the protocol's units."""
        return Parameters(
            virtual_router_id=self.virtual_router_id,
            addresses=tuple(vip.address for vip in self.virtual_ipaddress),
            priority=self.priority,
            advertisement_interval=Centiseconds(round(centiseconds(self.advert_int))),
            preempt=not self.nopreempt,
            preempt_delay=centiseconds(self.preempt_delay),
            recovery_delay=centiseconds(self.link_up_delay),
            hitless=self.handover is Handover.HITLESS,
        )


class HttpAddress(Struct, frozen=True):
    """Where HTTP is answered."""

    host: str
    """An IP address; "": every address of the host."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Config(Struct, frozen=True):
    """A whole configuration file."""

    instances: tuple[VrrpInstance, ...]
    control_socket: Path = DEFAULT_CONTROL_SOCKET
    http: HttpAddress | None = None
    """None: there is no HTTP."""
    vip_lease: int = 5
    """Seconds within which the kernel removes the virtual addresses of a daemon that is dead or hangs; 0: never."""
    realtime_priority: int = 0
    """SCHED_FIFO priority of the speaker, 1-99; 0: it is scheduled as any process."""
    memory_lock: bool = False
    """Whether the speaker's memory is kept from being swapped out."""
    scripts: tuple[VrrpScript, ...] = ()
    virtual_servers: tuple[VirtualServerSettings, ...] = ()
    node_settings: NodeSettings = NodeSettings.KEEP
    resync_interval: float = 30.0
    """Seconds after which the kernel's table of virtual servers is looked at anew."""

    @property
    def belongings(self) -> Path:
        """The file that says what of the kernel's is ours; see `vrrpd.director.belongings`."""
        return self.control_socket.with_name(f"{self.control_socket.name}.ipvs")
