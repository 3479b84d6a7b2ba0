"""What changes in a cluster while agents run, on a real API server: services, their endpoints, nodes."""

import tomllib
from typing import Any

import pytest

from tests.kube import manifests
from tests.kube.nodes import VIP, Agent, Nodes, one_master, start_alone
from tests.peers import eventually

pytestmark = [pytest.mark.kube, pytest.mark.namespaces]

VIP6 = "2001:db8::100"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
WEB = {"name": "http", "port": 80}
BALANCER = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
"""What may have an externalTrafficPolicy."""


def in_force(agent: Agent, kind: str) -> list[dict[str, Any]]:
    """What of this kind the agent has made of the cluster."""
    found: list[dict[str, Any]] = tomllib.loads(agent.shown()).get(kind, [])
    return found


def servers(agent: Agent) -> dict[str, dict[str, int]]:
    """The weights of real servers, by protocol, address and port of the virtual one."""
    return {
        f"{server.get('protocol', 'TCP')} {server['address']} {server['port']}": {
            real["address"]: real.get("weight", 1) for real in server.get("real_server", ())
        }
        for server in in_force(agent, "virtual_server")
    }


def test_what_is_said_of_a_service_is_followed(nodes: Nodes) -> None:
    api = nodes.api
    web = f"{nodes.core}/services/web"
    api.apply(f"{nodes.core}/services", manifests.service("web"))
    nodes.vips(**{VIP: f"{nodes.namespace}/web"})
    agent = start_alone(nodes)
    routers = agent.status()["routers"]

    def has(**wanted: object) -> None:
        def found() -> bool:
            (server,) = in_force(agent, "virtual_server")
            return all(server.get(key) == value for key, value in wanted.items())

        eventually(found, f"{wanted}")

    has(lvs_sched="rr", persistence_timeout=1800)
    annotations = {"vrrpd.io/scheduler": "mh", "vrrpd.io/persistence-timeout": "0", "vrrpd.io/method": "dr"}
    api.request("PATCH", web, {"metadata": {"annotations": annotations}})
    has(lvs_sched="mh", persistence_timeout=None, lvs_method="DR")
    api.request("PATCH", web, {"metadata": {"annotations": {"vrrpd.io/scheduler": "nonsense"}}})
    has(lvs_sched="wlc")
    assert 'vrrpd.io/scheduler: "nonsense" is no scheduler: it stays wlc' in agent.log
    api.request("PATCH", web, {"metadata": {"annotations": dict.fromkeys(annotations)}})
    has(lvs_sched="wlc", persistence_timeout=1800, lvs_method="NAT")
    affinity = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    api.request("PATCH", web, {"spec": affinity})
    has(persistence_timeout=60)
    api.request("PATCH", web, {"spec": {"sessionAffinity": "None", "sessionAffinityConfig": None}})
    has(persistence_timeout=1800)
    assert agent.status()["routers"][0]["last_transition"] == routers[0]["last_transition"]


def test_both_families_all_protocols_and_endpoints_that_end(nodes: Nodes) -> None:
    api, slices = nodes.api, SLICES.format(nodes.namespace)
    ports = [WEB, {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "sig", "port": 90, "protocol": "SCTP"}]
    api.apply(f"{nodes.core}/services", manifests.service("web", ipFamilyPolicy="PreferDualStack", ports=ports))
    four = manifests.endpoint_slice("web-4", "web", "198.51.100.1", "198.51.100.2")
    four["ports"] += [{"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "sig", "port": 90, "protocol": "SCTP"}]
    api.apply(slices, four)
    api.apply(slices, manifests.endpoint_slice("web-6", "web", "2001:db8:1::1"))
    nodes.vips(**{VIP: f"{nodes.namespace}/web", VIP6.replace(":", "-"): f"{nodes.namespace}/web"})
    agent = start_alone(nodes)
    both = {"198.51.100.1": 1, "198.51.100.2": 1}
    expected = {f"TCP {VIP} 80": both, f"UDP {VIP} 53": both, f"SCTP {VIP} 90": both}
    expected |= {f"TCP {VIP6} 80": {"2001:db8:1::1": 1}, f"UDP {VIP6} 53": {}, f"SCTP {VIP6} 90": {}}
    eventually(lambda: servers(agent) == expected, "all virtual servers")
    four["endpoints"][0]["conditions"] = {"ready": False, "serving": True, "terminating": True}
    api.apply(slices, four)
    eventually(lambda: servers(agent)[f"UDP {VIP} 53"] == both | {"198.51.100.1": 0}, "it gets no new connections")
    four["endpoints"][0]["conditions"]["serving"] = False
    api.apply(slices, four)
    eventually(lambda: servers(agent)[f"UDP {VIP} 53"] == {"198.51.100.2": 1}, "it is gone")
    api.request("DELETE", f"{slices}/web-4")
    eventually(lambda: servers(agent)[f"UDP {VIP} 53"] == {}, "nobody is served")
    assert agent.host.has_address(VIP)


def test_the_address_goes_to_where_local_endpoints_are_and_stays_when_all_serve_again(nodes: Nodes) -> None:
    api, slices = nodes.api, SLICES.format(nodes.namespace)
    udp = {"name": "dns", "port": 53, "protocol": "UDP"}  # which is not checked
    api.apply(f"{nodes.core}/services", manifests.service("dns", ports=[udp], **BALANCER))
    nodes.vips(**{VIP: f"{nodes.namespace}/dns"})
    agents = nodes.agents("bs-01", "bs-02")
    master = one_master(agents)
    (other,) = [agent for agent in agents if agent is not master]
    there = manifests.endpoint_slice("dns-1", "dns", "198.51.100.1")
    there["ports"] = [{**udp, "port": 5353}]
    there["endpoints"][0]["nodeName"] = other.host.name
    api.apply(slices, there)
    key = f"UDP {VIP} 53"
    eventually(lambda: servers(master)[key] == servers(other)[key] == {"198.51.100.1": 1}, "both could serve")
    api.request("PATCH", f"{nodes.core}/services/dns", {"spec": {"externalTrafficPolicy": "Local"}})
    eventually(lambda: (master.state(), other.state()) == ("BACKUP", "MASTER"), "it goes to where the endpoint is")
    assert (servers(master)[key], servers(other)[key]) == ({}, {"198.51.100.1": 1})
    api.request("PATCH", f"{nodes.core}/services/dns", {"spec": {"externalTrafficPolicy": "Cluster"}})
    eventually(lambda: servers(master)[key] == {"198.51.100.1": 1}, "both could serve again")
    eventually(lambda: all(router["nopreempt"] for router in in_force(other, "vrrp_instance")), "nobody preempts")
    assert (master.state(), other.state()) == ("BACKUP", "MASTER")


def test_a_node_that_has_another_name_is_told_and_goes_on(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02")
    master = one_master(agents)
    before = master.status()["routers"][0]
    nodes.api.request("DELETE", f"/api/v1/nodes/{master.host.name}")
    told = f"Node {master.host.name}: there is no such node any more: its priority is the lowest"
    eventually(lambda: told in master.log, "it is told")
    eventually(lambda: any(told in each["message"] for each in nodes.events()), "an Event says so")
    after = master.status()["routers"][0]
    assert (after["state"], after["last_transition"]) == ("MASTER", before["last_transition"])
    assert after["priority"] == 99
