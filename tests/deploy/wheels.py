"""What pip is told so that it gets the wheels which the image has on a machine, whichever one asks."""

from typing import Final

from tests.deploy.image import REPOSITORY

LOCK: Final = REPOSITORY / "requirements.lock"
_GLIBC: Final = ("2_17", "2_28", "2_34")
"""Those of Debian 12 and before."""


def wheels_of(machine: str) -> tuple[str, ...]:
    """Options for all that is locked, on a machine of that kind (`uname -m`) with Debian 12's Python."""
    platforms = (f"--platform=manylinux_{version}_{machine}" for version in _GLIBC)
    python = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none")
    return ("--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={LOCK}", *python, *platforms)
