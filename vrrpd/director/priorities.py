"""What services that have no quorum take from the priorities of routers (`vrrp_weight`). Pure."""

from collections import defaultdict
from collections.abc import Iterable

from vrrpd.config.model import VrrpInstance
from vrrpd.director.service import Service
from vrrpd.ledger import RouterKey
from vrrpd.protocol.advert import IPAddress


def burdens(instances: Iterable[VrrpInstance], services: Iterable[Service]) -> dict[RouterKey, int]:
    """What to add to the priority of each router; nothing for those not named."""
    by_address: defaultdict[IPAddress, list[Service]] = defaultdict(list)
    for service in services:
        if service.settings.vrrp_weight and not service.has_quorum:
            for address in service.settings.addresses:
                by_address[address].append(service)
    found: dict[RouterKey, int] = {}
    for instance in instances if by_address else ():
        lost = {
            id(service): service for vip in instance.virtual_ipaddress for service in by_address.get(vip.address, ())
        }
        if lost:
            found[instance.key] = sum(service.settings.vrrp_weight for service in lost.values())
    return found
