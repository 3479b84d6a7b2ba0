"""What the machines that are there to be programmed have in common: they run a command, and print how it ended."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_ENDED: Final = "vrrpd-machine-exit-code="

_REST: Final = """
export TMPDIR=/media
ip link set lo up
cd {directory}
{environment} {command}
echo {ended}$?
sync
echo o > /proc/sysrq-trigger
sleep 10
"""


def first_script(preparation: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """The init of a machine: it gets ready, runs the command with these variables in the directory, and switches off.

    Args:
        preparation: lines of shell; afterwards there are /proc, /sys, and a /media for temporary files.
        command: with absolute paths.
        directory: where it runs.
        environment: variables for the command.
    """
    return preparation + _REST.format(
        directory=shlex.quote(str(directory)),
        environment=" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()),
        command=shlex.join(command),
        ended=_ENDED,
    )


def outcome(printed: str) -> tuple[int, str]:
    """The exit code of the command, and what was printed before.

    Raises:
        RuntimeError: the machine ended before the command did.
    """
    before, ended, rest = printed.rpartition(_ENDED)
    if not ended:
        raise RuntimeError(f"the machine ended too early:\n{printed}")
    return int(rest.split()[0]), before
