"""Tests that run in a machine of their own, and what became of them."""

import os
import re
import sys
from pathlib import Path
from typing import Final, Protocol

INSIDE: Final = "VRRPD_TEST_IPVS_KERNEL"
"""Set in a machine that is there to be programmed."""
PROJECT: Final = Path(__file__).parent.parent.parent


class Machine(Protocol):
    """`tests.ipvs.uml.run` or `tests.ipvs.qemu.run`."""

    def __call__(
        self, command: list[str], directory: Path, scratch: Path, timeout: float, **environment: str
    ) -> tuple[int, str]: ...


def is_inside() -> bool:
    return INSIDE in os.environ


def run_tests(machine: Machine, where: str, scratch: Path, timeout: float, *options: str) -> None:
    """Boot the machine, and have every test in there pass, more than one.

    Args:
        machine: boots it.
        where: the tests, from the top of the project.
        scratch: an empty directory.
        timeout: seconds for the tests and the boot.
        options: pytest's.
    """
    command = [sys.executable, "-m", "pytest", "--color=no", where, *options]
    environment = {
        INSIDE: "1",
        "CI": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/media/hypothesis",
    }
    code, printed = machine(command, PROJECT, scratch, timeout, **environment)
    assert code == 0, printed
    passed = re.search(r"^(\d+) passed", printed, re.MULTILINE)
    assert passed, printed
    assert int(passed[1]) > 1, printed
