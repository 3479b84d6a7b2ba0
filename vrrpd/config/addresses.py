"""`virtual_ipaddress`: a list of `ADDRESS[/PREFIX]`, each a string or a table with more about it."""

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Interface

from vrrpd.config.kinds import interface_address
from vrrpd.config.model import VirtualAddress
from vrrpd.config.problems import KeyPath, Refused, Report, shown
from vrrpd.config.schema import ADDRESS, INSTANCE, read_table, refuse_ipv4_only
from vrrpd.protocol.advert import ADDRESS_COUNT_MAX, Family, IPAddress

Located = tuple[KeyPath, VirtualAddress]
"""An address and where the file has it."""


def link_local_of(virtual_router_id: int) -> IPv6Interface:
    """The link-local address that an IPv6 instance has if the file names none.

    The first address of an IPv6 advert has to be link-local (RFC 9568 section 5.2.9), and all routers of a virtual
    router have to name the same one. So it is made, as EUI-64, from what they share: the virtual router's MAC,
    00-00-5E-00-02-{VRID}. It comes with /128, so that it brings no route: the interface has one to fe80::/64 already.
    """
    return IPv6Interface((int(IPv6Address("fe80::200:5eff:fe00:200")) + virtual_router_id, 128))


def read_addresses(raw: object, path: KeyPath, report: Report, interface: str) -> list[Located]:
    """The addresses as far as they are right, in the order of the file.

    Args:
        raw: the value of `virtual_ipaddress`.
        path: where it stands.
        report: takes what is wrong with it.
        interface: the instance's; empty if that is wrong itself.
    """
    if not isinstance(raw, list):
        report.add(path, f"{shown(raw)} is not a list", 'use a list: ["ADDRESS/PREFIX", ...]')
        return []
    if not raw:
        if path[-1] not in report.broken_keys:
            report.add(path, "the list is empty", "add the addresses that clients use")
        return []
    located = [
        ((*path, index), address)
        for index, entry in enumerate(raw)
        if (address := _read_entry(entry, (*path, index), report, interface)) is not None
    ]
    return list(_of_one_family_and_different(located, report))


def refuse_too_many(addresses: list[Located], path: KeyPath, report: Report) -> None:
    """Report a list that does not fit into one advert."""
    count = len(addresses) + _lacks_link_local(addresses)
    if count > ADDRESS_COUNT_MAX:
        wrong = f"{count} addresses{', with the link-local one' if count > len(addresses) else ''} are too many"
        report.add(path, wrong, f"an advert has room for {ADDRESS_COUNT_MAX}: move some to another {INSTANCE.title}")


def in_order_of_advert(addresses: list[Located], virtual_router_id: int, interface: str) -> tuple[VirtualAddress, ...]:
    """The same, for IPv6 with a link-local one first: the file's first, else that of the virtual router."""
    virtual = [address for _, address in addresses]
    if _lacks_link_local(addresses):
        virtual.insert(0, VirtualAddress(link_local_of(virtual_router_id), interface))
    elif virtual[0].address.version == Family.IPV6.value:
        first = next(address for address in virtual if address.address.is_link_local)
        virtual.remove(first)
        virtual.insert(0, first)
    return tuple(virtual)


def _lacks_link_local(addresses: list[Located]) -> bool:
    return addresses[0][1].address.version == Family.IPV6.value and not any(
        address.address.is_link_local for _, address in addresses
    )


def _read_entry(raw: object, path: KeyPath, report: Report, interface: str) -> VirtualAddress | None:
    if not isinstance(raw, dict):
        try:
            return VirtualAddress(interface_address(raw), interface)
        except Refused as refused:
            report.add(path, refused.wrong, refused.remedy)
            return None
    values = read_table(raw, ADDRESS, path, report)
    if "address" not in values:
        return None
    dev = values.get("dev", interface)
    if values["address"].version == Family.IPV6.value:
        refuse_ipv4_only(raw, ADDRESS, path, report)
    elif "label" in values and dev and values["label"] != dev and not values["label"].startswith(f"{dev}:"):
        wrong = f"{shown(values['label'])} does not begin with the interface {shown(dev)}"
        report.add((*path, "label"), wrong, f'use "{dev}" or "{dev}:WORD": other tools show it only so')
    return VirtualAddress(values["address"], dev, values.get("label"), values.get("noprefixroute"))


def _of_one_family_and_different(located: list[Located], report: Report) -> Iterator[Located]:
    seen: set[IPAddress] = set()
    for path, entry in located:
        family = located[0][1].address.version
        if entry.address.version != family:
            wrong = f"{entry.address} is IPv{entry.address.version}, the first address of the list is IPv{family}"
            report.add(path, wrong, f"move it to another {INSTANCE.title}: an instance has one family")
        elif entry.address in seen:
            report.add(path, f"{entry.address} is in the list already", "remove it")
        else:
            seen.add(entry.address)
            yield path, entry
