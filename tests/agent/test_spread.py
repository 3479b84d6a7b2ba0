"""Spread mode: who is whose first choice, and which VRID is whose."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from vrrpd.agent.spread import priorities, virtual_router_ids
from vrrpd.protocol.advert import IPAddress

NODES = [f"bs-{number:02}" for number in range(5)]
VIPS: list[IPAddress] = [IPv4Address(f"192.0.2.{number}") for number in range(1, 201)]
NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=8)
ADDRESSES = st.sets(st.integers(1 << 24, 1 << 25).map(IPv4Address), min_size=1, max_size=30)


def first_choice(nodes: list[str], vip: IPAddress) -> str:
    of_nodes = priorities(nodes, vip)
    return max(of_nodes, key=of_nodes.__getitem__)


def test_the_addresses_are_shared_out() -> None:
    held = [sum(first_choice(NODES, vip) == node for vip in VIPS) for node in NODES]
    assert min(held) >= 25  # of 40, were it even


@given(nodes=NAMES)
def test_priorities_differ_and_do_not_depend_on_the_order_of_nodes(nodes: list[str]) -> None:
    found = priorities(nodes, VIPS[0])
    assert sorted(found.values(), reverse=True) == list(range(254, 254 - len(nodes), -1))
    assert priorities(reversed(nodes), VIPS[0]) == found


@given(nodes=NAMES)
def test_a_node_that_goes_leaves_the_others_in_their_order(nodes: list[str]) -> None:
    before = priorities(nodes, VIPS[0])
    after = priorities(nodes[1:], VIPS[0])
    assert sorted(after, key=after.__getitem__) == sorted(nodes[1:], key=before.__getitem__)


def test_more_nodes_than_priorities() -> None:
    found = priorities((str(number) for number in range(300)), VIPS[0])
    assert (min(found.values()), max(found.values())) == (1, 254)


@given(addresses=ADDRESSES, first=st.integers(1, 200), count=st.integers(30, 55))
def test_each_address_has_a_vrid_of_its_own(addresses: set[IPAddress], first: int, count: int) -> None:
    found = virtual_router_ids(addresses, first, first + count - 1)
    assert found.keys() == addresses
    assert len({*found.values()}) == len(addresses)
    assert {*found.values()} <= {*range(first, first + count)}
    assert virtual_router_ids(sorted(addresses, key=int, reverse=True), first, first + count - 1) == found


@given(addresses=ADDRESSES)
def test_addresses_share_when_there_are_no_more(addresses: set[IPAddress]) -> None:
    found = virtual_router_ids(addresses, 100, 104)
    assert found.keys() == addresses
    assert len({*found.values()}) == min(len(addresses), 5)


def test_an_address_that_comes_moves_few_others() -> None:
    before = virtual_router_ids(VIPS[:50], 1, 255)
    moved = [
        vip for more in VIPS[50:100] for vip, vrid in virtual_router_ids([*VIPS[:50], more], 1, 255).items()
        if before.get(vip, vrid) != vrid
    ]  # fmt: skip
    assert len(moved) <= 15  # in 50 trials with 50 addresses each
