"""Reads a configuration file: all of it is right, or all that is wrong with it is said."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from vrrpd.config.addresses import Located, in_order_of_advert, read_addresses, refuse_too_many
from vrrpd.config.conflicts import Draft, refuse_conflicts
from vrrpd.config.model import Config, GarpSettings, VrrpInstance
from vrrpd.config.problems import ConfigError, KeyPath, Problem, Report
from vrrpd.config.schema import INSTANCE, TOP, read_table, refuse_ipv4_only, tables_of
from vrrpd.config.services import VirtualServerSettings
from vrrpd.config.syntax import is_keepalived, read
from vrrpd.config.tracking import read_scripts, read_tracked, read_tracked_scripts
from vrrpd.protocol.advert import Family, IPAddress
from vrrpd.protocol.timing import PRIORITY_OWNER

_INSTANCES = "vrrp_instance"
_ADDRESSES = "virtual_ipaddress"
_TRACKED = "track_interface"
_TRACKED_SCRIPTS = "track_script"
_SCRIPTS = "vrrp_script"
_OF_SERVICES = ("virtual_server", "virtual_server_group")
_GARP = "garp_"
_ADD_INSTANCE = "add a [[vrrp_instance]] with name, interface, virtual_router_id and virtual_ipaddress"
_FILE_SIZE_MAX = 1 << 24
"""Bytes; a thousand times what a large configuration has."""


def load(path: Path, remark: Callable[[str], object] = str) -> Config:
    """The configuration in the file.

    Args:
        path: the file, in TOML or a keepalived.conf.
        remark: takes what keepalived would do and vrrpd does not, or otherwise, line by line.

    Raises:
        ConfigError: the file cannot be read, or is wrong.
    """
    return parse(text_of(path), str(path), remark)


def text_of(path: Path) -> str:
    """What is in a file; in a keepalived.conf, bytes that are not UTF-8 are surrogates.

    Raises:
        ConfigError: the file cannot be read, or is TOML and not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_SIZE_MAX + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file", "create it, or name another with -c FILE") from None
    except IsADirectoryError:
        raise _unreadable(path, "it is a directory", "name a file in it with -c FILE") from None
    except PermissionError:
        raise _unreadable(path, "it may not be read", "run as root, or change its mode") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        wrong = f"it cannot be read: {getattr(error, 'strerror', None) or error}"
        raise _unreadable(path, wrong, "name another with -c FILE") from None
    if len(content) > _FILE_SIZE_MAX:
        raise _unreadable(path, "it has more than 16 MiB", "name a configuration with -c FILE")
    text = content.decode("utf-8", "surrogateescape")
    if not is_keepalived(text):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            wrong = f"it is not UTF-8: byte 0x{content[error.start]:02x}"
            raise ConfigError([Problem(str(path), line, "", wrong, "save it as UTF-8")]) from None
    return text.removeprefix("\ufeff")


def parse(text: str, name: str, remark: Callable[[str], object] = str) -> Config:
    """The configuration that is the document `text`, in TOML or as keepalived has it.

    Args:
        text: the document.
        name: what to call it in errors, usually its path.
        remark: takes what keepalived would do and vrrpd does not, or otherwise, line by line.

    Raises:
        ConfigError: it is wrong.
    """
    text = text.removeprefix("\ufeff")
    if is_keepalived(text):
        from vrrpd.config.keepalived.reading import read_keepalived  # noqa: PLC0415

        imported = read_keepalived(text, name)
        for each in imported.remarks:
            remark(str(each))
        return imported.config
    reading = read(text, name)
    report = Report(name, reading.text, reading.problems, reading.broken_keys)
    config = configured(reading.document, report)
    if config is None:
        raise ConfigError(report.problems)
    return config


def configured(document: dict[str, Any], report: Report) -> Config | None:
    """The configuration that a document says; None: something is wrong with it, which the report has."""
    values, drafts = read_rest(document, report)
    if not document.keys().isdisjoint(_OF_SERVICES):
        values["virtual_servers"] = _virtual_servers(document, report, drafts)
    return None if report.problems else config_of(values, drafts)


def read_rest(document: dict[str, Any], report: Report) -> tuple[dict[str, Any], list[Draft]]:
    """What is not of virtual servers, as far as it is right; what is not goes to the report."""
    values = read_table(document, TOP, (), report)
    values["scripts"], weights = read_scripts(document.get(_SCRIPTS, []), report)
    drafts = [_draft(raw, path, report, weights) for path, raw in _instance_tables(document, report)]
    refuse_conflicts(drafts, report)
    return values, drafts


def config_of(values: Mapping[str, Any], drafts: Iterable[Draft]) -> Config:
    """What comes of that, if it is without an error."""
    return Config(instances=tuple(_instance(draft) for draft in drafts), **values)


def _virtual_servers(
    document: dict[str, Any], report: Report, drafts: list[Draft]
) -> tuple[VirtualServerSettings, ...]:
    # Those who have none need not wait for what reads them.
    from vrrpd.config.virtual_servers import read_virtual_servers  # noqa: PLC0415

    return read_virtual_servers(document, report, held_by(drafts))


def held_by(drafts: Iterable[Draft]) -> frozenset[IPAddress]:
    """Their virtual addresses."""
    return frozenset(address.address for draft in drafts for _, address in draft.addresses)


def _unreadable(path: Path, wrong: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(str(path), None, "", wrong, remedy)])


def _instance_tables(document: dict[str, Any], report: Report) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    raw = document.get(_INSTANCES, [])
    if not document:
        report.add((), "the file has no keys", _ADD_INSTANCE)
    elif raw == [] and not document.get("virtual_server"):
        report.add((_INSTANCES,), "there is no instance", _ADD_INSTANCE)
    return tables_of(raw, INSTANCE, (_INSTANCES,), report)


def _draft(raw: Mapping[str, Any], path: KeyPath, report: Report, weights: Mapping[str, int] | None) -> Draft:
    values = read_table(raw, INSTANCE, path, report)
    addresses: list[Located] = []
    if _TRACKED in raw:
        values[_TRACKED] = read_tracked(raw[_TRACKED], (*path, _TRACKED), report, values.get("interface", ""))
    if _TRACKED_SCRIPTS in raw:
        values[_TRACKED_SCRIPTS] = read_tracked_scripts(
            raw[_TRACKED_SCRIPTS], (*path, _TRACKED_SCRIPTS), report, weights
        )
    if _ADDRESSES in raw:
        addresses = read_addresses(raw[_ADDRESSES], (*path, _ADDRESSES), report, values.get("interface", ""))
    if addresses:
        refuse_too_many(addresses, (*path, _ADDRESSES), report)
        if addresses[0][1].address.version == Family.IPV6.value:
            refuse_ipv4_only(raw, INSTANCE, path, report)
    _refuse_unicast_nonsense(values, addresses, path, report)
    if values.get("nopreempt") and values.get("priority") == PRIORITY_OWNER:
        wrong = "an owner of the addresses (priority 255) takes over at once, whoever is master"
        report.add((*path, "nopreempt"), wrong, "remove it, or use priority 1-254")
    return Draft(path, values, addresses)


def _refuse_unicast_nonsense(
    values: Mapping[str, Any], addresses: list[Located], path: KeyPath, report: Report
) -> None:
    source, peers = values.get("unicast_src_ip"), values.get("unicast_peer", ())
    if source and not peers:
        report.add((*path, "unicast_src_ip"), "without unicast_peer it means nothing", "add unicast_peer, or remove it")
    virtual = {vip.address for _, vip in addresses}
    named = [("unicast_peer", peer) for peer in peers] + ([("unicast_src_ip", source)] if source else [])
    for key, address in named:
        if virtual and address.version != addresses[0][1].address.version:
            wrong = f"{address} is not IPv{addresses[0][1].address.version}, as virtual_ipaddress is"
            report.add((*path, key), wrong, "use addresses of one family, or make one instance of each")
        elif address in virtual:
            report.add((*path, key), f"{address} is a virtual address, which moves", "use the host's own address")
    if source in peers:
        report.add((*path, "unicast_peer"), f"{source} is unicast_src_ip, this host itself", "remove it from the peers")


def _instance(draft: Draft) -> VrrpInstance:
    """What a draft without an error says."""
    values = {key: value for key, value in draft.values.items() if not key.startswith(_GARP) and key != "accept"}
    garp = {key.removeprefix(_GARP): value for key, value in draft.values.items() if key.startswith(_GARP)}
    addresses = in_order_of_advert(draft.addresses, values["virtual_router_id"], values["interface"])
    return VrrpInstance(virtual_ipaddress=addresses, garp=GarpSettings(**garp), **values)
