"""Which virtual addresses are masqueraded, and the kernel is told so: once, again after a failure, no longer."""

import errno
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.net.rulesets import Ruleset, ours
from vrrpd.config.services import Masquerade as Setting
from vrrpd.config.services import RealServerSettings, VirtualServerSettings
from vrrpd.director import masquerade
from vrrpd.director.masquerade import Masquerade, MasqueradeError, masqueraded
from vrrpd.ipvs.model import FirewallMark, Method, Protocol, ServiceAddress, VirtualServerKey
from vrrpd.net.iptables import IptablesError
from vrrpd.net.nftables import Nftables, NftablesMissingError
from vrrpd.protocol.advert import Family, IPAddress

Interface = IPv4Interface | IPv6Interface

VIP, VIP6 = ip_address("192.0.2.100"), ip_address("2001:db8::100")
ADDRESSES: list[IPAddress] = [VIP, ip_address("192.0.2.101"), ip_address("203.0.113.7"), VIP6]
REALS = [ip_address("192.0.2.11"), ip_address("198.51.100.11"), ip_address("2001:db8:1::11")]


def reals(*addresses: str, method: Method = Method.NAT) -> tuple[RealServerSettings, ...]:
    return tuple(RealServerSettings(ip_address(address), 8080, method) for address in addresses)


def service(*real_servers: RealServerSettings, address: IPAddress = VIP, port: int = 80) -> VirtualServerSettings:
    return VirtualServerSettings(f"{address} {port}", (ServiceAddress(Protocol.TCP, address, port),), real_servers)


def interfaces(*own: str) -> list[Interface]:
    return [ip_interface(address) for address in own]


@pytest.mark.parametrize(
    ("own", "real_servers", "needed"),
    [
        # The real servers' gateway is ours.
        (["192.0.2.100/24", "198.51.100.1/24"], reals("198.51.100.11", "198.51.100.12"), False),
        # The service's own address is nobody's gateway, though in one network with a real server.
        (["192.0.2.100/24", "198.51.100.1/24"], reals("192.0.2.11"), True),
        (["192.0.2.100/24"], reals("198.51.100.11"), True),
        # One is elsewhere.
        (["198.51.100.1/24"], reals("198.51.100.11", "203.0.113.11"), True),
        # An address of full length is in a network of its own.
        (["198.51.100.1/32"], reals("198.51.100.11"), True),
        ([], reals("198.51.100.11"), True),
        ([], (), False),
        # Replies of the others never pass us.
        ([], reals("198.51.100.11", method=Method.DR), False),
        ([], reals("198.51.100.11", method=Method.TUN), False),
        ([], reals("198.51.100.11", method=Method.PROXY), False),
        ([], (*reals("198.51.100.11", method=Method.DR), *reals("198.51.100.11")), True),
    ],
)
def test_auto(own: list[str], real_servers: tuple[RealServerSettings, ...], needed: bool) -> None:
    assert masqueraded([service(*real_servers)], interfaces(*own)) == ({VIP} if needed else set())


def test_auto_of_ipv6() -> None:
    server = service(*reals("2001:db8:1::11"), address=VIP6)
    assert masqueraded([server], interfaces("2001:db8:1::1/64")) == set()
    assert masqueraded([server], interfaces("2001:db8:2::1/64", "0.0.0.0/0")) == {VIP6}


def test_the_sorry_server_is_one_of_them() -> None:
    (real,) = reals("198.51.100.11")
    (sorry,) = reals("203.0.113.11")
    own = interfaces("198.51.100.1/24")
    assert masqueraded([service(real)], own) == set()
    assert masqueraded([replace(service(real), sorry_server=sorry)], own) == {VIP}
    assert masqueraded([replace(service(), sorry_server=sorry, masquerade=Setting.ALWAYS)], own) == {VIP}
    assert masqueraded([replace(service(real), sorry_server=replace(sorry, method=Method.DR))], own) == set()


def test_each_address_of_a_group_and_no_firewall_mark() -> None:
    keys: tuple[VirtualServerKey, ...] = (
        *(ServiceAddress(Protocol.TCP, address, 80) for address in ADDRESSES[:3]),
        FirewallMark(7, Family.IPV4),
    )
    server = replace(service(*reals("198.51.100.11")), keys=keys)
    assert masqueraded([server], []) == set(ADDRESSES[:3])
    assert masqueraded([replace(server, keys=keys[3:], masquerade=Setting.ALWAYS)], []) == set()
    # The first is in the real server's network, and yet no gateway: clients are served there.
    near = replace(server, real_servers=reals("192.0.2.11"))
    assert masqueraded([near], interfaces("192.0.2.100/24")) == set(ADDRESSES[:3])
    assert masqueraded([replace(near, keys=keys[1:])], interfaces("192.0.2.100/24")) == set()
    both = [near, service(*reals("192.0.2.11"), address=ip_address("192.0.2.102"))]
    assert masqueraded(both, interfaces("192.0.2.100/24", "192.0.2.102/24")) == {*ADDRESSES[:3], both[1].addresses[0]}


ANY_SERVER = st.builds(
    lambda address, real, method, setting: replace(
        service(RealServerSettings(real, 8080, method), address=address), masquerade=setting
    ),
    st.sampled_from(ADDRESSES),
    st.sampled_from(REALS),
    st.sampled_from([Method.NAT, Method.DR]),
    st.sampled_from(Setting),
)
ANY_SERVERS = st.lists(ANY_SERVER, max_size=5)
OWN = st.lists(
    st.builds(lambda address, length: ip_interface((address, length)), st.sampled_from(ADDRESSES + REALS), st.just(24)),
    max_size=4,
)


@given(ANY_SERVERS, ANY_SERVERS, OWN)
def test_one_virtual_server_is_enough_and_none_undoes_it(
    some: list[VirtualServerSettings], others: list[VirtualServerSettings], own: list[Interface]
) -> None:
    both, each = masqueraded(some + others, own), masqueraded(some, own) | masqueraded(others, own)
    assert both >= each  # where the others serve is a gateway no more
    served = {address for server in some + others for address in server.addresses}
    gateways = [interface for interface in own if interface.ip not in served]
    assert both == masqueraded(some, gateways) | masqueraded(others, gateways)


@given(ANY_SERVERS, OWN, OWN)
def test_auto_is_between_never_and_always_and_more_gateways_need_it_less(
    servers: list[VirtualServerSettings], own: list[Interface], more: list[Interface]
) -> None:
    def with_setting(setting: Setting) -> Iterable[VirtualServerSettings]:
        return [replace(server, masquerade=setting) for server in servers]

    auto = masqueraded(with_setting(Setting.AUTO), own)
    assert masqueraded(with_setting(Setting.NEVER), own) == set()
    assert masqueraded(with_setting(Setting.AUTO), own + more) <= auto
    assert auto <= masqueraded(with_setting(Setting.ALWAYS), own)
    assert masqueraded(with_setting(Setting.AUTO), []) == masqueraded(with_setting(Setting.ALWAYS), own)


class Firewall:
    """Remembers what it is told; `failures` are raised one after another first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.puts: list[AbstractSet[IPAddress]] = []
        self.harmed = False
        self.closed = False

    def put(self, addresses: AbstractSet[IPAddress]) -> None:
        self.puts.append(addresses)
        if self.failures:
            raise self.failures.pop(0)
        self.harmed = False

    def intact(self) -> bool:
        return not self.harmed

    def close(self) -> None:
        self.closed = True


def use(monkeypatch: pytest.MonkeyPatch, nftables: Firewall | Exception, iptables: Firewall | None = None) -> None:
    """Have it find these in the kernel; an exception: that comes of asking."""

    def made() -> Firewall:
        if isinstance(nftables, Exception):
            raise nftables
        return nftables

    monkeypatch.setattr(masquerade, "Nftables", made)
    monkeypatch.setattr(masquerade, "Iptables", lambda: iptables)


def test_what_does_not_change_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, firewall := Firewall())
    made = Masquerade()
    for addresses in ({VIP}, {VIP}, frozenset({VIP}), {VIP, VIP6}, {VIP, VIP6}, set(), set()):
        made.want(addresses)
    assert firewall.puts == [{VIP}, {VIP, VIP6}, set()]
    assert not made.resync()
    made.close()
    assert firewall.puts == [{VIP}, {VIP, VIP6}, set()]
    assert firewall.closed


def test_a_set_that_its_owner_changes_afterwards_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, firewall := Firewall())
    made, addresses = Masquerade(), {VIP}
    made.want(addresses)
    addresses.add(VIP6)
    made.want(addresses)
    assert len(firewall.puts) == 2


def test_a_failure_says_what_to_do_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, firewall := Firewall(OSError(errno.EPERM, "Operation not permitted")))
    made = Masquerade()
    with pytest.raises(MasqueradeError, match=r"Operation not permitted.*CAP_NET_ADMIN"):
        made.want({VIP})
    assert not made.resync()
    made.want({VIP})
    assert firewall.puts == [{VIP}, {VIP}]


def test_harm_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, firewall := Firewall())
    made = Masquerade()
    assert not made.resync()
    made.want({VIP})
    firewall.harmed = True
    assert made.resync()
    assert not made.resync()
    assert firewall.puts == [{VIP}, {VIP}]


def test_iptables_where_there_is_no_nftables(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, NftablesMissingError("none"), iptables := Firewall())
    made = Masquerade()
    made.want({VIP})
    made.want({VIP6})
    assert iptables.puts == [{VIP}, {VIP6}]


def test_iptables_where_nftables_turns_out_to_have_no_nat(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, nftables := Firewall(NftablesMissingError("no NAT")), iptables := Firewall())
    made = Masquerade()
    made.want({VIP})
    made.want({VIP6})
    assert nftables.closed
    assert iptables.puts == [{VIP}, {VIP6}]


def test_where_there_is_neither_both_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, NftablesMissingError("none"), Firewall(IptablesError("install iptables")))
    with pytest.raises(MasqueradeError, match=r"install iptables; or load.*nft_masq"):
        Masquerade().want({VIP})


def test_what_cannot_be_removed_is_told_and_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, firewall := Firewall(OSError(errno.EPERM, "Operation not permitted")))
    with pytest.raises(MasqueradeError):
        Masquerade().close()
    assert firewall.closed


@pytest.fixture(scope="module")
def ruleset() -> Iterator[Ruleset]:
    made = Ruleset("masquerade")
    yield made
    made.namespace.close()


@pytest.fixture(scope="module")
def oracle() -> Iterator[Ruleset]:
    made = Ruleset("oracle")
    yield made
    made.namespace.close()


@pytest.mark.namespaces
@pytest.mark.firewall
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.sampled_from(ADDRESSES)), max_size=6), st.booleans())
def test_the_kernel_has_what_was_wanted_last_and_nothing_in_the_end(
    ruleset: Ruleset, oracle: Ruleset, steps: list[set[IPAddress]], crashed: bool
) -> None:
    if crashed:
        ruleset.write(ours({VIP, VIP6}))
    made = Masquerade()
    for addresses in steps:
        ruleset.namespace.call(made.want, addresses)
        assert ruleset.read() == oracle.meant_by(ours(addresses))
    ruleset.namespace.call(made.close)
    assert ruleset.read() == []


@pytest.mark.namespaces
@pytest.mark.firewall
def test_the_kernel_is_not_asked_for_what_it_was_told(ruleset: Ruleset, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Masquerade()
    ruleset.namespace.call(made.want, {VIP})
    ruleset.write("flush ruleset")
    with monkeypatch.context() as patch:
        patch.setattr(Nftables, "put", None)
        made.want({VIP})
    assert made.resync()
    assert len(ruleset.read()) == 4  # table, set, chain, rule
    made.close()
    assert ruleset.read() == []
