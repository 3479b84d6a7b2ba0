"""Resigning for a speaker that cannot do it any more."""

import logging
import os

from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.speaker.resign import resign
from vrrpd.supervisor.child import EXIT_FAILED

log = logging.getLogger(__name__)

ATTEMPTS = 3


def resign_apart(config: Config, ledger: Ledger) -> None:
    """In a process of its own: what has killed the speaker might kill this, too. Waits until it is done."""
    for _ in range(ATTEMPTS):
        try:
            pid = os.fork()
        except OSError as error:
            log.critical("cannot fork: %s; resigning all the same", error.strerror)
            _resign(config, ledger)
            return
        if not pid:
            code = EXIT_FAILED
            try:
                code = _resign(config, ledger)
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if not status:
            return
        log.error("process %d, which was to resign, ended with %d", pid, os.waitstatus_to_exitcode(status))
    log.critical("cannot resign; the addresses go when their lease ends")


def _resign(config: Config, ledger: Ledger) -> int:
    """Returns the exit code."""
    try:
        resign(config, ledger)
    except Exception:
        log.exception("cannot resign")
        return EXIT_FAILED
    return 0
