"""Which node this is, and which ones take part: as it was said, or else as our own pod has it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import ClientTimeout
from msgspec import Struct

from vrrpd.agent.connection import AccessError, Connection, RefusedError, UnreachableError
from vrrpd.agent.objects import Name, Pod
from vrrpd.agent.parse import ParseError, pod
from vrrpd.agent.settings import Settings

log = logging.getLogger(__name__)

_LIMITS: Final = ClientTimeout(total=20.0, sock_connect=10.0)
_RETRY: Final = 1.0
_RETRY_MAX: Final = 30.0
"""Seconds between two requests; doubled each time."""
_REFUSALS_MAX: Final = 3
"""In a row: an API server that starts may refuse for a moment what it grants."""
_RULE: Final = '{apiGroups: [""], resources: ["pods"], verbs: ["get"]}'


class Whereabouts(Struct, frozen=True):
    """Where the agent runs."""

    node: str
    """The node's name."""
    node_selector: Mapping[str, str]
    """What the labels of the nodes that take part must have."""


async def find_whereabouts(connection: Connection, settings: Settings) -> Whereabouts:
    """Where the agent runs. Waits for the API server if it has to be asked for the pod."""
    if settings.pod is None or (settings.node and settings.node_selector is not None):
        return Whereabouts(settings.node, settings.node_selector or {})
    delay, refusals, told = _RETRY, 0, ""
    while True:
        try:
            own = await _read_pod(connection, settings.pod)
            if own.node or settings.node:
                selector = own.node_selector if settings.node_selector is None else settings.node_selector
                return Whereabouts(settings.node or own.node, selector)
            problem = f"pod {'/'.join(settings.pod)} has no node yet"
        except RefusedError as error:
            refusals += error.status in (403, 404)
            problem = _refusal(error, settings)
            if settings.node and refusals >= _REFUSALS_MAX:
                log.warning("%s; until then all nodes take part", problem)
                return Whereabouts(settings.node, {})
        except (AccessError, UnreachableError, ParseError) as error:
            problem = f"cannot get pod {'/'.join(settings.pod)}: {error}"
        if problem != told and not (settings.node and refusals):
            log.warning("%s", problem)
            told = problem
        await asyncio.sleep(delay)
        delay = min(2 * delay, _RETRY_MAX)


async def _read_pod(connection: Connection, name: Name) -> Pod:
    namespace, own = (quote(part, safe="") for part in name)
    async with connection.get(f"/api/v1/namespaces/{namespace}/pods/{own}", (), _LIMITS) as response:
        return pod(await response.read())


def _refusal(error: RefusedError, settings: Settings) -> str:
    assert settings.pod
    name = "/".join(settings.pod)
    if error.status == 403:
        instead = "or set --node-selector" if settings.node else "or set NODE_NAME and --node-selector"
        return f"may not get pod {name}: needs this rule of a ClusterRole: {_RULE}; {instead}"
    if error.status == 404:
        return f"there is no pod {name}: set POD_NAME and POD_NAMESPACE to our own"
    return f"cannot get pod {name}: {error}"
