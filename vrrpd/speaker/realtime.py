"""What keeps a process from being late: a real-time priority, and memory that cannot be swapped out."""

import ctypes
import logging
import os

from vrrpd.config.model import Config

log = logging.getLogger(__name__)

_MCL_CURRENT, _MCL_FUTURE = 1, 2  # include/uapi/asm-generic/mman.h


def apply(config: Config) -> None:
    """Be scheduled, and keep memory, as the configuration wants it; what the kernel refuses is logged."""
    policy = os.SCHED_FIFO if config.realtime_priority else os.SCHED_OTHER
    try:
        os.sched_setscheduler(0, policy, os.sched_param(config.realtime_priority))
    except OSError as error:
        log.error(  # noqa: TRY400 (the remedy says more than a traceback)
            "realtime_priority: the kernel refuses SCHED_FIFO: %s; give vrrpd CAP_SYS_NICE, or remove the key",
            error.strerror,
        )
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) if config.memory_lock else libc.munlockall()
    if failed:
        log.error(
            "memory_lock: the kernel refuses: %s; give vrrpd CAP_IPC_LOCK, or remove the key",
            os.strerror(ctypes.get_errno()),
        )
