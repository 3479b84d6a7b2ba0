"""Objects as a user or a controller would write them."""

from collections.abc import Sequence
from typing import Any, Final

READ: Final = ["get", "list", "watch"]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": {"vrrpd.io/scheduler": "rr", "example.org/other": "x"}},
        "spec": {"ports": [{"name": "http", "port": 80}], **spec},
    }


def endpoint_slice(name: str, of: str, *addresses: str, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv6" if ":" in "".join(addresses) else "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


def endpoints(name: str, *addresses: str, not_ready: Sequence[str] = ()) -> dict[str, Any]:
    subset = {
        "addresses": [{"ip": address, "nodeName": "n1"} for address in addresses],
        "notReadyAddresses": [{"ip": address} for address in not_ready],
        "ports": [{"name": "http", "port": 8080}],
    }
    return {"metadata": {"name": name}, "subsets": [subset]}


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def rule(group: str, *resources: str, verbs: Sequence[str] = READ) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


NARROW: Final = rule("", "pods", "nodes", "endpoints", "services", "configmaps")
"""All that kube-keepalived-vip's ClusterRole grants."""
SLICES: Final = rule("discovery.k8s.io", "endpointslices")
RIGHTS: Final = (
    rule("", "nodes", "services", "endpoints"),
    SLICES,
    {**rule("", "configmaps"), "resourceNames": ["vip-configmap"]},
    rule("", "events", verbs=["create", "patch"]),
)
"""All that the agent asks for."""
