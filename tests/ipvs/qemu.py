"""Debian's own kernel, with everything that it has, on a processor that QEMU emulates: it needs no KVM, only patience.

It boots in seconds on this machine's own files, which it gets by 9P, read-only but for /run and, for temporary files,
/media; on its RAM disk is what it takes to get at them. What it is to do is a command; what that prints is what the
machine prints.
"""

import gzip
import lzma
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.ipvs.machine import first_script, outcome

EMULATOR: Final = "qemu-system-x86_64"
BUSYBOX: Final = "busybox"
"""The static one: on the RAM disk there is no library."""
MODULES: Final = "/lib/modules/*/kernel/net/netfilter/ipvs/ip_vs.ko*"
"""What a kernel that will do has."""
_MEMORY: Final = "1024M"
_MODULES_OF_THE_RAM_DISK: Final = ("virtio_pci", "9pnet_virtio", "9p")
_UNPACK: Final[Mapping[str, Callable[[bytes], bytes]]] = {".ko": bytes, ".xz": lzma.decompress, ".gz": gzip.decompress}
"""Modules may be compressed; from Debian 13 on they are."""
_FILE, _DIRECTORY, _DEVICE = 0o100755, 0o040755, 0o020600

_RAM_DISK_INIT: Final = """#!/bin/busybox sh
for module in {modules}; do
    /bin/busybox insmod /$module || exit
done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /root || exit
/bin/busybox mount -t tmpfs run /root/run
/bin/busybox cp /start /root/run/start
exec /bin/busybox switch_root /root /run/start
"""

_PREPARATION: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /media
"""


def run(command: list[str], directory: Path, scratch: Path, timeout: float, **environment: str) -> tuple[int, str]:
    """Boot, run the command in `directory`, and switch off; returns its exit code and what was printed.

    Args:
        command: with absolute paths.
        directory: where it runs.
        scratch: an existing directory for the RAM disk.
        timeout: seconds for all of it.
        environment: variables for the command.

    Raises:
        subprocess.TimeoutExpired: it was not done by then; it is gone.
        RuntimeError: the machine ended before the command did.
        FileNotFoundError: there is no kernel, or a part of it is missing.
    """
    modules, kernel = _kernel()
    ram_disk = scratch / "initrd"
    ram_disk.write_bytes(_ram_disk(modules, first_script(_PREPARATION, command, directory, environment)))
    machine = subprocess.run(
        [
            *("setpriv", "--pdeathsig", "KILL"),
            *(EMULATOR, "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
            *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", _MEMORY),
            *("-kernel", str(kernel), "-initrd", str(ram_disk)),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
            *("-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return outcome(machine.stdout)


def _kernel() -> tuple[Path, Path]:
    """The modules of the newest kernel that will do, and its image."""
    found = sorted(Path("/").glob(MODULES.lstrip("/")), key=lambda module: module.stat().st_mtime)
    for module in reversed(found):
        modules = Path(*module.parts[:4])
        image = Path("/boot", f"vmlinuz-{modules.name}")
        if image.exists():
            return modules, image
    raise FileNotFoundError(f"no kernel in /boot whose modules are {MODULES}")


def _ram_disk(modules: Path, start: str) -> bytes:
    names = []
    files: list[tuple[str, int, bytes]] = [(name, _DIRECTORY, b"") for name in ("bin", "dev", "root")]
    for module in _needed(modules):
        names.append(module.name.partition(".")[0])
        files.append((names[-1], _FILE, _UNPACK[module.suffix](module.read_bytes())))
    busybox = next(path for path in (Path("/bin", BUSYBOX), Path("/usr/bin", BUSYBOX)) if path.exists())
    files += [
        ("bin/busybox", _FILE, busybox.read_bytes()),
        ("init", _FILE, _RAM_DISK_INIT.format(modules=" ".join(names)).encode()),
        ("start", _FILE, start.encode()),
        ("dev/console", _DEVICE, b""),
        ("TRAILER!!!", 0, b""),
    ]
    return b"".join(_archived(*file) for file in files)


def _needed(modules: Path) -> Iterator[Path]:
    """The modules' files in the order in which they can be loaded; what is built in has none."""
    lines = (line.partition(":") for line in (modules / "modules.dep").read_text(encoding="utf-8").splitlines())
    dependencies = {file: needs.split() for file, _, needs in lines}
    loaded: list[str] = []
    for name in _MODULES_OF_THE_RAM_DISK:
        for file, needs in dependencies.items():
            if Path(file).name.partition(".")[0] == name:
                loaded += [needed for needed in (*reversed(needs), file) if needed not in loaded]
    return (modules / file for file in loaded)


def _archived(name: str, mode: int, content: bytes) -> bytes:
    """One entry of a cpio archive (Documentation/driver-api/early-userspace/buffer-format.rst, newc)."""
    device = (5, 1) if mode == _DEVICE else (0, 0)  # the console
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
    entry = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0"
    return _padded(entry) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
