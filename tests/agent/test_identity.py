"""A node's place among the others."""

from ipaddress import ip_interface

import pytest

from vrrpd.agent.identity import interface_of, members, node_address, rank
from vrrpd.agent.objects import Node
from vrrpd.config.host import HostAddress, Interface
from vrrpd.protocol.advert import Family

EXCLUDE = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
NODES = (
    Node("bs-01", internal=("192.0.2.9", "2001:db8::9")),
    Node("bs-02", internal=("192.0.2.10",)),
    Node("bs-03", external=("198.51.100.3",), internal=("192.0.2.11",)),
)


def priority(name: str, family: Family = Family.IPV4) -> int:
    return rank(name, NODES, family).priority


def test_addresses_sort_as_text_as_in_kube_keepalived_vip() -> None:
    assert [priority(node.name) for node in NODES] == [101, 100, 102]


def test_a_node_without_an_address_of_the_family_takes_part_all_the_same() -> None:
    assert [priority(node.name, Family.IPV6) for node in NODES] == [102, 100, 101]


@pytest.mark.parametrize(
    ("node", "family", "address"),
    [
        (NODES[0], Family.IPV4, "192.0.2.9"),
        (NODES[0], Family.IPV6, "2001:db8::9"),
        (NODES[1], Family.IPV6, None),
        (NODES[2], Family.IPV4, "198.51.100.3"),
        (Node("a", external=("a.example.com",), internal=("192.0.2.1",)), Family.IPV4, "192.0.2.1"),
    ],
)
def test_the_external_address_comes_first(node: Node, family: Family, address: str | None) -> None:
    found = node_address(node, family)
    assert (found and str(found)) == address


def test_who_takes_part() -> None:
    nodes = [
        Node("c", labels={"type": "worker"}),
        Node("a", labels={"type": "worker", "zone": "1"}),
        Node("b", labels={"type": "worker"} | EXCLUDE),
        Node("d", labels={"type": "master"}),
        Node("e"),
    ]
    assert [node.name for node in members(nodes, {"type": "worker"})] == ["a", "c"]
    assert [node.name for node in members(nodes, {})] == ["a", "c", "d", "e"]


def test_two_nodes_with_one_address_do_not_count_twice_for_themselves() -> None:
    nodes = (Node("old", internal=("192.0.2.1",)), Node("new", internal=("192.0.2.1",)), *NODES)
    assert {rank(name, nodes, Family.IPV4).priority for name in ("old", "new")} == {100}


@pytest.mark.parametrize("nodes", [NODES, (*NODES, Node("stranger"))])
def test_a_stranger_comes_last_and_it_is_said(nodes: tuple[Node, ...]) -> None:
    ranked = rank("stranger", nodes, Family.IPV4)
    assert ranked.priority == 99
    assert ranked.problem


def test_priorities_end_at_254() -> None:
    nodes = tuple(Node(f"n{number:03}", internal=(f"192.0.2.{number}",)) for number in range(100, 256))
    assert rank("n253", nodes, Family.IPV4).priority == 253
    assert rank("n254", nodes, Family.IPV4).problem is None
    last = rank("n255", nodes, Family.IPV4)
    assert last.priority == 254
    assert str(last.problem) == (
        "Node n255: its priority would be 255, and 254 is the highest, which it now shares;"
        " choose fewer nodes with the pod's nodeSelector"
    )


def interface(*addresses: str, ours: bool = False) -> Interface:
    return Interface(addresses=tuple(HostAddress(ip_interface(address), ours=ours) for address in addresses))


def test_the_interface_is_the_one_with_the_nodes_address() -> None:
    interfaces = {"eth0": interface("203.0.113.1/24"), "eth1": interface("203.0.113.2/24", "192.0.2.9/24")}
    assert interface_of(NODES[0], interfaces) == "eth1"


def test_an_external_address_that_is_translated_elsewhere_is_on_no_interface() -> None:
    assert interface_of(NODES[2], {"eth1": interface("192.0.2.11/24")}) == "eth1"


@pytest.mark.parametrize("name", ["lo", "docker0", "flannel.1", "cbr0", "veth1234", "cali5678"])
def test_some_interfaces_lead_nowhere(name: str) -> None:
    assert interface_of(NODES[0], {name: interface("192.0.2.9/32")}) is None


def test_a_virtual_address_is_no_sign_of_a_node() -> None:
    assert interface_of(NODES[0], {"eth0": interface("192.0.2.9/32", ours=True)}) is None


def test_two_nodes_with_one_address_have_one_priority_and_it_is_told() -> None:
    """One of them was renamed, and its old object is still there."""
    nodes = [Node(name, internal=(f"192.0.2.{host}",)) for name, host in (("a", 1), ("b", 2), ("old-b", 2))]
    ranked = rank("b", nodes, Family.IPV4)
    assert ranked.priority == 101
    assert "old-b has its address 192.0.2.2, too" in str(ranked.problem)
