"""Becomes a container: `container.py ROOT WRITABLE… -- COMMAND…`, with the privileges that deploy/ grants, no more.

ROOT's files are read-only, but for empty directories at each WRITABLE; of root's capabilities there are CAP_NET_ADMIN
and CAP_NET_RAW, and no program gives more. It runs in a mount namespace made for it.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAP_NET_ADMIN: Final = 12
_CAP_NET_RAW: Final = 13
_LAST_CAP: Final = Path("/proc/sys/kernel/cap_last_cap")


def main(arguments: list[str]) -> None:
    """Does not return."""
    split = arguments.index("--")
    (root, *writable), command = arguments[:split], arguments[split + 1 :]
    last = int(_LAST_CAP.read_text(encoding="ascii"))
    _mount("--bind", root, root)
    for kind, at, *options in [
        ("proc", "/proc"),
        ("sysfs", "/sys", "--options", "ro"),
        *(("tmpfs", at) for at in writable),
    ]:
        Path(root + at).mkdir(parents=True, exist_ok=True)
        _mount("--types", kind, *options, kind, root + at)
    for device in ("null", "urandom"):
        Path(f"{root}/dev/{device}").touch()
        _mount("--bind", f"/dev/{device}", f"{root}/dev/{device}")
    _mount("--options", "remount,bind,ro", root)
    _mount("--options", "remount,bind,ro", f"{root}/proc")
    os.chroot(root)
    os.chdir("/")
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(last + 1):
        if capability not in (_CAP_NET_ADMIN, _CAP_NET_RAW) and libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    os.execvpe(command[0], command, os.environ)  # root has what the bounding set has left


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
