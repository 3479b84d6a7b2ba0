"""An API server that does what a real one will not: what it answers is a script."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from vrrpd.agent.connection import Access, Connection
from vrrpd.agent.objects import ConfigMap
from vrrpd.agent.reflector import Patience, Reflector
from vrrpd.agent.resources import CONFIG_MAPS

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def config_map(version: int, name: str = "a", **data: str) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)},
        "data": data,
    }


def a_list(version: int, *objects: dict[str, Any], following: str = "") -> dict[str, Any]:
    return {
        "kind": "ConfigMapList",
        "metadata": {"resourceVersion": str(version), "continue": following},
        "items": [{key: value for key, value in one.items() if key != "kind"} for one in objects],
    }


def event(what: str, /, **fields: Any) -> bytes:
    return json.dumps({"type": what, "object": fields}).encode() + b"\n"


def answer(body: dict[str, Any] | bytes, status: int = 200, **headers: str) -> Answer:
    """All of it at once."""

    async def give(_: web.Request) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=raw, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return give


def stays(*lines: bytes) -> Answer:
    """These, and then nothing for as long as the client wants."""

    async def give(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        await asyncio.sleep(3600)
        return response

    return give


class FakeServer:
    """Gives the answers to lists and to watches in their order; the last one again and again."""

    def __init__(
        self, directory: Path, lists: list[Answer], watches: list[Answer], others: Mapping[str, Answer] | None = None
    ) -> None:
        """`lists`, `watches`: of config maps; `others`: a list for each other resource that is served."""
        self._kubeconfig = directory / "kubeconfig"
        self._lists = lists
        self._watches = watches
        self._others = others or {}
        self._connections: list[Connection] = []
        self.asked: list[tuple[float, dict[str, str]]] = []
        """When (seconds of the loop) and with what query."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v1/configmaps", self._give)
        app.router.add_get("/api/v1/namespaces/n/configmaps", self._give)
        for resource, others in self._others.items():
            app.router.add_get(f"/api/v1/{resource}", partial(self._give_other, others))
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        self._kubeconfig.write_text(json.dumps(kubeconfig))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            await connection.close()
        await self._runner.cleanup()

    def when(self, kind: str) -> list[float]:
        """Times of the requests of one kind, "list" or "watch"."""
        return [at for at, query in self.asked if ("watch" in query) == (kind == "watch")]

    async def _give(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((asyncio.get_running_loop().time(), dict(request.query)))
        script = self._watches if "watch" in request.query else self._lists
        return await (script.pop(0) if len(script) > 1 else script[0])(request)

    @staticmethod
    async def _give_other(a_list: Answer, request: web.Request) -> web.StreamResponse:
        return await (stays() if "watch" in request.query else a_list)(request)

    def connection(self) -> Connection:
        """One that ends with this."""
        self._connections.append(Connection(Access(kubeconfig=str(self._kubeconfig))))
        return self._connections[-1]

    def reflecting(self, **patience: float) -> "Reflecting":
        return Reflecting(self.connection(), Patience(**{"first": 0.05, "cap": 0.4, "settled": 0.2, **patience}))


class Reflecting:
    """A reflector that runs from `async with` to its end; that it is still running then is part of every test."""

    def __init__(self, connection: Connection, patience: Patience, namespace: str = "") -> None:
        self._connection = connection
        self.changes = 0
        self._news = asyncio.Event()
        self.reflector = Reflector[ConfigMap](
            connection, CONFIG_MAPS, self._changed, wanted=(namespace, ""), patience=patience
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.reflector.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        running = not self._task.done()
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._connection.close()
        assert running, self._task.exception()

    @property
    def data(self) -> dict[str, dict[str, str]]:
        return {name: dict(one.data) for (_, name), one in self.reflector.objects.items()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):  # not everything that is waited for is a change
                    await asyncio.wait_for(self._news.wait(), 0.01)

    def _changed(self) -> None:
        self.changes += 1
        self._news.set()
