"""What services that have no quorum (`vrrp_weight`), and programs (`track_script`), come to for routers. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from vrrpd.channel import Burden
from vrrpd.config.model import VrrpInstance
from vrrpd.director.scripts import Standing
from vrrpd.director.service import Service
from vrrpd.ledger import RouterKey
from vrrpd.protocol.advert import IPAddress


def burdens(
    instances: Iterable[VrrpInstance], services: Iterable[Service], standings: Mapping[str, Standing]
) -> dict[RouterKey, Burden]:
    """What burdens each router; those that track programs are named in any case, others if there is something."""
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
        if burden != Burden() or instance.track_script:
            found[instance.key] = burden
    return found


def _with_scripts(instance: VrrpInstance, weight: int, standings: Mapping[str, Standing]) -> Burden:
    lacking: list[str] = []
    for tracked in instance.track_script:
        standing = standings[tracked.script]
        if tracked.weight:
            weight += tracked.weight if standing.works == (tracked.weight > 0) else 0
        elif not standing.works:
            lacking.append(f"vrrp_script {tracked.script} fails: {standing.reason}")
    return Burden(weight, "; ".join(lacking))
