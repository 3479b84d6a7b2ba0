"""Adverts as they leave: one to the group, or one to each unicast peer, whose address the checksum covers."""

from typing import NamedTuple

from vrrpd.config.model import VrrpInstance
from vrrpd.protocol.advert import Advert, IPAddress, encode


class Way(NamedTuple):
    """From here to a single host."""

    source: IPAddress
    peer: IPAddress


Outgoing = tuple[tuple[bytes, Way | None], ...]
"""Messages, each with the way it takes; None: to the group."""


def outgoing(instance: VrrpInstance, priority: int, source: IPAddress) -> Outgoing:
    """What an advert of that priority comes to, from an address of this host."""
    parameters = instance.parameters()
    advert = Advert(parameters.virtual_router_id, priority, parameters.advertisement_interval, parameters.addresses)
    if not instance.unicast_peer:
        return ((encode(advert, source, form=instance.checksum), None),)
    ways = [Way(source, peer) for peer in instance.unicast_peer]
    return tuple((encode(advert, source, way.peer, instance.checksum), way) for way in ways)
