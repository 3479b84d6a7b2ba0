"""Reads a configuration file: all of it is right, or all that is wrong with it is said."""

import re
from pathlib import Path
from typing import Any

from vrrpd.config.addresses import Located, in_order_of_advert, read_addresses, refuse_too_many
from vrrpd.config.conflicts import Draft, refuse_conflicts
from vrrpd.config.model import Config, GarpSettings, VrrpInstance
from vrrpd.config.problems import ConfigError, KeyPath, Problem, Report, shown
from vrrpd.config.schema import INSTANCE, TOP, read_table, refuse_ipv4_only
from vrrpd.protocol.advert import Family
from vrrpd.protocol.timing import PRIORITY_OWNER

_INSTANCES = "vrrp_instance"
_ADDRESSES = "virtual_ipaddress"
_GARP = "garp_"
_ADD_INSTANCE = "add a [[vrrp_instance]] with name, interface, virtual_router_id and virtual_ipaddress"
_SYNTAX_PLACE = r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
"""How tomllib's messages end."""


def load(path: Path) -> Config:
    """The configuration in the file.

    Raises:
        ConfigError: the file cannot be read, or is wrong.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file", "create it, or name another with -c FILE") from None
    except IsADirectoryError:
        raise _unreadable(path, "it is a directory", "name a file in it with -c FILE") from None
    except PermissionError:
        raise _unreadable(path, "it may not be read", "run as root, or change its mode") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        wrong = f"it cannot be read: {getattr(error, 'strerror', None) or error}"
        raise _unreadable(path, wrong, "name another with -c FILE") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"it is not UTF-8: byte 0x{content[error.start]:02x}"
        raise ConfigError([Problem(str(path), line, "", wrong, "save it as UTF-8")]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Config:
    """The configuration that is the TOML document `text`.

    Args:
        text: the document.
        name: what to call it in errors, usually its path.

    Raises:
        ConfigError: it is wrong.
    """
    text = text.removeprefix("\ufeff")
    document = _toml(text, name)
    report = Report(name, text)
    values = read_table(document, TOP, (), report)
    drafts = [_draft(raw, (_INSTANCES, index), report) for index, raw in enumerate(_instance_tables(document, report))]
    refuse_conflicts(drafts, report)
    if report.problems:
        raise ConfigError(report.problems)
    return Config(instances=tuple(_instance(draft) for draft in drafts), **values)


def _unreadable(path: Path, wrong: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(str(path), None, "", wrong, remedy)])


def _toml(text: str, name: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  (only who reads a file needs it)

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError([Problem(name, 1, "", "arrays or tables are nested too deeply", "write them flat")]) from None
    except ValueError as error:  # TOMLDecodeError, and what int() says of more digits than it takes
        message = str(error)
    line, where = 1, ""
    if place := re.search(_SYNTAX_PLACE, message):
        line = int(place["line"] or text.rstrip().count("\n") + 1)
        source = shown(text.split("\n")[line - 1].strip())
        where = f" at column {place['column']} of {source}" if place["line"] else " at the end"
    wrong = f"it is not TOML: {re.sub(_SYNTAX_PLACE, '', message)}{where}"
    raise ConfigError([Problem(name, line, "", wrong, "strings need quotes, and a key stands only once")])


def _instance_tables(document: dict[str, Any], report: Report) -> list[object]:
    raw = document.get(_INSTANCES)
    if isinstance(raw, list) and raw:
        return raw
    if not document:
        report.add((), "the file has no keys", _ADD_INSTANCE)
    elif raw is None or raw == []:
        report.add((_INSTANCES,), "there is no instance", _ADD_INSTANCE)
    elif isinstance(raw, dict):
        report.add(
            (_INSTANCES,), "it is a single table", f"write {INSTANCE.title}, with two brackets, for each instance"
        )
    else:
        report.add((_INSTANCES,), f"{shown(raw)} is not a table", f"write {INSTANCE.title} and its keys below it")
    return []


def _draft(raw: object, path: KeyPath, report: Report) -> Draft:
    if not isinstance(raw, dict):
        report.add(path, f"{shown(raw)} is not a table", f"write {INSTANCE.title} and its keys below it")
        return Draft(path, {}, [])
    values = read_table(raw, INSTANCE, path, report)
    addresses: list[Located] = []
    if _ADDRESSES in raw:
        addresses = read_addresses(raw[_ADDRESSES], (*path, _ADDRESSES), report, values.get("interface", ""))
    if addresses:
        refuse_too_many(addresses, (*path, _ADDRESSES), report)
        if addresses[0][1].address.version == Family.IPV6.value:
            refuse_ipv4_only(raw, INSTANCE, path, report)
    if values.get("nopreempt") and values.get("priority") == PRIORITY_OWNER:
        wrong = "an owner of the addresses (priority 255) takes over at once, whoever is master"
        report.add((*path, "nopreempt"), wrong, "remove it, or use priority 1-254")
    return Draft(path, values, addresses)


def _instance(draft: Draft) -> VrrpInstance:
    """What a draft without an error says."""
    values = {key: value for key, value in draft.values.items() if not key.startswith(_GARP) and key != "accept"}
    garp = {key.removeprefix(_GARP): value for key, value in draft.values.items() if key.startswith(_GARP)}
    addresses = in_order_of_advert(draft.addresses, values["virtual_router_id"], values["interface"])
    return VrrpInstance(virtual_ipaddress=addresses, garp=GarpSettings(**garp), **values)
