"""What keeps a process from being late: a real-time priority, and memory that cannot be swapped out."""

import ctypes
import logging
import os

from vrrpd.config.model import Config

log = logging.getLogger(__name__)

_MCL_CURRENT, _MCL_FUTURE = 1, 2  # include/uapi/asm-generic/mman.h


def apply(config: Config, before: Config | None = None) -> None:
    """Be scheduled, and keep memory, as the configuration wants it; what the kernel refuses is logged.

    Args:
        config: what is wanted.
        before: what was. What is wanted neither now nor before stays as who started us has set it.
    """
    if config.realtime_priority or (before and before.realtime_priority):
        _schedule(config.realtime_priority)
    if config.memory_lock or (before and before.memory_lock):
        _lock_memory(lock=config.memory_lock)


def _schedule(priority: int) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO if priority else os.SCHED_OTHER, os.sched_param(priority))
    except OSError as error:
        log.error(  # noqa: TRY400 (the remedy says more than a traceback)
            "realtime_priority: the kernel refuses SCHED_FIFO: %s; give vrrpd CAP_SYS_NICE, or remove the key",
            error.strerror,
        )


def _lock_memory(*, lock: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) if lock else libc.munlockall()
    if failed:
        log.error(
            "memory_lock: the kernel refuses: %s; give vrrpd CAP_IPC_LOCK, or remove the key",
            os.strerror(ctypes.get_errno()),
        )
