"""The agent in a large cluster: a real API server with thousands of services, each with an EndpointSlice.

    python -m benchmarks.agent [--services N] [--endpoints N] [--vips N] [--runs N] [--json]

The agent lists all of them, and makes virtual servers of those that the ConfigMap names. Measured are the time from its
start, and from the death of its watcher, until all is known; the time from a request that changes an endpoint until the
change is in force; and memory. How late adverts are meanwhile is for `benchmarks.kubernetes`.
"""

import argparse
import http.client
import json
import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, table
from tests.kube import manifests
from tests.kube.nodes import Agent, Gateway, Nodes
from tests.kube.server import ADMIN, ApiServer
from tests.peers import Network
from vrrpd.lan.hosts import Lan

TIMEOUT: Final = 300.0
CHANGES: Final = 20
WRITERS: Final = 4
NAMESPACE: Final = "benchmark"
SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


def _slice(service: int, endpoints: int, first: int = 1) -> dict[str, Any]:
    addresses = (f"10.{service >> 8}.{service & 255}.{number}" for number in range(first, first + endpoints))
    return manifests.endpoint_slice(f"s{service}-1", f"s{service}", *addresses)


def _fill(api: ApiServer, services: int, endpoints: int) -> None:
    """Create them, over a few connections."""

    def write(numbers: Iterable[int]) -> None:
        context = ssl.create_default_context(cafile=str(api.ca_file))
        connection = http.client.HTTPSConnection(api.address, api.port, timeout=60, context=context)
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        for number in numbers:
            service = manifests.service(f"s{number}", clusterIP="None")
            core = f"/api/v1/namespaces/{NAMESPACE}/services"
            for path, body in ((core, service), (SLICES, _slice(number, endpoints))):
                connection.request("POST", path, json.dumps(body), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != http.HTTPStatus.CREATED:
                    raise RuntimeError(f"{path}: {answer.status} {text.decode()}")

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, (range(first, services, WRITERS) for first in range(WRITERS))))


def _until_known(agent: Agent, servers: int) -> dict[str, Any]:
    """Wait until all virtual servers are in force and everything has been listed; the status then."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        status = agent.glance_at_all()
        cluster = status.get("kubernetes", {})
        listed = cluster.get("resources") and all(each["listed"] for each in cluster["resources"])
        if listed and len(status["virtual_servers"]) == servers:
            return status
        time.sleep(0.02)
    raise TimeoutError(agent.log)


def _applied(agent: Agent, before: int) -> float:
    """When the next configuration was in force, by the log; seconds since 1970."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        lines = [line for line in agent.log[before:].splitlines() if "virtual servers changed" in line]
        if lines:
            return datetime.fromisoformat(lines[0].split()[0]).timestamp()
        time.sleep(0.005)
    raise TimeoutError(agent.log)


def _pss(pid: int) -> float:
    """MiB of the process, what it shares counted in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of {pid}")


def measure(services: int, endpoints: int, vips: int, runs: int) -> list[Figure]:
    """All figures."""
    what = f"{services} slices of {endpoints}"
    start = Figure(f"{what}: from the agent's start to all virtual servers", "s")
    again = Figure(f"{what}: from the watcher's death to all known again", "s")
    change = Figure(f"{what}: from a request to the change in force", "ms")
    memory = Figure(f"{what}: watcher, proportional set", "MiB")
    small = Figure(f"{what}: speaker, proportional set", "MiB")
    with ApiServer() as api, Lan() as lan, Gateway(api) as gateway, tempfile.TemporaryDirectory() as scratch:
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        token = api.account(NAMESPACE, "vrrpd", *manifests.RIGHTS)
        _fill(api, services, endpoints)
        nodes = Nodes(Network(lan, Path(scratch)), api, gateway, NAMESPACE, api.kubeconfig(token))
        nodes.vips(**{f"203.0.113.{number + 1}": f"{NAMESPACE}/s{number}" for number in range(vips)})
        agent = nodes.agent(nodes.node("n1"), "--advert-int=0.01", "--http-port=0")
        for run in range(runs):
            agent.last_configuration.unlink(missing_ok=True)
            begun = time.monotonic()
            agent.start()
            status = _until_known(agent, vips)
            start.vrrpd.add(time.monotonic() - begun)
            begun = time.monotonic()
            os.kill(status["processes"]["watcher"], signal.SIGKILL)
            agent.wait_for_another_watcher(status["processes"]["watcher"])
            status = _until_known(agent, vips)
            again.vrrpd.add(time.monotonic() - begun)
            for number in range(CHANGES):
                time.sleep(0.1)  # so that no window is open
                seen, asked = len(agent.log), time.time()
                api.apply(SLICES, _slice(number % vips, endpoints, 2 + number + run))
                change.vrrpd.add((_applied(agent, seen) - asked) * 1e3)
            memory.vrrpd.add(_pss(status["processes"]["watcher"]))
            small.vrrpd.add(_pss(status["processes"]["speaker"]))
            agent.stop()
    return [start, again, change, memory, small]


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--vips", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every run, for machines")
    arguments = parser.parse_args()
    figures = measure(arguments.services, arguments.endpoints, arguments.vips, arguments.runs)
    print(json.dumps([figure.as_dict() for figure in figures], indent=2) if arguments.json else table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
