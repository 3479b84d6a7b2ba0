"""pyroute2 without the rest of pyroute2, and with it where somebody wants that."""

import subprocess
import sys

import pytest

FEW_ENOUGH = 40
"""Modules of pyroute2; the whole of it has more than 150."""


def run(program: str) -> str:
    """What a new interpreter prints, in which nobody has imported pyroute2 yet."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_message_classes_come_alone() -> None:
    count = "sum(name.startswith('pyroute2') for name in sys.modules)"
    assert int(run(f"import sys, vrrpd.net.messages; print({count})")) < FEW_ENOUGH


@pytest.mark.parametrize(
    "wish",
    [
        "from pyroute2 import IPRoute",
        "from pyroute2.iproute.linux import IPRoute",
        "from pyroute2 import netns; from pyroute2 import IPRoute",
        "import pyroute2; IPRoute = pyroute2.IPRoute",
    ],
)
def test_the_rest_can_be_had_afterwards(wish: str) -> None:
    assert run(f"import vrrpd.net.messages; {wish}; print(IPRoute.__name__)") in {"IPRoute", "LinuxIPRoute"}
