"""From what the API server sends to `vrrpd.agent.objects`. Pure: bytes of JSON, or what they were decoded to, in.

Fields are those of the API reference for v1 of each kind. An optional one may be missing or null; what the agent does
not need is not looked at. Addresses are checked, since a table is made of them.
"""

import contextlib
import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from vrrpd.agent.objects import ConfigMap, Endpoint, EndpointPort, EndpointSlice, Name, Node, Pod, Service, ServicePort

Raw = bytes | msgspec.Raw | Mapping[str, Any]
"""JSON, or the object that it stands for."""

_SERVICE_NAME: Final = "kubernetes.io/service-name"
_OUR_ANNOTATIONS: Final = "vrrpd.io/"
_AFFINITY_DEFAULT: Final = 10800
"""Seconds; of ClientIPConfig.timeoutSeconds."""
_FAMILIES: Final = {"IPv4": 4, "IPv6": 6}

Wire = TypeVar("Wire", bound=Struct)
Text = str | None
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_Protocol = Literal["TCP", "UDP", "SCTP", ""] | None  # empty: the default


class ParseError(ValueError):
    """An object that the API promises not to send; names it and the field."""

    def __init__(self, name: str, field: str, problem: str) -> None:
        """`name`: the object's kind and, where they can be read, namespace and name; `field`: as in "spec.ports[0]"."""
        super().__init__(f"{name}: {field}: {problem}")
        self.name = name
        self.field = field
        self.problem = problem


class _Wire(Struct, rename="camel", frozen=True):
    """Fields as JSON has them; others are passed over."""


class Metadata(_Wire, frozen=True):
    """ObjectMeta, and in a list ListMeta."""

    name: Text = None
    namespace: Text = None
    uid: Text = None
    resource_version: Text = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Named(_Wire, frozen=True):
    metadata: Metadata


class _ConfigMap(_Wire, frozen=True):
    metadata: Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, Any] | None = None


class _ServicePort(_Wire, frozen=True):
    port: _Port
    protocol: _Protocol = None
    name: Text = None


class _ClientIP(_Wire, frozen=True):
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=86400)] | None = None


class _AffinityConfig(Struct, frozen=True):
    client: _ClientIP | None = msgspec.field(default=None, name="clientIP")


class _ServiceSpec(_Wire, frozen=True):
    type: Text = None
    ports: list[_ServicePort] | None = None
    cluster_ip: Text = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    session_affinity: Literal["ClientIP", "None", ""] | None = None
    session_affinity_config: _AffinityConfig | None = None
    external_traffic_policy: Text = None
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")


class _Ingress(_Wire, frozen=True):
    ip: Text = None
    ip_mode: Text = None


class _LoadBalancer(_Wire, frozen=True):
    ingress: list[_Ingress] | None = None


class _ServiceStatus(_Wire, frozen=True):
    load_balancer: _LoadBalancer | None = None


class _Service(_Wire, frozen=True):
    metadata: Metadata
    spec: _ServiceSpec
    status: _ServiceStatus | None = None


class _EndpointPort(_Wire, frozen=True):
    port: _Port | None = None
    protocol: _Protocol = None
    name: Text = None


class _Conditions(_Wire, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Endpoint(_Wire, frozen=True):
    addresses: list[str]
    conditions: _Conditions | None = None
    node_name: Text = None


class _EndpointSlice(_Wire, frozen=True):
    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: list[_Endpoint] | None = None
    ports: list[_EndpointPort] | None = None


class _EndpointAddress(_Wire, frozen=True):
    ip: str
    node_name: Text = None


class _Subset(_Wire, frozen=True):
    addresses: list[_EndpointAddress] | None = None
    not_ready_addresses: list[_EndpointAddress] | None = None
    ports: list[_EndpointPort] | None = None


class _Endpoints(_Wire, frozen=True):
    metadata: Metadata
    subsets: list[_Subset] | None = None


class _NodeAddress(_Wire, frozen=True):
    type: str
    address: str


class _NodeStatus(_Wire, frozen=True):
    addresses: list[_NodeAddress] | None = None


class _Node(_Wire, frozen=True):
    metadata: Metadata
    status: _NodeStatus | None = None


class _PodSpec(_Wire, frozen=True):
    node_name: Text = None
    node_selector: dict[str, str] | None = None


class _Pod(_Wire, frozen=True):
    metadata: Metadata
    spec: _PodSpec


def config_map(raw: Raw) -> ConfigMap:
    """A ConfigMap of core/v1; of `binaryData` the keys alone.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _ConfigMap, "ConfigMap")
    metadata = read.metadata
    return ConfigMap(
        name=_name(metadata, "ConfigMap"),
        data=read.data or {},
        binary=tuple(sorted(read.binary_data or ())),
        uid=metadata.uid or "",
        resource_version=metadata.resource_version or "",
    )


def service(raw: Raw) -> Service:
    """A Service of core/v1.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _Service, "Service")
    spec = read.spec
    affinity = 0
    if spec.session_affinity == "ClientIP":
        client = spec.session_affinity_config.client if spec.session_affinity_config else None
        affinity = client.timeout_seconds if client and client.timeout_seconds else _AFFINITY_DEFAULT
    return Service(
        name=_name(read.metadata, "Service"),
        ports=tuple(ServicePort(port.port, port.protocol or "TCP", port.name or "") for port in spec.ports or ()),
        session_affinity=affinity,
        local=spec.external_traffic_policy == "Local",
        cluster=_addresses(spec.cluster_ips or [spec.cluster_ip or ""]),
        external=_addresses((*(spec.external_ips or ()), *_ingress(read.status))),
        named=spec.type == "ExternalName",
        annotations={
            key: value for key, value in (read.metadata.annotations or {}).items() if key.startswith(_OUR_ANNOTATIONS)
        },
    )


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """Those that are addresses, as `str` of one has them: the API takes IPv6 addresses in any spelling."""
    found: list[str] = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(str(ip_address(text)))
    return tuple(found)


def _ingress(status: _ServiceStatus | None) -> Iterable[str]:
    balancer = status.load_balancer if status else None
    found = (balancer.ingress if balancer else None) or ()
    return (each.ip for each in found if each.ip and each.ip_mode != "Proxy")  # which kube-proxy leaves to the balancer


def endpoint_slice(raw: Raw) -> tuple[EndpointSlice, ...]:
    """An EndpointSlice of discovery.k8s.io/v1; nothing if it is of no service, or of names instead of addresses.

    Of an endpoint's addresses the first counts: the API gives the others no meaning.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _EndpointSlice, "EndpointSlice")
    name = _name(read.metadata, "EndpointSlice")
    service_name = (read.metadata.labels or {}).get(_SERVICE_NAME, "")
    if read.address_type == "FQDN" or not service_name:
        return ()
    family = _FAMILIES[read.address_type]
    endpoints = []
    for number, endpoint in enumerate(read.endpoints or ()):
        field = f"endpoints[{number}].addresses"
        if not endpoint.addresses:
            raise ParseError(_in_words("EndpointSlice", name), field, "there is none")
        if _family(endpoint.addresses[0], "EndpointSlice", name, f"{field}[0]") != family:
            raise ParseError(_in_words("EndpointSlice", name), f"{field}[0]", f"not of type {read.address_type}")
        endpoints.append(_endpoint(endpoint))
    return (EndpointSlice(name, sys.intern(service_name), _ports(read.ports), tuple(endpoints), family),)


def _endpoint(read: _Endpoint) -> Endpoint:
    conditions = read.conditions or _Conditions()
    ready = conditions.ready is not False  # null: to be taken as true
    return Endpoint(
        address=read.addresses[0],
        ready=ready,
        serving=ready if conditions.serving is None else conditions.serving,
        terminating=bool(conditions.terminating),
        node=sys.intern(read.node_name or ""),
    )


def endpoints(raw: Raw) -> tuple[EndpointSlice, ...]:
    """An Endpoints of core/v1, each family of each subset as a slice.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _Endpoints, "Endpoints")
    name = namespace, own = _name(read.metadata, "Endpoints")
    slices: list[EndpointSlice] = []
    numbers = itertools.count()
    for number, subset in enumerate(read.subsets or ()):
        by_family: dict[int, list[Endpoint]] = {}
        for field, addresses, ready in (
            ("addresses", subset.addresses, True),
            ("notReadyAddresses", subset.not_ready_addresses, False),
        ):
            for index, address in enumerate(addresses or ()):
                family = _family(address.ip, "Endpoints", name, f"subsets[{number}].{field}[{index}].ip")
                by_family.setdefault(family, []).append(
                    Endpoint(address.ip, ready=ready, serving=ready, node=sys.intern(address.node_name or ""))
                )
        ports = _ports(subset.ports)
        slices += (
            EndpointSlice((namespace, f"{own}/{next(numbers)}"), own, ports, tuple(members), family)
            for family, members in sorted(by_family.items())
        )
    return tuple(slices)


def node(raw: Raw) -> Node:
    """A Node of core/v1. Its addresses are whatever a cloud calls so, host names too.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _Node, "Node")
    name = _name(read.metadata, "Node")
    written = (read.status.addresses if read.status else None) or ()
    external, internal = (
        tuple(each.address for each in written if each.type == kind) for kind in ("ExternalIP", "InternalIP")
    )
    return Node(name[1], external, internal, read.metadata.labels or {})


def pod(raw: Raw) -> Pod:
    """A Pod of core/v1.

    Raises:
        ParseError: it is none.
    """
    read = _read(raw, _Pod, "Pod")
    return Pod(_name(read.metadata, "Pod"), read.spec.node_name or "", read.spec.node_selector or {})


def _read(raw: Raw, wire: type[Wire], kind: str) -> Wire:
    try:
        return msgspec.convert(raw, wire) if isinstance(raw, Mapping) else msgspec.json.decode(raw, type=wire)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        # Such as "Expected `str`, got `int` - at `$.metadata.name`".
        problem, _, place = str(error).partition(" - at `")
        field = re.sub(r"^\$\.?|`$", "", place)
        raise ParseError(_find_name(raw, kind), field or "all of it", problem) from error


def _find_name(raw: Raw, kind: str) -> str:
    """What can be said of an object that cannot be read."""
    try:
        metadata = (
            msgspec.convert(raw, _Named) if isinstance(raw, Mapping) else msgspec.json.decode(raw, type=_Named)
        ).metadata
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return kind
    return _in_words(kind, (metadata.namespace or "", metadata.name or ""))


def _name(metadata: Metadata, kind: str) -> Name:
    if not metadata.name:
        raise ParseError(kind, "metadata.name", "missing")
    return metadata.namespace or "", metadata.name


def _in_words(kind: str, name: Name) -> str:
    return f"{kind} {'/'.join(part for part in name if part)}".rstrip()


def _family(address: str, kind: str, name: Name, field: str) -> int:
    try:
        return ip_address(address).version
    except ValueError as error:
        raise ParseError(_in_words(kind, name), field, f"{address!r} is no IP address") from error


def _ports(read: Iterable[_EndpointPort] | None) -> tuple[EndpointPort, ...]:
    """Those with a number: without one it is not said where to connect to."""
    return tuple(
        EndpointPort(port.port, port.protocol or "TCP", port.name or "") for port in read or () if port.port is not None
    )
