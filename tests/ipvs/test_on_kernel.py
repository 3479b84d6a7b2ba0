"""Boots a kernel with IPVS and runs the tests of `on_kernel/` in it."""

import re
import sys
from pathlib import Path

import pytest

from tests.ipvs import uml
from tests.ipvs.conftest import INSIDE

pytestmark = pytest.mark.ipvs_kernel

PROJECT = Path(__file__).parent.parent.parent
TIMEOUT = 300.0
"""Seconds for all tests in there and the boot; it takes a tenth of that on a quiet machine."""


def test_on_a_real_kernel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--color=no", "tests/ipvs/on_kernel"]
    environment = {
        INSIDE: "1",
        "CI": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/run/tmp",
    }
    code, printed = uml.run(command, PROJECT, tmp_path, TIMEOUT, **environment)
    assert code == 0, printed
    passed = re.search(r"^(\d+) passed", printed, re.MULTILINE)
    assert passed, printed
    assert int(passed[1]) > 1, printed
