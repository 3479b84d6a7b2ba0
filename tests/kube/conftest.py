"""One API server for all tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.kube.server import ApiServer


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
