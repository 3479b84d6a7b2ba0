"""Services and their endpoints as virtual servers."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.agent.cluster import ENDPOINTS, PORTS, SERVICE, SLICE, VIP, WEB, clean, said, served, snapshot, translated
from vrrpd.agent.objects import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort
from vrrpd.config.services import Masquerade, TcpCheck, VirtualServerSettings
from vrrpd.ipvs.model import Flag, Method, Scheduler

ENTRY = {VIP: "default/web"}


def only(service: Service = SERVICE, value: str = "default/web", **options: Any) -> VirtualServerSettings:
    (server,) = translated(snapshot({VIP: value}, service), **options).config.virtual_servers
    return server


def annotated(key: str, text: str) -> Service:
    return replace(SERVICE, annotations={f"vrrpd.io/{key}": text})


def endpoints(*each: Endpoint, ports: tuple[EndpointPort, ...] = PORTS) -> EndpointSlice:
    return replace(SLICE, endpoints=each, ports=ports)


def test_a_port_is_a_virtual_server_as_kube_keepalived_vip_makes_it() -> None:
    server = only()
    assert (server.scheduler, server.method, server.persistence_timeout) == (Scheduler.WLC, Method.NAT, 1800)
    assert server.flags == Flag.PERSISTENT
    assert (server.masquerade, server.vrrp_weight) == (Masquerade.AUTO, 0)
    assert [real.checks for real in server.real_servers] == [(TcpCheck(connect_timeout=3.0, delay_loop=5.0),)] * 3
    assert served(clean(snapshot(ENTRY))) == {
        f"TCP {VIP}:80": ["10.244.0.1 8080 1", "10.244.0.2 8080 1", "10.244.0.3 8080 1"]
    }


def test_each_protocol_of_a_port_is_a_virtual_server_and_tcp_alone_is_checked() -> None:
    protocols = ("TCP", "UDP", "SCTP")
    service = Service(WEB, tuple(ServicePort(53, protocol, protocol.lower()) for protocol in protocols))
    ports = tuple(EndpointPort(5300 + n, protocol, protocol.lower()) for n, protocol in enumerate(protocols))
    translation = clean(snapshot(ENTRY, service, (endpoints(Endpoint("10.244.0.1"), ports=ports),)))
    assert served(translation) == {
        f"TCP {VIP}:53": ["10.244.0.1 5300 1"],
        f"UDP {VIP}:53": ["10.244.0.1 5301 1"],
        f"SCTP {VIP}:53": ["10.244.0.1 5302 1"],
    }
    checked = [bool(server.real_servers[0].checks) for server in translation.config.virtual_servers]
    assert checked == [True, False, False]


def test_ports_meet_by_name_and_protocol() -> None:
    web = (ServicePort(80, name="http"), ServicePort(443, name="https"))
    service = Service(WEB, (*web, ServicePort(53, "UDP", "http")))
    # Two pods of different releases may listen at different ports under one name.
    new = endpoints(Endpoint("10.244.0.1"), ports=(EndpointPort(8443, name="https"), EndpointPort(8081, name="http")))
    old = endpoints(Endpoint("10.244.0.2"), ports=(EndpointPort(8080, name="http"),))
    assert served(clean(snapshot(ENTRY, service, (new, old)))) == {
        f"TCP {VIP}:80": ["10.244.0.1 8081 1", "10.244.0.2 8080 1"],
        f"TCP {VIP}:443": ["10.244.0.1 8443 1"],
        f"UDP {VIP}:53": [],
    }


def test_a_single_port_needs_no_name() -> None:
    slices = (endpoints(Endpoint("10.244.0.1"), ports=(EndpointPort(8080),)),)
    assert served(clean(snapshot(ENTRY, Service(WEB, (ServicePort(80),)), slices))) == {
        f"TCP {VIP}:80": ["10.244.0.1 8080 1"]
    }


@pytest.mark.parametrize(
    ("ready", "serving", "terminating", "weight"),
    [
        (True, True, False, 1),
        (True, True, True, 1),  # publishNotReadyAddresses
        (False, True, True, 0),
        (False, False, True, None),
        (False, False, False, None),
        (False, True, False, None),
    ],
)
def test_conditions(ready: bool, serving: bool, terminating: bool, weight: int | None) -> None:
    found = served(clean(snapshot(ENTRY, SERVICE, (endpoints(Endpoint("10.244.0.1", ready, serving, terminating)),))))
    assert found == {f"TCP {VIP}:80": [] if weight is None else [f"10.244.0.1 8080 {weight}"]}


def test_an_endpoint_in_two_slices_counts_once_in_its_better_state() -> None:
    going = endpoints(Endpoint("10.244.0.1", ready=False, serving=True, terminating=True))
    there = endpoints(Endpoint("10.244.0.1"))
    for slices in ((going, there), (there, going)):
        assert served(clean(snapshot(ENTRY, SERVICE, slices))) == {f"TCP {VIP}:80": ["10.244.0.1 8080 1"]}


def test_a_service_without_endpoints_refuses_its_clients() -> None:
    assert served(clean(snapshot(ENTRY, SERVICE, ()))) == {f"TCP {VIP}:80": []}


def test_a_service_that_is_not_there_leaves_the_address() -> None:
    cluster = snapshot({VIP: "default/other"})
    wrong = "there is no service default/other: the address is held, and nobody is served"
    assert said(cluster) == [f"ConfigMap default/vip-configmap: {VIP}: {wrong}; create it, or change the entry"]
    config = translated(cluster).config
    assert (len(config.instances), config.virtual_servers) == (1, ())


def test_each_family_has_its_endpoints() -> None:
    six = replace(SLICE, family=6, endpoints=(Endpoint("fd00::1"),))
    assert served(clean(snapshot({VIP: "default/web", "2001-db8--10": "default/web"}, SERVICE, (SLICE, six)))) == {
        f"TCP {VIP}:80": ["10.244.0.1 8080 1", "10.244.0.2 8080 1", "10.244.0.3 8080 1"],
        "TCP [2001:db8::10]:80": ["fd00::1 8080 1"],
    }


def test_a_service_of_the_other_family_alone_is_told() -> None:
    wrong = "2001:db8::10 is IPv6, and it has no endpoints of that family"
    remedy = "give it ipFamilyPolicy PreferDualStack, or an IPv4 address"
    assert said(snapshot({"2001-db8--10": "default/web"})) == [f"Service default/web: {wrong}; {remedy}"]


@pytest.mark.parametrize(
    ("value", "annotation", "method"),
    [
        ("default/web", None, Method.NAT),
        ("default/web:DR", None, Method.DR),
        ("default/web", "DR", Method.DR),
        ("default/web:NAT", "DR", Method.NAT),
        ("default/web", "PROXY", Method.PROXY),
        ("default/web:PROXY", "DR", Method.PROXY),
    ],
)
def test_methods(value: str, annotation: str | None, method: Method) -> None:
    service = annotated("method", annotation) if annotation else SERVICE
    assert only(service, value).method is method


def test_dr_cannot_map_ports() -> None:
    same = replace(SLICE, ports=(EndpointPort(80, name="http"),), endpoints=(Endpoint("10.244.0.9"),))
    cluster = snapshot({VIP: "default/web:DR"}, SERVICE, (SLICE, same))
    wrong = "DR cannot map it to 8080, where endpoints listen: they get nothing"
    assert said(cluster) == [f"Service default/web: port 80: {wrong}; make targetPort 80, or use NAT"]
    assert served(translated(cluster)) == {f"TCP {VIP}:80": ["10.244.0.9 80 1"]}


@pytest.mark.parametrize(
    ("affinity", "annotation", "timeout"),
    [
        (0, None, 1800),
        (10800, None, 10800),
        (1 << 32, None, 2678400),
        (0, "60", 60),
        (10800, "0", 0),
        (10800, "x", 10800),
    ],
)
def test_persistence(affinity: int, annotation: str | None, timeout: int) -> None:
    service = annotated("persistence-timeout", annotation) if annotation else SERVICE
    server = only(replace(service, session_affinity=affinity))
    assert (server.persistence_timeout, server.flags) == (timeout, Flag.PERSISTENT if timeout else Flag(0))


@pytest.mark.parametrize(
    ("key", "text", "wrong"),
    [
        ("scheduler", "best", '"best" is no scheduler: it stays wlc; use one of rr, wrr, lc,'),
        ("method", "FNAT", '"FNAT" is no method; use NAT, DR or PROXY'),
        ("method", "", '"" is no method; use NAT, DR or PROXY'),
        ("proxy-protocol", "v3", '"v3" is no version: it stays v1; use v1 or v2'),
        ("persistence-timeout", "1h", '"1h" is no number of seconds; use seconds, 0-2678400;'),
        ("persistence-timeout", "-1", '"-1" is no number of seconds; use seconds, 0-2678400;'),
        ("persistence-timeout", "2678401", "2678401 is out of range; use seconds, 0-2678400;"),
    ],
)
def test_a_bad_annotation_is_told_and_the_default_taken(key: str, text: str, wrong: str) -> None:
    cluster = snapshot(ENTRY, annotated(key, text))
    (problem,) = said(cluster)
    assert problem.startswith(f"Service default/web: vrrpd.io/{key}: {wrong}")
    assert translated(cluster).config == clean(snapshot(ENTRY)).config


def test_an_annotation_that_there_is_not_is_told() -> None:
    service = replace(SERVICE, annotations={"vrrpd.io/schedular": "rr", "vrrpd.io/scheduler": "rr"})
    (problem,) = said(snapshot({VIP: "default/web"}, service))
    assert problem.startswith("Service default/web: vrrpd.io/schedular: there is no such annotation; use vrrpd.io/")


def test_the_scheduler_is_the_services_choice() -> None:
    assert only(annotated("scheduler", " rr\n")).scheduler is Scheduler.RR


def test_the_proxy_has_the_endpoints_of_nat() -> None:
    """As kube-keepalived-vip's HAProxy did, which sent version 1 and had no persistence."""
    server = only(value="default/web:PROXY")
    assert (server.method, server.proxy_protocol, server.scheduler) == (Method.PROXY, "v1", Scheduler.WLC)
    assert (server.persistence_timeout, server.flags) == (0, Flag(0))
    ours = [(real.address, real.port, real.weight, real.checks) for real in server.real_servers]
    assert ours == [(real.address, real.port, real.weight, real.checks) for real in only().real_servers]
    assert only(annotated("proxy-protocol", "v2"), "default/web:PROXY").proxy_protocol == "v2"


def test_what_a_proxy_does_not_do_is_told() -> None:
    ports = (ServicePort(80, name="http"), ServicePort(53, "UDP", "dns"))
    annotations = {"vrrpd.io/scheduler": "mh", "vrrpd.io/persistence-timeout": "60"}
    cluster = snapshot({VIP: "default/web:PROXY"}, Service(WEB, ports, annotations=annotations))
    scheduler, persistence, port = said(cluster)
    assert scheduler.startswith("Service default/web: vrrpd.io/scheduler: the proxy does not do mh: it stays wlc; use")
    assert persistence.startswith("Service default/web: vrrpd.io/persistence-timeout: the proxy has no persistence: ")
    assert port.startswith("Service default/web: port 53: PROXY is for TCP, and it is UDP: nobody is served; use NAT,")
    assert [*served(translated(cluster))] == [f"TCP {VIP}:80"]
    itself = endpoints(Endpoint(VIP), Endpoint("10.244.0.1"), ports=(EndpointPort(80, name="http"),))
    cluster = snapshot({VIP: "default/web:PROXY"}, Service(WEB, ports[:1]), (itself,))
    (problem,) = said(cluster)
    assert f"port 80: an endpoint is {VIP} port 80 itself, which the proxy serves: it gets nothing" in problem
    assert served(translated(cluster)) == {f"TCP {VIP}:80": ["10.244.0.1 80 1"]}
    affine = snapshot({VIP: "default/web:PROXY"}, replace(SERVICE, session_affinity=10800))
    (problem,) = said(affine)
    assert problem.startswith("Service default/web: sessionAffinity: the proxy has no persistence")
    problem, _ = said(snapshot({"fe80--7": "default/web:PROXY"}))
    assert "the proxy cannot listen at fe80::7, which is link-local: nobody is served; use NAT" in problem


def test_local_endpoints_alone_see_the_clients() -> None:
    server = only(replace(SERVICE, local=True))
    assert [str(real.address) for real in server.real_servers] == ["10.244.0.2"]
    assert server.masquerade is Masquerade.NEVER
    assert server.vrrp_weight == -4  # three nodes have 100-102, and a stranger 99


def test_where_there_are_none_of_them_the_virtual_server_has_no_quorum() -> None:
    elsewhere = endpoints(*(endpoint for endpoint in ENDPOINTS if endpoint.node != "bs-02"))
    (server,) = clean(snapshot(ENTRY, replace(SERVICE, local=True), (elsewhere,))).config.virtual_servers
    assert (server.real_servers, server.quorum) == ((), 1)


def test_ports_that_cannot_be_served() -> None:
    ports = (ServicePort(80, name="http"), ServicePort(80, name="again"), ServicePort(0), ServicePort(1, "DCCP"))
    cluster = snapshot(ENTRY, Service(WEB, ports))
    assert said(cluster) == [
        "Service default/web: port 80: the service has it twice; remove one of them",
        "Service default/web: port 0: it is out of range; use 1-65535",
        'Service default/web: port 1: "DCCP" cannot be balanced; use TCP, UDP or SCTP',
    ]
    assert len(served(translated(cluster))) == 1


def test_addresses_that_are_none_are_left_out() -> None:
    strange = endpoints(*map(Endpoint, ("pod.example.com", "fd00::1", "0.0.0.0", "10.244.0.1")))
    assert served(clean(snapshot(ENTRY, SERVICE, (strange,)))) == {f"TCP {VIP}:80": ["10.244.0.1 8080 1"]}


def test_a_service_without_ports() -> None:
    assert said(snapshot(ENTRY, Service(WEB))) == [
        "Service default/web: it has no ports, so that nobody is served; add ports to it"
    ]
