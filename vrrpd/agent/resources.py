"""What the agent reads from the API: where each kind is, how it is read, and what grants it."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar
from urllib.parse import quote

from msgspec import Struct

from vrrpd.agent import parse
from vrrpd.agent.objects import ConfigMap, EndpointSlice, Node, Service

Object = TypeVar("Object")


class Resource(Struct, Generic[Object], frozen=True):
    """One kind of object."""

    kind: str
    plural: str
    parse: Callable[[parse.Raw], Object]
    """Raises ParseError."""
    group: str = ""
    """The API group; "": core."""
    fallback: str = ""
    """What is read where this cannot be."""

    def path(self, namespace: str = "") -> str:
        """The collection's, in one namespace or ("") in all."""
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        return f"{root}/namespaces/{quote(namespace, safe='')}/{self.plural}" if namespace else f"{root}/{self.plural}"

    @property
    def full(self) -> str:
        """As `kubectl` names it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def rule(self) -> str:
        """That of a ClusterRole which lets the agent read it, as YAML."""
        return f'{{apiGroups: ["{self.group}"], resources: ["{self.plural}"], verbs: ["get", "list", "watch"]}}'


CONFIG_MAPS: Final = Resource[ConfigMap]("ConfigMap", "configmaps", parse.config_map)
SERVICES: Final = Resource[Service]("Service", "services", parse.service)
ENDPOINT_SLICES: Final = Resource[tuple[EndpointSlice, ...]](
    "EndpointSlice", "endpointslices", parse.endpoint_slice, group="discovery.k8s.io", fallback="Endpoints"
)
ENDPOINTS: Final = Resource[tuple[EndpointSlice, ...]]("Endpoints", "endpoints", parse.endpoints)
NODES: Final = Resource[Node]("Node", "nodes", parse.node)
