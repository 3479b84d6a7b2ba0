"""How Events are written: one for each thing, counted, at a pace; whatever the API server makes of it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from vrrpd.agent import events
from vrrpd.agent.connection import Access, Connection
from vrrpd.agent.events import BURST, Recorder, Saying
from vrrpd.agent.objects import ConfigMap

NAME = ("n", "vips")
PATH = "/api/v1/namespaces/n/events"


class Server:
    """Keeps Events as an API server does, and refuses what it is told to; a real one is asked by test_agent.py."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.news = asyncio.Event()
        self.refusal = 0
        """The status of all answers; 0: as things are."""
        self.may_patch = True

    async def create(self, request: web.Request) -> web.Response:
        self._note("create")
        body = await request.json()
        name = body["metadata"]["name"]
        if self.refusal:
            return web.json_response({"message": "no"}, status=self.refusal)
        if name in self.events:
            return web.json_response({"message": "it exists"}, status=409)
        self.events[name] = body
        return web.json_response(body, status=201)

    async def patch(self, request: web.Request) -> web.Response:
        self._note("patch")
        assert request.content_type == "application/merge-patch+json"
        if not self.may_patch:
            return web.json_response({"message": 'User "u" cannot patch'}, status=403)
        if request.match_info["name"] not in self.events:
            return web.json_response({"message": "not found"}, status=404)
        self.events[request.match_info["name"]].update(await request.json())
        return web.json_response({})

    def _note(self, request: str) -> None:
        self.requests.append(request)
        self.news.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Connection]:
        app = web.Application()
        app.router.add_post(PATH, self.create)
        app.router.add_patch(PATH + "/{name}", self.patch)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        connection = Connection(Access(host=f"http://{host}:{port}", account=Path("/nonexistent")))
        try:
            yield connection
        finally:
            await connection.close()
            await runner.cleanup()


class Recording:
    """A recorder that runs."""

    def __init__(self, connection: Connection, node: str = "n1") -> None:
        self.now = 0.0
        self.recorder = Recorder(connection, NAME, node, lambda: self.now)
        self.recorder.about(ConfigMap(NAME, {}, uid="u1"))

    async def __aenter__(self) -> Recorder:
        self._task = asyncio.create_task(self.recorder.run())
        return self.recorder

    async def __aexit__(self, *_: object) -> None:
        assert not self._task.done()
        self._task.cancel()
        await asyncio.wait([self._task])


async def until(server: Server, *requests: str) -> None:
    async with asyncio.timeout(20):
        while len(server.requests) < len(requests):
            server.news.clear()
            await server.news.wait()
    await asyncio.sleep(0.02)  # there might be more
    assert server.requests == [*requests]


def counts(server: Server) -> list[int]:
    return [event["count"] for event in server.events.values()]


def test_what_is_said_again_is_counted_and_what_has_expired_is_written_anew() -> None:
    async def story() -> None:
        server = Server()
        async with server.serving() as connection, Recording(connection) as recorder:
            recorder.say(Saying("Master", "a", warning=False))
            await until(server, "create")
            recorder.say(Saying("Master", "a"))
            await until(server, "create", "patch")
            assert counts(server) == [2]
            recorder.say(Saying("Master", "b"))
            await until(server, "create", "patch", "create")
            assert counts(server) == [2, 1]
            server.events.clear()
            recorder.say(Saying("Master", "a"))
            await until(server, "create", "patch", "create", "patch", "create")
            assert counts(server) == [1]

    asyncio.run(story())


def test_several_nodes_say_one_thing_in_one_event() -> None:
    async def story() -> None:
        server = Server()
        async with (
            server.serving() as connection,
            Recording(connection, "n1") as first,
            Recording(connection, "n2") as second,
        ):
            first.say(Saying("InvalidEntry", "a", warning=True))
            await until(server, "create")
            second.say(Saying("InvalidEntry", "a", warning=True))
            await until(server, "create", "create", "patch")
            (event,) = server.events.values()
            assert (event["count"], event["type"], event["source"]["host"]) == (2, "Warning", "n1")
            assert event["involvedObject"]["uid"] == "u1"

    asyncio.run(story())


def test_no_more_than_a_burst_is_written_at_once_and_what_waits_is_bounded() -> None:
    async def story() -> None:
        server = Server()
        async with server.serving() as connection, Recording(connection) as recorder:
            for number in range(1000):
                recorder.say(Saying("Master", str(number)))
            recorder.say(Saying("Master", "0"))  # waits already
            await until(server, *["create"] * BURST)
            assert recorder.dropped == 1000 - events._WAITING_MAX

    asyncio.run(story())


def test_what_is_first_is_told_before_what_waits_and_what_is_over_is_not_told() -> None:
    async def story() -> None:
        server = Server()
        async with server.serving() as connection, Recording(connection) as recorder:
            for number in range(1000):
                recorder.say(Saying("InvalidEntry", str(number)))
            recorder.say(Saying("Master", "held"), first=True)
            for number in range(1000):
                recorder.take_back(Saying("InvalidEntry", str(number)))
            recorder.say(Saying("InvalidEntry", "another"))
            await until(server, "create", "create")
            assert [event["message"] for event in server.events.values()] == ["held", "another"]

    asyncio.run(story())


def test_a_right_that_is_missing_is_told_once_and_needs_no_restart(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = Server()
        server.refusal = 403
        async with server.serving() as connection, Recording(connection) as recorder:
            for number in range(3):
                recorder.say(Saying("Master", str(number)))
            await until(server, *["create"] * 3)
            server.refusal = 0
            recorder.say(Saying("Master", "3"))
            await until(server, *["create"] * 4)
            assert counts(server) == [1]

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    (record,) = caplog.records
    assert events.RULE in record.getMessage()


def test_each_verb_that_is_missing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = Server()
        server.may_patch = False
        async with server.serving() as connection, Recording(connection) as recorder:
            expected = []
            for number, verb in enumerate(("create", "patch", "patch")):
                for message, asked in (("again", verb), (str(number), "create")):
                    recorder.say(Saying("Master", message))
                    expected.append(asked)
                    await until(server, *expected)

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    (record,) = caplog.records
    assert record.getMessage().startswith('User "u" may not patch events: needs this rule')


def test_what_is_said_while_the_api_server_is_away_is_written_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "_PAUSE", 0.05)

    async def story() -> None:
        server = Server()
        async with server.serving() as connection:
            gone = Connection(Access(host="http://127.0.0.1:9", account=Path("/nonexistent")))
            async with Recording(gone) as recorder:
                recorder.say(Saying("Master", "a"))
                recorder.say(Saying("Backup", "b"))
                await asyncio.sleep(0.2)
                recorder._connection = connection
                await until(server, "create", "create")
                assert [event["reason"] for event in server.events.values()] == ["Master", "Backup"]
            await gone.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert len(caplog.records) == 1
