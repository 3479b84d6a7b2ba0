"""What `vrrpd check` says, for someone on call who reads it at night."""

import shutil
from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from vrrpd.protocol.timing import Centiseconds, seconds


class Level(StrEnum):
    """How much a finding matters."""

    NOTE = "note"
    """What will happen."""
    WARNING = "warning"
    """What will probably surprise."""


class Finding(Struct, frozen=True):
    """One sentence about one instance."""

    level: Level
    instance: str
    """Its name."""
    text: str

    def __str__(self) -> str:
        return f"{self.instance}: {'' if self.level is Level.NOTE else f'{self.level}: '}{self.text}"


def note(instance: str, text: str) -> Finding:
    """Something that will happen."""
    return Finding(Level.NOTE, instance, text)


def warning(instance: str, text: str) -> Finding:
    """Something that will probably surprise."""
    return Finding(Level.WARNING, instance, text)


def missing_programs(instance: str, programs: Iterable[str]) -> Iterator[Finding]:
    """Those of the programs, absolute paths, that this host cannot execute."""
    for program in sorted(set(programs)):
        if not shutil.which(program):  # a directory is executable, too, for os.access
            yield warning(instance, f"{program} is not there, or cannot be executed, at present")


def span(interval: Centiseconds) -> str:
    """A time as people compare it: `3.41 s`, `36.1 ms`."""
    value = seconds(interval)
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"
