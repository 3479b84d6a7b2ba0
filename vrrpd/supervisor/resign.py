"""Resigning for a speaker that cannot do it any more."""

import logging
import os

from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.speaker.resign import resign

log = logging.getLogger(__name__)


def resign_apart(config: Config, ledger: Ledger) -> None:
    """In a process of its own, if there can be one: what has killed the speaker might kill this, too. Waits for it."""
    try:
        pid = os.fork()
    except OSError as error:
        log.warning("cannot fork: %s; resigning in this process", error.strerror)
        _resign(config, ledger)
        return
    if not pid:
        try:
            _resign(config, ledger)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _resign(config: Config, ledger: Ledger) -> None:
    try:
        resign(config, ledger)
    except OSError as error:
        log.critical("cannot resign: %s; the addresses go when their lease ends", error)
