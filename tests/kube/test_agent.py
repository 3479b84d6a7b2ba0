"""`vrrpd agent` on the nodes of a cluster with a real API server: what a user sees of it."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.kube import manifests
from tests.kube.conftest import Rights, WithRights
from tests.kube.nodes import ROUTER, VIP, Agent, Nodes, OldNode, one_master, start_alone
from tests.peers import DEADLINE, eventually, wait_served_by
from vrrpd.agent.watcher import WINDOW
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober
from vrrpd.supervisor.control import ask

pytestmark = [pytest.mark.kube, pytest.mark.namespaces]

OTHER = "192.0.2.101"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


def asked(agent: Agent, page: str) -> str:
    """What the agent answers by HTTP; empty: nothing."""

    def ask_it() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:8080{page}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    return agent.host.call(ask_it)


def test_the_tutorial(tutorial: Nodes) -> None:
    nodes = tutorial
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02", "bs-03", flags=())
    client = nodes.network.lan.host("client")
    with Prober(client, VIP) as prober:
        master = one_master(agents)
        wait_served_by(prober, master)
        for agent in agents:
            eventually(lambda agent=agent: asked(agent, "/health") == "OK", "it is well")  # type: ignore[misc]
        master.kill()
        rest = [agent for agent in agents if agent is not master]
        wait_served_by(prober, one_master(rest))
    priorities = [agent.status()["routers"][0]["priority"] for agent in rest]
    assert priorities == [100 + agents.index(agent) for agent in rest]
    for agent in rest:
        assert "(vips) Entering BACKUP STATE" in agent.log
        assert "may not list endpointslices.discovery.k8s.io" in agent.log
        assert 'resources: ["endpointslices"]' in agent.log
        assert 'resources: ["events"]' in agent.log


def test_who_makes_nothing_of_the_cluster_is_not_ready_and_who_has_nothing_to_hold_is(tutorial: Nodes) -> None:
    nodes = tutorial
    nodes.vips()
    agent = nodes.agent(nodes.node("bs-01"))
    elsewhere = {"status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.1"}]}}
    nodes.api.request("PATCH", "/api/v1/nodes/bs-01/status", elsewhere)
    agent.start()
    wrong = "Node bs-01: no interface of this host has its address; name one: --iface"
    eventually(lambda: asked(agent, "/ready") == wrong, "it is not ready")
    own = [{"type": "InternalIP", "address": str(each.ip)} for each in agent.host.addresses()]
    nodes.api.request("PATCH", "/api/v1/nodes/bs-01/status", {"status": {"addresses": own}})
    eventually(lambda: asked(agent, "/ready") == "OK", "it is ready")


def test_a_service_and_its_endpoints_become_a_virtual_server_that_follows_them(nodes: Nodes) -> None:
    api, namespace = nodes.api, nodes.namespace
    api.apply(f"{nodes.core}/services", manifests.service("web"))
    api.apply(SLICE.format(namespace), manifests.endpoint_slice("web-1", "web", "198.51.100.1"))
    nodes.vips(**{VIP: "", OTHER: f"{namespace}/web:DR"})
    agent = start_alone(nodes)
    before = agent.status()["routers"][0]["counters"]
    eventually(lambda: f'address = "{OTHER}"' in agent.shown(), "the virtual server")
    # DR cannot map the port.
    wrong = "port 80: DR cannot map it to 8080"
    eventually(lambda: wrong in agent.log, "it is told")
    nodes.vips(**{VIP: "", OTHER: f"{namespace}/web"})
    eventually(lambda: 'address = "198.51.100.1"' in agent.shown(), "its endpoint")
    api.apply(SLICE.format(namespace), manifests.endpoint_slice("web-1", "web", "198.51.100.2", "198.51.100.3"))
    eventually(lambda: '"198.51.100.1"' not in agent.shown() and '"198.51.100.3"' in agent.shown(), "its endpoints")
    after = agent.status()["routers"][0]["counters"]
    assert after["transitions"] == before["transitions"]
    if not Path("/proc/net/ip_vs").exists():
        assert "no IPVS" in agent.status()["ipvs"]["errors"][0]
        eventually(lambda: any("no IPVS" in each["message"] for each in nodes.events()), "an Event says so")
    assert "Entering" not in agent.log.partition("MASTER STATE")[2]


def test_a_burst_of_changes_is_applied_once_a_window(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes)
    begun, seen = time.monotonic(), len(agent.log)
    for number in range(1, 101):
        nodes.api.request("PATCH", f"{nodes.core}/configmaps/vip-configmap", {"data": {f"203.0.113.{number}": ""}})
    eventually(lambda: agent.host.has_address("203.0.113.100"), "the last address")
    took = time.monotonic() - begun
    applied = agent.log[seen:].count(f"ConfigMap {nodes.config_map}: changed vips")
    assert 1 < applied <= took / WINDOW + 1


def test_nodes_fail_over_while_there_is_no_api_server_and_follow_it_when_it_is_back(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02", "bs-03")
    client = nodes.network.lan.host("client")
    with Prober(client, VIP) as prober:
        master = one_master(agents)
        wait_served_by(prober, master)
        with nodes.api.unseen():
            master.kill()
            rest = [agent for agent in agents if agent is not master]
            second = one_master(rest)
            wait_served_by(prober, second)
            # It comes back with everything changed.
            nodes.vips(**{OTHER: ""})
            nodes.api.request("DELETE", f"/api/v1/nodes/{master.host.name}")
        nodes.api.start()
        eventually(lambda: second.host.has_address(OTHER), "the new address")
        eventually(lambda: not second.host.has_address(VIP), "the old one is gone")
    names = sorted(agent.host.name for agent in rest)
    eventually(
        lambda: (
            [agent.status()["routers"][0]["priority"] for agent in rest]
            == [100 + names.index(agent.host.name) for agent in rest]
        ),
        "the places of those that are left",
    )


def test_an_agent_that_starts_without_an_api_server_goes_on_with_the_last_configuration(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes)
    eventually(agent.last_configuration.exists, "it is kept")
    agent.stop()
    assert not agent.host.has_address(VIP)
    nodes.gateway.close(agent.host)
    agent.start()
    agent.wait_until("MASTER", DEADLINE)
    nodes.vips(**{OTHER: ""})
    nodes.gateway.open(agent.host)
    eventually(lambda: agent.host.has_address(OTHER), "what has changed meanwhile")
    # What others are to be is no concern of an agent with another ConfigMap, or another VRID.
    agent.stop()
    nodes.gateway.close(agent.host)
    other = nodes.agent(agent.host, "--vrid=51")
    other.start()
    eventually(lambda: other.control_socket.exists() and "routers" in other.status(), "it answers")
    assert other.status()["routers"] == []


def test_without_multicast_the_peers_are_the_nodes_and_follow_them(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    flags = ("--advert-int=0.1", "--use-unicast")
    with Capture(nodes.network.lan) as capture:
        agents = nodes.agents("bs-01", "bs-02", flags=flags)
        master = one_master(agents)
        agents += nodes.agents("bs-03", flags=flags)
        assert one_master(agents) is master
        assert "bs-03 is MASTER" not in str(nodes.events())
        master.kill()
        rest = [agent for agent in agents if agent is not master]
        one_master(rest)
    # The switch floods what is multicast, and knows where the rest is to go.
    assert not [advert for advert in capture.adverts(50) if advert.destination_mac.startswith("01:")]
    nodes.api.request("DELETE", f"/api/v1/nodes/{master.host.name}")
    (other,) = {str(each.ip) for each in rest[1].host.addresses() if each.version == 4} - {VIP}
    eventually(lambda: f'unicast_peer = ["{other}"]' in rest[0].shown(), "the node that is left is the only peer")


def test_a_config_map_that_is_deleted_takes_its_addresses_along_and_says_so(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02")
    master = one_master(agents)
    nodes.api.request("DELETE", f"{nodes.core}/configmaps/vip-configmap")
    for agent in agents:
        eventually(lambda agent=agent: not agent.status()["routers"], "no router is left")  # type: ignore[misc]
    assert not master.host.has_address(VIP)
    for agent in agents:
        assert f"ERROR ConfigMap {nodes.config_map}: there is none: no address is held; create it" in agent.log
    nodes.vips(**{VIP: ""})
    assert one_master(agents).host.has_address(VIP)


def test_what_is_wrong_is_in_the_log_and_in_events_and_the_rest_goes_on(nodes: Nodes) -> None:
    nodes.vips(**{VIP: "", "192.0.2.999": "", OTHER: "nonsense", "192.0.2.102": f"{nodes.namespace}/none"})
    agents = nodes.agents("bs-01", "bs-02")
    master = one_master(agents)
    assert [vip["address"] for vip in master.status()["routers"][0]["vips"]] == [f"{VIP}/32", "192.0.2.102/32"]
    wrong = ('192.0.2.999: "192.0.2.999" is not an IP address', f'{OTHER}: "nonsense" names no service')
    missing = f"192.0.2.102: there is no service {nodes.namespace}/none"
    for agent in agents:
        assert all(f"ConfigMap {nodes.config_map}: {each}" in agent.log for each in (*wrong, missing))

    def said() -> set[str]:
        return {f"{each['type']} {each['reason']} {each['message'].partition(';')[0]}" for each in nodes.events()}

    expected = {f"Warning InvalidEntry ConfigMap {nodes.config_map}: {each}" for each in wrong}
    eventually(lambda: expected <= said(), "the Events of what is wrong")
    priority = master.status()["routers"][0]["priority"]
    expected = {
        f"Normal Master node {master.host.name}: vips is MASTER, priority {priority}: no master was heard",
        "Normal Backup node bs-01: vips is BACKUP, priority 100: startup",
    }
    eventually(lambda: expected <= said(), f"the Events of states: {said()}")
    # One Event for what both say, counted.
    entry = [each for each in nodes.events() if "192.0.2.999" in each["message"]]
    eventually(lambda: [each["count"] for each in nodes.events() if "192.0.2.999" in each["message"]] == [2], "count")
    assert entry[0]["involvedObject"]["name"] == "vip-configmap"
    assert any("192.0.2.999" in problem for problem in master.status()["kubernetes"]["problems"])


def test_what_of_services_cannot_be_served_is_told(nodes: Nodes) -> None:
    api, namespace = nodes.api, nodes.namespace
    made = api.apply(f"{nodes.core}/services", manifests.service("web", ipFamilyPolicy="PreferDualStack"))
    cluster_ip, cluster_ip6 = made["spec"]["clusterIPs"]
    api.apply(f"{nodes.core}/services", manifests.service("name", type="ExternalName", externalName="example.com"))
    nodes.vips(**{VIP: f"{namespace}/name", cluster_ip: f"{namespace}/web", cluster_ip6.replace(":", "-"): ""})
    binary = {"binaryData": {OTHER: "AA=="}}
    api.request("PATCH", f"{nodes.core}/configmaps/vip-configmap", binary)
    agent = start_alone(nodes, "--use-unicast")
    where = f"ConfigMap {nodes.config_map}"
    for told in (
        f"{where}: {cluster_ip}: it is the cluster IP of service {namespace}/web",
        f"{where}: {cluster_ip6.replace(':', '-')}: it is the cluster IP of service {namespace}/web",
        f"{where}: {OTHER}: it is in binaryData",
        f"Service {namespace}/name: it is of type ExternalName",
        "Node bs-01: no other node that takes part has an IPv4 address: adverts go to the multicast group",
    ):
        eventually(lambda told=told: told in agent.log, told)  # type: ignore[misc]
        eventually(lambda told=told: any(told in each["message"] for each in nodes.events()), told)  # type: ignore[misc]
    assert agent.host.has_address(VIP)
    assert agent.host.has_address(cluster_ip)
    assert agent.host.has_address(cluster_ip6)


@pytest.mark.parametrize(
    ("rules", "resource"),
    [
        ((manifests.rule("", "services", "endpoints", "configmaps"),), "nodes"),
        ((manifests.rule("", "nodes", "services", "endpoints"),), "configmaps"),
        ((manifests.rule("", "nodes", "endpoints", "configmaps"),), "services"),
    ],
    ids=["nodes", "configmaps", "services"],
)
def test_a_right_that_is_missing_is_named_and_needs_no_restart_when_it_is_granted(
    with_rights: WithRights, rules: tuple[Rights], resource: str
) -> None:
    nodes = with_rights(*rules, manifests.SLICES)
    nodes.vips(**{VIP: ""})
    agent = nodes.agent(nodes.node("bs-01"), "--advert-int=0.05")
    agent.start()
    rule = f'{{apiGroups: [""], resources: ["{resource}"], verbs: ["get", "list", "watch"]}}'
    account = f'User "system:serviceaccount:{nodes.namespace}:vrrpd"'
    told = f"{account} may not list {resource}: needs this rule of a ClusterRole: {rule}"
    eventually(lambda: told in agent.log, "the rule")
    assert agent.status()["routers"] == []
    with_rights(*rules, manifests.rule("", resource), manifests.SLICES)
    agent.wait_until("MASTER", 2 * DEADLINE)


def test_the_node_is_the_pods_own_and_the_pods_selector_says_who_takes_part(tutorial: Nodes) -> None:
    nodes = tutorial
    nodes.vips(**{VIP: ""})
    nodes.api.apply("/api/v1/nodes", manifests.node("aa-other"))
    host = nodes.node("bs-01", vip="yes")
    nodes.node("bs-00", vip="no")
    container = {"name": "vrrpd", "image": "vrrpd"}
    account = {"serviceAccountName": "vrrpd", "automountServiceAccountToken": False}
    spec = {"containers": [container], "nodeSelector": {"vip": "yes"}, "nodeName": "bs-01", **account}
    nodes.api.request("POST", f"{nodes.core}/pods", {"metadata": {"name": "vrrpd-1"}, "spec": spec})
    environment = {"POD_NAME": "vrrpd-1", "POD_NAMESPACE": nodes.namespace}
    agent = nodes.agent(host, "--advert-int=0.05", environment=environment)
    agent.start()
    agent.wait_until("MASTER", DEADLINE)
    status = agent.status()
    assert status["kubernetes"]["node"] == "bs-01"
    assert status["routers"][0]["priority"] == 100


def test_in_spread_mode_each_address_has_a_router_and_an_excluded_node_hands_its_own_over(nodes: Nodes) -> None:
    nodes.vips(**{VIP: "", OTHER: "", "2001-db8--100": ""})
    agents = nodes.agents("bs-01", "bs-02", flags=("--advert-int=0.1", "--spread=60-69"))
    routers = 3

    def holders() -> dict[str, str]:
        return {
            router["name"]: agent.host.name
            for agent in agents
            for router in agent.glance_at_all().get("routers", ())
            if router["state"] == "MASTER"
        }

    eventually(lambda: len(holders()) == routers, "each has a master")
    eventually(lambda: all(len(agent.status()["routers"]) == routers for agent in agents), "both take part")
    assert {name.partition("-")[0] for name in holders()} == {"vips", "vips6"}
    label = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    nodes.api.request("PATCH", "/api/v1/nodes/bs-01", {"metadata": {"labels": label}})
    eventually(lambda: not agents[0].status()["routers"], "the excluded node has none")
    eventually(lambda: [*holders().values()] == ["bs-02"] * routers, "the other has all")
    assert agents[1].host.has_address("2001:db8::100")


def test_a_watcher_that_dies_or_hangs_changes_nothing_and_another_goes_on(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes)
    before = agent.status()
    os.kill(before["processes"]["watcher"], signal.SIGKILL)
    agent.wait_for_another_watcher(before["processes"]["watcher"])
    nodes.vips(**{VIP: "", OTHER: ""})
    eventually(lambda: agent.host.has_address(OTHER), "the other address")
    after = agent.status()
    assert after["routers"][0]["last_transition"] == before["routers"][0]["last_transition"]
    os.kill(after["processes"]["watcher"], signal.SIGSTOP)
    status = agent.status()
    assert status["kubernetes"] == {"problems": ["the watcher does not answer: it is busy, hangs, or starts"]}
    assert agent.stop() == 0
    assert not agent.host.has_address(VIP)


def test_a_watcher_ends_with_a_supervisor_that_is_killed(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes)
    processes = agent.status()["processes"]
    os.kill(processes["supervisor"], signal.SIGKILL)

    def has_ended() -> bool:
        status = Path(f"/proc/{processes['watcher']}/status")
        return not status.exists() or "State:\tZ" in status.read_text(encoding="utf-8")

    eventually(has_ended, "the watcher ends")
    eventually(lambda: not agent.host.has_address(VIP), "the speaker resigns")


def test_old_and_new_share_a_virtual_router_while_nodes_move(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02")
    second = one_master(agents)
    (first,) = [agent for agent in agents if agent is not second]
    shown = first.shown("keepalived")
    first.stop()
    keepalived = nodes.network.add(OldNode, "keepalived", [ROUTER], first.host)
    keepalived.text = shown
    keepalived.start()
    client = nodes.network.lan.host("client")
    with Prober(client, VIP) as prober:
        wait_served_by(prober, second)
        keepalived.wait_until("BACKUP", DEADLINE)
        second.stop()
        wait_served_by(prober, keepalived)
        second.start()
        second.wait_until("BACKUP", DEADLINE)
        time.sleep(4 * 0.1)  # it would have taken over by then
        assert second.state() == "BACKUP"


def test_addresses_that_are_not_to_be_released_stay_as_those_of_a_killed_agent(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes, "--release-vips=false")
    with Capture(agent.host) as capture:
        assert agent.stop() == 0
        assert agent.host.has_address(VIP)
    assert not [advert for advert in capture.adverts(50) if advert.priority == 0]
    assert not agent.pids()
    agent.start()
    agent.wait_until("MASTER", DEADLINE)


def test_a_program_is_told_of_the_states_as_kube_keepalived_vip_has_it(nodes: Nodes, tmp_path: Path) -> None:
    program, calls = tmp_path / "notify", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n', encoding="ascii")
    program.chmod(0o755)
    calls.touch()
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes, KEEPALIVED_NOTIFY=str(program))
    told = ["INSTANCE vips BACKUP 100", "INSTANCE vips MASTER 100"]
    eventually(lambda: calls.read_text(encoding="ascii").splitlines() == told, "both states are told")
    agent.stop()
    assert calls.read_text(encoding="ascii").splitlines() == [*told, "INSTANCE vips STOP 100"]


def test_the_status_for_people_says_what_is_followed_and_what_is_wrong(nodes: Nodes) -> None:
    nodes.vips(**{VIP: "", OTHER: "nonsense"})
    agent = start_alone(nodes)
    argv = [sys.executable, "-m", "vrrpd", "status", "-s", str(agent.control_socket)]
    printed = agent.host.run(argv).stdout
    assert f"ConfigMap {nodes.config_map}, node bs-01, interface eth0" in printed
    assert f'{OTHER}: "nonsense" names no service' in printed


def test_a_reload_is_told_what_to_change_instead(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agent = start_alone(nodes)
    answer = ask(agent.control_socket, "reload")
    assert not answer["ok"]
    assert f"ConfigMap {nodes.config_map}" in answer["error"]
