"""Follows the cluster, and tells what it comes to on this node."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn

from msgspec.structs import replace

from vrrpd.agent.connection import Access, Connection
from vrrpd.agent.events import Recorder, Saying
from vrrpd.agent.identity import interface_of
from vrrpd.agent.last import remember
from vrrpd.agent.objects import Node, Snapshot
from vrrpd.agent.observer import Observer
from vrrpd.agent.problems import Problem
from vrrpd.agent.settings import Settings
from vrrpd.agent.translate import Options, Translation, Translator
from vrrpd.agent.whereabouts import Whereabouts, find_whereabouts
from vrrpd.channel import Anomalous, Configured, Entered, LogLine
from vrrpd.config.host import present_interfaces
from vrrpd.config.model import Config
from vrrpd.config.sealed import SealedConfig, SealedServer, seal_server
from vrrpd.config.services import VirtualServerSettings
from vrrpd.protocol.effects import State

log = logging.getLogger(__name__)

WINDOW: Final = 0.05
"""Seconds: the first change is told at once, those that follow within this time together."""
GRACE: Final = 3.0
"""Seconds for which addresses stay without their ConfigMap: `kubectl replace --force` deletes it and makes another."""
_INTERFACE_RETRY: Final = 5.0
"""Seconds until the interfaces are looked at again where none has the node's address."""
_REMEMBER_AFTER: Final = 2.0
"""Seconds from a change to when it is kept for another life; those in between are kept with it."""
_SAY_AGAIN: Final = 1800.0
"""Seconds until a problem that is still there is said in an Event again; the API server keeps them for an hour."""
_REASONS: Final = {"ConfigMap": "InvalidEntry", "Service": "NotServed", "Node": "NodeProblem"}
"""By kind of the object that is wrong."""


class Watcher:
    """The agent's part that asks the API server. Whatever fails in it, the last configuration stays in force.

    Args:
        settings: of the command line.
        in_force: the configuration at present.
        tell: takes another one.
    """

    def __init__(self, settings: Settings, in_force: Config, tell: Callable[[Configured], None]) -> None:
        self._settings = settings
        self._in_force = in_force
        self._tell = tell
        self._news = asyncio.Event()
        self._snapshot: Snapshot | None = None
        self._problems: tuple[Problem, ...] = ()
        self._observer: Observer | None = None
        self._whereabouts: Whereabouts | None = None
        self._recorder: Recorder | None = None
        self._translator: Translator | None = None
        self._interface = settings.interface
        self._looked_for: Node | None = None
        """Whose addresses were looked for on the interfaces."""
        self._to_remember = asyncio.Event()
        self._sealed: dict[str, tuple[VirtualServerSettings, SealedServer]] = {}
        """Virtual servers by name, and what they were told as."""
        self._grace: asyncio.TimerHandle | None = None
        """Runs while there is no ConfigMap any more, and its addresses are held."""
        self._lost = False
        """It did not come back in time."""

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        settings = self._settings
        connection = Connection(Access(settings.kubeconfig, settings.api_server))
        try:
            self._whereabouts = await find_whereabouts(connection, settings)
            self._observer = Observer(
                connection, settings.config_map, self._changed, watch_namespace=settings.watch_namespace
            )
            self._recorder = Recorder(connection, settings.config_map, self._whereabouts.node)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._observer.run())
                tasks.create_task(self._follow())
                tasks.create_task(self._keep_remembering())
                tasks.create_task(self._recorder.run())
                tasks.create_task(self._keep_saying())
        finally:
            await connection.close()
        raise AssertionError

    def status(self) -> dict[str, Any]:
        """The part of `vrrpd status --json` that is about the cluster."""
        loop = asyncio.get_running_loop()
        resources = self._observer.status if self._observer else ()
        return {
            "config_map": "/".join(self._settings.config_map),
            "node": self._whereabouts.node if self._whereabouts else self._settings.node,
            "interface": self._interface,
            "configured": self._translator is not None,
            "resources": [
                {
                    "resource": each.resource,
                    "listed": each.listed,
                    "objects": each.objects,
                    "failing_seconds": None if each.failing_since is None else round(loop.time() - each.failing_since),
                    "reason": each.reason,
                    "unreadable": [*each.unreadable],
                }
                for each in resources
            ],
            "watch_errors": sum(each.errors for each in self._observer.counters.values()) if self._observer else 0,
            "problems": [*map(str, self._problems)],
        }

    def hear(self, news: Entered | Anomalous | LogLine) -> None:
        """What becomes of the configuration on this node: said in Events."""
        if isinstance(news, LogLine):
            self._say("VirtualServers", news.message, warning=True)
        elif isinstance(news, Anomalous):
            self._say("Conflict", f"{news.instance}: {news.what}", warning=True)
        elif news.state == State.INIT:
            self._say("Stopped", f"{news.instance} takes part no longer: {news.reason}")
        else:
            what = f"{news.instance} is {news.state}, priority {news.priority}: {news.reason}"
            self._say(news.state.capitalize(), what, warning=news.state == State.FAULT)

    def _say(self, reason: str, what: str, *, warning: bool = False) -> None:
        if self._recorder and self._whereabouts:
            self._recorder.say(Saying(reason, f"node {self._whereabouts.node}: {what}", warning), first=True)

    def _say_problem(self, problem: Problem, *, first: bool = False) -> None:
        assert self._recorder
        self._recorder.say(_saying(problem), first=first)

    def _changed(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        assert self._recorder
        self._recorder.about(snapshot.config_map)
        self._news.set()

    async def _follow(self) -> NoReturn:
        """Take up changes: the first at once, and then at most one in a window."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._take_up()
            except Exception:
                log.exception("what the cluster says cannot be taken up, the last that was is kept; please report this")
            await asyncio.sleep(WINDOW)

    async def _take_up(self) -> None:
        snapshot, where = self._snapshot, self._whereabouts
        assert snapshot
        assert where
        if self._may_come_back(snapshot):
            return
        if not self._settings.interface and (problem := await self._find_interface(snapshot.nodes.get(where.node))):
            self._report((problem,))
            asyncio.get_running_loop().call_later(_INTERFACE_RETRY, self._news.set)
            return
        if self._translator is None:
            self._translator = Translator(self._options(where))
        translation = self._translator.translate(snapshot)
        self._report(translation.problems)
        self._apply(translation)

    def _may_come_back(self, snapshot: Snapshot) -> bool:
        """Whether the ConfigMap has just gone, so that what it said stays for now."""
        if snapshot.config_map is not None:
            self._lost = False
        elif self._in_force.instances and not self._lost:
            if self._grace is None:
                name = "/".join(self._settings.config_map)
                log.error("ConfigMap %s: it is gone; unless it comes back its addresses go in %g s", name, GRACE)
                self._grace = asyncio.get_running_loop().call_later(GRACE, self._lose)
            return True
        if self._grace:
            self._grace.cancel()
            self._grace = None
        return False

    def _lose(self) -> None:
        self._lost = True
        self._news.set()

    def _apply(self, translation: Translation) -> None:
        if translation.config != self._in_force:
            self._in_force = translation.config
            self._tell(Configured(self._seal(translation.config)))
            self._to_remember.set()

    def _seal(self, config: Config) -> SealedConfig:
        """As `vrrpd.config.sealed.seal`, which need not look at what is the same object as before."""
        before, self._sealed = self._sealed, {}
        for server in config.virtual_servers:
            known = before.get(server.name)
            self._sealed[server.name] = known if known and known[0] is server else (server, seal_server(server))
        sealed = {name: each for name, (_, each) in self._sealed.items()}
        return SealedConfig(replace(config, virtual_servers=()), sealed)

    def _options(self, where: Whereabouts) -> Options:
        settings = self._settings
        return Options(
            node=where.node,
            interface=self._interface,
            config_map=settings.config_map,
            virtual_router_id=settings.virtual_router_id,
            spread=settings.spread,
            node_selector=where.node_selector,
            advert_int=settings.advert_int,
            notify=settings.notify,
            unicast=settings.unicast,
            base=settings.base,
        )

    async def _find_interface(self, node: Node | None) -> Problem | None:
        """Find the interface that has the node's address, unless it is known; returns why it is not."""
        assert self._whereabouts
        if node is None:
            wrong = "there is no such node, so that its interface is not known"
            return None if self._interface else Problem(f"Node {self._whereabouts.node}", "", wrong, "name it: --iface")
        if self._interface and self._looked_for and _addresses(self._looked_for) == _addresses(node):
            return None
        found = interface_of(node, await asyncio.to_thread(present_interfaces))
        if found is None:
            wrong = "no interface of this host has its address"
            return None if self._interface else Problem(f"Node {node.name}", "", wrong, "name one: --iface")
        if found != self._interface:
            log.info("node %s: adverts and addresses go to %s", node.name, found)
            self._interface, self._translator = found, None
        self._looked_for = node
        return None

    def _report(self, problems: tuple[Problem, ...]) -> None:
        """Tell of those that are new, and of those that are over."""
        nothing = self._snapshot is not None and self._snapshot.config_map is None
        for problem in problems:
            if problem not in self._problems:
                log.log(logging.ERROR if nothing else logging.WARNING, "%s", problem)
                self._say_problem(problem, first=nothing)
        if over := [problem for problem in self._problems if problem not in problems]:
            log.info("%d of the problems told before are over, %d are left", len(over), len(problems))
            assert self._recorder
            for problem in over:
                self._recorder.take_back(_saying(problem))
        self._problems = problems

    async def _keep_saying(self) -> NoReturn:
        while True:
            await asyncio.sleep(_SAY_AGAIN)
            for problem in self._problems:
                self._say_problem(problem)

    async def _keep_remembering(self) -> NoReturn:
        told = ""
        while True:
            await self._to_remember.wait()
            await asyncio.sleep(_REMEMBER_AFTER)
            self._to_remember.clear()
            try:
                await asyncio.to_thread(remember, self._in_force, self._settings)
            except OSError as error:
                problem = f"cannot keep the configuration for a start without an API server: {error}"
                if problem != told:
                    log.warning("%s", problem)
                told = problem


def _saying(problem: Problem) -> Saying:
    """All nodes say the same, unless it is about one of them."""
    return Saying(_REASONS[problem.where.partition(" ")[0]], str(problem), warning=True)


def _addresses(node: Node) -> Node:
    return replace(node, labels={})
