"""The virtual servers of one entry: one for each port of its service, with the service's endpoints as real servers.

As kube-keepalived-vip has them: wlc, 30 minutes of persistence, TCP checks. Unlike there, a service without endpoints
keeps its virtual servers, so that clients are refused at once rather than left waiting.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.agent.grammar import Entry, read_method
from vrrpd.agent.objects import Endpoint, EndpointSlice, Service, ServicePort
from vrrpd.agent.problems import Problem
from vrrpd.config.kinds import whole
from vrrpd.config.problems import Refused, shown
from vrrpd.config.proxied import SCHEDULERS
from vrrpd.config.service_kinds import host
from vrrpd.config.services import Masquerade, RealServerSettings, TcpCheck, VirtualServerSettings
from vrrpd.ipvs.model import Flag, Method, Protocol, ProxyProtocol, Scheduler, ServiceAddress
from vrrpd.protocol.advert import IPAddress

T = TypeVar("T")

SCHEDULER = "vrrpd.io/scheduler"
METHOD = "vrrpd.io/method"
PERSISTENCE_TIMEOUT = "vrrpd.io/persistence-timeout"
PROXY_PROTOCOL = "vrrpd.io/proxy-protocol"
_ANNOTATIONS = (SCHEDULER, METHOD, PERSISTENCE_TIMEOUT, PROXY_PROTOCOL)

_PERSISTENCE = 1800
"""Seconds, as kube-keepalived-vip always has. `sessionAffinity: None` says nothing against it: it is the default."""
_PERSISTENCE_MAX = 31 * 86400
_CHECK = TcpCheck(connect_timeout=3.0, delay_loop=5.0)
_PORT_MAX = 65535


class Served(Struct, frozen=True):
    """Who is served at a virtual address."""

    virtual_servers: tuple[VirtualServerSettings, ...]
    problems: tuple[Problem, ...] = ()


class _Wishes(Struct, frozen=True):
    """How the service wants its connections shared out."""

    method: Method
    scheduler: Scheduler
    persistence: int
    proxy_protocol: ProxyProtocol


def serve(entry: Entry, service: Service, slices: tuple[EndpointSlice, ...], node: str, weight_without: int) -> Served:
    """The virtual servers of a service at a virtual address.

    Args:
        entry: it names the service.
        service: the service.
        slices: its endpoints.
        node: this node's name; those of a `local` service must be here.
        weight_without: what a `local` service without endpoints here adds to the priority; negative.
    """
    return _Serving(entry, service, slices, node, weight_without).serve()


class _Serving:
    def __init__(
        self, entry: Entry, service: Service, slices: tuple[EndpointSlice, ...], node: str, weight_without: int
    ) -> None:
        self._entry = entry
        self._service = service
        self._slices = slices
        self._node = node
        self._weight_without = weight_without
        self._where = f"Service {'/'.join(service.name)}"
        self._problems: list[Problem] = []

    def serve(self) -> Served:
        wishes = self._wishes()
        for unknown in sorted(self._service.annotations.keys() - {*_ANNOTATIONS}):
            self._report(unknown, Refused("there is no such annotation", f"use {', '.join(_ANNOTATIONS)}"))
        found: dict[ServiceAddress, VirtualServerSettings] = {}
        for port in self._service.ports:
            try:
                key = _key(port, self._entry.address, wishes.method)
                if key in found:
                    raise Refused("the service has it twice", "remove one of them")
                found[key] = self._virtual_server(port, key, wishes)
            except Refused as refused:
                self._report(f"port {port.port}", refused)
        if self._service.named:
            wrong = "it is of type ExternalName, a name without endpoints: nobody is served"
            self._report("", Refused(wrong, "name a service with endpoints, or have this one be of type ClusterIP"))
        elif not self._service.ports:
            self._report("", Refused("it has no ports, so that nobody is served", "add ports to it"))
        self._miss_family()
        return Served(tuple(found.values()), tuple(self._problems))

    def _report(self, key: str, refused: Refused) -> None:
        self._problems.append(Problem(self._where, key, refused.wrong, refused.remedy))

    def _wishes(self) -> _Wishes:
        affinity = self._service.session_affinity
        persistence = min(affinity, _PERSISTENCE_MAX) if affinity > 0 else _PERSISTENCE
        method = self._entry.method
        wishes = _Wishes(
            self._annotated(METHOD, read_method, Method.NAT) if method is None else method,
            self._annotated(SCHEDULER, _scheduler, Scheduler.WLC),
            self._annotated(PERSISTENCE_TIMEOUT, _seconds, persistence),
            self._annotated(PROXY_PROTOCOL, _proxy_protocol, ProxyProtocol.V1),
        )
        return self._as_a_proxy_can(wishes) if wishes.method is Method.PROXY else wishes

    def _as_a_proxy_can(self, wishes: _Wishes) -> _Wishes:
        scheduler = wishes.scheduler
        if scheduler not in SCHEDULERS:
            remedy = f"use one of {', '.join(SCHEDULERS)}"
            self._report(SCHEDULER, Refused(f"the proxy does not do {scheduler}: it stays wlc", remedy))
            scheduler = Scheduler.WLC
        asked = PERSISTENCE_TIMEOUT in self._service.annotations and wishes.persistence
        if asked or self._service.session_affinity > 0:
            where = PERSISTENCE_TIMEOUT if asked else "sessionAffinity"
            wrong = "the proxy has no persistence: each connection goes where there is least to do"
            self._report(where, Refused(wrong, "remove it, or use NAT"))
        return replace(wishes, scheduler=scheduler, persistence=0)

    def _annotated(self, key: str, read: Callable[[str], T], default: T) -> T:
        if key not in self._service.annotations:
            return default
        try:
            return read(self._service.annotations[key].strip())
        except Refused as refused:
            self._report(key, refused)
            return default

    def _virtual_server(self, port: ServicePort, key: ServiceAddress, wishes: _Wishes) -> VirtualServerSettings:
        local = self._service.local
        return VirtualServerSettings(
            name=str(key),
            keys=(key,),
            real_servers=self._real_servers(port, key, wishes.method),
            protocol=key.protocol,
            scheduler=wishes.scheduler,
            method=wishes.method,
            proxy_protocol=wishes.proxy_protocol,
            flags=Flag.PERSISTENT if wishes.persistence else Flag(0),
            persistence_timeout=wishes.persistence,
            vrrp_weight=self._weight_without if local else 0,
            masquerade=Masquerade.NEVER if local else Masquerade.AUTO,
        )

    def _real_servers(self, port: ServicePort, key: ServiceAddress, method: Method) -> tuple[RealServerSettings, ...]:
        """Those that are there or going. One that is in two slices for a while has the better of its states."""
        weights: dict[tuple[IPAddress, int], int] = {}
        mapped: set[int] = set()
        for address, target, weight in self._targets(port):
            if not method.maps_ports and target != port.port:
                mapped.add(target)
            elif method is Method.PROXY and (address, target) == (key.address, key.port):
                wrong = f"an endpoint is {address} port {target} itself, which the proxy serves: it gets nothing"
                self._report(f"port {port.port}", Refused(wrong, "use another address or port"))
            else:
                weights[address, target] = max(weight, weights.get((address, target), 0))
        if mapped:
            targets = ", ".join(map(str, sorted(mapped)))
            wrong = f"{method.name} cannot map it to {targets}, where endpoints listen: they get nothing"
            remedy = f"make targetPort {port.port}, or use NAT"
            self._report(f"port {port.port}", Refused(wrong, remedy))
        checks = (_CHECK,) if key.protocol is Protocol.TCP else ()
        return tuple(
            RealServerSettings(address, target, method, weight, checks=checks)
            for (address, target), weight in sorted(weights.items())
        )

    def _targets(self, port: ServicePort) -> Iterator[tuple[IPAddress, int, int]]:
        """Address, port and weight. The endpoints' port is the one with the name and the protocol of the service's."""
        for each in self._slices:
            if each.family != self._entry.address.version:
                continue
            target = next((own.port for own in each.ports if (own.name, own.protocol) == (port.name, port.protocol)), 0)
            if not 1 <= target <= _PORT_MAX:
                continue
            for endpoint in each.endpoints:
                weight = self._weight(endpoint)
                address = _address(endpoint, each.family)
                if weight is not None and address is not None:
                    yield address, target, weight

    def _weight(self, endpoint: Endpoint) -> int | None:
        """None: it gets nothing, and has nothing to end."""
        if self._service.local and endpoint.node != self._node:
            return None
        if endpoint.ready:
            return 1
        return 0 if endpoint.terminating and endpoint.serving else None

    def _miss_family(self) -> None:
        version = self._entry.address.version
        if any(each.endpoints for each in self._slices) and all(each.family != version for each in self._slices):
            wrong = f"{self._entry.address} is IPv{version}, and it has no endpoints of that family"
            self._report("", Refused(wrong, f"give it ipFamilyPolicy PreferDualStack, or an IPv{10 - version} address"))


def _key(port: ServicePort, address: IPAddress, method: Method) -> ServiceAddress:
    if port.protocol not in Protocol.__members__:
        raise Refused(f"{shown(port.protocol)} cannot be balanced", "use TCP, UDP or SCTP")
    if method is Method.PROXY and port.protocol != Protocol.TCP.name:
        raise Refused(
            f"PROXY is for TCP, and it is {port.protocol}: nobody is served", "use NAT, or an entry of its own"
        )
    if method is Method.PROXY and address.is_link_local:
        raise Refused(f"the proxy cannot listen at {address}, which is link-local: nobody is served", "use NAT")
    if not 1 <= port.port <= _PORT_MAX:
        raise Refused("it is out of range", f"use 1-{_PORT_MAX}")
    return ServiceAddress(Protocol[port.protocol], address, port.port)


def _address(endpoint: Endpoint, family: int) -> IPAddress | None:
    try:
        address = host(endpoint.address)
    except Refused:  # host names, of slices whose addressType is FQDN
        return None
    return address if address.version == family else None


def _scheduler(written: str) -> Scheduler:
    if written not in {*Scheduler}:
        raise Refused(f"{shown(written)} is no scheduler: it stays wlc", f"use one of {', '.join(Scheduler)}")
    return Scheduler(written)


def _proxy_protocol(written: str) -> ProxyProtocol:
    if written not in {*ProxyProtocol}:
        raise Refused(f"{shown(written)} is no version: it stays v1", "use v1 or v2")
    return ProxyProtocol(written)


def _seconds(written: str) -> int:
    remedy = f"use seconds, 0-{_PERSISTENCE_MAX}; 0: each connection goes where there is least to do"
    if not (written.isascii() and written.isdigit() and len(written) <= 10):
        raise Refused(f"{shown(written)} is no number of seconds", remedy)
    try:
        return whole(0, _PERSISTENCE_MAX)(int(written))
    except Refused as refused:
        raise Refused(refused.wrong, remedy) from None
