"""What the machine and the link are burdened with while faults happen: busy loops, scarce memory, loss, delay."""

import multiprocessing
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Semaphore as Ready
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from benchmarks.failover.arena import Arena

_BUSY_PER_PROCESSOR: Final = 2
_LONGEST: Final = 6 * 3600.0
"""Seconds after which a burden ends by itself, whatever became of who asked for it."""
_MEMORY_LEFT: Final = 0.15
"""Share of the memory that is free now and stays so."""
_LOSS_RULES: Final = """
table netdev burden {{
    chain ingress {{
        type filter hook ingress device eth0 priority 0;
        meta protocol {{ ip, ip6 }} meta l4proto 112 numgen random mod 1000 <= {highest} counter drop
    }}
}}
"""


class LoadError(RuntimeError):
    """This machine cannot be burdened in that way; the message says what is missing."""


class Load(Struct, frozen=True):
    """One burden: `cpu`, `memory`, `loss=PERCENT` of adverts at each receiver, `delay=MILLISECONDS` of all frames."""

    name: str
    kind: str
    amount: float = 0.0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Burden the machine.

        Raises:
            LoadError: it cannot be.
        """
        if self.kind == "delay" and not _has_netem():
            raise LoadError(f"{self.name}: this kernel has no netem (CONFIG_NET_SCH_NETEM), or iproute2 is missing")
        if self.kind == "loss" and not _has_nft():
            raise LoadError(f"{self.name}: nft is missing: apt-get install nftables")
        if self.kind == "cpu":
            with processes(_spin, _BUSY_PER_PROCESSOR * len(os.sched_getaffinity(0))):
                yield
        elif self.kind == "memory":
            with processes(_hold, 1):
                yield
        else:
            yield

    def burden(self, arena: "Arena") -> None:
        """Burden the link of an arena.

        Raises:
            LoadError: it cannot be.
        """
        for router in arena.routers:
            if self.kind == "loss":
                rules = _LOSS_RULES.format(highest=round(self.amount * 10) - 1)
                _checked(router.host.run(["nft", "-f", "-"], check=False, stdin=_file_of(rules)), self.name)
            elif self.kind == "delay":
                netem = ["tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{self.amount:g}ms"]
                _checked(router.host.run(netem, check=False), self.name)


def parse(text: str) -> Load:
    """A burden by its word.

    Raises:
        ValueError: it is none.
    """
    if text in {"cpu", "memory"}:
        return Load(text, text)
    found = re.fullmatch(r"(loss|delay)=(\d+(?:\.\d+)?)", text)
    if not found or (found[1] == "loss" and not 0.1 <= float(found[2]) <= 100):
        raise ValueError(f"{text!r} is no load: cpu, memory, loss=PERCENT and delay=MILLISECONDS are")
    return Load(text, found[1], float(found[2]))


@contextmanager
def processes(target: Callable[[int, Ready], None], count: int) -> Iterator[None]:
    """So many of them while this lasts; each is told the process whose end is its own, and says when it burdens.

    Raises:
        LoadError: one has ended before its time.
    """
    ready = multiprocessing.Semaphore(0)
    running = [multiprocessing.Process(target=target, args=(os.getpid(), ready), daemon=True) for _ in range(count)]
    for process in running:
        process.start()
    try:
        for process in running:
            while not ready.acquire(timeout=0.2) and process.is_alive():
                pass
        yield
        if ended := next((process.exitcode for process in running if not process.is_alive()), None):
            raise LoadError(
                f"what burdens the machine was ended by {_cause(ended)}: not all of these runs were under it"
            )
    finally:
        for process in running:
            process.kill()
            process.join()


def _cause(code: int) -> str:
    """In words, of an exit code as `multiprocessing` has it."""
    return f"{signal.Signals(-code).name}, as where memory is short" if code < 0 else f"an error ({code})"


def _spin(owner: int, ready: Ready) -> None:
    ready.release()
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until and os.getppid() == owner:
        for _ in range(100_000):
            pass


def _hold(owner: int, ready: Ready) -> None:
    """Have all memory that is free but a little, and touch it again and again, so that others' pages are thrown out.

    When there is too little in the end, the kernel is to kill this process rather than any other.
    """
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    free = int(re.findall(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))[0]) * 1024
    held = bytearray(int(free * (1 - _MEMORY_LEFT)))
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until and os.getppid() == owner:
        for at in range(0, len(held), 4096):
            held[at] = 1
        ready.release()
        time.sleep(0.1)


def _has_netem() -> bool:
    try:
        argv = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _has_nft() -> bool:
    try:
        return subprocess.run(["nft", "--version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _file_of(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def _checked(done: "subprocess.CompletedProcess[str]", name: str) -> None:
    if done.returncode:
        raise LoadError(f"{name}: {done.stderr.strip()}")
