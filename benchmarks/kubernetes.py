"""A node agent that lists many EndpointSlices while its router advertises: on a real kube-apiserver.

    python -m benchmarks.kubernetes [--slices N] [--runs N] [--json]

The agent is MASTER at advert_int 0.01. What it has read of the cluster expires, so that it has to list everything
again; the adverts that the link sees meanwhile are compared with those just before. Without `realtime_priority`, and on
the processors that the API server uses as well.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.failover.scale import lateness
from benchmarks.figures import REPORT_ONLY, Figure, table
from benchmarks.peers import MASTER
from tests.kube import manifests
from tests.kube.binary import KUBE_APISERVER
from tests.kube.nodes import VIP, Agent, Gateway, Nodes
from tests.kube.server import ApiServer
from tests.peers import Network
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Lan

ADVERT_INT: Final = 0.01
ENDPOINTS: Final = 10
"""Of each slice."""
SLICES_OF_A_SERVICE: Final = 100
NAMESPACE: Final = "bench"
TIMEOUT: Final = 120.0
QUIET: Final = 5.0
"""Seconds of adverting before the list, to compare with."""


def measure(slices: int, runs: int) -> list[Figure]:
    """All figures.

    Args:
        slices: how many there are.
        runs: how often they are listed.

    Raises:
        RuntimeError: there is no kube-apiserver; the message says how to come by one.
        TimeoutError: the agent does not do what it should.
    """
    if KUBE_APISERVER.find() is None:
        raise RuntimeError(f"the list of EndpointSlices needs {KUBE_APISERVER.how}")
    what = f"{slices} slices of {ENDPOINTS} endpoints"
    quiet = Figure(f"{what}: worst lateness of an advert in 5 s before", "ms", REPORT_ONLY)
    during = Figure(f"{what}: worst lateness of an advert from its return to the new list", "ms", REPORT_ONLY)
    took = Figure(f"{what}: from the API server's return to the new list", "s", REPORT_ONLY)
    processor = Figure(f"{what}: processor time of all its processes for that", "s", REPORT_ONLY)
    memory = Figure(f"{what}: resident set of all its processes", "MB", REPORT_ONLY)
    with ApiServer() as api, Gateway(api) as gateway, Lan() as lan, tempfile.TemporaryDirectory() as directory:
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        token = api.account(NAMESPACE, "vrrpd", *manifests.RIGHTS)
        nodes = Nodes(Network(lan, Path(directory)), api, gateway, NAMESPACE, api.kubeconfig(token))
        for number in range(slices):
            _add(api, number)
        nodes.vips(**{VIP: ""})
        host = nodes.node("node")
        agent = nodes.agent(host, f"--advert-int={ADVERT_INT}")
        agent.start()
        agent.wait_until(MASTER, TIMEOUT)
        for run in range(runs):
            _wait(agent, lambda: _known(agent) >= slices + run)  # noqa: B023
            with Capture(lan) as capture:
                time.sleep(QUIET)
                known = _known(agent)  # with the API server's own
                gateway.close(host)
                with api.unseen():  # a server that has been running would know what has changed, and not say 410
                    _add(api, slices + run)
                    api.compact()
                api.start()
                time.sleep(QUIET)
                used, began = agent.cpu_seconds, time.monotonic()
                gateway.open(host)
                _wait(agent, lambda: _known(agent) > known)  # noqa: B023
                ended = time.monotonic()
                processor.vrrpd.add(agent.cpu_seconds - used)
            took.vrrpd.add(ended - began)
            memory.vrrpd.add(agent.rss / 1e6)
            frames = capture.adverts()
            before = [one for one in frames if began - QUIET <= one.time < began]
            quiet.vrrpd.add(max(lateness(before, ADVERT_INT), default=0.0))
            during.vrrpd.add(max(lateness([one for one in frames if one.time >= began], ADVERT_INT), default=0.0))
        agent.stop()
    return [quiet, during, took, processor, memory]


def _add(api: ApiServer, number: int) -> None:
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    addresses = [f"198.51.100.{last}" for last in range(1, ENDPOINTS + 1)]
    service = f"service-{number // SLICES_OF_A_SERVICE}"
    api.request("POST", path, manifests.endpoint_slice(f"slice-{number}", service, *addresses))


def _known(agent: Agent) -> int:
    """How many slices it knows of."""
    resources: list[dict[str, Any]] = agent.status()["kubernetes"]["resources"]
    return sum(int(one["objects"]) for one in resources if str(one["resource"]).startswith("endpointslices"))


def _wait(agent: Agent, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(agent.log[-2000:])
        time.sleep(0.2)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="every run, for machines")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.slices, arguments.runs)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([figure.as_dict() for figure in figures], indent=2) if arguments.json else table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
