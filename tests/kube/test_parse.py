"""What the API server sends as plain values: defaults as documented, and one kind of error for whatever else comes."""

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrpd.agent import parse
from vrrpd.agent.objects import Endpoint, EndpointPort, EndpointSlice, Node, Pod, Service, ServicePort
from vrrpd.agent.parse import ParseError

META = {"name": "a", "namespace": "n"}
SLICE = {
    "metadata": {**META, "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "endpoints": [
        {
            "addresses": ["198.51.100.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": "n1",
        }
    ],
    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
}
ENDPOINTS = {
    "metadata": META,
    "subsets": [
        {
            "addresses": [{"ip": "198.51.100.1", "nodeName": "n1"}],
            "notReadyAddresses": [{"ip": "198.51.100.2"}],
            "ports": [{"name": "http", "port": 80}],
        }
    ],
}
SERVICE = {
    "metadata": {**META, "annotations": {"vrrpd.io/a": "b", "c": "d"}},
    "spec": {
        "ports": [{"port": 80, "protocol": "UDP", "name": "x", "targetPort": "y"}],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "externalTrafficPolicy": "Local",
    },
}
NODE = {
    "metadata": {"name": "n1", "labels": {"a": "b"}},
    "status": {
        "addresses": [
            {"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "ExternalIP", "address": "203.0.113.1"},
            {"type": "InternalIP", "address": "2001:db8::1"},
        ]
    },
}
POD = {"metadata": META, "spec": {"nodeName": "n1", "nodeSelector": {"a": "b"}, "containers": []}}
CONFIG_MAP = {"metadata": META, "data": {"192.0.2.1": ""}, "binaryData": {"x": "AA=="}}
EXAMPLES: list[tuple[Callable[[parse.Raw], Any], dict[str, Any]]] = [
    (parse.config_map, CONFIG_MAP),
    (parse.service, SERVICE),
    (parse.endpoint_slice, SLICE),
    (parse.endpoints, ENDPOINTS),
    (parse.node, NODE),
    (parse.pod, POD),
]


def the_slice(**fields: Any) -> EndpointSlice:
    (only,) = parse.endpoint_slice({**SLICE, **fields})
    return only


def test_all_that_is_sent_is_read() -> None:
    assert the_slice() == EndpointSlice(
        ("n", "a"), "web", (EndpointPort(80, "TCP", "http"),), (Endpoint("198.51.100.1", node="n1"),)
    )
    assert parse.service(SERVICE) == Service(
        ("n", "a"), (ServicePort(80, "UDP", "x"),), 60, local=True, annotations={"vrrpd.io/a": "b"}
    )
    assert parse.node(NODE) == Node("n1", ("203.0.113.1",), ("192.0.2.1", "2001:db8::1"), {"a": "b"})
    assert parse.config_map(CONFIG_MAP).data == {"192.0.2.1": ""}
    assert parse.config_map(CONFIG_MAP).binary == ("x",)
    assert parse.pod(POD) == Pod(("n", "a"), "n1", {"a": "b"})
    assert parse.pod({"metadata": META, "spec": {"nodeName": None}}) == Pod(("n", "a"), "", {})


def test_the_addresses_of_a_service_outside_the_cluster_are_read() -> None:
    spec = {"externalIPs": ["192.0.2.1", "2001:DB8:0::1"], "clusterIP": "10.96.0.1"}
    ingress = [
        {"ip": "192.0.2.2", "ipMode": "VIP"},
        {"ip": "192.0.2.3", "ipMode": "Proxy"},  # kube-proxy does not serve that
        {"ip": "192.0.2.4"},
        {"hostname": "lb.example.com"},
    ]
    read = parse.service({"metadata": META, "spec": spec, "status": {"loadBalancer": {"ingress": ingress}}})
    assert read.external == ("192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.4")
    nothing: list[Any] = [None, {}, {"loadBalancer": None}, {"loadBalancer": {}}, {"loadBalancer": {"ingress": None}}]
    for status in nothing:
        assert parse.service({"metadata": META, "spec": {}, "status": status}).external == ()


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "FD00::0:1"]}, ("10.96.0.1", "fd00::1")),
        ({"clusterIP": "10.96.0.1"}, ("10.96.0.1",)),
        ({"clusterIP": "None", "clusterIPs": ["None"]}, ()),
        ({"clusterIP": "", "clusterIPs": None}, ()),
    ],
    ids=["dual stack", "one", "headless", "none"],
)
def test_the_addresses_of_a_service_inside_the_cluster_are_read(spec: Any, addresses: tuple[str, ...]) -> None:
    assert parse.service({"metadata": META, "spec": spec}).cluster == addresses


def test_a_service_that_is_a_name_elsewhere_is_known_as_such() -> None:
    spec = {"type": "ExternalName", "externalName": "web.example.com"}
    assert parse.service({"metadata": META, "spec": spec}) == Service(("n", "a"), named=True)


@pytest.mark.parametrize(("read", "example"), EXAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_json_is_read_as_what_it_decodes_to(read: Callable[[parse.Raw], Any], example: dict[str, Any]) -> None:
    assert read(json.dumps(example).encode()) == read(example)


def test_what_is_optional_may_be_missing_or_null() -> None:
    assert parse.service({"metadata": META, "spec": {}}) == Service(("n", "a"))
    assert parse.service({"metadata": META, "spec": {"ports": None, "sessionAffinity": "None"}}) == Service(("n", "a"))
    assert parse.node({"metadata": {"name": "n"}}) == Node("n")
    assert parse.node({"metadata": {"name": "n"}, "status": {"addresses": None}}) == Node("n")
    assert parse.endpoints({"metadata": META}) == ()
    assert parse.endpoints({"metadata": META, "subsets": [{"notReadyAddresses": None}]}) == ()
    assert the_slice(endpoints=None, ports=None) == EndpointSlice(("n", "a"), "web")
    assert dict(parse.config_map({"metadata": META}).data) == {}


def test_affinity_without_a_timeout_lasts_three_hours() -> None:
    configs: list[dict[str, Any]] = [{}, {"sessionAffinityConfig": None}, {"sessionAffinityConfig": {"clientIP": {}}}]
    for config in configs:
        raw = {"metadata": META, "spec": {"sessionAffinity": "ClientIP", **config}}
        assert parse.service(raw).session_affinity == 10800


@pytest.mark.parametrize(
    ("conditions", "ready", "serving", "terminating"),
    [
        (None, True, True, False),
        ({}, True, True, False),
        ({"ready": None, "serving": None, "terminating": None}, True, True, False),
        ({"ready": False}, False, False, False),
        ({"ready": False, "serving": True, "terminating": True}, False, True, True),
        ({"ready": True, "serving": False}, True, False, False),
    ],
)
def test_conditions_have_their_documented_defaults(
    conditions: dict[str, bool] | None, ready: bool, serving: bool, terminating: bool
) -> None:
    one = the_slice(endpoints=[{"addresses": ["198.51.100.1"], "conditions": conditions}]).endpoints[0]
    assert (one.ready, one.serving, one.terminating) == (ready, serving, terminating)


def test_a_port_without_a_number_is_left_out_and_a_protocol_is_tcp_if_none_is_named() -> None:
    ports = the_slice(ports=[{"name": "any"}, {"port": 53, "protocol": "SCTP"}, {"port": 80}]).ports
    assert ports == (EndpointPort(53, "SCTP"), EndpointPort(80, "TCP"))


def test_a_node_may_have_a_host_name_among_its_addresses() -> None:
    addresses = [{"type": "ExternalIP", "address": "n.example"}, {"type": "InternalIP", "address": "192.0.2.1"}]
    read = parse.node({"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    assert read == Node("n", ("n.example",), ("192.0.2.1",))


def test_names_instead_of_addresses_and_slices_of_no_service_are_left_out() -> None:
    assert parse.endpoint_slice({**SLICE, "addressType": "FQDN", "endpoints": [{"addresses": ["a.example"]}]}) == ()
    assert parse.endpoint_slice({**SLICE, "metadata": META}) == ()


def test_each_family_of_each_subset_is_a_slice() -> None:
    both = {"addresses": [{"ip": "2001:db8::1"}, {"ip": "198.51.100.1"}], "ports": [{"port": 80}]}
    slices = parse.endpoints({**ENDPOINTS, "subsets": [*ENDPOINTS["subsets"], both]})
    assert [(one.name, one.service, one.family) for one in slices] == [
        (("n", "a/0"), "a", 4),
        (("n", "a/1"), "a", 4),
        (("n", "a/2"), "a", 6),
    ]
    assert slices[0].endpoints == (
        Endpoint("198.51.100.1", node="n1"),
        Endpoint("198.51.100.2", ready=False, serving=False),
    )
    assert slices[2].endpoints == (Endpoint("2001:db8::1"),)


@pytest.mark.parametrize(
    ("read", "raw", "name", "field"),
    [
        (parse.service, {"metadata": META, "spec": {"ports": [{"port": 0}]}}, "Service n/a", "spec.ports[0].port"),
        (parse.service, {"metadata": META, "spec": {"ports": [{"port": "80"}]}}, "Service n/a", "spec.ports[0].port"),
        (parse.service, {"metadata": META}, "Service n/a", "all of it"),
        (parse.endpoint_slice, {**SLICE, "addressType": "X"}, "EndpointSlice n/a", "addressType"),
        (
            parse.endpoint_slice,
            {**SLICE, "endpoints": [{"addresses": []}]},
            "EndpointSlice n/a",
            "endpoints[0].addresses",
        ),
        (
            parse.endpoint_slice,
            {**SLICE, "endpoints": [{"addresses": ["2001:db8::1"]}]},
            "EndpointSlice n/a",
            "endpoints[0].addresses[0]",
        ),
        (
            parse.endpoints,
            {"metadata": META, "subsets": [{"addresses": [{"ip": "x"}]}]},
            "Endpoints n/a",
            "subsets[0].addresses[0].ip",
        ),
        (
            parse.node,
            {"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP"}]}},
            "Node n",
            "status.addresses[0]",
        ),
        (parse.config_map, {"metadata": {"name": ""}}, "ConfigMap", "metadata.name"),
        (parse.config_map, {"metadata": META, "data": {"a": 1}}, "ConfigMap n/a", "data[...]"),
        (parse.config_map, b'{"metadata"', "ConfigMap", "all of it"),
        (parse.config_map, b"\xff", "ConfigMap", "all of it"),
        (parse.config_map, b"[" * 100_000, "ConfigMap", "all of it"),
        (parse.config_map, b'{"metadata": {"name": "a"}, "x": ' + b"[" * 100_000, "ConfigMap", "all of it"),
    ],
)
def test_nonsense_is_named_with_its_object_and_field(
    read: Callable[[parse.Raw], Any], raw: parse.Raw, name: str, field: str
) -> None:
    with pytest.raises(ParseError) as raised:
        read(raw)
    assert (raised.value.name, raised.value.field) == (name, field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def reads_or_refuses(read: Callable[[parse.Raw], Any], raw: parse.Raw) -> None:
    with contextlib.suppress(ParseError):
        read(raw)


@given(st.sampled_from([read for read, _ in EXAMPLES]), JSON)
def test_any_json_is_read_or_refused(read: Callable[[parse.Raw], Any], raw: Any) -> None:
    reads_or_refuses(read, json.dumps(raw).encode())
    if isinstance(raw, dict):
        reads_or_refuses(read, raw)


@given(st.sampled_from([read for read, _ in EXAMPLES]), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(read: Callable[[parse.Raw], Any], raw: bytes) -> None:
    reads_or_refuses(read, raw)


@given(st.sampled_from(EXAMPLES), st.data())
def test_an_object_with_one_part_exchanged_is_read_or_refused(
    example: tuple[Callable[[parse.Raw], Any], dict[str, Any]], data: st.DataObject
) -> None:
    read, original = example
    raw = copy.deepcopy(original)
    part: Any = raw
    while True:
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not part[key] or not isinstance(part[key], dict | list) or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = data.draw(JSON | st.sampled_from(["TCP", "IPv6", "FQDN", "2001:db8::1", "None", 65536, True]))
    reads_or_refuses(read, raw)
    reads_or_refuses(read, json.dumps(raw).encode())
