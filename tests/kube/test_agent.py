"""`vrrpd agent` on the nodes of a cluster with a real API server: what a user sees of it."""

from collections.abc import Iterator

import pytest

from tests.kube import manifests
from tests.kube.nodes import VIP, Gateway, Nodes, one_master
from tests.kube.server import ApiServer
from tests.peers import Network, network, pytest_runtest_makereport, wait_served_by
from vrrpd.lan.probe import Prober

__all__ = ["network", "pytest_runtest_makereport"]

pytestmark = [pytest.mark.kube, pytest.mark.namespaces]


@pytest.fixture
def nodes(network: Network, api: ApiServer, namespace: str) -> Iterator[Nodes]:
    """Agents with the rights of the tutorial's ClusterRole, enforced."""
    token = api.account(namespace, "kube-keepalived-vip", manifests.NARROW)
    with Gateway(api) as gateway:
        yield Nodes(network, api, gateway, namespace, api.kubeconfig(token))


def test_the_tutorial(nodes: Nodes) -> None:
    nodes.vips(**{VIP: ""})
    agents = nodes.agents("bs-01", "bs-02", "bs-03")
    client = nodes.network.lan.host("client")
    with Prober(client, VIP) as prober:
        master = one_master(agents)
        wait_served_by(prober, master)
        master.kill()
        rest = [agent for agent in agents if agent is not master]
        wait_served_by(prober, one_master(rest))
    assert all("Entering BACKUP STATE" in agent.log for agent in rest)
