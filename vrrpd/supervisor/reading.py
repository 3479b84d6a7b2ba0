"""The file is read by a child: a large one takes a second, in which the supervisor has others to see to."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vrrpd.config.by_blocks import load_sealed
from vrrpd.config.problems import ConfigError, Problem
from vrrpd.config.sealed import SealedConfig
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
        outcome = _outcome(apart(partial(_read, path, None)), None)
    else:
        return load_sealed(path, remark=log.info)
    if isinstance(outcome, SealedConfig):
        return outcome
    raise outcome


class Reading:
    """Reads a file whenever it is told to; those who ask while it does wait for the next reading.

    Args:
        path: the file.
        config: what it held.
        children: one of them reads.
    """

    def __init__(self, path: Path, config: SealedConfig, children: Apart) -> None:
        self._path = path
        self._config = config
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
        self._children.run(partial(_read, self._path, self._config), partial(self._done, waiting))

    def _done(self, waiting: list[Callable[[Outcome], None]], found: object) -> None:
        self._reads = False
        outcome = _outcome(found, self._config)
        if isinstance(outcome, SealedConfig):
            self._config = outcome
        for done in waiting:
            done(outcome)
        if self._waiting:
            self._begin()


def _read(path: Path, before: SealedConfig | None) -> SealedConfig | tuple[Problem, ...]:
    try:
        config = load_sealed(path, before, log.info)
    except ConfigError as error:
        return error.problems
    return config.since(before) if before else config


def _outcome(found: object, before: SealedConfig | None) -> Outcome:
    if isinstance(found, ApartError):
        return found
    if isinstance(found, SealedConfig):
        return found.upon(before) if before else found
    assert isinstance(found, tuple)
    return ConfigError(found)
