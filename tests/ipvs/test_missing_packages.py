"""Where there is no emulator the tests in it say so and how to come by it; in CI that is a failure."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("ci", "outcome"), [("true", "2 errors"), ("", "2 skipped")], ids=["ci", "desk"])
def test_what_is_missing_is_named(ci: str, outcome: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-m", "ipvs_qemu", "tests/ipvs/test_in_qemu.py"],
        env=os.environ | {"PATH": "/nonexistent", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "it needs busybox-static: apt-get install busybox-static" in done.stdout
    assert "it needs qemu-system-x86: apt-get install qemu-system-x86" in done.stdout


def test_plain_tests_boot_no_emulator() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/ipvs/test_in_qemu.py"], capture_output=True, text=True, check=False
    )
    assert "2 deselected" in done.stdout
