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

from tests.ipvs.seccomp import refuse_extended_registers

KERNEL: Final = "linux.uml"
_ENDED: Final = "vrrpd-uml-exit-code="
_MEMORY: Final = "768M"

# Where only the old registers are saved, a page fault loses the new ones: nobody may use them. The kernel makes what it
# does not know the environment of init.
_WITHOUT_AVX: Final = (
    "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,"
    "-XSAVE,-XSAVEC,-ERMS,-RTM"
)

# The kernel loads a scheduler when it is first asked for, by way of modprobe; its modules are not where modprobe looks.
_INIT: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/modules/lib/modules /run/tmp
ln -s /usr/lib/uml/modules/$(uname -r) /run/modules/lib/modules/
printf '#!/bin/sh\\n%s exec modprobe -d /run/modules "$@"\\n' "${{GLIBC_TUNABLES:+GLIBC_TUNABLES=$GLIBC_TUNABLES}}" > /run/modprobe
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
    large_registers = _has_large_registers()
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
            *([_WITHOUT_AVX] if large_registers else []),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        preexec_fn=refuse_extended_registers if large_registers else None,
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch)},
    )
    printed, ended, rest = machine.stdout.rpartition(_ENDED)
    if not ended:
        raise RuntimeError(f"the machine ended too early:\n{machine.stdout}")
    return int(rest.split()[0]), printed


def _has_large_registers() -> bool:
    """Whether the processor's registers (AMX) are more than User-Mode Linux knows how to save."""
    return " amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _assignments(environment: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
