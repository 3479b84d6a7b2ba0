"""The image's libraries have wheels for both of its architectures, whichever one runs the tests."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.wheels import LOCK, wheels_of
from tests.kube.binary import cache

pytestmark = pytest.mark.deploy


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_all_that_is_locked_is_there_as_wheels(machine: str, tmp_path: Path) -> None:
    """What the Dockerfile's pip asks for; the registry is asked once for each lock file."""
    known = cache() / f"wheels-{machine}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if known.exists():
        return
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", *wheels_of(machine), f"--dest={tmp_path}"],
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
