"""Boots Debian's own kernel and runs the tests of `in_qemu/` in it: those that need nftables and IPVS in one kernel."""

import subprocess
from pathlib import Path

import pytest

from tests.ipvs import qemu
from tests.ipvs.inside import PROJECT, run_tests

pytestmark = pytest.mark.ipvs_qemu

TIMEOUT = 600.0
"""Seconds for all tests in there and the boot; it takes a tenth of that on a quiet machine."""


def test_in_qemu(tmp_path: Path) -> None:
    run_tests(qemu.run, "tests/ipvs/in_qemu", tmp_path, TIMEOUT)


def test_a_machine_that_hangs_is_gone_in_the_end(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        qemu.run(["/bin/sleep", "infinity"], PROJECT, tmp_path, timeout=5)
    running = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(str(tmp_path).encode() in command for command in running)
