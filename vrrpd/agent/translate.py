"""A configuration made of what the cluster says. Pure: all nodes come to the same, but for their priority.

The virtual router is kube-keepalived-vip's: `vips`, VRID 50, adverts each second, no preemption. IPv6 addresses have
one of their own, `vips6`. In spread mode (`vrrpd.agent.spread`) each address has its own.

Preemption is on where it is needed to put an address where it belongs: in spread mode, and where a service of
`externalTrafficPolicy: Local` lowers the priority of nodes that have no endpoints.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_interface

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.agent.grammar import Entry, Reading, read_entries
from vrrpd.agent.identity import addresses_of, members, problem_of_stranger, rank, unicast_address
from vrrpd.agent.objects import ConfigMap, EndpointSlice, Name, Node, Service, Snapshot
from vrrpd.agent.problems import Problem
from vrrpd.agent.spread import priorities, virtual_router_ids
from vrrpd.agent.virtual_servers import Served, serve
from vrrpd.config.addresses import Located, in_order_of_advert
from vrrpd.config.model import Config, VirtualAddress, VrrpInstance
from vrrpd.config.services import Command
from vrrpd.protocol.advert import ADDRESS_COUNT_MAX, Family, IPAddress

_NAMES = {Family.IPV4: "vips", Family.IPV6: "vips6"}
_SPREAD_PREEMPT_DELAY = 10.0
"""Seconds. A node that comes back finds its endpoints first."""
_WEIGHT_MIN = -253
_CLUSTER, _EXTERNAL = "the cluster IP", "an external address"


class Options(Struct, frozen=True):
    """What the command line, the pod and the host say."""

    node: str
    """This node's name."""
    interface: str
    """For adverts and addresses."""
    config_map: Name
    virtual_router_id: int = 50
    spread: tuple[int, int] | None = None
    """The lowest and the highest VRID of spread mode; None: all addresses go together."""
    node_selector: Mapping[str, str] = {}
    """The pod's."""
    advert_int: float = 1.0
    """Seconds."""
    notify: Command | None = None
    """Told of each router's states."""
    unicast: bool = False
    """Whether adverts go to each of the other nodes rather than to the multicast group."""
    base: Config = Config(())
    """What does not come from the cluster, such as the control socket."""


class Translation(Struct, frozen=True):
    """A configuration, and what is not in it though somebody wanted it."""

    config: Config
    problems: tuple[Problem, ...]


def translate(snapshot: Snapshot, options: Options) -> Translation:
    """The configuration of this node. See `Translator`, which does it again and again."""
    return Translator(options).translate(snapshot)


class _Peers(Struct, frozen=True):
    """Where adverts go to, and from."""

    own: IPAddress | None = None
    others: tuple[IPAddress, ...] = ()


_MULTICAST = _Peers()


class _Members(Struct, frozen=True):
    """The nodes that take part."""

    nodes: tuple[Node, ...]
    stranger: Problem | None
    """Why this one is not among them."""


class _Routers(Struct, frozen=True):
    """The virtual routers, and what they were made of: most changes are of endpoints."""

    config_map: ConfigMap
    nodes: Mapping[str, Node]
    instances: tuple[VrrpInstance, ...]
    holding: tuple[Entry, ...]
    """Those whose addresses are held."""
    node_count: int
    """Of those that take part."""
    problems: tuple[Problem, ...]


class _Known(Struct, frozen=True):
    """What a service came to the last time, and of what."""

    entry: Entry
    service: Service
    slices: tuple[EndpointSlice, ...]
    weight_without: int
    served: Served

    def holds(self, entry: Entry, service: Service, slices: tuple[EndpointSlice, ...], weight_without: int) -> bool:
        same = self.service is service and self.slices is slices
        return same and self.entry == entry and self.weight_without == weight_without


class Translator:
    """Remembers each service's part: what has not changed is the same object in the next translation."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._routers: _Routers | None = None
        self._known: dict[IPAddress, _Known] = {}
        self._services: Mapping[Name, Service] = {}
        self._owners: dict[str, tuple[Name, str]] = {}
        """Of these services: whose an address is that kube-proxy serves, and as what."""

    def translate(self, snapshot: Snapshot) -> Translation:
        """The configuration, and what is wrong.

        Without a ConfigMap, without a good entry in it and on a node that is excluded there are no virtual routers.
        """
        options = self._options
        where = f"ConfigMap {'/'.join(options.config_map)}"
        if snapshot.config_map is None:
            return self._nothing(Problem(where, "", "there is none: no address is held", "create it"))
        this = snapshot.nodes.get(options.node)
        if this is not None and this.excluded:
            wrong = "it is excluded from load balancing: it holds no address"
            return self._nothing(Problem(f"Node {this.name}", "", wrong, "remove the label, or let others serve"))
        routers = self._routers
        if routers is None or routers.config_map is not snapshot.config_map or routers.nodes is not snapshot.nodes:
            routers = self._routers = self._routers_of(snapshot.config_map, snapshot.nodes, where)
        served = self._serve(routers, snapshot, where)
        problems = (*routers.problems, *(problem for each in served.values() for problem in each.problems))
        config = replace(
            options.base,
            instances=tuple(_preempting(instance, served) for instance in routers.instances),
            virtual_servers=tuple(server for each in served.values() for server in each.virtual_servers),
        )
        return Translation(config, tuple(dict.fromkeys(problems)))

    def _routers_of(self, config_map: ConfigMap, nodes: Mapping[str, Node], where: str) -> _Routers:
        reading = _without_nodes(read_entries(config_map.data, where), nodes.values(), where)
        options = self._options
        nodes_chosen = members(nodes.values(), options.node_selector)
        stranger = problem_of_stranger(options.node, [node.name for node in nodes_chosen], nodes.keys())
        taking_part = _Members(nodes_chosen, stranger)
        problems = [*reading.problems, *(_not_text(key, where) for key in config_map.binary)]
        instances = [
            instance
            for family in Family
            if (entries := [entry for entry in reading.entries if Family.of(entry.address) is family])
            for instance in self._instances(family, entries, taking_part, where, problems)
        ]
        held = {vip.address for instance in instances for vip in instance.virtual_ipaddress}
        holding = [entry for entry in reading.entries if entry.address in held]
        return _Routers(config_map, nodes, tuple(instances), tuple(holding), len(nodes_chosen), tuple(problems))

    def _nothing(self, problem: Problem) -> Translation:
        self._known.clear()
        return Translation(replace(self._options.base, instances=(), virtual_servers=()), (problem,))

    def _instances(
        self, family: Family, entries: list[Entry], taking_part: _Members, where: str, problems: list[Problem]
    ) -> Iterator[VrrpInstance]:
        """The virtual routers of a family, which has addresses."""
        options = self._options
        peers = _peers(options.node, taking_part, family) if options.unicast else _MULTICAST
        if isinstance(peers, Problem):
            problems.append(peers)
            return
        if options.unicast and not peers.others:
            wrong = f"no other node that takes part has an IPv{family.value} address: adverts go to the multicast group"
            problems.append(Problem(f"Node {options.node}", "", wrong, "let another node take part"))
        if options.spread is None:
            ranked = rank(options.node, taking_part.nodes, family)
            problems += filter(None, (taking_part.stranger or ranked.problem,))
            held = _fitting(entries, family, where, problems)
            yield self._instance(_NAMES[family], options.virtual_router_id, ranked.priority, held, peers)
            return
        problems += filter(None, (taking_part.stranger,))
        ids = virtual_router_ids((entry.address for entry in entries), *options.spread)
        for vrid in sorted({*ids.values()}):
            held = _fitting([entry for entry in entries if ids[entry.address] == vrid], family, where, problems)
            of_nodes = priorities((node.name for node in taking_part.nodes), held[0].address)
            priority = of_nodes.get(options.node, 1)
            instance = self._instance(f"{_NAMES[family]}-{vrid}", vrid, priority, held, peers)
            yield replace(instance, nopreempt=False, preempt_delay=_SPREAD_PREEMPT_DELAY)

    def _instance(self, name: str, vrid: int, priority: int, entries: Iterable[Entry], peers: "_Peers") -> VrrpInstance:
        interface = self._options.interface
        located: list[Located] = [((), VirtualAddress(ip_interface(entry.address), interface)) for entry in entries]
        addresses = in_order_of_advert(located, vrid, interface)
        options = self._options
        return VrrpInstance(
            name,
            interface,
            vrid,
            addresses,
            priority,
            options.advert_int,
            nopreempt=True,
            unicast_src_ip=peers.own,
            unicast_peer=peers.others,
            notify=options.notify,
        )

    def _serve(self, routers: _Routers, snapshot: Snapshot, where: str) -> dict[IPAddress, Served]:
        """Who is served at each address."""
        # So that any node without endpoints comes after any that has some, whatever their priorities are.
        weight_without = max(-routers.node_count - 1, _WEIGHT_MIN)
        owners = self._owners_of(snapshot.services)
        known: dict[IPAddress, _Known] = {}
        found: dict[IPAddress, Served] = {}
        for entry in routers.holding:
            owner = owners.get(str(entry.address))
            if owner and (entry.service or owner[1] == _CLUSTER):
                found[entry.address] = Served((), (_clash(entry, *owner, where),))
                continue
            if entry.service is None:
                continue
            service = snapshot.services.get(entry.service)
            if service is None:
                wrong = f"there is no service {'/'.join(entry.service)}: the address is held, and nobody is served"
                found[entry.address] = Served((), (Problem(where, entry.key, wrong, "create it, or change the entry"),))
                continue
            slices = snapshot.slices.get(entry.service, ())
            before = self._known.get(entry.address)
            weight = weight_without if service.local else 0
            if before is None or not before.holds(entry, service, slices, weight):
                served = serve(entry, service, slices, self._options.node, weight)
                before = _Known(entry, service, slices, weight, served)
            known[entry.address] = before
            found[entry.address] = before.served
        self._known = known
        return found

    def _owners_of(self, services: Mapping[Name, Service]) -> dict[str, tuple[Name, str]]:
        if services is not self._services:
            self._services = services
            self._owners = {text: (each.name, _EXTERNAL) for each in services.values() for text in each.external}
            self._owners |= {text: (each.name, _CLUSTER) for each in services.values() for text in each.cluster}
        return self._owners


def _clash(entry: Entry, owner: Name, kind: str, where: str) -> Problem:
    """An address that kube-proxy serves is held all the same: where that is meant, and on a node of old, it is so."""
    wrong = f"it is {kind} of service {'/'.join(owner)}, too: kube-proxy serves it, and we only hold it"
    remedy = "leave the value empty, or take the address out of that service"
    return Problem(where, entry.key, wrong, "use a free address of the LAN" if kind == _CLUSTER else remedy)


def _not_text(key: str, where: str) -> Problem:
    return Problem(where, key, "it is in binaryData, where no entry is looked for", "put it into data, as text")


def _without_nodes(reading: Reading, nodes: Iterable[Node], where: str) -> Reading:
    """Without those whose address is a node's own, which nobody is to take from it."""
    owners = {address: node.name for node in nodes for address in addresses_of(node)}
    taken = [entry for entry in reading.entries if entry.address in owners]
    problems = (
        Problem(where, entry.key, f"it is the own address of node {owners[entry.address]}", "use one that is free")
        for entry in taken
    )
    return Reading(tuple(entry for entry in reading.entries if entry not in taken), (*reading.problems, *problems))


def _peers(name: str, taking_part: _Members, family: Family) -> _Peers | Problem:
    """Those of a node; or why it must not take part: the others would neither tell it anything nor listen to it."""
    if stranger := taking_part.stranger:
        return replace(stranger, wrong=f"{stranger.wrong.partition(':')[0]}: without multicast it holds no address")
    addresses = {node.name: unicast_address(node, family) for node in taking_part.nodes}
    own = addresses.pop(name)
    if own is None:
        wrong = f"it has no IPv{family.value} address that others could send to: it holds no such address"
        return Problem(f"Node {name}", "", wrong, "have its kubelet report one: --node-ip")
    others = tuple(sorted({address for address in addresses.values() if address and address != own}))
    return _Peers(own, others) if others else _MULTICAST


def _fitting(entries: list[Entry], family: Family, where: str, problems: list[Problem]) -> list[Entry]:
    """As many as an advert has room for, which for IPv6 begins with a link-local one, whoever has named it."""
    lacking = family is Family.IPV6 and not any(entry.address.is_link_local for entry in entries)
    room = ADDRESS_COUNT_MAX - lacking
    entries = sorted(entries, key=lambda entry: not entry.address.is_link_local)
    for entry in entries[room:]:
        wrong = f"an advert has room for {room} addresses: this one is not held"
        problems.append(Problem(where, entry.key, wrong, "spread the addresses over more VRIDs, with --spread"))
    return entries[:room]


def _preempting(instance: VrrpInstance, served: Mapping[IPAddress, Served]) -> VrrpInstance:
    """The same, with preemption where the lower priority of those without endpoints would mean nothing otherwise."""
    mine = (served[vip.address] for vip in instance.virtual_ipaddress if vip.address in served)
    if any(server.vrrp_weight for each in mine for server in each.virtual_servers):
        return replace(instance, nopreempt=False, preempt_delay=0.0)
    return instance
