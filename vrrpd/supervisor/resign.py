"""Resigning for a speaker that cannot do it any more."""

import logging
import os

from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.speaker.resign import resign

log = logging.getLogger(__name__)


def resign_apart(config: Config, ledger: Ledger) -> None:
    """In a process of its own: what has killed the speaker might kill this, too. Waits until it is done."""
    try:
        pid = os.fork()
    except OSError as error:
        log.critical("cannot fork: %s; the addresses go when their lease ends", error.strerror)
        return
    if not pid:
        try:
            resign(config, ledger)
        except OSError as error:
            log.critical("cannot resign: %s; the addresses go when their lease ends", error)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
