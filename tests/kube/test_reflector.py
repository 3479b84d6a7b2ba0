"""The reflector and a server that misbehaves; the same with a real one, where a real one does it, is at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientTimeout, web

from tests.kube import manifests
from tests.kube.fake import Answer, FakeServer, Reflecting, a_list, answer, config_map, event, stays
from tests.kube.server import ApiServer
from vrrpd.agent.connection import Access, AccessError, Connection
from vrrpd.agent.objects import Endpoint, Snapshot
from vrrpd.agent.observer import Observer
from vrrpd.agent.reflector import Patience

GOOD = event("MODIFIED", **config_map(8, x="good"))
GONE = event("ERROR", kind="Status", code=410, message="too old resource version", reason="Expired")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"no JSON\n",
        b"\x00\xff\xfe\n",
        b"[]\n",
        b'{"type": "ADDED"}\n',
        b'{"type": 1, "object": {}}\n',
        event("ADDED"),
        event("ADDED", **{**config_map(7), "kind": "Secret"}),
        event("ADDED", **{**config_map(7), "metadata": {"name": "a", "namespace": "n"}}),
        event("ADDED", **{**config_map(7), "data": {"x": 1}}),
        event("ADDED", **{**config_map(7), "metadata": {"resourceVersion": "7"}}),
        event("CHANGED", **config_map(7)),
        event("ERROR", kind="Status", code=500, message="etcd is ill"),
        event("ERROR"),
        GOOD[:-10],
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda raw: repr(raw[:60]),
)
def test_after_nonsense_it_lists_again(tmp_path: Path, nonsense: bytes) -> None:
    async def play() -> None:
        lists = [answer(a_list(1, config_map(1, x="first"))), answer(a_list(5, config_map(5, x="second")))]
        async with FakeServer(tmp_path, lists, [answer(nonsense), stays()]) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("watch")) == 2)
            assert it.data == {"a": {"x": "second"}}
            assert len(server.when("list")) == 2
            assert it.reflector.counters.errors == 1
            assert it.reflector.status.failing_since is not None
            assert "configmaps" in it.reflector.status.reason
            await it.until(lambda: it.reflector.status.failing_since is None)

    asyncio.run(play())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"kind": "Status"}',
        json.dumps({**a_list(1), "kind": "SecretList"}).encode(),
        json.dumps({**a_list(1), "metadata": {}}).encode(),
    ],
    ids=repr,
)
def test_a_list_that_is_nonsense_takes_no_effect(tmp_path: Path, nonsense: bytes) -> None:
    async def play() -> None:
        lists = [answer(nonsense), answer(nonsense), answer(a_list(1, config_map(1, x="first")))]
        async with FakeServer(tmp_path, lists, [stays()]) as server, server.reflecting() as it:
            await it.until(lambda: it.reflector.listed)
            assert it.data == {"a": {"x": "first"}}
            assert it.reflector.counters.errors == 2

    asyncio.run(play())


def test_pages_without_end_are_given_up(tmp_path: Path) -> None:
    async def play() -> None:
        lists = [answer(a_list(1, following="more")), answer(a_list(1, following="more")), answer(a_list(1))]
        async with FakeServer(tmp_path, lists, [stays()]) as server, server.reflecting() as it:
            await it.until(lambda: it.reflector.listed)
            assert it.reflector.counters.errors == 1

    asyncio.run(play())


def test_an_object_that_cannot_be_read_stays_as_it_was_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {**config_map(5), "data": {"x": 1}}
    lists = [answer(a_list(1, config_map(1, x="first"))), answer(a_list(5, bad, config_map(6, "b", y="second")))]
    watches = [answer(GONE), answer(GONE), stays()]

    async def play() -> None:
        async with FakeServer(tmp_path, lists, watches) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("watch")) == 3)
            assert it.data == {"a": {"x": "first"}, "b": {"y": "second"}}
            assert it.reflector.status.unreadable == ("ConfigMap n/a: data[...]: Expected `str`, got `int`",)

    asyncio.run(play())
    assert len([record for record in caplog.records if "passed over" in record.message]) == 1


def test_watches_that_end_at_once_are_asked_for_ever_more_slowly(tmp_path: Path) -> None:
    async def play() -> None:
        lists = [answer(a_list(1, config_map(1)))]
        async with FakeServer(tmp_path, lists, [answer(b"")]) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("watch")) == 6)
            pauses = [later - earlier for earlier, later in pairwise(server.when("watch"))]
            for pause, least in zip(pauses, (0.025, 0.05, 0.1, 0.2, 0.2), strict=True):
                assert pause >= least
            assert len(server.when("list")) == 1
            assert {query.get("resourceVersion") for _, query in server.asked if "watch" in query} == {"1"}

    asyncio.run(play())


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport
    request.transport.abort()
    return response


@pytest.mark.parametrize(
    ("lists", "watches"),
    [([answer(a_list(1))], [answer(b"")]), ([breaks_off], [stays()])],
    ids=["watches that end", "lists that break off"],
)
def test_those_that_wake_each_other_do_not_ask_faster_for_it(
    tmp_path: Path, lists: list[Answer], watches: list[Answer]
) -> None:
    async def play() -> None:
        server = FakeServer(tmp_path, lists, watches)
        async with server, server.reflecting() as one, server.reflecting() as two:
            one.reflector.reached, two.reflector.reached = two.reflector.wake, one.reflector.wake
            tries = partial(server.when, "watch" if lists[0] is not breaks_off else "list")
            await one.until(lambda: len(tries()) >= 12)
            assert tries()[11] - tries()[0] >= 0.025 + 0.05 + 0.1 + 0.2 + 0.2

    asyncio.run(play())


def test_expired_versions_without_end_do_not_make_it_list_without_end(tmp_path: Path) -> None:
    async def play() -> None:
        lists = [answer(a_list(1, config_map(1)))]
        async with FakeServer(tmp_path, lists, [answer(GONE)]) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("list")) == 5)
            pauses = [later - earlier for earlier, later in pairwise(server.when("list"))]
            for pause, least in zip(pauses, (0.025, 0.05, 0.1, 0.2), strict=True):
                assert pause >= least
            assert it.data == {"a": {}}

    asyncio.run(play())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_errors_are_waited_out_and_the_watch_goes_on_where_it_was(tmp_path: Path, status: int) -> None:
    async def play() -> None:
        lists = [answer(b"", status), answer(a_list(1, config_map(1, x="first")))]
        watches = [answer(b"", status), answer(b"", status), stays(GOOD)]
        async with FakeServer(tmp_path, lists, watches) as server, server.reflecting() as it:
            await it.until(lambda: it.data == {"a": {"x": "good"}})
            assert it.reflector.counters.errors == 3
            assert it.reflector.counters.lists == 1
            assert str(status) in it.reflector.status.reason

    asyncio.run(play())


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_up_to_the_cap(tmp_path: Path, status: int) -> None:
    async def play() -> None:
        lists = [answer(b"", status, Retry_After="1"), answer(b"", status, Retry_After="100000"), answer(a_list(1))]
        async with FakeServer(tmp_path, lists, [stays()]) as server, server.reflecting(cap=1.2) as it:
            await it.until(lambda: it.reflector.listed)
            first, second, third = server.when("list")
            assert second - first >= 1.0
            assert third - second >= 1.2

    asyncio.run(play())


def test_where_slices_are_not_served_endpoints_take_their_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By a server before Kubernetes 1.21; one of today does not get ready without them."""
    name = {"name": "web", "namespace": "n"}
    subset = {"addresses": [{"ip": "198.51.100.1"}], "ports": [{"port": 80}]}
    others = {
        "endpoints": answer({**a_list(1, {"metadata": name, "subsets": [subset]}), "kind": "EndpointsList"}),
        "services": answer({**a_list(1), "kind": "ServiceList"}),
        "nodes": answer({**a_list(1), "kind": "NodeList"}),
    }

    async def play() -> None:
        async with FakeServer(tmp_path, [answer(a_list(1))], [stays()], others) as server:
            snapshots: asyncio.Queue[Snapshot] = asyncio.Queue()
            observer = Observer(server.connection(), ("n", "vips"), snapshots.put_nowait)
            task = asyncio.create_task(observer.run())
            async with asyncio.timeout(20):
                snapshot = await snapshots.get()
            task.cancel()
            await asyncio.wait([task])
            assert [one.endpoints for one in snapshot.slices["n", "web"]] == [(Endpoint("198.51.100.1"),)]

    asyncio.run(play())
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    what = "endpointslices.discovery.k8s.io"
    assert told == [f"cannot list {what}: the API server does not serve it; without it Endpoints are followed"]


def test_silence_is_not_waited_out(tmp_path: Path) -> None:
    async def play() -> None:
        lists = [answer(a_list(1))]
        async with FakeServer(tmp_path, lists, [stays(), stays(GOOD)]) as server, server.reflecting(idle=0.3) as it:
            await it.until(lambda: it.data == {"a": {"x": "good"}})
            assert it.reflector.counters.lists == 1

    asyncio.run(play())


def test_bookmarks_move_the_version_on(tmp_path: Path) -> None:
    async def play() -> None:
        mark = event("BOOKMARK", kind="ConfigMap", metadata={"resourceVersion": "77"})
        lists = [answer(a_list(1, config_map(1)))]
        async with FakeServer(tmp_path, lists, [answer(mark), stays()]) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("watch")) == 2)
            queries = [query for _, query in server.asked if "watch" in query]
            assert [query["resourceVersion"] for query in queries] == ["1", "77"]
            assert all(query["allowWatchBookmarks"] == "true" for query in queries)
            assert all(int(query["timeoutSeconds"]) >= 300 for query in queries)
            assert (it.changes, it.reflector.counters.events) == (1, 0)

    asyncio.run(play())


def test_a_list_that_is_not_whole_changes_nothing_and_what_is_the_same_stays_the_same_object(tmp_path: Path) -> None:
    whole = a_list(1, config_map(1, "a"), config_map(2, "b"), config_map(3, "c", x="1"))
    first = a_list(9, config_map(1, "a"), following="more")
    second = a_list(9, config_map(9, "c", x="2"))
    waiting = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await waiting.wait()
        return await answer(second)(request)

    async def play() -> None:
        lists: list[Answer] = [answer(whole), answer(first), answer(b"", 503), answer(first), late]
        async with FakeServer(tmp_path, lists, [answer(GONE), stays()]) as server, server.reflecting() as it:
            await it.until(lambda: len(server.when("list")) == 5)
            before = dict(it.reflector.objects)
            assert set(it.data) == {"a", "b", "c"}
            waiting.set()
            await it.until(lambda: len(server.when("watch")) == 2)
            assert it.data == {"a": {}, "c": {"x": "2"}}
            assert it.reflector.objects["n", "a"] is before["n", "a"]
            assert it.changes == 2

    asyncio.run(play())


def test_events_that_come_in_pieces_or_many_at_once_are_all_taken(tmp_path: Path) -> None:
    lines = b"".join(event("ADDED", **config_map(number, f"m{number}")) for number in range(2, 300))
    pieces = [lines[at : at + 997] for at in range(0, len(lines), 997)]

    async def play() -> None:
        async with FakeServer(tmp_path, [answer(a_list(1))], [stays(*pieces)]) as server, server.reflecting() as it:
            await it.until(lambda: len(it.data) == 298)
            assert it.reflector.counters.events == 298

    asyncio.run(play())


def test_what_is_sent_again_is_no_change(tmp_path: Path) -> None:
    async def play() -> None:
        lists = [answer(a_list(1, config_map(8, x="good")))]
        async with FakeServer(tmp_path, lists, [stays(GOOD, GOOD)]) as server, server.reflecting() as it:
            await it.until(lambda: it.reflector.counters.events == 2)
            assert it.changes == 1

    asyncio.run(play())


def test_what_is_wrong_with_a_kubeconfig_is_said_on_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text("clusters: [x", encoding="ascii")

    async def ask() -> None:
        async with Connection(Access(kubeconfig=str(broken))).get("/version", (), ClientTimeout(total=5.0)):
            raise AssertionError

    with pytest.raises(AccessError) as caught:
        asyncio.run(ask())
    assert str(broken) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_host_that_is_named_by_http_gets_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "ca.crt").write_text("unused")
    seen: list[str] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(str(request.headers))
        return await answer(a_list(1))(request)

    async def play() -> None:
        async with FakeServer(tmp_path, [look], [stays()]) as server:
            it = Reflecting(Connection(Access(host=server.url, account=tmp_path)), Patience())
            async with it:
                await it.until(lambda: it.reflector.listed)

    asyncio.run(play())
    assert len(seen) == 1
    assert "secret" not in seen[0]


class CompactingConnection(Connection):
    """Has etcd forget its history after the first page of a list."""

    def __init__(self, access: Access, api: ApiServer) -> None:
        super().__init__(access)
        self._api = api
        self.tokens: list[str] = []

    @asynccontextmanager
    async def get(
        self, path: str, query: Sequence[tuple[str, str]], limits: ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        token = dict(query).get("continue", "")
        if token and not self.tokens:
            await asyncio.to_thread(self._api.apply, path, manifests.config_map("later"))
            await asyncio.to_thread(self._api.compact)
        self.tokens += [token] if token else []
        async with super().get(path, query, limits) as response:
            yield response


@pytest.mark.kube
def test_more_than_a_page_is_listed_and_history_may_go_meanwhile(api: ApiServer, namespace: str) -> None:
    for number in range(520):
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        api.request("POST", path, manifests.config_map(f"m{number}", x=str(number)))
    api.restart("--watch-cache=false")  # so that pages come from etcd itself

    access = Access(kubeconfig=str(api.kubeconfig()))
    compacting = CompactingConnection(access, api)

    async def play(connection: Connection, there: int) -> None:
        it = Reflecting(connection, Patience(), namespace)
        async with it:
            await it.until(lambda: it.reflector.listed)
            assert len(it.data) == there
            assert it.data["m519"] == {"x": "519"}
            assert it.reflector.counters.errors == 0

    asyncio.run(play(Connection(access), 520))
    asyncio.run(play(compacting, 521))
    assert len(compacting.tokens) == 1, "a page that had expired has not been asked for, or not been given up"
