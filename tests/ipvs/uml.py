"""A User-Mode Linux of Debian's with every scheduler of IPVS: it boots in seconds on this machine's own files.

Its root is read-only, but for /run and, for temporary files, /media: /tmp may be where the project lies, and hosts on a
LAN have a /run of their own. What it is to do is a command; what that prints is what the machine prints.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.ipvs import seccomp
from tests.ipvs.machine import first_script, outcome

KERNEL: Final = "linux.uml"
_MEMORY: Final = "768M"

# Where only the old registers are saved, a page fault loses the new ones: nobody may use them. The kernel makes what it
# does not know the environment of init.
_WITHOUT_AVX: Final = (
    "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,"
    "-XSAVE,-XSAVEC,-ERMS,-RTM"
)

# The kernel loads a scheduler when it is first asked for, by way of modprobe; its modules are not where modprobe looks.
PREPARATION: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /media
mkdir -p /media/modules/lib/modules
ln -s /usr/lib/uml/modules/$(uname -r) /media/modules/lib/modules/
tunables="${GLIBC_TUNABLES:+GLIBC_TUNABLES=$GLIBC_TUNABLES}"
printf '#!/bin/sh\\n%s exec modprobe -d /media/modules "$@"\\n' "$tunables" > /media/modprobe
chmod +x /media/modprobe
echo /media/modprobe > /proc/sys/kernel/modprobe
/media/modprobe ipv6
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
    init.write_text(first_script(PREPARATION, command, directory, environment))
    init.chmod(0o755)
    machine = subprocess.run(
        command_line(init),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch)},
    )
    return outcome(machine.stdout)


def command_line(init: Path, *devices: str, memory: str = _MEMORY) -> list[str]:
    """What starts a machine with that first script, and with these devices."""
    large_registers = _has_large_registers()
    return [
        *([sys.executable, "-P", seccomp.__file__] if large_registers else []),
        KERNEL,
        f"mem={memory}",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={init}",
        "con=null",
        "con0=null,fd:1",
        "quiet",
        *devices,
        *([_WITHOUT_AVX] if large_registers else []),
    ]


def _has_large_registers() -> bool:
    """Whether the processor's registers (AMX) are more than User-Mode Linux knows how to save."""
    return " amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
