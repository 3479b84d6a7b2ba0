"""One API server for all tests of this directory."""

import zlib
from collections.abc import Callable, Iterator

import pytest

from tests.kube import manifests
from tests.kube.nodes import Gateway, Nodes
from tests.kube.server import ApiServer
from tests.peers import Network, network, pytest_runtest_makereport
from vrrpd.agent.connection import Access

__all__ = ["network", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def api_of_the_session() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def api(api_of_the_session: ApiServer) -> ApiServer:
    """The API server; without nodes, and running whatever the test before has done to it."""
    api_of_the_session.be_running()
    api_of_the_session.request("DELETE", "/api/v1/nodes")
    return api_of_the_session


@pytest.fixture
def namespace(api: ApiServer, request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    name = f"test-{zlib.crc32(request.node.nodeid.encode()):08x}"
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def admin(api: ApiServer) -> Access:
    """One who may read everything."""
    return Access(kubeconfig=str(api.kubeconfig()))


Rights = dict[str, object]
WithRights = Callable[..., Nodes]


@pytest.fixture
def with_rights(network: Network, api: ApiServer, namespace: str) -> Iterator[WithRights]:
    """Makes nodes whose agents have certain rights, and no others."""
    with Gateway(api) as gateway:

        def make(*rights: Rights) -> Nodes:
            token = api.account(namespace, "vrrpd", *rights)
            return Nodes(network, api, gateway, namespace, api.kubeconfig(token))

        yield make


@pytest.fixture
def nodes(with_rights: WithRights) -> Nodes:
    """Agents with the rights that they ask for."""
    return with_rights(*manifests.RIGHTS)


@pytest.fixture
def tutorial(with_rights: WithRights) -> Nodes:
    """Agents with the rights of kube-keepalived-vip's tutorial."""
    return with_rights(manifests.NARROW)
