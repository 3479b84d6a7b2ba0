"""The image's libraries have wheels for both of its architectures, whichever one runs the tests."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.image import REPOSITORY
from tests.kube.binary import cache

pytestmark = pytest.mark.deploy

LOCK = REPOSITORY / "requirements.lock"
GLIBC = ("2_17", "2_28", "2_34")
"""Those of Debian 12 and before."""


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_all_that_is_locked_is_there_as_wheels(machine: str, tmp_path: Path) -> None:
    """What the Dockerfile's pip asks for; the registry is asked once for each lock file."""
    known = cache() / f"wheels-{machine}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if known.exists():
        return
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in GLIBC]
    python = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none")
    what = ("--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={LOCK}", f"--dest={tmp_path}")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", *what, *python, *platforms],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    of_machines = [path.name for path in tmp_path.iterdir() if machine in path.name]
    assert of_machines, "none was of an architecture"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.touch()
