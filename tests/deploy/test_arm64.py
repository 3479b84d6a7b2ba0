"""What the image is made of starts on arm64 as well: its packages and its wheels, run by an emulator.

Neither is built here, so that the emulator need not run the build: Debian's packages are those that the Dockerfile
gathers, the wheels those that its pip would choose.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.image import DOCKERFILE, REPOSITORY, instructions
from tests.deploy.test_image import IMPORT_ALL
from tests.deploy.wheels import LOCK, wheels_of
from tests.kube.binary import cache

pytestmark = pytest.mark.deploy

EMULATOR = "qemu-aarch64-static"
CONFIGURATION = """
[[vrrp_instance]]
name = "VI_1"
interface = "lo"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.100"]
"""


def _call(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _packages() -> str:
    """Those that the Dockerfile gathers, with a comma between two."""
    (gathered,) = (line.rest.split()[2:] for line in instructions() if line.rest.startswith("gather "))
    return ",".join(gathered)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files. All but ours are kept for as long as what says which they are does not change."""
    digest = hashlib.sha256(LOCK.read_bytes() + DOCKERFILE.read_bytes()).hexdigest()[:16]
    kept = cache() / f"arm64-{digest}.tar"
    files = tmp_path_factory.mktemp("arm64")
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        debian = files / "debian.tar"
        extract = ("--architectures=arm64", "--variant=extract", "--mode=root", "--quiet")
        _call("mmdebstrap", *extract, f"--include={_packages()}", "bookworm", str(debian))
        _call("tar", "--extract", f"--file={debian}", f"--directory={files}")
        debian.unlink()
        target = f"--target={files / 'opt/vrrpd'}"
        _call(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", target, *wheels_of("aarch64"))
        for earlier in kept.parent.glob("arm64-*.tar"):
            earlier.unlink()
        _call("tar", "--create", f"--file={kept}.new", f"--directory={files}", ".")
        Path(f"{kept}.new").replace(kept)
    else:
        _call("tar", "--extract", f"--file={kept}", f"--directory={files}")
    shutil.copytree(REPOSITORY / "vrrpd", files / "opt/vrrpd/vrrpd", ignore=shutil.ignore_patterns("__pycache__"))
    emulator = shutil.which(EMULATOR)
    assert emulator
    shutil.copy(emulator, files / EMULATOR)
    (files / "vrrpd.toml").write_text(CONFIGURATION, encoding="ascii")
    return files


def python(root: Path, *arguments: str) -> str:
    """What arm64's Python prints."""
    environment = ("-E", "PYTHONPATH=/opt/vrrpd", "-E", "PYTHONDONTWRITEBYTECODE=1")
    return _call("chroot", str(root), f"/{EMULATOR}", *environment, "/usr/bin/python3.11", *arguments)


def test_every_module_can_be_imported(root: Path) -> None:
    printed = python(root, "-c", f"{IMPORT_ALL}\nimport platform\nprint(platform.machine())")
    assert printed.splitlines()[0] == "/opt/vrrpd/vrrpd/__init__.py"
    assert printed.splitlines()[-1] == "aarch64"


def test_the_commands_run(root: Path) -> None:
    assert "/vrrpd.toml: valid, 1 virtual router" in python(root, "-m", "vrrpd", "check", "-c", "/vrrpd.toml")
    assert "--services-configmap" in python(root, "-m", "vrrpd", "agent", "--help")
