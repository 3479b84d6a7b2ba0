"""The director's part of `vrrpd status --json`: keys and units as the documentation promises them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vrrpd.config.services import VirtualServerSettings
from vrrpd.director.checking import Found, Place
from vrrpd.director.drain import Draining
from vrrpd.director.service import Service
from vrrpd.ipvs.model import (
    Activity,
    FirewallMark,
    RealServer,
    RealServerKey,
    ServiceActivity,
    Table,
    Traffic,
    VirtualServer,
    VirtualServerKey,
)

JSON = dict[str, Any]


def statuses(
    services: Mapping[VirtualServerKey, Service],
    present: Table,
    activity: Mapping[VirtualServerKey, ServiceActivity],
    draining: Draining,
    found: Callable[[Place], Found],
) -> Iterator[JSON]:
    """`virtual_servers`: those that are configured, then those that are leaving.

    Args:
        services: by their keys.
        present: what is there.
        activity: what it has to do.
        draining: who is leaving.
        found: what the checks of a real server have found.
    """
    for key, service in services.items():
        entry = _virtual_server(key, service.settings, activity.get(key)) | {
            "programmed": key in activity,
            "quorum": service.has_quorum,
        }
        entry["real_servers"] = [
            *_configured(key, service, present.get(key), activity.get(key), found),
            *_leaving(key, present.get(key), activity.get(key), draining),
        ]
        yield entry
    for key, server in present.items():
        if key not in services:
            settings = VirtualServerSettings(str(key), (key,))
            entry = _virtual_server(key, settings, activity.get(key)) | {"lvs_sched": server.scheduler}
            entry |= {"programmed": key in activity, "quorum": False}
            entry["real_servers"] = _leaving(key, server, activity.get(key), draining)
            yield entry


def _virtual_server(key: VirtualServerKey, settings: VirtualServerSettings, activity: ServiceActivity | None) -> JSON:
    address: JSON
    if isinstance(key, FirewallMark):
        address = {
            "address": None,
            "port": None,
            "protocol": None,
            "fwmark": key.mark,
            "family": f"ipv{key.family.value}",
        }
    else:
        address = {"address": str(key.address), "port": key.port, "protocol": key.protocol.name}
    return {
        "name": settings.name,
        "key": str(key),
        **address,
        "lvs_sched": str(settings.scheduler),
        "lvs_method": settings.method.name,
        "persistence_timeout": settings.persistence_timeout,
        **_traffic(activity.traffic if activity else Traffic()),
    }


def _configured(
    key: VirtualServerKey,
    service: Service,
    present: VirtualServer | None,
    activity: ServiceActivity | None,
    found: Callable[[Place], Found],
) -> Iterator[JSON]:
    settings = service.settings
    for real, (told, health) in zip(settings.everybody, service.found(key), strict=True):
        entry = _real_server(told, activity)
        there = present is not None and told.key in present.real_servers
        entry |= {"healthy": health.up if health else None, "programmed": there}
        if health is None:
            entry["sorry"] = True
        elif real.checks:
            seen = found((settings.name, real.key))
            entry |= {"checks": seen.attempts, "checks_failed": seen.failed}
            if not health.up:
                entry["reason"] = "; ".join(seen.reasons) or "not checked yet"
        yield entry


def _leaving(
    key: VirtualServerKey, present: VirtualServer | None, activity: ServiceActivity | None, draining: Draining
) -> list[JSON]:
    return [
        _real_server(real, activity) | {"healthy": None, "programmed": True, "draining": True}
        for real_key, real in (present.real_servers if present else {}).items()
        if (key, real_key) in draining
    ]


def _real_server(real: RealServer, activity: ServiceActivity | None) -> JSON:
    key: RealServerKey = real.key
    at_work = activity.real_servers.get(key, Activity()) if activity else Activity()
    return {
        "address": str(key.address),
        "port": key.port,
        "lvs_method": real.method.name,
        "weight": real.weight,
        "active_connections": at_work.active,
        "inactive_connections": at_work.inactive,
        "persistent_connections": at_work.persistent,
        **_traffic(at_work.traffic),
    }


def _traffic(traffic: Traffic) -> JSON:
    return {name: getattr(traffic, name) for name in traffic.__struct_fields__}
