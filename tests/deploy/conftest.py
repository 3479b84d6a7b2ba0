"""One API server for all tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.kube.server import ApiServer


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    with ApiServer("127.0.0.1", "--allow-privileged=true") as server:
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": "vrrpd"}})
        yield server
