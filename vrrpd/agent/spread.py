"""Spread mode: each virtual address has a virtual router of its own, and another node is the first choice for each.

Pure functions of names and addresses, so that all nodes come to the same without a word to each other. Both hash by
rendezvous, or nearly so: a node or an address that comes or goes moves little of what the others have.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from vrrpd.agent.identity import PRIORITY_LAST
from vrrpd.protocol.advert import IPAddress


def priorities(nodes: Iterable[str], address: IPAddress) -> dict[str, int]:
    """The priority of each node for a virtual address: 254 for its first choice, 253 for the next one.

    Without a node, those that were behind it move up by one and stay in order.

    Args:
        nodes: their names.
        address: the virtual one.
    """
    order = sorted(set(nodes), key=lambda node: (_digest(f"{node} {address}"), node))
    return {node: max(PRIORITY_LAST - place, 1) for place, node in enumerate(order)}


def virtual_router_ids(addresses: Iterable[IPAddress], first: int, last: int) -> dict[IPAddress, int]:
    """The VRID of each address: the one that it hashes to, or else the next that is free.

    Where two want one, the address with the lower hash has it. Once every VRID is taken, addresses share: each gets the
    one that it hashes to.

    Args:
        addresses: of one family; what another family has is no concern of them (RFC 9568 section 5.2.3).
        first: the lowest VRID.
        last: the highest.
    """
    count = last - first + 1
    hashes: Mapping[IPAddress, int] = {address: _digest(str(address)) for address in addresses}
    taken: dict[int, IPAddress] = {}
    found: dict[IPAddress, int] = {}
    for address in sorted(hashes, key=lambda address: (hashes[address], int(address))):
        wanted = hashes[address] % count
        offsets = ((wanted + step) % count for step in range(count))
        offset = next((offset for offset in offsets if offset not in taken), wanted)
        taken.setdefault(offset, address)
        found[address] = first + offset
    return found


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
