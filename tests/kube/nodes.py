"""Nodes of a cluster: hosts on a LAN that run the agent, and an API server that is at the same address on each."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.peers import Keepalived
from tests.kube import manifests
from tests.kube.server import ApiServer
from tests.peers import DEADLINE, Network, eventually
from vrrpd.lan.daemons import RouterSettings, Vrrpd
from vrrpd.lan.hosts import Host
from vrrpd.supervisor.control import ControlError

ROUTER = RouterSettings(50, ("192.0.2.100/32",))
"""What the agents make of a ConfigMap with that address."""
VIP = "192.0.2.100"


class Gateway:
    """Has the API server, which is on this machine's loopback, be on that of hosts, too; from `with` to its end."""

    def __init__(self, api: ApiServer) -> None:
        self._port = api.port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._servers: dict[Host, asyncio.Server] = {}
        self._passing: dict[Host, set[asyncio.StreamWriter]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for host in [*self._servers]:
            self.close(host)
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, host: Host, address: str = "127.0.0.1") -> None:
        """Let this host reach it at an address of the host's."""
        listener = host.call(socket.create_server, (address, self._port))

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(lambda near, end: self._pass(host, near, end), sock=listener)

        self._servers[host] = asyncio.run_coroutine_threadsafe(serve(), self._loop).result()

    def close(self, host: Host) -> None:
        """Keep this host from it, in the middle of what it is being told."""
        server = self._servers.pop(host)

        async def end() -> None:
            server.close()
            for writer in self._passing.pop(host, set()):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    async def _pass(self, host: Host, near: asyncio.StreamReader, near_end: asyncio.StreamWriter) -> None:
        writers = self._passing.setdefault(host, set())
        writers.add(near_end)
        with contextlib.suppress(OSError):
            far, far_end = await asyncio.open_connection("127.0.0.1", self._port)
            writers.add(far_end)
            await asyncio.gather(_copy(near, far_end), _copy(far, near_end))
            writers.discard(far_end)
        writers.discard(near_end)
        near_end.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


class Agent(Vrrpd):
    """`vrrpd agent` on a host.

    Args:
        host: the node.
        directory: for what it writes.
        kubeconfig: how it asks the API server.
        config_map: what it follows, as `namespace/name`.
        flags: further ones.
        environment: of the pod.
    """

    def __init__(
        self,
        host: Host,
        directory: Path,
        kubeconfig: Path,
        config_map: str,
        flags: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(host, directory, [ROUTER])
        self._command = [f"--services-configmap={config_map}", f"--kubeconfig={kubeconfig}", *flags]
        self._environment = {"NODE_NAME": host.name} if environment is None else environment

    def write_configuration(self) -> None:
        """It has none."""

    def run(self) -> subprocess.Popen[bytes]:
        """Part of `Vrrpd`."""
        command = [sys.executable, "-m", "vrrpd", "agent", *self._command, f"--control-socket={self.control_socket}"]
        return self._popen(command, env={**os.environ, **self._environment})

    def state(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`. Default: that of the IPv4 addresses."""
        name = "vips" if router is None else router.name
        try:
            routers = self.status()["routers"]
        except ControlError:
            return ""
        return next((str(each["state"]) for each in routers if each["name"] == name), "")

    @property
    def last_configuration(self) -> Path:
        """Where it keeps what it goes by, for a start without an API server."""
        return self.control_socket.with_name(f"{self.control_socket.name}.toml")

    def glance_at_all(self) -> dict[str, Any]:
        """What `vrrpd status --json` prints; empty: it does not answer."""
        try:
            return self.status()
        except ControlError:
            return {}

    def wait_for_another_watcher(self, pid: int) -> None:
        """Wait until there is one, and it is not that process."""
        eventually(lambda: self.glance_at_all()["processes"]["watcher"] not in (pid, None), "another watcher")

    def shown(self, format: str = "toml") -> str:  # noqa: A002
        """What `vrrpd show` prints."""
        argv = [sys.executable, "-m", "vrrpd", "show", "-s", str(self.control_socket), "--format", format]
        return self.host.run(argv).stdout


class OldNode(Keepalived):
    """keepalived with a file that `vrrpd show` has printed."""

    text = ""

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        (self.directory / "keepalived.conf").write_text(self.text, encoding="utf-8")

    def state(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`."""
        _, found, after = self.log.rpartition(f"({router.name if router else 'vips'}) Entering ")
        return after.split(maxsplit=1)[0] if found else ""


class Nodes:
    """A cluster's namespace, and the nodes that run agents in it.

    Args:
        network: where the nodes are.
        api: the API server.
        gateway: how they reach it.
        namespace: of the ConfigMap and of everything else.
        kubeconfig: of the agents.
    """

    def __init__(self, network: Network, api: ApiServer, gateway: Gateway, namespace: str, kubeconfig: Path) -> None:
        self.network = network
        self.api = api
        self.gateway = gateway
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self.core = f"/api/v1/namespaces/{namespace}"
        self.config_map = f"{namespace}/vip-configmap"

    def node(self, name: str, **labels: str) -> Host:
        """A host that is a node, without an agent yet."""
        host = self.network.lan.host(name)
        own = [str(each.ip) for each in host.addresses() if not each.ip.is_link_local]
        self.api.apply("/api/v1/nodes", manifests.node(name, **labels))
        status = {"status": {"addresses": [{"type": "InternalIP", "address": each} for each in own]}}
        self.api.request("PATCH", f"/api/v1/nodes/{name}/status", status)
        self.gateway.open(host)
        return host

    def agent(self, host: Host, *flags: str, environment: Mapping[str, str] | None = None) -> Agent:
        """An agent that is yet to be started."""
        made = Agent(
            host, self.network.directory / host.name, self.kubeconfig, self.config_map, flags, environment=environment
        )
        self.network.daemons.append(made)
        return made

    def agents(self, *names: str, flags: Sequence[str] = ("--advert-int=0.1",)) -> list[Agent]:
        """Agents that run, each on a node of its own."""
        made = [self.agent(self.node(name), *flags) for name in names]
        for agent in made:
            agent.start()
        return made

    def vips(self, **data: str) -> None:
        """Have the ConfigMap have this, and no more."""
        path = f"{self.core}/configmaps"
        body = {"metadata": {"name": "vip-configmap"}, "data": data}
        if self.config_map_exists():
            self.api.request("PUT", f"{path}/vip-configmap", body)
        else:
            self.api.request("POST", path, body)

    def config_map_exists(self) -> bool:
        """Whether it is there."""
        found = self.api.request("GET", f"{self.core}/configmaps")["items"]
        return any(each["metadata"]["name"] == "vip-configmap" for each in found)

    def events(self) -> list[dict[str, Any]]:
        """The Events of the namespace."""
        found: list[dict[str, Any]] = self.api.request("GET", f"{self.core}/events")["items"]
        return found


def one_master(agents: Sequence[Agent]) -> Agent:
    """Wait until one of them, and only one, is MASTER and the others are BACKUP."""

    def masters() -> list[Agent]:
        states = [agent.state() for agent in agents]
        settled = sorted(states) == ["BACKUP"] * (len(states) - 1) + ["MASTER"]
        return [agents[states.index("MASTER")]] if settled else []

    return eventually(masters, "one MASTER")[0]


def start_alone(nodes: Nodes, *flags: str, **environment: str) -> Agent:
    """An agent that is MASTER soon."""
    host = nodes.node("bs-01")
    agent = nodes.agent(host, "--advert-int=0.05", *flags, environment={"NODE_NAME": "bs-01", **environment})
    agent.start()
    agent.wait_until("MASTER", DEADLINE)
    return agent
