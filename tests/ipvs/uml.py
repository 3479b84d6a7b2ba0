"""A User-Mode Linux of Debian's with every scheduler of IPVS: it boots in seconds on this machine's own files.

Its root is read-only, but for /run; /tmp may be where the project lies. What it is to do is a command; what that prints
is what the machine prints.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

KERNEL: Final = "linux.uml"
_ENDED: Final = "vrrpd-uml-exit-code="
_MEMORY: Final = "768M"

# The kernel loads a scheduler when it is first asked for, by way of modprobe; its modules are not where modprobe looks.
_INIT: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/modules/lib/modules /run/tmp
ln -s /usr/lib/uml/modules/$(uname -r) /run/modules/lib/modules/
printf '#!/bin/sh\\nexec modprobe -d /run/modules "$@"\\n' > /run/modprobe
chmod +x /run/modprobe
echo /run/modprobe > /proc/sys/kernel/modprobe
/run/modprobe ipv6
export TMPDIR=/run/tmp
ip link set lo up
cd {directory}
{environment} {command}
echo {ended}$?
sync
echo o > /proc/sysrq-trigger
sleep 10
"""


def run(command: list[str], directory: Path, scratch: Path, timeout: float, **environment: str) -> tuple[int, str]:
    """Boot, run the command in `directory`, and switch off; returns its exit code and what was printed.

    Args:
        command: with absolute paths.
        directory: where it runs.
        scratch: an existing directory for the machine's first script.
        timeout: seconds for all of it.
        environment: variables for the command.

    Raises:
        subprocess.TimeoutExpired: it was not done by then; it is gone.
        RuntimeError: the machine ended before the command did.
    """
    init = scratch / "init"
    init.write_text(
        _INIT.format(
            directory=shlex.quote(str(directory)),
            environment=_assignments(environment),
            command=shlex.join(command),
            ended=_ENDED,
        )
    )
    init.chmod(0o755)
    machine = subprocess.run(
        [
            KERNEL,
            f"mem={_MEMORY}",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={init}",
            "con=null",
            "con0=null,fd:1",
            "quiet",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch)},
    )
    printed, ended, rest = machine.stdout.rpartition(_ENDED)
    if not ended:
        raise RuntimeError(f"the machine ended too early:\n{machine.stdout}")
    return int(rest.split()[0]), printed


def _assignments(environment: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
