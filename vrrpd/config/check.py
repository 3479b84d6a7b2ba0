"""Says what the instances of a valid configuration will do on this host, and what stands in their way.

Each rule is a function below; `_RULES` has the order in which they speak.
"""

from collections.abc import Iterator

from vrrpd.config.addresses import link_local_of
from vrrpd.config.findings import Finding, missing_programs, note, span, warning
from vrrpd.config.host import HostAddress, Interface, Interfaces
from vrrpd.config.model import Config, VirtualAddress, VrrpInstance
from vrrpd.protocol.advert import ChecksumForm, Family, IPAddress, packet_size
from vrrpd.protocol.timing import PRIORITY_OWNER, Centiseconds, active_down_interval, centiseconds, skew_time

_FAST_ADVERT_INT = 0.1
"""Seconds. Below it, what an idle process may lag behind counts against the three adverts that may be missed."""
_LISTED = 5
"""Addresses that a finding names before it counts the rest."""


def findings(config: Config, interfaces: Interfaces) -> tuple[Finding, ...]:
    """What will happen and what will probably surprise, instance by instance.

    Args:
        config: the configuration of this host.
        interfaces: the host's, as `vrrpd.config.host.present_interfaces` reads them.
    """
    found: list[Finding] = []
    for instance in config.instances:
        for rule in _RULES:
            found.extend(rule(instance, interfaces))
    return (*found, *_scripts(config), *_same_router_in_both_families(config), *_same_address_on_two_devices(config))


def _scripts(config: Config) -> Iterator[Finding]:
    tracked = {each.script for instance in config.instances for each in instance.track_script}
    for script in config.scripts:
        what, program = f"vrrp_script {script.name}", script.script[0]
        if script.name not in tracked:
            yield warning(what, "it never runs: no [[vrrp_instance]] has it in its track_script")
            continue
        yield from missing_programs(what, [program])
        if script.timeout > script.interval:
            yield note(what, f"a run that takes longer than interval, {script.interval:g} s, puts the next one off")
        yield note(what, "it runs as vrrpd does; let nobody else write to it")


def _election(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    priority = instance.priority
    who = f"VRID {instance.virtual_router_id} on {instance.interface} (IPv{instance.family.value}), priority {priority}"
    interval = Centiseconds(centiseconds(instance.advert_int))
    silent, resigned = span(active_down_interval(priority, interval)), span(skew_time(priority, interval))
    if priority == PRIORITY_OWNER:
        yield note(
            instance.name,
            f"{who}, owner of the addresses: becomes master as soon as it starts or its link is back; yields only to "
            "another owner with a higher address",
        )
        return
    yield note(
        instance.name,
        f"{who}: becomes master {silent} after the last advert of a silent master, {resigned} after one that resigns; "
        f"yields to a priority above {priority}, or to an equal one with a higher address",
    )


def _notify(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    yield from missing_programs(instance.name, (instance.notify or ())[:1])


def _preemption(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    if instance.nopreempt:
        yield warning(
            instance.name,
            "nopreempt: it takes over from a master that is silent or resigns, never from a live one; after a failover "
            "the other router stays master, even with a lower priority",
        )
    if not instance.preempt_delay:
        return
    if instance.nopreempt:
        yield warning(instance.name, "preempt_delay has no effect, since nopreempt rules preemption out; remove one")
    elif instance.priority == PRIORITY_OWNER:
        yield warning(instance.name, "preempt_delay has no effect on an owner (priority 255); remove it")
    else:
        delay = span(centiseconds(instance.preempt_delay))
        yield note(
            instance.name,
            f"preempt_delay: a live master of lower priority is let be for {delay}; a silent one is replaced at once",
        )


def _short_interval(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    if instance.advert_int < _FAST_ADVERT_INT:
        bearable = span(Centiseconds(3 * centiseconds(instance.advert_int)))
        yield warning(
            instance.name,
            f"advert_int {instance.advert_int:g}: if this host or the network stalls for {bearable}, a backup takes "
            "over for no other reason; run vrrpd with real-time priority (CPUSchedulingPolicy=fifo)",
        )


def _checksum_of_message(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    if instance.checksum is ChecksumForm.MESSAGE:
        yield warning(
            instance.name,
            'checksum = "message": keepalived and FRR drop such adverts, so beside them there would be two masters',
        )


def _generated_link_local(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    first = instance.virtual_ipaddress[0].interface_address
    if first == link_local_of(instance.virtual_router_id):
        yield note(
            instance.name,
            f"advertises {first.ip}, made of the VRID, first, as IPv6 needs a link-local address; a router of another "
            "make in this VRID must be given the same",
        )


def _interface_at_present(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    name = instance.interface
    interface = interfaces.get(name)
    if interface is None:
        yield warning(
            instance.name, f"{name} does not exist on this host at present: FAULT until it does, then it takes part"
        )
    elif not interface.up:
        yield warning(instance.name, f"{name} is down or has no carrier at present: FAULT until it has")
    elif not _primary_addresses(instance, interface):
        kind = "IPv4 address of its own" if instance.family is Family.IPV4 else "usable link-local IPv6 address"
        yield warning(instance.name, f"{name} has no {kind} at present to send adverts from: FAULT until it has")


def _tracked_interfaces(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    for tracked in instance.track_interface:
        interface = interfaces.get(tracked.interface)
        if interface is None or not interface.up:
            what = "does not exist" if interface is None else "is down or has no carrier"
            lost = f"{abs(tracked.weight)} less priority" if tracked.weight else "FAULT"
            yield warning(instance.name, f"{tracked.interface}, which is tracked, {what} at present: {lost}")


def _weights_of_an_owner(instance: VrrpInstance, _: Interfaces) -> Iterator[Finding]:
    if instance.priority == PRIORITY_OWNER and instance.weights:
        yield warning(instance.name, "weights have no effect on an owner (priority 255); use 1-254, or no weights")


def _unicast(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    source, interface = instance.unicast_src_ip, interfaces.get(instance.interface)
    if source and interface and source not in {entry.address for entry in interface.addresses}:
        yield warning(
            instance.name, f"{instance.interface} has no {source} (unicast_src_ip) at present: FAULT until it has"
        )
    own = {entry.address for each in interfaces.values() for entry in each.addresses}
    for peer in instance.unicast_peer:
        if peer in own:
            yield warning(instance.name, f"unicast_peer {peer} is an address of this host: remove it")


def _fragments(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    mtu = interfaces.get(instance.interface, Interface()).mtu
    count = len(instance.virtual_ipaddress)
    size = packet_size(instance.family, count)
    if size > mtu:
        room = (mtu - packet_size(instance.family, 0)) // instance.family.address_size
        yield warning(
            instance.name,
            f"an advert with {count} addresses has {size} bytes, more than the MTU of {instance.interface} ({mtu}): it "
            "is sent in fragments, which firewalls may drop, and is lost with any of them; spread the addresses over "
            f"instances with {room} at most",
        )


def _devices_of_addresses(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    lost = [vip for vip in instance.virtual_ipaddress if vip.dev != instance.interface and vip.dev not in interfaces]
    for dev in dict.fromkeys(vip.dev for vip in lost):
        addresses = ", ".join(str(vip.address) for vip in lost if vip.dev == dev)
        yield warning(
            instance.name,
            f"{dev}, which is to carry {addresses}, does not exist on this host at present: FAULT until it does",
        )


def _addresses_of_the_host(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    hosts = {entry.address: name for name, interface in interfaces.items() for entry in _own_addresses(interface)}
    for vip in instance.virtual_ipaddress:
        owner = hosts.get(vip.address)
        if instance.priority == PRIORITY_OWNER:
            if owner is None and not vip.address.is_link_local:
                yield warning(
                    instance.name,
                    f"priority 255 says that this host owns {vip.address}, but none of its interfaces has it; use "
                    "1-254 unless it is added before vrrpd starts",
                )
        elif owner is not None:
            yield warning(
                instance.name,
                f"{vip.address} is on {owner} as the host's own address: it is left there whoever is master, so that "
                "two hosts answer for it after a failover; take it out of the host's network configuration",
            )


def _networks_of_addresses(instance: VrrpInstance, interfaces: Interfaces) -> Iterator[Finding]:
    strangers = [vip for vip in instance.virtual_ipaddress if _without_network(vip, interfaces.get(vip.dev))]
    for dev in dict.fromkeys(vip.dev for vip in strangers):
        of_dev = [str(vip) for vip in strangers if vip.dev == dev]
        which = ", ".join(of_dev[:_LISTED]) + (f" and {len(of_dev) - _LISTED} more" if len(of_dev) > _LISTED else "")
        yield warning(
            instance.name,
            f"none of the networks of {dev} has {which}: replies to neighbours take the default route; give each its "
            f"network's prefix length, or {dev} an address of that network",
        )


def _without_network(vip: VirtualAddress, interface: Interface | None) -> bool:
    """Whether nothing tells the kernel that the address's neighbours are on the link."""
    if interface is None or _brings_route(vip) or vip.address.is_link_local:
        return False
    own = _own_addresses(interface)
    return bool(own) and not any(vip.address in entry.interface_address.network for entry in own)


_RULES = (
    _election,
    _preemption,
    _notify,
    _short_interval,
    _checksum_of_message,
    _generated_link_local,
    _interface_at_present,
    _tracked_interfaces,
    _weights_of_an_owner,
    _unicast,
    _fragments,
    _devices_of_addresses,
    _addresses_of_the_host,
    _networks_of_addresses,
)


def _same_router_in_both_families(config: Config) -> Iterator[Finding]:
    first: dict[tuple[str, int], VrrpInstance] = {}
    for instance in config.instances:
        other = first.setdefault((instance.interface, instance.virtual_router_id), instance)
        if other is not instance:
            yield note(
                instance.name,
                f"shares VRID {instance.virtual_router_id} on {instance.interface} with {other.name}, which is right "
                f"for IPv4 beside IPv6; each has an election of its own",
            )


def _same_address_on_two_devices(config: Config) -> Iterator[Finding]:
    first: dict[IPAddress, tuple[VrrpInstance, str]] = {}
    for instance in config.instances:
        for vip in instance.virtual_ipaddress:
            other, dev = first.setdefault(vip.address, (instance, vip.dev))
            if other is not instance and dev != vip.dev and not vip.address.is_link_local:
                yield warning(
                    instance.name, f"{vip.address} is to be on {vip.dev} and, with {other.name}, on {dev}; is it meant?"
                )


def _own_addresses(interface: Interface) -> list[HostAddress]:
    return [entry for entry in interface.addresses if not entry.ours]


def _primary_addresses(instance: VrrpInstance, interface: Interface) -> list[HostAddress]:
    """What adverts can be sent from (RFC 9568 sections 5.1.1.1 and 5.1.2.1)."""
    return [
        entry
        for entry in _own_addresses(interface)
        if entry.usable
        and Family.of(entry.address) is instance.family
        and (instance.family is Family.IPV4 or entry.address.is_link_local)
    ]


def _brings_route(vip: VirtualAddress) -> bool:
    return vip.interface_address.network.num_addresses > 1 and not vip.noprefixroute
