"""Has the kernel refuse one request of ptrace(2), so that User-Mode Linux of 6.1 runs where registers are many.

It asks for a process's extended registers, and when it gets some, believes that it can set them; where there are more
than it has room for (AMX), the kernel refuses that, and the machine ends before its first process. When it cannot
even ask, it makes do with the old registers. A seccomp filter stays over execve(2), so nothing has to be compiled:
this file, run as a program, is given the one to start.
"""

import ctypes
import errno
import os
import sys
from typing import Final

from vrrpd.net.filters import IF_EQUAL, LOAD_WORD, RETURN, encoded

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38  # include/uapi/linux/prctl.h
_SECCOMP_MODE_FILTER: Final = 2  # include/uapi/linux/seccomp.h
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 16, 32  # in struct seccomp_data
_SYS_PTRACE: Final = 101  # x86-64, on which alone there are such registers
_PTRACE_GETREGSET: Final = 0x4204
_NT_X86_XSTATE: Final = 0x202


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_extended_registers() -> None:
    """For this process and all that come from it.

    Raises:
        OSError: the kernel takes no such filter.
    """
    instructions = [
        (LOAD_WORD, 0, 0, _NUMBER),
        (IF_EQUAL, 0, 5, _SYS_PTRACE),
        (LOAD_WORD, 0, 0, _FIRST_ARGUMENT),
        (IF_EQUAL, 0, 3, _PTRACE_GETREGSET),
        (LOAD_WORD, 0, 0, _THIRD_ARGUMENT),
        (IF_EQUAL, 0, 1, _NT_X86_XSTATE),
        (RETURN, 0, 0, _RET_ERRNO | errno.EIO),
        (RETURN, 0, 0, _RET_ALLOW),
    ]
    code = encoded(instructions)
    program = _Program(len(instructions), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse_extended_registers()
    os.execvp(sys.argv[1], sys.argv[1:])
