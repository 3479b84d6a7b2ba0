"""Attempts on both event loops and in both families, each of which must leave nothing behind."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.director.checks.asking import Run, eventually, silent, tcp_server
from vrrpd.protocol.advert import IPAddress

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
def address(request: pytest.FixtureRequest) -> IPAddress:
    """Where the servers of a test listen."""
    return ip_address(request.param)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs coroutines, and asserts after each that no descriptor, task or process is left of it."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:

        def checked(coroutine: Coroutine[Any, Any, Any]) -> Any:
            return runner.run(_leaving_nothing(coroutine))

        runner.run(_open_and_close())
        gc.disable()  # a leak must not be hidden
        try:
            yield checked
        finally:
            gc.enable()


async def _open_and_close() -> None:
    """A loop opens some descriptors of its own at first, and libuv another with its first stream."""
    async with tcp_server(ip_address("127.0.0.1"), silent):
        await asyncio.sleep(0.001)


async def _leaving_nothing(coroutine: Coroutine[Any, Any, Any]) -> Any:
    before = _traces()
    result = await coroutine
    await eventually(lambda: _traces() == before)
    assert _traces() ^ before == set()
    return result


def _traces() -> set[str]:
    """Open descriptors, tasks, and children, zombies among them."""
    descriptors = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            descriptors.add(f"{entry.name} is {entry.readlink()}")
    threads = Path("/proc/self/task").glob("*/children")
    children = {child for thread in threads for child in thread.read_text(encoding="ascii").split()}
    return descriptors | {task.get_name() for task in asyncio.all_tasks()} | children
