"""The configuration that a cluster comes to."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.agent.cluster import (
    EXCLUDE,
    NODES,
    OPTIONS,
    SERVICE,
    SLICE,
    VIP,
    WEB,
    clean,
    said,
    served,
    snapshot,
    translated,
)
from tests.config.accepted import accepted
from vrrpd.agent.objects import Endpoint, Node, ServicePort, Snapshot
from vrrpd.agent.translate import Translator
from vrrpd.config.addresses import link_local_of
from vrrpd.config.model import Config, VrrpInstance
from vrrpd.ipvs.model import Method

MANY = {f"10.0.{number // 250}.{number % 250 + 1}": "" for number in range(300)}
MANY_OF_IPV6 = {f"2001-db8--{number:x}": "" for number in range(1, 301)}


def only(cluster: Snapshot, **options: object) -> VrrpInstance:
    (instance,) = clean(cluster, **options).config.instances
    return instance


def addresses(instance: VrrpInstance) -> list[str]:
    return [str(vip) for vip in instance.virtual_ipaddress]


def test_the_tutorials_virtual_router() -> None:
    instance = only(snapshot({VIP: ""}))
    assert (instance.name, instance.interface, instance.virtual_router_id) == ("vips", "eth0", 50)
    assert (instance.priority, instance.nopreempt, instance.advert_int) == (101, True, 1.0)
    assert addresses(instance) == [f"{VIP}/32"]
    assert clean(snapshot({VIP: ""})).config.virtual_servers == ()


def test_each_family_has_a_virtual_router() -> None:
    four, six = clean(snapshot({"2001-db8--10": "", VIP: "", "172.16.40.4": ""})).config.instances
    assert (four.name, six.name) == ("vips", "vips6")
    assert (four.virtual_router_id, six.virtual_router_id) == (50, 50)
    assert addresses(four) == ["172.16.40.4/32", f"{VIP}/32"]
    assert addresses(six) == [str(link_local_of(50)), "2001:db8::10/128"]


def test_a_link_local_address_comes_first() -> None:
    assert addresses(only(snapshot({"2001-db8--10": "", "fe80--1": ""}))) == ["fe80::1/128", "2001:db8::10/128"]


def test_all_nodes_come_to_the_same_but_for_their_priority() -> None:
    cluster = snapshot({VIP: "default/web"})
    configs = [clean(cluster, node=name).config for name in NODES]
    assert [config.instances[0].priority for config in configs] == [100, 101, 102]
    same = {replace(config, instances=(replace(config.instances[0], priority=1),)) for config in configs}
    assert len(same) == 1


def test_what_does_not_come_from_the_cluster_stays() -> None:
    base = Config((), control_socket=Path("/tmp/vrrpd.sock"), vip_lease=9)
    config = clean(snapshot({VIP: ""}), base=base, virtual_router_id=77, interface="bond0").config
    assert (config.control_socket, config.vip_lease) == (base.control_socket, 9)
    assert (config.instances[0].virtual_router_id, config.instances[0].interface) == (77, "bond0")
    assert clean(snapshot({}), base=base).config == base


def test_without_a_config_map_nothing_is_held() -> None:
    assert translated(snapshot(None)).config == Config(())
    assert said(snapshot(None)) == ["ConfigMap default/vip-configmap: there is none: no address is held; create it"]


def test_a_bad_entry_is_told_and_the_others_go_on() -> None:
    cluster = snapshot({"nonsense": "", VIP: "default/web"})
    (problem,) = said(cluster)
    assert problem.startswith('ConfigMap default/vip-configmap: nonsense: "nonsense" is not an IP address')
    assert translated(cluster).config == clean(snapshot({VIP: "default/web"})).config


def test_an_excluded_node_takes_no_part() -> None:
    nodes = NODES | {"bs-02": replace(NODES["bs-02"], labels=EXCLUDE)}
    cluster = snapshot({VIP: "default/web"}, nodes=nodes)
    (problem,) = said(cluster)
    assert problem.startswith("Node bs-02: it is excluded from load balancing")
    assert translated(cluster).config == Config(())
    assert only(cluster, node="bs-03").priority == 101


def test_the_pods_node_selector_says_who_takes_part() -> None:
    nodes = NODES | {"bs-01": Node("bs-01")} | {"bs-02": replace(NODES["bs-02"], labels={"type": "worker"})}
    assert only(snapshot({VIP: ""}, nodes=nodes), node_selector={"type": "worker"}).priority == 100


@pytest.mark.parametrize("options", [{}, {"spread": (60, 69)}, {"unicast": True}])
def test_a_node_that_is_not_there_any_more_is_told_from_one_that_is_not_selected(options: dict[str, object]) -> None:
    left = {name: node for name, node in NODES.items() if name != "bs-02"}
    (gone,) = said(snapshot({VIP: "", "2001-db8--10": ""}, nodes=left), **options)
    assert gone.startswith("Node bs-02: there is no such node any more: ")
    worker = {name: replace(node, labels={"type": "worker"}) for name, node in left.items()}
    others = snapshot({VIP: ""}, nodes=worker | {"bs-02": NODES["bs-02"]})
    (other,) = said(others, node_selector={"type": "worker"}, **options)
    assert other.startswith("Node bs-02: it is not among the nodes that the pod's nodeSelector matches: ")


@pytest.mark.parametrize("spread", [None, (60, 69)])
def test_without_the_list_of_nodes_the_address_is_held_all_the_same(spread: tuple[int, int] | None) -> None:
    cluster = snapshot({VIP: ""}, nodes={})
    assert [problem.partition(": ")[0] for problem in said(cluster, spread=spread)] == ["Node bs-02"]
    assert len(translated(cluster, spread=spread).config.instances) == 1


@pytest.mark.parametrize(("data", "room"), [(MANY, 255), (MANY_OF_IPV6, 254), (MANY_OF_IPV6 | {"fe80--1": ""}, 255)])
def test_an_advert_has_room_for_so_many(data: dict[str, str], room: int) -> None:
    translation = translated(snapshot(data))
    assert len(translation.config.instances[0].virtual_ipaddress) == 255
    assert all("--spread" in each.remedy for each in translation.problems if "room" in each.wrong)
    assert len(translation.problems) == len(data) - room


def test_an_address_without_room_serves_nobody() -> None:
    assert len(served(translated(snapshot(dict.fromkeys(MANY, "default/web"))))) == 255


def test_spread_mode_shares_the_addresses_out() -> None:
    data = {f"172.16.40.{number}": "" for number in range(100, 130)}
    configs = [clean(snapshot(data), node=name, spread=(60, 99)).config for name in NODES]
    routers = list(zip(*(config.instances for config in configs), strict=True))
    assert len(routers) == 30
    for instances in routers:
        assert sorted(instance.priority for instance in instances) == [252, 253, 254]
        assert len({replace(instance, priority=1) for instance in instances}) == 1
    mine = [sum(instance.priority == 254 for instance in config.instances) for config in configs]
    assert sum(mine) == 30
    assert min(mine) >= 5
    first = configs[0].instances[0]
    assert first.name == f"vips-{first.virtual_router_id}"
    assert (first.nopreempt, first.preempt_delay) == (False, 10.0)
    assert 60 <= first.virtual_router_id <= 99


def test_spread_mode_has_vrids_for_each_family() -> None:
    six = clean(snapshot({VIP: "", "2001-db8--10": ""}), spread=(60, 60)).config.instances
    assert [(instance.name, instance.virtual_router_id) for instance in six] == [("vips-60", 60), ("vips6-60", 60)]


def test_addresses_share_vrids_when_there_are_not_enough() -> None:
    instances = clean(snapshot(dict.fromkeys(MANY, "")), spread=(60, 69)).config.instances
    assert [instance.virtual_router_id for instance in instances] == list(range(60, 70))
    assert sum(len(instance.virtual_ipaddress) for instance in instances) == 300


@pytest.mark.parametrize("spread", [None, (60, 69)])
def test_a_local_service_has_preemption_or_its_weight_would_mean_nothing(spread: tuple[int, int] | None) -> None:
    local = replace(SERVICE, local=True)
    instance = only(snapshot({VIP: "default/web"}, local), spread=spread)
    assert (instance.nopreempt, instance.preempt_delay) == (False, 0.0)


def test_what_has_not_changed_is_the_same_object() -> None:
    translator = Translator(OPTIONS)
    cluster = snapshot({VIP: "default/web", "172.16.40.34": "default/other"})
    other = replace(SERVICE, name=("default", "other"))
    cluster = replace(
        cluster,
        services={**cluster.services, other.name: other},
        slices={**cluster.slices, other.name: (replace(SLICE, service="other"),)},
    )
    before = translator.translate(cluster).config.virtual_servers
    changed = replace(SLICE, endpoints=(Endpoint("10.244.0.9"),))
    after = translator.translate(replace(cluster, slices={**cluster.slices, WEB: (changed,)})).config.virtual_servers
    assert after[0] != before[0]
    assert after[1] is before[1]


MORE_NODES = NODES | {"bs-04": Node("bs-04", internal=("172.16.40.14",))}


def test_a_node_that_comes_changes_local_services_alone() -> None:
    for service in (SERVICE, replace(SERVICE, local=True)):
        translator = Translator(OPTIONS)
        cluster = snapshot({VIP: "default/web"}, service)
        (before,) = translator.translate(cluster).config.virtual_servers
        (after,) = translator.translate(replace(cluster, nodes=MORE_NODES)).config.virtual_servers
        assert (before is after) is not service.local
        assert after.vrrp_weight == (-5 if service.local else 0)


def test_an_entry_that_changes_is_heeded() -> None:
    translator = Translator(OPTIONS)
    translator.translate(snapshot({VIP: "default/web"}))
    (server,) = translator.translate(snapshot({VIP: "default/web:DR"})).config.virtual_servers
    assert server.method is Method.DR


@pytest.mark.interop
@pytest.mark.parametrize("spread", [None, (60, 69)])
def test_keepalived_takes_what_is_shown(spread: tuple[int, int] | None, tmp_path: Path) -> None:
    six = replace(SLICE, family=6, endpoints=(Endpoint("fd00::1"), Endpoint("fd00::2", ready=False, terminating=True)))
    data = {VIP: "default/web", "172.16.40.34": "", "2001-db8--10": "default/web", "172.16.40.35": "default/web:DR"}
    accepted(translated(snapshot(data, SERVICE, (SLICE, six)), spread=spread).config, tmp_path)
    accepted(translated(snapshot(data, replace(SERVICE, local=True), ()), spread=spread).config, tmp_path)


def test_without_multicast_the_peers_are_the_other_nodes_own_addresses() -> None:
    data = {VIP: "", "2001-db8--100": ""}
    four, six = clean(snapshot(data), unicast=True).config.instances
    assert (str(four.unicast_src_ip), [*map(str, four.unicast_peer)]) == (
        "172.16.40.12",
        ["172.16.40.11", "172.16.40.13"],
    )
    assert (str(six.unicast_src_ip), [*map(str, six.unicast_peer)]) == (
        "2001:db8::12",
        ["2001:db8::11", "2001:db8::13"],
    )
    for instance in clean(snapshot(data)).config.instances:
        assert (instance.unicast_src_ip, instance.unicast_peer) == (None, ())


def test_peers_are_inside_the_cluster_and_follow_the_nodes() -> None:
    outside = NODES | {"bs-01": replace(NODES["bs-01"], external=("203.0.113.1",))}
    (instance,) = clean(snapshot({VIP: ""}, nodes=outside), unicast=True).config.instances
    assert [*map(str, instance.unicast_peer)] == ["172.16.40.11", "172.16.40.13"]
    left = {name: node for name, node in NODES.items() if name != "bs-03"}
    left["bs-01"] = replace(NODES["bs-01"], labels=EXCLUDE)
    alone = translated(snapshot({VIP: ""}, nodes=left), unicast=True)
    assert (alone.config.instances[0].unicast_src_ip, alone.config.instances[0].unicast_peer) == (None, ())
    wrong = "Node bs-02: no other node that takes part has an IPv4 address: adverts go to the multicast group"
    assert [str(problem).partition(";")[0] for problem in alone.problems] == [wrong]


def test_a_node_that_nobody_would_hear_takes_no_part() -> None:
    data = {VIP: "", "2001-db8--100": ""}
    without = NODES | {"bs-02": replace(NODES["bs-02"], internal=("172.16.40.12",))}
    translation = translated(snapshot(data, nodes=without), unicast=True)
    assert [instance.name for instance in translation.config.instances] == ["vips"]
    wrong = "Node bs-02: it has no IPv6 address that others could send to: it holds no such address"
    assert [str(problem).partition(";")[0] for problem in translation.problems] == [wrong]
    left = {name: node for name, node in NODES.items() if name != "bs-02"}
    translation = translated(snapshot({VIP: ""}, nodes=left), unicast=True)
    assert not translation.config.instances
    assert "without multicast it holds no address" in str(translation.problems[0])


def test_an_address_that_is_a_nodes_own_is_taken_from_nobody() -> None:
    data = {VIP: "", "172.16.40.13": "", "2001-db8--11": ""}
    translation = translated(snapshot(data))
    assert [str(vip) for instance in translation.config.instances for vip in instance.virtual_ipaddress] == [
        f"{VIP}/32"
    ]
    assert [str(problem).partition(": ")[2] for problem in translation.problems] == [
        "172.16.40.13: it is the own address of node bs-03; use one that is free",
        "2001-db8--11: it is the own address of node bs-01; use one that is free",
    ]


def test_what_kube_proxy_serves_is_held_and_left_to_it() -> None:
    theirs = replace(SERVICE, external=("203.0.113.1", VIP))
    translation = translated(snapshot({VIP: "default/web"}, service=theirs))
    assert [str(vip) for vip in translation.config.instances[0].virtual_ipaddress] == [f"{VIP}/32"]
    assert not translation.config.virtual_servers
    (problem,) = translation.problems
    assert str(problem).startswith(
        f"ConfigMap default/vip-configmap: {VIP}: it is an external address of service default/web"
    )
    clean(snapshot({VIP: ""}, service=theirs))  # who says nothing means that
    assert clean(snapshot({"172.16.40.34": "default/web"}, service=theirs)).config.virtual_servers


@pytest.mark.parametrize("value", ["", "default/web"])
def test_a_cluster_ip_is_held_and_said_to_be_one(value: str) -> None:
    theirs = replace(SERVICE, cluster=(VIP, "2001:db8::100"))
    translation = translated(snapshot({VIP: value, "2001-db8--100": value}, service=theirs))
    assert len(translation.config.instances) == 2
    assert not translation.config.virtual_servers
    assert [str(problem).partition(" of service")[0] for problem in translation.problems] == [
        f"ConfigMap default/vip-configmap: {key}: it is the cluster IP" for key in (VIP, "2001-db8--100")
    ]


def test_binary_data_is_no_entry_and_said_to_be_none() -> None:
    cluster = snapshot({VIP: ""})
    assert cluster.config_map
    cluster = replace(cluster, config_map=replace(cluster.config_map, binary=("172.16.40.34",)))
    (problem,) = said(cluster)
    assert problem.startswith("ConfigMap default/vip-configmap: 172.16.40.34: it is in binaryData")


@pytest.mark.parametrize("ports", [(), SERVICE.ports])
def test_a_name_elsewhere_serves_nobody(ports: tuple[ServicePort, ...]) -> None:
    (problem,) = said(snapshot({VIP: "default/web"}, replace(SERVICE, ports=ports, named=True), ()))
    assert problem.startswith("Service default/web: it is of type ExternalName, a name without endpoints")
