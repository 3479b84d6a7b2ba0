"""One cluster of two nodes for all tests of this directory."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.cluster import pause
from tests.cluster.machines import Cluster
from tests.deploy import image


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    images = [pause.archive(directory / "pause.tar"), image.archive()]
    with Cluster(directory, images, ("node-1", "node-2")) as cluster:
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what the cluster has to say with a failure."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and cluster:
        report.sections += cluster.said()
    return report
