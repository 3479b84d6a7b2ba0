"""A Kubernetes cluster on hosts of a LAN: a control plane, and nodes with a containerd and a kubelet each.

    with Cluster(directory, images, ("node-1", "node-2")) as cluster:
        cluster.kubectl("get", "nodes")

All that they write is in directories of their own, which go with the hosts; what ends a host ends everything on it.
"""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.cluster.pause import NAME as PAUSE
from tests.kube.binary import KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL, KUBELET, Program
from tests.kube.server import ApiServer
from tests.peers import eventually
from vrrpd.lan.hosts import Host, Lan

SERVICES: Final = "203.0.113.0/24"
"""Of the addresses of Services, the first of which is the API server's."""
_SERVICE: Final = "203.0.113.1"
_SOCKET: Final = "/run/containerd.sock"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = (
    *("daemonset-controller", "garbage-collector-controller", "namespace-controller", "node-lifecycle-controller"),
    *("pod-garbage-collector-controller", "root-ca-certificate-publisher-controller", "serviceaccount-controller"),
)
_START: Final = 60.0
"""Seconds for what takes two on an idle machine."""


class ControlPlane:
    """API server, controllers and scheduler on a host; inside `with`, the calling thread uses that host's network."""

    def __init__(self, lan: Lan, directory: Path) -> None:
        self._directory = directory
        self.host = lan.host("control")
        self.address = str(self.host.addresses()[0].ip)
        self._programs: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.host.entered())
            self.host.add_address(f"{_SERVICE}/32", "lo")
            # The later of two flags counts.
            self.api = ApiServer(
                self.address,
                "--bind-address=0.0.0.0",
                f"--advertise-address={self.address}",
                f"--service-cluster-ip-range={SERVICES}",
                "--allow-privileged=true",
                "--kubelet-preferred-address-types=InternalIP",
            )
            self.api.port = 443  # as pods are told
            opened.enter_context(self.api)
            self.kubeconfig = self.api.kubeconfig()
            account_key = self.api.ca_file.parent.parent / "accounts.key"
            self._start(
                KUBE_CONTROLLER_MANAGER,
                f"--controllers={','.join(_CONTROLLERS)}",
                f"--root-ca-file={self.api.ca_file}",
                f"--service-account-private-key-file={account_key}",
            )
            self._start(KUBE_SCHEDULER)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
        self._open.close()

    def _start(self, program: Program, *flags: str) -> None:
        found = program.find()
        assert found, program.how
        usual = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        with (self._directory / f"{program.name}.log").open("wb") as out:
            self._programs.append(self.host.popen([str(found), *usual, *flags], stdout=out, stderr=out))

    def kubectl(self, *arguments: str, timeout: float = 60, check: bool = True) -> str:
        """What it prints."""
        program = KUBECTL.find()
        assert program, KUBECTL.how
        done = self.host.run(
            [str(program), f"--kubeconfig={self.kubeconfig}", *arguments], timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout


class Node:
    """A host with containerd and kubelet, which joins the cluster.

    Args:
        lan: where it is.
        control: the control plane of the same LAN.
        name: its name.
        directory: for its logs.
    """

    def __init__(self, lan: Lan, control: ControlPlane, name: str, directory: Path) -> None:
        self.name = name
        self._control = control
        self._directory = directory
        self._cgroup = f"vrrpd-{directory.name}-{name}"
        self.host: Host = lan.host(name, private=("/run", "/var/lib", "/var/log"))
        self.host.route(SERVICES, control.address)
        self._write("/run/containerd.toml", _CONTAINERD)
        self._write("/run/cni/10-pods.conflist", json.dumps(_CNI))
        self._write("/run/kubelet.yaml", json.dumps(_KUBELET | {"cgroupRoot": f"/{self._cgroup}"}))
        self._start("containerd", "containerd", "--config=/run/containerd.toml")

    def join(self, images: Sequence[Path]) -> None:
        """Have the images of these archives, and be a node of the cluster."""
        eventually(lambda: self._ctr("version", check=False), f"containerd of {self.name}")
        for image in images:
            self._ctr("images", "import", str(image))
        own = [str(address.ip) for address in self.host.addresses() if not address.ip.is_link_local]
        kubelet = KUBELET.find()
        assert kubelet, KUBELET.how
        self._start(
            "kubelet",
            str(kubelet),
            "--config=/run/kubelet.yaml",
            f"--kubeconfig={self._control.kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={','.join(own)}",
        )

    def clear(self) -> None:
        """Remove what outlives its host: the groups of its processes."""
        for controller in _CGROUPS.iterdir():
            for group in sorted((controller / self._cgroup).rglob("*"), reverse=True):
                if group.is_dir():
                    group.rmdir()
            with contextlib.suppress(FileNotFoundError):
                (controller / self._cgroup).rmdir()

    def _start(self, name: str, *command: str) -> None:
        with (self._directory / f"{self.name}-{name}.log").open("wb") as out:
            self.host.popen(command, stdout=out, stderr=out)

    def _write(self, path: str, content: str) -> None:
        def write() -> None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(content, encoding="ascii")

        self.host.call(write)

    def _ctr(self, *arguments: str, check: bool = True) -> bool:
        command = ["ctr", f"--address={_SOCKET}", "--namespace=k8s.io", *arguments]
        return self.host.run(command, timeout=_START, check=check).returncode == 0


class Cluster:
    """A control plane and nodes that are ready; inside `with`, the calling thread uses the control plane's network.

    Args:
        directory: for logs.
        images: archives that each node is to have.
        names: the nodes'.
    """

    def __init__(self, directory: Path, images: Sequence[Path], names: Sequence[str]) -> None:
        self._directory = directory
        self._images = images
        self._names = names

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self.nodes: list[Node] = []
            opened.callback(self._clear)  # once the hosts are gone
            self.lan = opened.enter_context(Lan())
            self.control = opened.enter_context(ControlPlane(self.lan, self._directory))
            self.kubectl = self.control.kubectl
            self.nodes += [Node(self.lan, self.control, name, self._directory) for name in self._names]
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda node: node.join(self._images), self.nodes))
            eventually(
                lambda: len(self.control.api.request("GET", "/api/v1/nodes")["items"]) == len(self.nodes), "nodes"
            )
            self.kubectl("wait", "node", "--all", "--for=condition=Ready", f"--timeout={_START}s", timeout=2 * _START)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _clear(self) -> None:
        for node in self.nodes:
            node.clear()

    def said(self) -> list[tuple[str, str]]:
        """Of pods and programs, for who looks into a failure."""
        pods = self.kubectl("describe", "pods", "--all-namespaces", check=False)
        logs = self.kubectl(
            *("logs", "--namespace=vrrpd", "--selector=app.kubernetes.io/name=vrrpd", "--prefix", "--tail=40"),
            check=False,
        )
        files = [(path.stem, path.read_text(errors="replace")[-2000:]) for path in self._directory.glob("*.log")]
        return [("pods", pods), ("logs", logs), *files]


_CONTAINERD: Final = f"""
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni"
"""
_CNI: Final[dict[str, Any]] = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "198.51.100.0/24"}]]},
        }
    ],
}
"""A node without a network is not ready, though no pod of ours uses it."""
_KUBELET: Final[dict[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "containerRuntimeEndpoint": f"unix://{_SOCKET}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "localStorageCapacityIsolation": False,
    "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "0%"},
    "imageGCHighThresholdPercent": 100,
    "makeIPTablesUtilChains": False,
    "healthzPort": 0,
}
