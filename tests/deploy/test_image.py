"""What is in the image, and that it runs with the privileges that the pods have."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import MASTER
from tests.deploy import image
from tests.peers import VIPS, eventually, ip_of
from vrrpd.lan.hosts import Host, Lan

pytestmark = pytest.mark.deploy
_CONTAINER = Path(__file__).parent / "container.py"
_CONFIGURATION = f"""
[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
advert_int = 0.05
virtual_ipaddress = ["{VIPS[4]}"]
"""
IMPORT_ALL = """
import importlib, pkgutil, vrrpd
for module in pkgutil.walk_packages(vrrpd.__path__, "vrrpd."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import kubernetes.aio, uvloop, msgspec, aiohttp, dns.resolver, ssl, ctypes
import sys
print(vrrpd.__file__)
print(sorted(name for name, module in sys.modules.items() if name.split(".")[0] in ("pip", "setuptools")))
"""


class Image:
    """The image's files and settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings: dict[str, Any] = image.unpack(image.archive(), root)
        self.environment = dict(variable.split("=", 1) for variable in self.settings["Env"])

    def start(self, host: Host, command: Sequence[str], **kwargs: Any) -> subprocess.Popen[Any]:
        """Run it on a host as one container of a pod runs there."""
        container = [sys.executable, str(_CONTAINER), str(self.root), "/run/vrrpd", "--", *command]
        # The program is looked for where the image's PATH says; what makes the container is found without.
        unshare = ["/usr/bin/unshare", "--mount", "--propagation", "private", "--"]
        return host.popen([*unshare, *container], env=self.environment | {"PATH": _path(self)}, **kwargs)

    def output(self, host: Host, command: Sequence[str]) -> str:
        with self.start(host, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        return str(out)


def _path(made: Image) -> str:
    return f"{made.environment['PATH']}:/bin:/sbin"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def host() -> Iterator[Host]:
    with Lan() as lan:
        yield lan.host("r1")


def test_arguments_of_kube_keepalived_vip_stand_as_they_are(made: Image) -> None:
    assert made.settings["Entrypoint"] == ["vrrpd", "agent"]
    assert made.environment["PATH"].split(":")[0] == "/opt/vrrpd/bin"


def test_no_shell_no_compiler_no_package_tool(made: Image) -> None:
    programs = {
        path.name for where in ("opt/vrrpd/bin", "usr/bin", "usr/sbin") for path in (made.root / where).iterdir()
    }
    assert "vrrpd" in programs
    assert not programs & {"sh", "bash", "dash", "perl", "apt", "apt-get", "dpkg", "pip", "pip3", "gcc", "ld"}


def test_packages_are_named_for_scanners(made: Image) -> None:
    status = (made.root / "var/lib/dpkg/status.d/libssl3").read_text(encoding="utf-8")
    assert "Package: libssl3\n" in status
    assert "Version: " in status


def test_everything_can_be_imported_and_comes_from_the_image(made: Image, host: Host) -> None:
    where, build_tools = made.output(host, ["/opt/vrrpd/bin/python", "-c", IMPORT_ALL]).splitlines()
    assert where == "/opt/vrrpd/lib/python3.11/site-packages/vrrpd/__init__.py"
    assert build_tools == "[]"


def test_a_start_compiles_nothing(made: Image) -> None:
    for packages in ("opt/vrrpd/lib/python3.11/site-packages", "usr/lib/python3.11"):
        for source in (made.root / packages).glob("**/asyncio/*.py"):
            assert (source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc").exists(), source


@pytest.mark.parametrize(
    "program", ["sysctl", "iptables-legacy-save", "iptables-legacy-restore", "ip6tables-legacy-save"]
)
def test_programs_find_their_libraries(made: Image, host: Host, program: str) -> None:
    assert made.output(host, [program, "--version"])


def test_the_daemon_runs_with_two_capabilities_and_a_read_only_root(made: Image, host: Host, tmp_path: Path) -> None:
    (made.root / "etc" / "vrrpd").mkdir(exist_ok=True)
    (made.root / "etc" / "vrrpd" / "vrrpd.toml").write_text(_CONFIGURATION, encoding="ascii")
    log = tmp_path / "log"
    with log.open("wb") as out:
        daemon = made.start(host, ["vrrpd", "run"], stdout=out, stderr=out)
    eventually(lambda: host.has_address(ip_of(VIPS[4])) or daemon.poll() is not None, "a master")
    assert daemon.poll() is None, log.read_text()
    for process in [daemon.pid, *_children(daemon.pid)]:
        status = dict(
            line.split(":\t") for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line
        )
        assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0000000000003000"
        assert status["NoNewPrivs"] == "1"
    told = subprocess.run(
        ["nsenter", "--mount", "--root", "--target", str(daemon.pid), "/opt/vrrpd/bin/vrrpd", "status", "--json"],
        check=True,
        capture_output=True,
    )
    (router,) = json.loads(told.stdout)["routers"]
    assert router["state"] == MASTER
    daemon.terminate()
    assert daemon.wait(20) == 0, log.read_text()
    assert not host.has_address(ip_of(VIPS[4]))
    assert "Read-only file system" not in log.read_text()


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(pid) for pid in found.split()]
