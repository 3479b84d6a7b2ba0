"""Kubernetes objects, trimmed to what the agent needs: plain, immutable, compared by value.

`vrrpd.agent.reflector` makes them of what the API server sends; `vrrpd.agent.translate` makes a configuration of them.
"""

from collections.abc import Mapping

from msgspec import Struct

Name = tuple[str, str]
"""Namespace and name."""


class ConfigMap(Struct, frozen=True):
    """The one that maps virtual addresses to services."""

    name: Name
    data: Mapping[str, str]
    binary: tuple[str, ...] = ()
    """The keys of its `binaryData`."""
    uid: str = ""
    resource_version: str = ""


class ServicePort(Struct, frozen=True):
    """What a service offers under one port."""

    port: int
    protocol: str = "TCP"
    """TCP, UDP or SCTP."""
    name: str = ""
    """Endpoints' ports have the same name."""


class Service(Struct, frozen=True):
    """A Service of core/v1."""

    name: Name
    ports: tuple[ServicePort, ...] = ()
    session_affinity: int = 0
    """Seconds for which a client comes back to the same endpoint; 0: not (`sessionAffinity: None`)."""
    local: bool = False
    """`externalTrafficPolicy: Local`: endpoints on this node alone, which see the clients' addresses."""
    annotations: Mapping[str, str] = {}
    """Those that begin with `vrrpd.io/`."""
    cluster: tuple[str, ...] = ()
    """Its cluster IPs, as `str` of an address has them; none for a headless one."""
    external: tuple[str, ...] = ()
    """Addresses outside the cluster that kube-proxy serves it at: externalIPs, and a load balancer's; likewise."""
    named: bool = False
    """`type: ExternalName`: a name elsewhere, without endpoints."""


class Endpoint(Struct, frozen=True):
    """One address of a slice."""

    address: str
    ready: bool = True
    serving: bool = True
    """As ready, but for one that terminates."""
    terminating: bool = False
    node: str = ""


class EndpointPort(Struct, frozen=True):
    """Where the endpoints of a slice listen."""

    port: int
    protocol: str = "TCP"
    name: str = ""


class EndpointSlice(Struct, frozen=True):
    """An EndpointSlice of discovery.k8s.io/v1, or one subset of an Endpoints of core/v1 as if it were one."""

    name: Name
    """Of the slice; of an Endpoints' subset: its own name, a slash and a number."""
    service: str
    """The service's name, in the same namespace."""
    ports: tuple[EndpointPort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    family: int = 4
    """4 or 6."""


class Node(Struct, frozen=True):
    """A Node of core/v1."""

    name: str
    external: tuple[str, ...] = ()
    """Addresses of type ExternalIP, in their order."""
    internal: tuple[str, ...] = ()
    """Those of type InternalIP."""
    labels: Mapping[str, str] = {}

    @property
    def excluded(self) -> bool:
        """Whether it is to take no part (`node.kubernetes.io/exclude-from-external-load-balancers`)."""
        return "node.kubernetes.io/exclude-from-external-load-balancers" in self.labels


class Pod(Struct, frozen=True):
    """A Pod of core/v1; the agent's own."""

    name: Name
    node: str
    """That it runs on; empty: none yet."""
    node_selector: Mapping[str, str]


class Snapshot(Struct, frozen=True):
    """All of it at one time; what has not changed since the last one is the same object."""

    config_map: ConfigMap | None
    """None: there is none."""
    services: Mapping[Name, Service]
    slices: Mapping[Name, tuple[EndpointSlice, ...]]
    """By the service's namespace and name."""
    nodes: Mapping[str, Node]
    """By name."""
