"""Our nftables table on the kernel of this machine, as `nft` reads it; what it should be, `nft` writes."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroute2.netlink.nfnetlink import nftsocket as nft

from tests.net.rulesets import Ruleset, ours
from vrrpd.net.netlink import ask, netlink_socket
from vrrpd.net.nft_messages import ELEMENTS_MAX, _encode, batch
from vrrpd.net.nftables import NETLINK_NETFILTER, Nftables
from vrrpd.protocol.advert import Family, IPAddress

pytestmark = [pytest.mark.namespaces, pytest.mark.firewall]

V4, OTHER_V4 = ip_address("192.0.2.100"), ip_address("192.0.2.101")
V6 = ip_address("2001:db8::100")
ADDRESSES: list[IPAddress] = [V4, OTHER_V4, ip_address("203.0.113.7"), V6, ip_address("2001:db8::101")]
NFT_TABLE_F_OWNER = 2
"""Nobody but the socket that made the table may change it, and it goes when that is closed."""

# Tables of others, one of them with our name in another family.
FOREIGN = """
table inet vrrpd {
    chain input { type filter hook input priority filter; policy accept; }
}
table ip nat {
    set addresses { type ipv4_addr; elements = { 192.0.2.100 } }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 198.51.100.0/24 masquerade
    }
}
table ip6 filter { }
"""

# What another version of the daemon may have left.
LEFTOVERS = """
table ip vrrpd {
    set addresses { type ipv4_addr . inet_service; elements = { 192.0.2.7 . 80 } }
    chain further {
        counter drop
    }
    map more { type ipv4_addr : verdict; elements = { 192.0.2.8 : jump further } }
    chain postrouting {
        type filter hook output priority filter; policy accept;
        ip daddr vmap @more
    }
}
table ip6 vrrpd {
    chain postrouting { type nat hook postrouting priority 50; policy accept; }
}
"""


@pytest.fixture(scope="module")
def rulesets() -> Iterator[tuple[Ruleset, Ruleset]]:
    made = Ruleset("ours"), Ruleset("oracle")
    yield made
    for ruleset in made:
        ruleset.namespace.close()


@pytest.fixture
def ruleset(rulesets: tuple[Ruleset, Ruleset]) -> Ruleset:
    rulesets[0].write("flush ruleset")
    return rulesets[0]


@pytest.fixture
def oracle(rulesets: tuple[Ruleset, Ruleset]) -> Ruleset:
    return rulesets[1]


@pytest.fixture
def nftables(ruleset: Ruleset) -> Iterator[Nftables]:
    made = ruleset.namespace.call(Nftables)
    yield made
    made.close()


def test_asking_whether_it_can_be_done_changes_nothing(ruleset: Ruleset, nftables: Nftables) -> None:
    assert ruleset.read() == []
    assert not nftables.intact()


@pytest.mark.parametrize("addresses", [{V4}, {V6}, {V4, OTHER_V4, V6}, set()], ids=["ipv4", "ipv6", "both", "none"])
def test_nft_reads_what_we_meant(
    ruleset: Ruleset, oracle: Ruleset, nftables: Nftables, addresses: set[IPAddress]
) -> None:
    nftables.put(addresses)
    assert ruleset.read() == oracle.meant_by(ours(addresses))
    assert nftables.intact()


@pytest.mark.parametrize("leftovers", ["", LEFTOVERS, ours({OTHER_V4, V6})], ids=["none", "strange", "ours"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sets(st.sampled_from(ADDRESSES)), min_size=1, max_size=6))
def test_after_each_change_it_is_as_if_made_anew(
    rulesets: tuple[Ruleset, Ruleset], leftovers: str, steps: list[set[IPAddress]]
) -> None:
    ruleset, oracle = rulesets
    ruleset.write("flush ruleset\n" + FOREIGN + leftovers)
    nftables = ruleset.namespace.call(Nftables)
    for addresses in steps:
        nftables.put(addresses)
        assert ruleset.read() == oracle.meant_by(FOREIGN + ours(addresses))
        assert nftables.intact()
    nftables.close()


def test_a_change_touches_nothing_but_the_set(ruleset: Ruleset, oracle: Ruleset, nftables: Nftables) -> None:
    nftables.put({V4, V6})
    before = ruleset.handles()
    nftables.put({OTHER_V4, V6})
    assert ruleset.handles() == before
    assert ruleset.read() == oracle.meant_by(ours({OTHER_V4, V6}))


@pytest.mark.parametrize("count", [ELEMENTS_MAX, ELEMENTS_MAX + 1, 20 * ELEMENTS_MAX])
def test_many_addresses_are_one_transaction(ruleset: Ruleset, nftables: Nftables, count: int) -> None:
    nftables.put({IPv6Address(int(V6) + number) for number in range(count)})
    found = [entry for entry in map(json.loads, ruleset.read()) if "set" in entry]
    assert [len(entry["set"]["elem"]) for entry in found] == [count]
    nftables.put(set())
    assert ruleset.read() == []


class Owned:
    """A table of our name that another program owns: no transaction with it can succeed."""

    def __init__(self, ruleset: Ruleset, family: Family) -> None:
        self.netlink = ruleset.namespace.call(netlink_socket, NETLINK_NETFILTER)
        attrs = [("NFTA_TABLE_NAME", "vrrpd"), ("NFTA_TABLE_FLAGS", NFT_TABLE_F_OWNER)]
        ask(self.netlink, batch([_encode(nft.nft_table_msg, nft.NFT_MSG_NEWTABLE, family, attrs)]))


@pytest.mark.parametrize("before", [set(), {V4}], ids=["nothing", "something"])
def test_what_the_kernel_refuses_in_part_is_not_done_at_all(
    ruleset: Ruleset, oracle: Ruleset, nftables: Nftables, before: set[IPAddress]
) -> None:
    nftables.put(before)
    owned = Owned(ruleset, Family.IPV6)
    with pytest.raises(OSError) as refused:  # noqa: PT011 # the number is looked at
        nftables.put({OTHER_V4, V6})
    assert refused.value.errno == errno.EPERM
    assert not nftables.intact()
    owned.netlink.close()  # and the table is gone
    assert ruleset.read() == oracle.meant_by(ours(before))
    nftables.put({OTHER_V4, V6})
    assert ruleset.read() == oracle.meant_by(ours({OTHER_V4, V6}))


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "delete table ip6 vrrpd",
        "flush chain ip vrrpd postrouting",
        "delete element ip vrrpd addresses { 192.0.2.100 }",
        "add element ip vrrpd addresses { 192.0.2.1 }",
        "add rule ip vrrpd postrouting drop",
        "flush ruleset\n" + ours({V4, V6}).replace("srcnat", "99"),
    ],
)
def test_harm_is_noticed_and_mended(ruleset: Ruleset, oracle: Ruleset, nftables: Nftables, harm: str) -> None:
    nftables.put({V4, V6})
    ruleset.write(harm)
    assert not nftables.intact()
    nftables.put({V4, V6})
    assert ruleset.read() == oracle.meant_by(ours({V4, V6}))
    assert nftables.intact()


def test_what_others_do_elsewhere_is_no_harm(ruleset: Ruleset, nftables: Nftables) -> None:
    nftables.put({V4, V6})
    before = ruleset.handles()
    ruleset.write(FOREIGN)
    assert nftables.intact()
    assert set(before) < set(ruleset.handles())


@pytest.mark.parametrize("harm", ["delete table ip vrrpd", "delete element ip vrrpd addresses { 192.0.2.100 }"])
def test_a_change_finds_out_by_itself_that_others_were_there(
    ruleset: Ruleset, oracle: Ruleset, nftables: Nftables, harm: str
) -> None:
    nftables.put({V4, V6})
    ruleset.write(harm)
    nftables.put({OTHER_V4, V6})
    assert ruleset.read() == oracle.meant_by(ours({OTHER_V4, V6}))


def test_who_may_not_is_told_so(ruleset: Ruleset) -> None:
    program = "from vrrpd.net.nftables import Nftables; Nftables()"
    command = ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program]
    done = ruleset.namespace.call(partial(subprocess.run, command, capture_output=True, text=True, check=False))
    assert done.stderr.splitlines()[-1] == "PermissionError: [Errno 1] Operation not permitted"
