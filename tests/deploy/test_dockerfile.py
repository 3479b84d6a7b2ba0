"""The Dockerfile, as linters see it."""

import subprocess
import sys
from pathlib import Path

from tests.deploy.image import DOCKERFILE


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DOCKERFILE], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
