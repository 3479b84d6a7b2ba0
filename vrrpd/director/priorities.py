"""What services that have no quorum (`vrrp_weight`), and programs (`track_script`), come to for routers. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from vrrpd.channel import Burden, Standing
from vrrpd.config.model import VrrpInstance
from vrrpd.director.service import Service
from vrrpd.ledger import RouterKey
from vrrpd.protocol.advert import IPAddress


def burdens(
    instances: Iterable[VrrpInstance],
    services: Iterable[Service],
    standings: Mapping[str, Standing],
    before: Mapping[RouterKey, Burden],
) -> dict[RouterKey, Burden]:
    """What burdens each router; those that track programs, once these are known, and others if there is something.

    While nothing is known of a program, what was said `before` of those that track it holds; but one that is known to
    fail, and without which they are in FAULT, does not wait for it.
    """
    by_address: defaultdict[IPAddress, list[Service]] = defaultdict(list)
    for service in services:
        if service.settings.vrrp_weight and not service.has_quorum:
            for address in service.settings.addresses:
                by_address[address].append(service)
    found: dict[RouterKey, Burden] = {}
    for instance in instances:
        lost = {
            id(service): service for vip in instance.virtual_ipaddress for service in by_address.get(vip.address, ())
        }
        weight = sum(service.settings.vrrp_weight for service in lost.values())
        burden = _with_scripts(instance, weight, standings)
        if not burden.lacking and any(each.script not in standings for each in instance.track_script):
            if instance.key in before:
                found[instance.key] = before[instance.key]
        elif burden != Burden() or instance.track_script:
            found[instance.key] = burden
    return found


def _with_scripts(instance: VrrpInstance, weight: int, standings: Mapping[str, Standing]) -> Burden:
    lacking: list[str] = []
    for tracked in instance.track_script:
        standing = standings.get(tracked.script)
        if standing is None:
            continue
        if tracked.weight:
            weight += tracked.weight if standing.works == (tracked.weight > 0) else 0
        elif not standing.works:
            lacking.append(f"vrrp_script {tracked.script} fails: {standing.reason}")
    return Burden(weight, "; ".join(lacking))
