"""What `vrrpd check` says of the configurations of several hosts."""

from vrrpd.config.election import compare
from vrrpd.config.load import parse


def host(
    name: str, priority: int, extra: str = "", addresses: str = '["192.0.2.100"]', interface: str = "eth0"
) -> tuple[str, str]:
    return name, (
        f'[[vrrp_instance]]\nname = "VI_{interface}"\ninterface = "{interface}"\nvirtual_router_id = 51\n'
        f"priority = {priority}\nvirtual_ipaddress = {addresses}\n{extra}\n"
    )


def said(*hosts: tuple[str, str]) -> list[str]:
    return list(map(str, compare([(name, parse(text, name)) for name, text in hosts])))


def test_each_host_takes_over_in_the_order_of_priorities() -> None:
    assert said(host("a", 100), host("b", 200), host("c", 150)) == [
        (
            "VI_eth0: b becomes master; when it is silent, c after 3.41 s; when it is silent, a after 3.61 s; when b "
            "is back, it takes over"
        )
    ]


def test_ipv6_is_no_different() -> None:
    assert said(host("a", 200, addresses='["2001:db8::1"]'), host("b", 100, addresses='["2001:db8::1"]')) == [
        "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, it takes over"
    ]


def test_nopreempt_keeps_the_better_router_from_coming_back() -> None:
    assert said(host("a", 200, "nopreempt = true"), host("b", 100)) == [
        "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, b stays master"
    ]


def test_a_router_that_waits_before_it_preempts_takes_over_in_the_end() -> None:
    assert said(host("a", 200, "preempt_delay = 60"), host("b", 100)) == [
        "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, it takes over"
    ]


def test_an_owner_is_master_before_all_others() -> None:
    assert said(host("a", 254), host("b", 255)) == [
        "VI_eth0: b becomes master; when it is silent, a after 3.01 s; when b is back, it takes over"
    ]


def test_equal_priorities_are_decided_by_addresses_that_are_not_known() -> None:
    assert said(host("a", 100), host("b", 100)) == [
        (
            "VI_eth0: warning: a and b have the same priority 100: the higher primary address decides, here taken to "
            "be that of a"
        ),
        "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, b stays master",
    ]
    assert said(host("a", 255), host("b", 255)) == [
        (
            "VI_eth0: warning: a and b have the same priority 255, and only one router can own the addresses: the "
            "higher primary address decides, here taken to be that of a"
        ),
        "VI_eth0: a becomes master; when it is silent, b after 3.00 s; when a is back, it takes over",
    ]


def test_disagreements() -> None:
    a = host("a", 200, "advert_int = 0.1", '["192.0.2.100", "192.0.2.101"]')
    b = host("b", 100, addresses='["192.0.2.102", "192.0.2.100"]')
    assert said(a, b) == [
        (
            "VI_eth0: warning: a and b do not have the same addresses (192.0.2.101, 192.0.2.102): those move only with "
            "some masters, and keepalived would ignore the other's adverts"
        ),
        "VI_eth0: warning: advert_int is 0.1 on a and 1 on b: how long a failover takes depends on who is master",
        "VI_eth0: a becomes master; when it is silent, b after 0.36 s; when a is back, it takes over",
    ]


def test_a_router_that_nobody_backs_up() -> None:
    assert said(host("a", 100), host("b", 100, addresses='["2001:db8::1"]')) == [
        "VI_eth0: warning: only a has VRID 51 for IPv4: nobody takes over",
        "VI_eth0: warning: only b has VRID 51 for IPv6: nobody takes over",
    ]


def test_hosts_may_name_their_interfaces_differently() -> None:
    assert said(host("a", 200, interface="ens3"), host("b", 100)) == [
        "VI_ens3: a becomes master; when it is silent, b after 3.61 s; when a is back, it takes over"
    ]


def test_one_vrid_on_two_links_is_two_elections() -> None:
    def both(name: str, first: int, second: int) -> tuple[str, str]:
        text = host(name, first)[1] + host(name, second, addresses='["192.0.2.200"]', interface="eth1")[1]
        return name, text

    assert said(both("a", 200, 100), both("b", 100, 200)) == [
        "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, it takes over",
        "VI_eth1: b becomes master; when it is silent, a after 3.61 s; when b is back, it takes over",
    ]


UNICAST = 'unicast_peer = ["192.0.2.{peer}"]\nunicast_src_ip = "192.0.2.{own}"'


def test_who_would_never_hear_the_other() -> None:
    follows = "VI_eth0: a becomes master; when it is silent, b after 3.61 s; when a is back, it takes over"
    a = host("a", 200, UNICAST.format(own=1, peer=2))
    assert said(a, host("b", 100, UNICAST.format(own=2, peer=1))) == [follows]
    assert said(a, host("b", 100, UNICAST.format(own=3, peer=1))) == [
        "VI_eth0: warning: b sends from 192.0.2.3, which is no unicast_peer of a: two masters",
        follows,
    ]
    assert said(a, host("b", 100)) == [
        "VI_eth0: warning: a listens to its unicast_peer alone, and b speaks to the group: two masters",
        "VI_eth0: warning: b listens to the group alone, and a speaks to its unicast_peer: two masters",
        follows,
    ]


def test_a_weight_that_changes_nothing() -> None:
    def tracking(weight: int) -> str:
        return f'track_interface = [{{ interface = "eth1", weight = {weight} }}]'

    def warnings(*hosts: tuple[str, str]) -> list[str]:
        return [line for line in said(*hosts) if "warning" in line]

    assert not warnings(host("a", 110, tracking(-11)), host("b", 100))
    assert warnings(host("a", 110, tracking(-10)), host("b", 100)) == [
        "VI_eth0: warning: without eth1, a has 100, and b has 100: it stays master; use a weight of more than 10"
    ]
    assert not warnings(host("a", 100, tracking(20)), host("b", 110, tracking(5)))
    assert warnings(host("a", 120, tracking(20)), host("b", 110, tracking(5))) == [
        "VI_eth0: warning: without eth1, a has 120, and b has 115: it stays master; use a weight of more than 25"
    ]
    assert said(host("a", 100, tracking(20)), host("b", 110)) == [
        "VI_eth0: a becomes master; when it is silent, b after 3.57 s; when a is back, it takes over"
    ]
