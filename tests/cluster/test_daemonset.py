"""deploy/ on a cluster, as a user applies it: containerd runs the image, kubelets keep it running."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cluster.machines import Cluster, Node
from tests.deploy.rendered import CHART, DEPLOY, OVERLAYS
from tests.kube.binary import HELM
from tests.peers import eventually
from vrrpd.lan.hosts import Host
from vrrpd.lan.probe import Prober
from vrrpd.web.metrics import STATES

pytestmark = pytest.mark.cluster

VIP: Final = "192.0.2.100"
VIPS: Final = {VIP: VIP, "2001-db8--100": "2001:db8::100"}
"""As a ConfigMap has them, and as hosts do."""
BOUND: Final = 3 + (256 - 100) / 256
"""Seconds until a BACKUP of priority 100 takes over from a master that was not heard since, with an advert a second."""
ENDS_WITHIN: Final = 60.0
"""Seconds for what the cluster does by itself."""
TWO_CAPABILITIES: Final = "0000000000003000"


class Agents:
    """The DaemonSet of an overlay, with an address of each family."""

    def __init__(self, cluster: Cluster, client: Host, directory: Path) -> None:
        self.cluster = cluster
        self.client = client
        self._directory = directory

    def apply(self, overlay: str) -> None:
        """As docs/deploy.md says: by a kustomization of one's own, with a component for the nodes' settings."""
        up = "../" * len(self._directory.relative_to("/").parts)
        add = json.dumps([{"op": "add", "path": f"/data/{key}", "value": ""} for key in VIPS])
        mine = {
            "resources": [f"{up}{DEPLOY}/kustomize/overlays/{overlay}"],
            "components": [f"{up}{DEPLOY}/kustomize/components/node-settings"],
            "patches": [{"target": {"kind": "ConfigMap", "name": "vips"}, "patch": add}],
        }
        (self._directory / "kustomization.yaml").write_text(json.dumps(mine), encoding="ascii")
        self.cluster.kubectl("apply", "-k", str(self._directory))
        self.wait_rolled_out()
        eventually(lambda: len(self.holders()) == 1, "one node has the address")

    def wait_rolled_out(self) -> None:
        timeout = ENDS_WITHIN * len(self.cluster.nodes)
        self.vrrpd("rollout", "status", "daemonset/vrrpd", f"--timeout={timeout}s", timeout=timeout + 10)

    def vrrpd(self, *arguments: str, **kwargs: Any) -> str:
        """What kubectl prints, asked in the agents' namespace."""
        return self.cluster.kubectl("--namespace=vrrpd", *arguments, **kwargs)

    def holders(self, address: str = VIP) -> list[Node]:
        """Nodes that have the address."""
        return [node for node in self.cluster.nodes if node.host.has_address(address)]

    def pods(self) -> dict[str, dict[str, Any]]:
        """By node."""
        found = json.loads(self.vrrpd("get", "pods", "--output=json"))["items"]
        return {pod["spec"]["nodeName"]: pod for pod in found}

    def pod_on(self, node: Node) -> str:
        return str(self.pods()[node.name]["metadata"]["name"])

    def master(self) -> Node:
        """The node that answers the client."""
        (node,) = eventually(lambda: self.holders() if len(self.holders()) == 1 else [], "one node has the address")
        return node

    def backup(self) -> Node:
        master = self.master()
        return next(node for node in self.cluster.nodes if node is not master)


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Host:
    return cluster.lan.host("client")


@pytest.fixture
def agents(cluster: Cluster, client: Host, tmp_path: Path, request: pytest.FixtureRequest) -> Agents:
    """Of an overlay, multicast unless the test is for others, and running."""
    agents = Agents(cluster, client, tmp_path)
    agents.apply(getattr(request, "param", "multicast"))
    return agents


@pytest.fixture
def prober(agents: Agents) -> Iterator[Prober]:
    """Asks the address as a client does, which is answered."""
    with Prober(agents.client, VIP, interval=0.005) as prober:
        wait_served_by(prober, agents.master())
        yield prober


def lost(prober: Prober, since: float) -> int:
    """Probes without an answer from then until now."""
    until = time.monotonic()
    prober.wait_answered(ENDS_WITHIN, since=until)
    return prober.result(since=since, until=until).lost


def wait_served_by(prober: Prober, node: Node) -> None:
    since = time.monotonic()

    def served() -> bool:
        answer = prober.latest_answered
        return answer is not None and answer.sent_at > since and answer.answered_by == node.host.mac()

    eventually(served, f"{node.name} answers the client")


@pytest.mark.parametrize("address", VIPS.values())
def test_one_node_has_the_address(agents: Agents, address: str) -> None:
    eventually(lambda: len(agents.holders(address)) == 1, address)


def test_pods_get_ready_with_two_capabilities_and_a_read_only_root(agents: Agents) -> None:
    for node in agents.cluster.nodes:
        pod = agents.pod_on(node)
        told = agents.vrrpd("exec", pod, "--", "/opt/vrrpd/bin/python", "-c", _TELL_PRIVILEGES)
        assert json.loads(told) == {
            "CapEff": TWO_CAPABILITIES,
            "CapBnd": TWO_CAPABILITIES,
            "NoNewPrivs": "1",
            "Seccomp": "2",
            "writable": ["/run/vrrpd"],
        }
        assert node.host.sysctl("net.ipv4.ip_forward") == "1"
    assert {pod["status"]["containerStatuses"][0]["restartCount"] for pod in agents.pods().values()} == {0}


_TELL_PRIVILEGES = """
import json, os, pathlib
status = dict(line.split(":\\t") for line in pathlib.Path("/proc/1/status").read_text().splitlines() if ":\\t" in line)
told = {name: status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
places = ("/", "/etc", "/opt/vrrpd", "/proc/sys/net", "/root", "/run", "/run/vrrpd", "/sys", "/tmp", "/usr/lib", "/var")
print(json.dumps(told | {"writable": [place for place in places if os.access(place, os.W_OK)]}))
"""


def test_a_user_sees_who_is_master(agents: Agents, prober: Prober) -> None:
    master, backup = agents.master(), agents.backup()
    assert prober.latest_answered
    for node, state in ((master, "MASTER"), (backup, "BACKUP")):
        pod = agents.pod_on(node)
        assert f"{state} " in agents.vrrpd("exec", pod, "--", "vrrpd", "status")
        assert f"    {VIP}" in agents.vrrpd("exec", pod, "--", "vrrpd", "show", "--format=keepalived")
        assert f"Entering {state} STATE" in agents.vrrpd("logs", pod)
        metrics = agents.vrrpd("get", "--raw", f"/api/v1/namespaces/vrrpd/pods/{pod}:8080/proxy/metrics")
        assert re.search(rf'^vrrpd_state{{.*instance="vips".*vrid="50".*}} {STATES[state]}\.0$', metrics, re.MULTILINE)
    events = agents.vrrpd("get", "events", "--field-selector=involvedObject.name=vips", "--output=name")
    assert events


def test_a_rolling_update_loses_no_probe(agents: Agents, prober: Prober) -> None:
    before = {pod["metadata"]["uid"] for pod in agents.pods().values()}
    begun = time.monotonic()
    agents.vrrpd("rollout", "restart", "daemonset/vrrpd")
    agents.wait_rolled_out()
    assert lost(prober, begun) == 0
    assert not before & {pod["metadata"]["uid"] for pod in agents.pods().values()}


def test_to_delete_the_pod_of_the_master_loses_no_probe(agents: Agents, prober: Prober) -> None:
    master, backup = agents.master(), agents.backup()
    begun = time.monotonic()
    agents.vrrpd("delete", "pod", agents.pod_on(master))
    wait_served_by(prober, backup)
    agents.wait_rolled_out()
    assert lost(prober, begun) == 0
    assert agents.holders() == [backup]


def test_another_node_takes_over_from_one_that_dies(agents: Agents, prober: Prober) -> None:
    master, backup = agents.master(), agents.backup()
    begun = time.monotonic()
    master.host.silence()
    try:
        wait_served_by(prober, backup)
        outage = prober.result(since=begun - 1, until=time.monotonic()).longest_outage()
        # The cluster itself takes a node for dead after 40 s.
        assert outage < 2 * BOUND
    finally:
        master.host.unsilence()
    eventually(lambda: len(agents.holders()) == 1, "they hear each other again")


@pytest.mark.parametrize("agents", [overlay for overlay in OVERLAYS if overlay != "multicast"], indirect=True)
def test_other_overlays_fail_over_as_well(agents: Agents, prober: Prober) -> None:
    master, backup = agents.master(), agents.backup()
    agents.vrrpd("delete", "pod", agents.pod_on(master), "--wait=false")
    wait_served_by(prober, backup)


@pytest.mark.parametrize("agents", ["spread"], indirect=True)
def test_to_delete_the_daemon_set_leaves_no_address(agents: Agents) -> None:
    agents.vrrpd("delete", "daemonset", "vrrpd", "--wait=true", "--cascade=foreground", timeout=ENDS_WITHIN)
    assert not agents.holders()
    for node in agents.cluster.nodes:
        # What the agent goes by when it starts without an API server.
        assert node.host.call(lambda: [path.name for path in Path("/run/vrrpd").iterdir()]) == ["vrrpd.sock.toml"]


@pytest.fixture
def without_agents(cluster: Cluster) -> None:
    """None runs; a node has one at most."""
    cluster.kubectl("delete", "namespace", "vrrpd", "--ignore-not-found", timeout=2 * ENDS_WITHIN)


@pytest.mark.usefixtures("without_agents")
def test_the_chart_is_installed_and_removed(cluster: Cluster, client: Host) -> None:
    helm = HELM.find()
    assert helm, HELM.how
    values = f'--set-json=addresses={{"{VIP}":""}},nodeSelector={{"kubernetes.io/hostname":"node-1"}}'
    usual = ("--namespace=edge", f"--kubeconfig={cluster.control.kubeconfig}")
    flags = ("--create-namespace", "--wait", f"--timeout={ENDS_WITHIN:.0f}s", values)
    cluster.control.host.run([str(helm), "install", "edge", str(CHART), *usual, *flags], timeout=2 * ENDS_WITHIN)
    with Prober(client, VIP) as prober:
        prober.wait_answered(ENDS_WITHIN)
    assert [node.name for node in cluster.nodes if node.host.has_address(VIP)] == ["node-1"]
    cluster.control.host.run([str(helm), "uninstall", "edge", *usual], timeout=ENDS_WITHIN)
    eventually(lambda: not any(node.host.has_address(VIP) for node in cluster.nodes), "the address goes with it")


@pytest.mark.usefixtures("without_agents")
def test_the_tutorial(cluster: Cluster, client: Host, tmp_path: Path) -> None:
    """Its objects as they are, with an address of this LAN."""
    for file in ("rbac.yaml", "vip-configmap.yaml", "vip-daemonset.yaml"):
        text = (DEPLOY / "tutorial" / file).read_text(encoding="utf-8")
        (tmp_path / file).write_text(text.replace("172.16.40.33", VIP), encoding="utf-8")
    cluster.kubectl("create", f"--filename={tmp_path}")
    cluster.kubectl("rollout", "status", "daemonset/kube-keepalived-vip", f"--timeout={ENDS_WITHIN}s", timeout=70)
    try:
        with Prober(client, VIP) as prober:
            prober.wait_answered(ENDS_WITHIN)
        pods = cluster.kubectl("get", "pods", "--selector=name=kube-keepalived-vip", "--output=name").split()
        ends = set()
        for pod in pods:
            log = cluster.kubectl("logs", pod)
            ends |= {
                state for state in ("BACKUP", "MASTER") if log.rindex("Entering") == log.rfind(f"Entering {state}")
            }
            shown = cluster.kubectl("exec", pod, "--", "vrrpd", "show", "--format=keepalived")
            assert "virtual_router_id 50\n" in shown
        assert ends == {"BACKUP", "MASTER"}
    finally:
        cluster.kubectl("delete", f"--filename={tmp_path}", "--wait=true", timeout=ENDS_WITHIN)
