"""A small cluster, to be changed one thing at a time."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from vrrpd.agent.objects import (
    ConfigMap,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Name,
    Node,
    Service,
    ServicePort,
    Snapshot,
)
from vrrpd.agent.translate import Options, Translation, translate
from vrrpd.config.load import parse
from vrrpd.config.services import VirtualServerSettings
from vrrpd.config.toml import as_toml

WEB: Name = ("default", "web")
VIP = "172.16.40.33"
EXCLUDE = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
NODES = {
    name: Node(name, internal=(f"172.16.40.{number}", f"2001:db8::{number}"))
    for number, name in enumerate(("bs-01", "bs-02", "bs-03"), start=11)
}
SERVICE = Service(WEB, (ServicePort(80, name="http"),))
PORTS = (EndpointPort(8080, name="http"),)
ENDPOINTS = (
    Endpoint("10.244.0.2", node="bs-02"),
    Endpoint("10.244.0.1", node="bs-01"),
    Endpoint("10.244.0.3", node="bs-03"),
)
SLICE = EndpointSlice(("default", "web-1"), "web", PORTS, ENDPOINTS)
OPTIONS = Options("bs-02", "eth0", ("default", "vip-configmap"))


def snapshot(
    data: Mapping[str, str] | None,
    service: Service = SERVICE,
    slices: tuple[EndpointSlice, ...] = (SLICE,),
    nodes: Mapping[str, Node] = NODES,
) -> Snapshot:
    """A cluster with these entries and one service."""
    config_map = None if data is None else ConfigMap(OPTIONS.config_map, data)
    return Snapshot(config_map, {service.name: service}, {service.name: slices}, nodes)


def translated(cluster: Snapshot, **options: Any) -> Translation:
    """What the agent makes of it, which can be loaded from a file; every problem has a remedy."""
    translation = translate(cluster, replace(OPTIONS, **options))
    config = translation.config
    if config.instances:
        assert parse(as_toml(config), "shown") == config
    else:
        assert config == replace(OPTIONS, **options).base
    for problem in translation.problems:
        assert problem.where
        assert problem.wrong
        assert problem.remedy
    return translation


def clean(cluster: Snapshot, **options: Any) -> Translation:
    """The same, where nothing is wrong."""
    translation = translated(cluster, **options)
    assert not translation.problems, translation.problems
    return translation


def said(cluster: Snapshot, **options: Any) -> list[str]:
    """What is wrong."""
    return [str(problem) for problem in translated(cluster, **options).problems]


def served(translation: Translation) -> dict[str, list[str]]:
    """Virtual servers by name: address, port and weight of their real servers."""
    return {server.name: reals(server) for server in translation.config.virtual_servers}


def reals(server: VirtualServerSettings) -> list[str]:
    return [f"{real.address} {real.port} {real.weight}" for real in server.real_servers]
