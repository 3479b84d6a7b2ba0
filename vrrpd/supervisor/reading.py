"""The file is read by a child: a large one takes a second, in which the supervisor has others to see to."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vrrpd.config.load import load
from vrrpd.config.problems import ConfigError, Problem
from vrrpd.config.sealed import SealedConfig, seal
from vrrpd.supervisor.apart import Apart, ApartError, apart

log = logging.getLogger(__name__)

_SMALL = 1 << 15
"""Bytes: a file of that size is read as fast as a child is forked."""

Outcome = SealedConfig | ConfigError | ApartError


def read_first(path: Path) -> SealedConfig:
    """The configuration in the file, for who has nothing else to do.

    Raises:
        ConfigError: the file cannot be read, or is wrong.
        ApartError: the child that was to read it could not be made, or died.
    """
    if path.is_file() and path.stat().st_size > _SMALL:
        outcome = _outcome(apart(partial(_read, path)))
    else:
        return seal(load(path, log.info))
    if isinstance(outcome, SealedConfig):
        return outcome
    raise outcome


class Reading:
    """Reads a file whenever it is told to; those who ask while it does wait for the next reading."""

    def __init__(self, path: Path, children: Apart) -> None:
        self._path = path
        self._children = children
        self._waiting: list[Callable[[Outcome], None]] = []
        self._reads = False

    def read(self, done: Callable[[Outcome], None]) -> None:
        """Have `done` take what the file says from now on."""
        self._waiting.append(done)
        if not self._reads:
            self._begin()

    def _begin(self) -> None:
        waiting, self._waiting, self._reads = self._waiting, [], True
        self._children.run(partial(_read, self._path), partial(self._done, waiting))

    def _done(self, waiting: list[Callable[[Outcome], None]], outcome: object) -> None:
        self._reads = False
        for done in waiting:
            done(_outcome(outcome))
        if self._waiting:
            self._begin()


def _read(path: Path) -> SealedConfig | tuple[Problem, ...]:
    try:
        return seal(load(path, log.info))
    except ConfigError as error:
        return error.problems


def _outcome(found: object) -> Outcome:
    if isinstance(found, SealedConfig | ApartError):
        return found
    assert isinstance(found, tuple)
    return ConfigError(found)
