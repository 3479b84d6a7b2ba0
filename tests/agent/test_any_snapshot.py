"""Whatever the cluster says, it comes to a configuration that can be loaded."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.agent.cluster import EXCLUDE, OPTIONS, translated
from vrrpd.agent.objects import (
    ConfigMap,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Node,
    Service,
    ServicePort,
    Snapshot,
)
from vrrpd.agent.translate import Translator
from vrrpd.config.addresses import link_local_of
from vrrpd.config.keepalived import as_keepalived

SERVICE_NAMES = st.sampled_from([("default", "web"), ("default", "db"), ("kube-system", "dns")])
NODE_NAMES = st.sampled_from(["bs-01", "bs-02", "bs-03", "bs-04"])
ADDRESSES = st.sampled_from(
    [
        "192.0.2.1",
        "10.244.0.1",
        "10.244.0.2",
        "fd00::1",
        "fd00::2",
        "0.0.0.0",
        "ff02::1",
        "fe80::1%eth0",
        "pod.example.com",
        "",
    ]
) | st.integers(1 << 24, (1 << 32) - 1).map(lambda number: str(IPv4Address(number)))
PORTS = st.sampled_from([80, 443, 8080]) | st.integers(-1, 65536)
PROTOCOLS = st.sampled_from(["TCP", "UDP", "SCTP", "DCCP"])
PORT_NAMES = st.sampled_from(["", "http", "https"])
KEYS = (
    st.sampled_from(["192.0.2.1", "192.0.2.2", "2001-db8--1", "2001-db8-0--1", "fe80--1", "web", "127.0.0.1"])
    | st.integers(1, 255).map(lambda vrid: str(link_local_of(vrid).ip).replace(":", "-"))
    | st.integers(0, (1 << 128) - 1).map(lambda number: str(IPv6Address(number)).replace(":", "-"))
    | st.integers(0, (1 << 32) - 1).map(lambda number: str(IPv4Address(number)))
)
VALUES = st.sampled_from(["", "default/web", "default/db:NAT", "kube-system/dns:DR\n", "default/gone", "a/b:PROXY"])
BINARY = st.lists(KEYS, max_size=1).map(tuple)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(["scheduler", "method", "persistence-timeout"]).map(lambda key: f"vrrpd.io/{key}"),
    st.sampled_from(["rr", "sh", "DR", "NAT", "PROXY", "0", "60", "99999999999", "²", ""]) | st.text(max_size=5),
)

SERVICES = st.builds(
    Service,
    SERVICE_NAMES,
    st.lists(st.builds(ServicePort, PORTS, PROTOCOLS, PORT_NAMES), max_size=3).map(tuple),
    st.sampled_from([0, 1, 10800, -1, 1 << 40]),
    st.booleans(),
    ANNOTATIONS,
    st.lists(ADDRESSES, max_size=1).map(tuple),
    st.lists(ADDRESSES, max_size=1).map(tuple),
    st.booleans(),
)
ENDPOINTS = st.builds(Endpoint, ADDRESSES, st.booleans(), st.booleans(), st.booleans(), NODE_NAMES)
SLICES = st.builds(
    EndpointSlice,
    st.just(("default", "slice")),
    st.just("web"),
    st.lists(st.builds(EndpointPort, PORTS, PROTOCOLS, PORT_NAMES), max_size=3).map(tuple),
    st.lists(ENDPOINTS, max_size=4).map(tuple),
    st.sampled_from([4, 6]),
)
NODES = st.builds(
    Node,
    NODE_NAMES,
    st.lists(ADDRESSES, max_size=1).map(tuple),
    st.lists(ADDRESSES, max_size=2).map(tuple),
    st.sampled_from([{}, {"type": "worker"}, EXCLUDE]),
)
SNAPSHOTS = st.builds(
    Snapshot,
    st.none() | st.builds(ConfigMap, st.just(OPTIONS.config_map), st.dictionaries(KEYS, VALUES, max_size=6), BINARY),
    st.lists(SERVICES, max_size=3).map(lambda services: {service.name: service for service in services}),
    st.dictionaries(SERVICE_NAMES, st.lists(SLICES, max_size=2).map(tuple)),
    st.lists(NODES, max_size=4).map(lambda nodes: {node.name: node for node in nodes}),
)
CHOICES = st.fixed_dictionaries(
    {
        "spread": st.sampled_from([None, (1, 255), (60, 62)]),
        "node_selector": st.sampled_from([{}, {"type": "worker"}]),
        "virtual_router_id": st.integers(1, 255),
        "unicast": st.booleans(),
    }
)


@given(cluster=SNAPSHOTS, choices=CHOICES)
def test_it_can_be_loaded_and_every_problem_has_a_remedy(cluster: Snapshot, choices: dict[str, Any]) -> None:
    translation = translated(cluster, **choices)
    assert translated(cluster, **choices) == translation
    assert as_keepalived(translation.config).startswith("global_defs {")


@given(clusters=st.lists(SNAPSHOTS, min_size=2, max_size=4), choices=CHOICES)
def test_what_came_before_makes_no_difference(clusters: list[Snapshot], choices: dict[str, Any]) -> None:
    translator = Translator(replace(OPTIONS, **choices))
    for cluster in clusters:
        assert translator.translate(cluster) == translated(cluster, **choices)


@given(cluster=SNAPSHOTS, choices=CHOICES)
def test_the_order_in_which_things_are_listed_makes_no_difference(cluster: Snapshot, choices: dict[str, Any]) -> None:
    backwards = replace(
        cluster,
        config_map=cluster.config_map
        and replace(cluster.config_map, data=dict(reversed(list(cluster.config_map.data.items())))),
        slices={
            name: tuple(replace(each, endpoints=each.endpoints[::-1]) for each in slices[::-1])
            for name, slices in cluster.slices.items()
        },
        nodes=dict(reversed(list(cluster.nodes.items()))),
    )
    assert translated(backwards, **choices).config == translated(cluster, **choices).config
