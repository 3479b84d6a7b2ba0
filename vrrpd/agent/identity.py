"""A node's place among the others: its address, its priority, its interface. As kube-keepalived-vip has them.

Two things are not as there, on purpose. It takes a node's own address from ExternalIP first and the others' from
InternalIP first, so that a node which has both finds itself nowhere and every priority is 99; here both are the same.
And the list of nodes is the current one, of which excluded nodes are no part.
"""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.agent.objects import Node
from vrrpd.agent.problems import Problem
from vrrpd.config.host import Interfaces
from vrrpd.config.problems import Refused
from vrrpd.config.service_kinds import host
from vrrpd.protocol.advert import Family, IPAddress

PRIORITY_FIRST = 100
"""Of the node whose address sorts first."""
PRIORITY_STRANGER = 99
"""Of one that is not in the list: below all that are."""
PRIORITY_LAST = 254
"""255 is for routers that own the addresses."""

_NEVER = frozenset({"lo", "docker0", "flannel.1", "cbr0"})
_NEVER_PREFIXES = ("veth", "cali")


class Rank(Struct, frozen=True):
    """A node's priority."""

    priority: int
    problem: Problem | None = None
    """Why it is not what it should be."""


def members(nodes: Iterable[Node], selector: Mapping[str, str]) -> tuple[Node, ...]:
    """The nodes that take part: those that the pod's nodeSelector matches, less the excluded ones; by name."""
    chosen = (node for node in nodes if not node.excluded and selector.items() <= node.labels.items())
    return tuple(sorted(chosen, key=lambda node: node.name))


def node_address(node: Node, family: Family) -> IPAddress | None:
    """Its first ExternalIP of the family, else its first InternalIP of it; None: it has neither."""
    return next((address for address in addresses_of(node) if Family.of(address) is family), None)


def unicast_address(node: Node, family: Family) -> IPAddress | None:
    """Where a node sends adverts from, and gets those of others: what is inside the cluster first. None: nowhere."""
    found = addresses_of(replace(node, external=())) + addresses_of(replace(node, internal=()))
    return next((address for address in found if Family.of(address) is family and _is_host(address)), None)


def rank(name: str, taking_part: Iterable[Node], family: Family) -> Rank:
    """The priority of a node for the virtual addresses of a family: 100, and 1 more for each that sorts before it.

    Addresses sort as text, as kube-keepalived-vip sorts them, so that 192.0.2.10 comes before 192.0.2.9: while nodes
    move from there to here, no two have one priority. A node without an address of the family has that of the other.

    Args:
        name: the node's.
        taking_part: what `members` returns.
        family: of the virtual addresses.
    """
    texts = {node.name: _sorted_by(node, family) for node in taking_part}
    where = f"Node {name}"
    if stranger := problem_of_stranger(name, texts):
        return Rank(PRIORITY_STRANGER, stranger)
    own = texts[name]
    if not own:
        wrong = "it has no ExternalIP and no InternalIP: its priority is the lowest"
        return Rank(PRIORITY_STRANGER, Problem(where, "", wrong, "have its kubelet report one: --node-ip"))
    priority = PRIORITY_FIRST + sorted(filter(None, texts.values())).index(own)
    if twins := [node for node, text in texts.items() if text == own and node != name]:
        wrong = f"{', '.join(twins)} has its address {own}, too, and so its priority"
        return Rank(min(priority, PRIORITY_LAST), Problem(where, "", wrong, "delete the node that is not there"))
    if priority <= PRIORITY_LAST:
        return Rank(priority)
    wrong = f"its priority would be {priority}, and {PRIORITY_LAST} is the highest, which it now shares"
    return Rank(PRIORITY_LAST, Problem(where, "", wrong, "choose fewer nodes with the pod's nodeSelector"))


def problem_of_stranger(name: str, taking_part: Iterable[str], nodes: Collection[str] = ()) -> Problem | None:
    """What is to be said of a node that runs the pod and is not among those that take part; `nodes`: all there are."""
    if name in taking_part:
        return None
    if nodes and name not in nodes:
        wrong = "there is no such node any more: its priority is the lowest"
        return Problem(f"Node {name}", "", wrong, "if it has another name now, restart the pod, or say --node-name")
    wrong = "it is not among the nodes that the pod's nodeSelector matches: its priority is the lowest"
    return Problem(f"Node {name}", "", wrong, "give it the labels of the selector, or let the agent list nodes")


def interface_of(node: Node, interfaces: Interfaces) -> str | None:
    """The interface that has the node's address.

    An ExternalIP is often one that a router outside translates: then that of an InternalIP.

    Args:
        node: this node.
        interfaces: the host's.

    Returns:
        Its name; never a loopback's, a bridge's of containers or one that leads to a pod. None: no other has it.
    """
    owners = {
        entry.address: name
        for name, interface in interfaces.items()
        if name not in _NEVER and not name.startswith(_NEVER_PREFIXES)
        for entry in interface.addresses
        if not entry.ours
    }
    return next((owners[address] for address in addresses_of(node) if address in owners), None)


def _sorted_by(node: Node, family: Family) -> str:
    address = node_address(node, family) or next(iter(addresses_of(node)), None)
    return str(address or "")


def _is_host(address: IPAddress) -> bool:
    try:
        host(str(address))
    except Refused:
        return False
    return True


def addresses_of(node: Node) -> list[IPAddress]:
    """Its ExternalIPs, and then its InternalIPs."""
    found: list[IPAddress] = []
    for text in (*node.external, *node.internal):
        try:
            found.append(ip_address(text))
        except ValueError:  # some clouds have host names there
            continue
    return found
