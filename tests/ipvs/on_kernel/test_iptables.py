"""Our own chain in iptables, as iptables-save reads it."""

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from vrrpd.lan.namespace import Namespace
from vrrpd.net.iptables import CHAIN, Iptables, IptablesError
from vrrpd.net.nftables import Nftables, NftablesMissingError
from vrrpd.protocol.advert import IPAddress

V4, OTHER_V4, V6 = (ip_address(address) for address in ("192.0.2.100", "192.0.2.101", "2001:db8::100"))
PROGRAMS = {4: "iptables-legacy", 6: "ip6tables-legacy"}
FOREIGN = ["-A POSTROUTING -o foreign -j MASQUERADE", "-A PREROUTING -i foreign -j ACCEPT"]


class Tables:
    """The nat tables of a namespace, in the hands of iptables."""

    def __init__(self) -> None:
        self.namespace = Namespace("iptables")

    def run(self, family: int, program: str, commands: str = "", *arguments: str) -> str:
        done = self.namespace.call(
            subprocess.run,
            [f"{PROGRAMS[family]}-{program}", *arguments],
            input=commands,
            capture_output=True,
            text=True,
            check=True,
        )
        return str(done.stdout)

    def write(self, family: int, *rules: str) -> None:
        """Have the nat table be this."""
        self.run(family, "restore", "\n".join(("*nat", *rules, "COMMIT", "")))

    def read(self, family: int) -> list[str]:
        """Its rules, and the chains that are nobody's but somebody's own."""
        lines = self.run(family, "save", "", "-t", "nat").splitlines()
        return [line for line in lines if line.startswith("-A ") or " - [" in line]


def ours(family: int, addresses: set[IPAddress]) -> list[str]:
    """The lines that it comes to, without those of others."""
    wanted = sorted(address for address in addresses if address.version == family)
    rules = [
        f"-A {CHAIN} ! -d {address}/{address.max_prefixlen} -m conntrack --ctorigdst {address} --ctdir ORIGINAL"
        " -j MASQUERADE"
        for address in wanted
    ]
    return [f":{CHAIN} - [0:0]", f"-A POSTROUTING -j {CHAIN}", *rules] if wanted else []


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.namespace.close()


@pytest.fixture
def iptables(tables: Tables) -> Iptables:
    for family in PROGRAMS:
        tables.write(family, *FOREIGN)
    return Iptables()


def check(tables: Tables, addresses: set[IPAddress]) -> None:
    for family in PROGRAMS:
        assert sorted(tables.read(family)) == sorted(FOREIGN + ours(family, addresses))


def test_this_kernel_has_no_nftables_for_it() -> None:
    with pytest.raises(NftablesMissingError):
        Nftables()


def test_it_does_not_load_what_nobody_wants() -> None:
    namespace = Namespace("untouched")
    namespace.call(Iptables().put, set())
    read = ["cat", "/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"]
    assert not namespace.call(subprocess.run, read, capture_output=True, check=False).stdout
    namespace.close()


def test_the_chain_is_what_was_wanted_last(tables: Tables, iptables: Iptables) -> None:
    steps: list[set[IPAddress]] = [set(), {V4}, {OTHER_V4, V6}, {V4, OTHER_V4}, set()]
    for addresses in steps:
        tables.namespace.call(iptables.put, addresses)
        check(tables, addresses)
        assert tables.namespace.call(iptables.intact)


def test_what_an_earlier_life_left_is_replaced(tables: Tables, iptables: Iptables) -> None:
    left = [
        f":{CHAIN} - [0:0]",
        f"-A POSTROUTING -j {CHAIN}",
        f"-A POSTROUTING -o foreign -j {CHAIN}",
        f"-A POSTROUTING -j {CHAIN}",
        f"-A {CHAIN} -o foreign -j MASQUERADE",
    ]
    tables.write(4, *FOREIGN, *left)
    tables.write(6, *FOREIGN, *left)
    tables.namespace.call(iptables.put, {V4})
    check(tables, {V4})


def test_harm_is_noticed_and_mended(tables: Tables, iptables: Iptables) -> None:
    tables.namespace.call(iptables.put, {V4, V6})
    tables.write(6, *FOREIGN)
    assert not tables.namespace.call(iptables.intact)
    tables.namespace.call(iptables.put, {V4, V6})
    check(tables, {V4, V6})
    tables.write(4, *FOREIGN, "-A PREROUTING -i another -j ACCEPT")
    tables.write(4, *FOREIGN, *ours(4, {V4}))
    assert tables.namespace.call(iptables.intact)


def test_where_it_is_not_installed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(IptablesError, match="there is no iptables-restore: install iptables"):
        Iptables().put({V4})


def test_what_it_says_is_passed_on(tables: Tables, iptables: Iptables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrrpd.net.iptables._JUMP", "POSTROUTING -j NONSENSE")
    with pytest.raises(IptablesError, match=r"iptables-legacy-restore fails.*NONSENSE.*CAP_NET_ADMIN"):
        tables.namespace.call(iptables.put, {V4})
    check(tables, set())
