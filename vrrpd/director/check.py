"""Says what the virtual servers of a valid configuration will do on this host, and what will surprise.

Each rule is a function below; `_RULES` has the order in which they speak.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vrrpd.config.findings import Finding, missing_programs, note, warning
from vrrpd.config.host import Interfaces
from vrrpd.config.model import Config, VrrpInstance
from vrrpd.config.services import (
    HttpCheck,
    Masquerade,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    VirtualServerSettings,
)
from vrrpd.director.masquerade import masqueraded
from vrrpd.director.service import is_served_by
from vrrpd.ipvs.model import FirewallMark, Method, Protocol, Scheduler, ServiceAddress
from vrrpd.protocol.advert import Family, IPAddress

PRIVILEGED = 1024
"""Ports below it are not everybody's (net.ipv4.ip_unprivileged_port_start, unless it is set otherwise)."""


def findings(config: Config, interfaces: Interfaces) -> tuple[Finding, ...]:
    """What will happen and what will probably surprise, virtual server by virtual server.

    Args:
        config: the configuration of this host.
        interfaces: the host's, as `vrrpd.config.host.present_interfaces` reads them.
    """
    host = _Host.of(config, interfaces)
    return tuple(finding for server in config.virtual_servers for rule in _RULES for finding in rule(server, host))


class _Host(NamedTuple):
    """What each of thousands of virtual servers is looked at with."""

    instances: tuple[VrrpInstance, ...]
    own: frozenset[IPAddress]
    """Addresses of the host."""
    telling: tuple[str, ...]
    """Interfaces that tell of others' IPv4 addresses by ARP."""
    held: frozenset[IPAddress]
    """All that it has or may hold."""
    hidden: frozenset[IPAddress]
    """Virtual addresses the clients of which are masqueraded."""

    @classmethod
    def of(cls, config: Config, interfaces: Interfaces) -> "_Host":
        present = [entry for interface in interfaces.values() for entry in interface.addresses]
        virtual = [vip for instance in config.instances for vip in instance.virtual_ipaddress]
        return cls(
            config.instances,
            frozenset(entry.address for entry in present if not entry.ours),
            tuple(name for name, interface in interfaces.items() if interface.tells_of_others),
            frozenset(entry.address for entry in present) | {vip.address for vip in virtual},
            masqueraded(config.virtual_servers, [vip.interface_address for vip in virtual]),
        )


def compare(hosts: Sequence[tuple[str, Config]]) -> tuple[Finding, ...]:
    """Where the virtual servers of several hosts, each a name and its configuration, differ."""
    (first, config), *others = hosts
    found: list[Finding] = []
    for other, their_config in others:
        ours = {server.name: server for server in config.virtual_servers}
        theirs = {server.name: server for server in their_config.virtual_servers}
        for name in ours.keys() ^ theirs.keys():
            alone = first if name in ours else other
            found.append(warning(name, f"only {alone} of {first} and {other} has it: it is gone after a failover"))
        for name in ours.keys() & theirs.keys():
            fields = ours[name].__struct_fields__
            unlike = [field for field in fields if getattr(ours[name], field) != getattr(theirs[name], field)]
            if unlike:
                found.append(warning(name, f"{first} and {other} do not have the same {', '.join(unlike)}"))
    return tuple(sorted(found, key=str))


def _summary(server: VirtualServerSettings, host: _Host) -> Iterator[Finding]:
    real_servers = server.real_servers
    methods = sorted({real.method.name for real in real_servers} or {server.method.name})
    count = f"{len(real_servers)} real server{'s' if len(real_servers) != 1 else ''}"
    when = "served by our proxy" if server.proxied else "programmed whoever is master"
    if is_served_by(server, host.own) and (holders := [instance.name for instance in _holders(server, host)]):
        when = f"programmed while {' or '.join(holders)} is MASTER here, since this host is a real server"
    yield note(server.name, f"{server.scheduler}, {' and '.join(methods)}, {count}, {when}")


def _holders(server: VirtualServerSettings, host: _Host) -> list[VrrpInstance]:
    addresses = {*server.addresses}
    return [each for each in host.instances if addresses & {vip.address for vip in each.virtual_ipaddress}]


def _nobody_holds_it(server: VirtualServerSettings, host: _Host) -> Iterator[Finding]:
    lost = [str(address) for address in server.addresses if address not in host.held]
    if lost:
        yield warning(
            server.name,
            f"no [[vrrp_instance]] and no interface has {', '.join(lost)}: clients' packets come here only if "
            "something else sends them",
        )
    marks = [str(key.mark) for key in server.keys if isinstance(key, FirewallMark)]
    if marks:
        yield note(server.name, f"serves what the firewall of this host marks with {', '.join(marks)}")


def _who_serves(server: VirtualServerSettings, _: _Host) -> Iterator[Finding]:
    real_servers, total = server.real_servers, sum(real.weight for real in server.real_servers)
    if not real_servers and not server.sorry_server:
        yield warning(server.name, "it has no real servers: clients are refused")
    elif total < server.quorum:
        yield warning(server.name, f"the weights come to {total}: a quorum of {server.quorum} is never reached")
    elif total < server.quorum + server.hysteresis:
        yield warning(server.name, f"the weights come to {total}: a quorum that was lost is never gained again")
    unchecked = [real for real in real_servers if not real.checks]
    if unchecked:
        who = "its real servers are" if len(unchecked) == len(real_servers) else f"{len(unchecked)} of them are"
        yield warning(server.name, f"{who} not checked: clients are sent there whether they work or not")
    if server.protocol is Protocol.UDP and any(
        isinstance(check, TcpCheck) and check.connect_port in (None, real.port)
        for real in real_servers
        for check in real.checks
    ):
        yield warning(server.name, 'a TCP check says nothing of a UDP service; use type = "UDP", "DNS" or "MISC"')
    programs = {check.misc_path[0] for real in real_servers for check in real.checks if isinstance(check, MiscCheck)}
    if programs:
        yield note(server.name, "its scripts run as vrrpd does; let nobody else write to them")
    called = [command for real in real_servers for command in (real.notify_up, real.notify_down)]
    programs |= {command[0] for command in (*called, server.quorum_up, server.quorum_down) if command}
    yield from missing_programs(server.name, programs)
    if server.protocol is not Protocol.UDP and any(
        real.checks and all(isinstance(check, PingCheck) for check in real.checks) for real in real_servers
    ):
        yield warning(server.name, "PING alone does not tell whether the service answers")


def _replies(server: VirtualServerSettings, host: _Host) -> Iterator[Finding]:
    if all(real.method is not Method.NAT for real in server.real_servers):
        return
    if not host.hidden.isdisjoint(server.addresses):
        why = {
            Masquerade.ALWAYS: "asked for",
            Masquerade.AUTO: "no other virtual address is in their network",
            Masquerade.NEVER: "another virtual server of this address needs it",
        }[server.masquerade]
        yield note(
            server.name, f"clients are masqueraded ({why}): real servers see this host's address as the client's"
        )
    elif server.masquerade is Masquerade.NEVER:
        yield note(server.name, "nothing is masqueraded: real servers must send their replies through this host")
    elif server.addresses:
        yield note(
            server.name,
            "real servers see the clients' addresses; the virtual address in their network must be their gateway, and "
            "clients in that network get no answer (masquerade = true: they do)",
        )
    if any(Family.of(real.address) is Family.IPV6 for real in server.real_servers):
        yield note(
            server.name,
            "turns IPv6 forwarding on: an interface that learns its default route from router advertisements needs "
            "accept_ra = 2",
        )


def _direct(server: VirtualServerSettings, _: _Host) -> Iterator[Finding]:
    if all(real.method.maps_ports for real in server.real_servers):
        return
    addresses = ", ".join(map(str, server.addresses)) or "the address that clients use"
    yield note(
        server.name,
        f"each real server must have {addresses} on lo, and be silent about it: arp_ignore = 1, arp_announce = 2 "
        "(docs/realserver.md)",
    )
    if server.protocol is Protocol.TCP and server.scheduler is not Scheduler.MH:
        lost = "established connections end with a failover"
        if server.scheduler is Scheduler.SH:  # the kernel deals its buckets out in that order
            lost += " unless both kernels got their real servers in the same order"
        yield note(server.name, f'lvs_sched = "{server.scheduler}": {lost}; with "mh" they survive it')


def _real_server_here(server: VirtualServerSettings, host: _Host) -> Iterator[Finding]:
    """As a BACKUP it takes what the master forwards to it, and says nothing."""
    if not is_served_by(server, host.own):
        return
    lost = [str(address) for address in server.addresses if address not in host.own]
    if lost:
        yield warning(
            server.name,
            f"this host is a real server, and lo has no {', '.join(lost)}: as a BACKUP it takes no packets of the "
            "master's (docs/realserver.md)",
        )
    if host.telling and any(address.version == 4 for address in server.addresses):
        yield warning(
            server.name,
            f"this host is a real server, and answers ARP for it as a BACKUP, too, on {', '.join(host.telling)}: set "
            "net.ipv4.conf.all.arp_ignore = 1 and arp_announce = 2 (docs/realserver.md)",
        )


def _proxied(server: VirtualServerSettings, _: _Host) -> Iterator[Finding]:
    if not server.proxied:
        return
    yield note(
        server.name,
        f"real servers see this host's address, and the client's in the header of PROXY protocol "
        f"{server.proxy_protocol}, which they must expect; connections end with a failover",
    )
    if any(isinstance(check, HttpCheck | SmtpCheck) for real in server.real_servers for check in real.checks):
        yield note(server.name, "checks send no header: a port that insists on one fails but for TCP checks")
    for port in sorted({key.port for key in server.keys if isinstance(key, ServiceAddress)}):
        if port < PRIVILEGED:
            yield note(server.name, f"to listen at port {port} takes CAP_NET_BIND_SERVICE (docs/deploy.md)")


def _rest(server: VirtualServerSettings, host: _Host) -> Iterator[Finding]:
    if server.ha_suspend and not _holders(server, host):
        yield warning(server.name, "ha_suspend has no effect: no [[vrrp_instance]] has an address of it")
    if server.ha_suspend and server.vrrp_weight:
        yield warning(server.name, "ha_suspend has no effect beside vrrp_weight: the checks decide who is master")
    marked = any(isinstance(key, FirewallMark) for key in server.keys)
    if marked and server.masquerade is Masquerade.ALWAYS:
        yield warning(server.name, "masquerade has no effect on firewall marks, which have no address to go by")
    if marked and not server.addresses and any(not real.method.maps_ports for real in server.real_servers):
        yield warning(
            server.name,
            "nobody can tell who holds the address behind a mark: it is programmed on a BACKUP as well, even if that "
            "is a real server of it",
        )


_RULES = (_summary, _nobody_holds_it, _who_serves, _replies, _direct, _real_server_here, _proxied, _rest)
