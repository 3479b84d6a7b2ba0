"""From the table that is to the table that should be, in steps that hurt no connection.

Rules:
1. What is the same is not touched; what is not ours is not either.
2. Whatever exists is changed in place: to delete and add it again would forget its connections.
3. Virtual servers come first, so that real servers have a place; those that go, go last.
4. Within a virtual server, what takes connections comes before what stops taking them: real servers are added and gain
   weight before others lose theirs or go. So it is never without its last good one while a better one is on its way.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from msgspec import Struct

from vrrpd.ipvs.model import RealServer, RealServerKey, Table, VirtualServer, VirtualServerKey


class AddVirtualServer(Struct, frozen=True):
    """Without its real servers (IPVS_CMD_NEW_SERVICE)."""

    server: VirtualServer


class EditVirtualServer(Struct, frozen=True):
    """Its settings, not its real servers (IPVS_CMD_SET_SERVICE)."""

    server: VirtualServer


class RemoveVirtualServer(Struct, frozen=True):
    """With its real servers (IPVS_CMD_DEL_SERVICE)."""

    key: VirtualServerKey


class AddRealServer(Struct, frozen=True):
    """IPVS_CMD_NEW_DEST."""

    virtual_server: VirtualServerKey
    real_server: RealServer


class EditRealServer(Struct, frozen=True):
    """IPVS_CMD_SET_DEST."""

    virtual_server: VirtualServerKey
    real_server: RealServer


class RemoveRealServer(Struct, frozen=True):
    """IPVS_CMD_DEL_DEST."""

    virtual_server: VirtualServerKey
    real_server: RealServerKey


Step = AddVirtualServer | EditVirtualServer | RemoveVirtualServer | AddRealServer | EditRealServer | RemoveRealServer


Place = tuple[type[Struct], VirtualServerKey, RealServerKey | None]


def place_of(step: Step) -> Place:
    """What kind of step it is, and of what: enough to know it again."""
    match step:
        case AddVirtualServer(server) | EditVirtualServer(server):
            return type(step), server.key, None
        case RemoveVirtualServer(key):
            return type(step), key, None
        case AddRealServer(key, real_server) | EditRealServer(key, real_server):
            return type(step), key, real_server.key
        case RemoveRealServer(key, real_key):
            return type(step), key, real_key


def shown_step(step: Step) -> str:
    """For people: `AddRealServer 198.51.100.11 port 80 of TCP 192.0.2.100:80`."""
    kind, key, real_key = place_of(step)
    where = str(key)
    if isinstance(step, AddVirtualServer):
        where += f" with the scheduler {step.server.scheduler}"
    return f"{kind.__name__} {f'{real_key.address} port {real_key.port} of ' if real_key else ''}{where}"


def plan(actual: Table, desired: Table, ours: AbstractSet[VirtualServerKey] = frozenset()) -> tuple[Step, ...]:
    """The steps from `actual` to `desired`, in the order in which they are to be taken.

    Args:
        actual: what the kernel has.
        desired: what is ours and should be there; one that is there already is changed to it.
        ours: what we have put there before; of it goes what is not desired any more.
    """
    return tuple(_steps(actual, desired, ours))


def _steps(actual: Table, desired: Table, ours: AbstractSet[VirtualServerKey]) -> Iterator[Step]:
    for key, wanted in desired.items():
        present = actual.get(key)
        if present is wanted:  # a table that was put together from the last one shares what has not changed
            continue
        if present is None:
            yield AddVirtualServer(wanted)
            present = VirtualServer(key)
        elif present.settings != wanted.settings:
            yield EditVirtualServer(wanted)
        yield from _steps_within(present, wanted)
    for key in ours:
        if key in actual and key not in desired:
            yield RemoveVirtualServer(key)


def _steps_within(present: VirtualServer, wanted: VirtualServer) -> Iterator[Step]:
    key, losing = wanted.key, []
    for real_key, real_server in wanted.real_servers.items():
        before = present.real_servers.get(real_key)
        if before is None:
            if real_server.weight:
                yield AddRealServer(key, real_server)
            else:
                losing.append(real_server)
        elif before != real_server:
            if real_server.weight >= before.weight:
                yield EditRealServer(key, real_server)
            else:
                losing.append(real_server)
    for real_server in losing:
        step = EditRealServer if real_server.key in present.real_servers else AddRealServer
        yield step(key, real_server)
    for real_key in present.real_servers:
        if real_key not in wanted.real_servers:
            yield RemoveRealServer(key, real_key)
