"""Boots a kernel with IPVS and runs the tests of `on_kernel/` in it; for `make test-ipvs` those of `with_traffic/`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ipvs import uml
from tests.ipvs.inside import run_tests

TIMEOUT = 300.0
"""Seconds for all tests in there and the boot; it takes a quarter of that on a quiet machine."""
ON_KERNEL = "tests/ipvs/on_kernel"
LONGEST = f"{ON_KERNEL}/test_director.py"
"""As long as all others; and a machine has one processor."""


@pytest.mark.ipvs_kernel
def test_on_a_real_kernel(tmp_path: Path) -> None:
    (scratch := tmp_path / "others").mkdir()
    with ThreadPoolExecutor() as machines:
        others = machines.submit(run_tests, uml.run, ON_KERNEL, scratch, TIMEOUT, f"--ignore={LONGEST}")
        run_tests(uml.run, LONGEST, tmp_path, TIMEOUT)
        others.result()


@pytest.mark.ipvs_traffic
def test_with_traffic(tmp_path: Path) -> None:
    run_tests(uml.run, "tests/ipvs/with_traffic", tmp_path, TIMEOUT)
