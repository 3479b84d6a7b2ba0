"""Settings that hold for every test."""

import os
import shutil

import pytest
from hypothesis import settings

# A shared machine is slow now and then, which is no failure. In CI the same examples run each time.
settings.register_profile("vrrpd", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vrrpd")

# What the tests with a marker need of the machine: programs, and the Debian packages that they are in.
_PROGRAMS = {
    "namespaces": {},
    "interop": {"keepalived": "keepalived", "/usr/lib/frr/vrrpd": "frr", "vtysh": "frr"},
    "clock_step": {"faketime": "faketime"},
    "ipvs_kernel": {"linux.uml": "user-mode-linux", "ipvsadm": "ipvsadm", "modprobe": "kmod", "ip": "iproute2"},
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that cannot run here is skipped at a desk, and fails in CI; both say what to do about it."""
    needed = [programs for marker, programs in _PROGRAMS.items() if item.get_closest_marker(marker)]
    packages = sorted({package for programs in needed for name, package in programs.items() if not shutil.which(name)})
    missing = ["it needs root for network namespaces: run the tests with sudo"] if needed and os.geteuid() else []
    missing += [f"it needs {package}: apt-get install {package}" for package in packages]
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("; ".join(missing))
