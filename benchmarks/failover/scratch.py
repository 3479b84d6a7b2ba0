"""Directories that do not outlive this process, however it ends."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_BROOM: Final = ("sh", "-c", 'read -r _; sleep 1; exec rm -rf -- "$1"', "sh")
"""Its standard input ends when this process does; those that it has started need a moment to die."""


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary directory while this lasts; another process removes it if this one is killed."""
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as name,
        subprocess.Popen([*_BROOM, name], stdin=subprocess.PIPE, start_new_session=True) as broom,
    ):
        try:
            yield Path(name)
        finally:
            broom.kill()
