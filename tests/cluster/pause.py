"""The image of the container that holds a pod's namespaces: it sleeps."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from tests.deploy.image import write_archive

NAME: Final = "vrrpd.invalid/pause:1"


def archive(to: Path) -> Path:
    """Write the image there, made of Debian's busybox-static."""
    with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
        program = Path(scratch) / "bin" / "busybox"
        program.parent.mkdir()
        shutil.copy("/bin/busybox", program)
        write_archive(to, NAME, Path(scratch), {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]})
    return to
