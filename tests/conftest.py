"""Settings that hold for every test."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ipvs.qemu import BUSYBOX, EMULATOR, MODULES
from tests.kube.binary import HELM, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL, KUBELET

# A shared machine is slow now and then, which is no failure. In CI the same examples run each time.
settings.register_profile("vrrpd", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vrrpd")

# What the tests with a marker need of the machine: programs, or files by a pattern, and their Debian packages.
_USER_MODE_LINUX = {
    "linux.uml": "user-mode-linux",
    "ipvsadm": "ipvsadm",
    "modprobe": "kmod",
    "ip": "iproute2",
    "iptables-legacy-restore": "iptables",
}
_API_SERVER = {"etcd": "etcd-server", "etcdctl": "etcd-client", "openssl": "openssl", "setpriv": "util-linux"}
_PROGRAMS = {
    "namespaces": {},
    "interop": {"keepalived": "keepalived", "/usr/lib/frr/vrrpd": "frr", "vtysh": "frr"},
    "clock_step": {"faketime": "faketime"},
    "browser": {"chromium": "chromium"},
    "bench": {"nft": "nftables", "ucarp": "ucarp"},
    "firewall": {"nft": "nftables"},
    "ipvs_kernel": _USER_MODE_LINUX,
    "ipvs_traffic": _USER_MODE_LINUX,
    "ipvs_qemu": {
        EMULATOR: "qemu-system-x86",
        MODULES: "linux-image-amd64",
        BUSYBOX: "busybox-static",
        "setpriv": "util-linux",
        "ip": "iproute2",
    },
    "kube": _API_SERVER,
    "cluster": {
        **_API_SERVER,
        "containerd": "containerd",
        "runc": "runc",
        "/usr/lib/cni/bridge": "containernetworking-plugins",
        "busybox": "busybox-static",
        "mmdebstrap": "mmdebstrap",
    },
    "deploy": {
        **_API_SERVER,
        "promtool": "prometheus",
        "unshare": "util-linux",
        "mount": "mount",
        "mmdebstrap": "mmdebstrap",
        "qemu-aarch64-static": "qemu-user-static",
    },
}
_BUILT = {
    "kube": (KUBE_APISERVER,),
    "cluster": (KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL, KUBELET, HELM),
    "deploy": (KUBE_APISERVER, KUBECTL, HELM),
}
_WITHOUT_ROOT = {"browser", "kube"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that cannot run here is skipped at a desk, and fails in CI; both say what to do about it."""
    needed = [marker for marker in _PROGRAMS if item.get_closest_marker(marker)]
    programs = {name: package for marker in needed for name, package in _PROGRAMS[marker].items()}
    packages = sorted({package for name, package in programs.items() if not _is_there(name)})
    root = os.geteuid() == 0 or not set(needed) - _WITHOUT_ROOT
    missing = [] if root else ["it needs root for network namespaces: run the tests with sudo"]
    missing += [f"it needs {package}: apt-get install {package}" for package in packages]
    built = [program for marker in needed for program in _BUILT.get(marker, ())]
    missing += [f"it needs {program.how}" for program in built if not program.find()]
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("; ".join(missing))


def _is_there(name: str) -> bool:
    return any(Path("/").glob(name.lstrip("/"))) if "*" in name else shutil.which(name) is not None
