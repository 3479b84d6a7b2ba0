"""`[[virtual_server]]` and `[[virtual_server_group]]`: read, and checked for what the kernel would not do."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import Any

from msgspec.structs import replace

from vrrpd.config.blocks import REALS, SERVERS
from vrrpd.config.problems import KeyPath, Refused, Report, shown
from vrrpd.config.proxied import refuse_proxied
from vrrpd.config.schema import Table, read_table, tables_of
from vrrpd.config.service_keys import CHECKS, GROUP, REAL_SERVER, SORRY_SERVER, TIMING, VIRTUAL_SERVER
from vrrpd.config.service_kinds import host
from vrrpd.config.services import (
    Check,
    HttpCheck,
    Masquerade,
    MiscCheck,
    PingCheck,
    RealServerSettings,
    VirtualServerSettings,
)
from vrrpd.ipvs.model import FirewallMark, Flag, Method, Protocol, Scheduler, ServiceAddress, VirtualServerKey
from vrrpd.protocol.advert import Family, IPAddress

GROUPS = "virtual_server_group"
_WAYS = ("address", "fwmark", "virtual_server_group")
_MEMBERS_MAX = 4096
_USE_MEMBER = 'use "ADDRESS PORT", "FIRST-LAST PORT" or "fwmark MARK"'
_FLAGS = {
    "sh-fallback": (Scheduler.SH, Flag.SCHED_1),
    "sh-port": (Scheduler.SH, Flag.SCHED_2),
    "mh-fallback": (Scheduler.MH, Flag.SCHED_1),
    "mh-port": (Scheduler.MH, Flag.SCHED_2),
}
_FOR_CHECKS = (*(key.name for key in TIMING), "virtualhost")
_SAME_NAMES: tuple[str, ...] = (
    "proxy_protocol",
    "persistence_timeout",
    "persistence_granularity",
    "quorum",
    "hysteresis",
    "quorum_up",
    "quorum_down",
    "alpha",
    "omega",
    "ha_suspend",
    "vrrp_weight",
    "masquerade",
    "drain_timeout",
)
"""Keys that are fields of the settings as they are."""
_MAPS_PORTS = "NAT and PROXY alone translate ports"

Members = tuple[ServiceAddress | int, ...]
"""Addresses, the protocol of which is another's to say, and firewall marks."""


def read_virtual_servers(
    document: Mapping[str, Any], report: Report, held: Iterable[IPAddress]
) -> tuple[VirtualServerSettings, ...]:
    """The virtual servers as far as they are right; what is not goes to the report.

    Args:
        document: the file.
        report: takes what is wrong.
        held: the virtual addresses of the file's instances.
    """
    reader = Reader(document, report, held)
    found = [
        reader.read(raw, path) for path, raw in tables_of(document.get(SERVERS, []), VIRTUAL_SERVER, (SERVERS,), report)
    ]
    return tuple(server for server in found if server)


def _read_groups(document: Mapping[str, Any], report: Report) -> dict[str, Members]:
    groups: dict[str, Members] = {}
    for path, raw in tables_of(document.get(GROUPS, []), GROUP, (GROUPS,), report):
        values = read_table(raw, GROUP, path, report)
        members = _members(raw.get("members"), (*path, "members"), report) if "members" in raw else ()
        name = values.get("name")
        if name in groups:
            report.add((*path, "name"), f"{shown(name)} is the name of another group", "use another name")
        elif name:
            groups[name] = members
    return groups


def _members(raw: object, path: KeyPath, report: Report) -> Members:
    if not isinstance(raw, list) or not raw:
        report.add(path, f"{shown(raw)} is not a list with members", f"{_USE_MEMBER}, in a list")
        return ()
    members: list[ServiceAddress | int] = []
    for index, each in enumerate(raw):
        try:
            members += _member(each)
        except Refused as refused:
            report.add((*path, index), refused.wrong, refused.remedy)
    if len(members) > _MEMBERS_MAX:
        report.add(path, f"{len(members)} members are too many", f"{_MEMBERS_MAX} is the limit: make several groups")
    return tuple(dict.fromkeys(members))


def _member(raw: object) -> Members:
    words = raw.split() if isinstance(raw, str) else []
    if len(words) != 2 or not (words[1].isascii() and words[1].isdigit() and len(words[1]) <= 10):
        raise Refused(f"{shown(raw)} is no member", _USE_MEMBER)
    number = int(words[1])
    if words[0] == "fwmark":
        if not 1 <= number < 1 << 32:
            raise Refused(f"{shown(raw)} has no valid mark", "use 1-4294967295")
        return (number,)
    if number > 65535:
        raise Refused(f"{shown(raw)} has no valid port", "use 0-65535")
    first, dash, last_part = words[0].partition("-")
    address = host(first)
    count = 1
    if dash:
        separator = "." if isinstance(address, IPv4Address) else ":"
        whole = "." in last_part or ":" in last_part
        last = host(last_part if whole else first.rpartition(separator)[0] + separator + last_part)
        count = int(last) - int(address) + 1
        if last.version != address.version or not 1 <= count <= _MEMBERS_MAX:
            raise Refused(f"{shown(raw)} is no range", "use FIRST-LAST, such as 192.0.2.101-110")
    kind: type[IPv4Address | IPv6Address] = type(address)
    return tuple(ServiceAddress(Protocol.TCP, kind(int(address) + offset), number) for offset in range(count))


class Reader:
    """Reads one virtual server after another, and sees to it that no two are the same.

    Args:
        document: the file; of it only the groups count.
        report: takes what is wrong.
        held: the virtual addresses of the file's instances.
    """

    def __init__(self, document: Mapping[str, Any], report: Report, held: Iterable[IPAddress]) -> None:
        self._report = report
        self._groups = _read_groups(document, report)
        self._held = frozenset(held)
        self._taken: dict[VirtualServerKey, KeyPath] = {}
        self._masqueraded: dict[IPAddress, tuple[bool, KeyPath]] = {}

    def read(self, raw: Mapping[str, Any], path: KeyPath) -> VirtualServerSettings | None:
        """The virtual server; None if it has an error, which is in the report."""
        report = self._report
        before = len(report.problems)
        values = read_table(raw, VIRTUAL_SERVER, path, report)
        protocol: Protocol = values.get("protocol", Protocol.TCP)
        located = self._real_servers(raw, values, path)
        sorry = self._sorry_server(raw, values, path)
        family = next((Family.of(real.address) for real in (*located.values(), *([sorry] if sorry else []))), None)
        keys = self._keys(raw, values, protocol, family, path)
        self.claim(keys, values.get("masquerade"), path, next((way for way in _WAYS if way in raw), ""))
        self._refuse_nonsense(values, keys, path)
        refuse_proxied(values, keys, located | ({(*path, "sorry_server"): sorry} if sorry else {}), path, report)
        if keys:
            ports = {key.port for key in keys if isinstance(key, ServiceAddress)} or {0}
            families = {key.family for key in keys}
            located = {place: self._fitted(real, ports, families, place) for place, real in located.items()}
            sorry = sorry and self._fitted(sorry, ports, families, (*path, "sorry_server"))
        self._refuse_doubles(located, {(*path, "sorry_server"): sorry} if sorry else {})
        if values.get("ops"):
            methods = {real.method for real in located.values()} or {values.get("lvs_method", Method.NAT)}
            self._refuse_nat_of_single_packets(methods, path)
        if len(report.problems) > before:
            return None
        return VirtualServerSettings(
            name=_name(values, keys),
            keys=keys,
            real_servers=tuple(located.values()),
            protocol=protocol,
            scheduler=values.get("lvs_sched", Scheduler.WLC),
            method=values.get("lvs_method", Method.NAT),
            flags=_flags(values),
            sorry_server=sorry,
            **{name: values[name] for name in _SAME_NAMES if name in values},
        )

    def _keys(
        self,
        raw: Mapping[str, Any],
        values: Mapping[str, Any],
        protocol: Protocol,
        family: Family | None,
        path: KeyPath,
    ) -> tuple[VirtualServerKey, ...]:
        """What clients ask for; the family of a firewall mark is that of the real servers."""
        ways = [way for way in _WAYS if way in raw]
        if len(ways) != 1:
            wrong = f"it has {' and '.join(ways)}" if ways else "it has no address"
            self._report.add(path, wrong, "give it one of: address and port, fwmark, virtual_server_group")
            return ()
        members: Members
        if ways == ["address"]:
            if "port" not in raw:
                self._report.add((*path, "port"), "the key is missing", "add port = 1-65535")
            if "address" not in values or "port" not in values:
                return ()
            members = (ServiceAddress(protocol, values["address"], values["port"]),)
        elif ways[0] not in values:  # it is there, and wrong
            return ()
        elif "port" in values:
            self._report.add((*path, "port"), f"it goes with an address, not with {ways[0]}", "remove it")
            return ()
        elif ways == ["fwmark"]:
            members = (values["fwmark"],)
        elif values["virtual_server_group"] not in self._groups:
            name = values["virtual_server_group"]
            known = ", ".join(map(shown, self._groups)) or "none"
            wrong = f"there is no group {shown(name)}"
            self._report.add((*path, "virtual_server_group"), wrong, f"the groups are: {known}")
            return ()
        else:
            members = self._groups[values["virtual_server_group"]]
        return tuple(
            FirewallMark(member, family or Family.IPV4)
            if isinstance(member, int)
            else ServiceAddress(protocol, member.address, member.port)
            for member in members
        )

    def claim(
        self, keys: tuple[VirtualServerKey, ...], masquerade: Masquerade | None, path: KeyPath, way: str = _WAYS[0]
    ) -> None:
        """Report what another virtual server has already, or has otherwise.

        Args:
            keys: what clients ask for.
            masquerade: as the virtual server has it.
            path: where it stands.
            way: the key that says what clients ask for.
        """
        for key in keys:
            first = self._taken.setdefault(key, path)
            if first is not path:
                wrong = f"{key} is served already ({self._report.where(first)})"
                self._report.add((*path, way), wrong, "make one virtual server of both")
        self._refuse_contradiction(masquerade, keys, (*path, "masquerade"))

    def _real_servers(
        self, raw: Mapping[str, Any], values: Mapping[str, Any], path: KeyPath
    ) -> dict[KeyPath, RealServerSettings]:
        """Those that could be read, by where they stand; the port is -1 where there is none."""
        inherited = {name: values[name] for name in _FOR_CHECKS if name in values}
        default = self._checks(raw["check"], inherited, (*path, "check")) if "check" in raw else ()
        found: dict[KeyPath, RealServerSettings] = {}
        for real_path, each in tables_of(raw.get(REALS, []), REAL_SERVER, (*path, REALS), self._report):
            own = read_table(each, REAL_SERVER, real_path, self._report)
            checks = default
            if "check" in each:
                mine = inherited | {name: own[name] for name in _FOR_CHECKS if name in own}
                checks = self._checks(each["check"], mine, (*real_path, "check"))
            if own.get("lthreshold") and not own.get("uthreshold"):
                self._report.add((*real_path, "lthreshold"), "it means nothing without uthreshold", "add that one")
            elif own.get("lthreshold", 0) > own.get("uthreshold", 0):
                wrong = f"it is more than uthreshold, {own['uthreshold']}"
                self._report.add((*real_path, "lthreshold"), wrong, f"use at most {own['uthreshold']}")
            if "address" not in own:
                continue
            found[real_path] = RealServerSettings(
                own["address"],
                own.get("port", -1),
                own.get("lvs_method", values.get("lvs_method", Method.NAT)),
                own.get("weight", values.get("weight", 1)),
                own.get("inhibit_on_failure", values.get("inhibit_on_failure", False)),
                own.get("uthreshold", 0),
                own.get("lthreshold", 0),
                checks,
                own.get("notify_up"),
                own.get("notify_down"),
            )
        return found

    def _sorry_server(
        self, raw: Mapping[str, Any], values: Mapping[str, Any], path: KeyPath
    ) -> RealServerSettings | None:
        if "sorry_server" not in raw:
            return None
        path = (*path, "sorry_server")
        if not isinstance(raw["sorry_server"], dict):
            remedy = 'write sorry_server = { address = "...", port = ... }'
            self._report.add(path, f"{shown(raw['sorry_server'])} is not a table", remedy)
            return None
        own = read_table(raw["sorry_server"], SORRY_SERVER, path, self._report)
        if "address" not in own:
            return None
        method = own.get("lvs_method", values.get("lvs_method", Method.NAT))
        return RealServerSettings(own["address"], own.get("port", -1), method, own.get("weight", 1))

    def _checks(self, raw: object, inherited: Mapping[str, Any], path: KeyPath) -> tuple[Check, ...]:
        if not isinstance(raw, list):
            return tuple(self._check(raw, inherited, path))
        return tuple(check for index, each in enumerate(raw) for check in self._check(each, inherited, (*path, index)))

    def _check(self, raw: object, inherited: Mapping[str, Any], path: KeyPath) -> Iterable[Check]:
        if not isinstance(raw, dict):
            self._report.add(path, f"{shown(raw)} is not a table", 'write check = { type = "TCP" }')
            return
        kind = raw.get("type")
        if not isinstance(kind, str) or kind.upper() not in CHECKS:
            wrong = f"{shown(kind)} is not one of the choices" if "type" in raw else "the key is missing"
            self._report.add((*path, "type"), wrong, f"use one of {', '.join(CHECKS)}")
            return
        table, make = CHECKS[kind.upper()]
        own = read_table(raw, table, path, self._report)
        if own.get("min_reply_length", 0) > own.get("max_reply_length", 65535):
            self._report.add((*path, "min_reply_length"), "it is more than max_reply_length", "use less")
        if not _complete(table, own):
            return
        if make is HttpCheck:
            own["tls"] = kind.upper() == "HTTPS"
        known = {key.name for key in table.keys}
        yield make(**{name: value for name, value in inherited.items() if name in known} | own)

    def _refuse_nonsense(self, values: Mapping[str, Any], keys: tuple[VirtualServerKey, ...], path: KeyPath) -> None:
        """What the kernel takes and then does not do, or does not take."""
        report = self._report
        scheduler = values.get("lvs_sched", Scheduler.WLC)
        persistent = values.get("persistence_timeout", 0) > 0
        for flag, (of, _) in _FLAGS.items():
            if values.get(flag) and scheduler is not of:
                report.add((*path, flag), f'it is for lvs_sched = "{of}", and this is "{scheduler}"', "remove it")
        if values.get("ops") and values.get("protocol", Protocol.TCP) is not Protocol.UDP and not _marked(keys):
            report.add((*path, "ops"), "one-packet scheduling is for UDP", 'remove it, or use protocol = "UDP"')
        if values.get("ops") and persistent:
            report.add((*path, "ops"), "packets that are scheduled one by one have no persistence", "remove one")
        if not persistent and "persistence_granularity" in values:
            report.add(
                (*path, "persistence_granularity"), "it means nothing without persistence_timeout", "add that one"
            )
        longest = max((8 * key.family.address_size for key in keys), default=128)
        if values.get("persistence_granularity", 0) > longest:
            report.add(
                (*path, "persistence_granularity"),
                f"{values['persistence_granularity']} is out of range",
                f"use 1-{longest}",
            )
        proxied = values.get("lvs_method") is Method.PROXY
        for key in keys:
            if isinstance(key, ServiceAddress) and not key.port and not persistent and not proxied:
                report.add((*path, "port"), "0, every port, goes with persistence alone", "add persistence_timeout")
        if values.get("hysteresis", 0) >= values.get("quorum", 1) and values.get("hysteresis"):
            report.add((*path, "hysteresis"), "the quorum could never be lost", "use less than quorum")
        addresses = {key.address for key in keys if isinstance(key, ServiceAddress)}
        if values.get("vrrp_weight") and keys and not addresses & self._held:
            report.add((*path, "vrrp_weight"), "no [[vrrp_instance]] has an address of it", "remove it, or add one")

    def _fitted(
        self, real: RealServerSettings, ports: AbstractSet[int], families: AbstractSet[Family], path: KeyPath
    ) -> RealServerSettings:
        """The same with a port of its own; what does not go with the virtual server is reported.

        Args:
            real: as the file has it.
            ports: of the virtual server.
            families: of the virtual server.
            path: where the real server stands.
        """
        if real.method is not Method.TUN and families != {Family.of(real.address)}:
            version = real.address.version
            wrong = f"{real.address} is IPv{version}, and the virtual server is not"
            self._report.add((*path, "address"), wrong, "use one family, or TUN")
        # Without translation 0, which keepalived has to write, is what it is without a port.
        said = real.port >= 0 if real.method.maps_ports else real.port > 0
        port = real.port if said else (min(ports) if len(ports) == 1 else 0)
        if not real.method.maps_ports and said and ports != {real.port}:
            virtual = ", ".join(map(str, sorted(ports)))
            wrong = f"{real.method.name} does not map port {virtual} to {real.port}"
            self._report.add((*path, "port"), wrong, f"remove it: {_MAPS_PORTS}")
        elif real.method.maps_ports and not port and ports - {0}:
            self._report.add((*path, "port"), "it is needed here", "add port = 1-65535")
        if not port and any(_needs_port(check) for check in real.checks):
            self._report.add((*path, "check"), "there is no port to ask", "add connect_port")
        for check in real.checks:
            asked = check.connect_ip or real.address
            if check.bindto and check.bindto.version != asked.version:
                wrong = f"bindto is IPv{check.bindto.version}, and {asked}, which is asked, is not"
                self._report.add((*path, "check"), wrong, "use an address of the same family")
        return real if port == real.port else replace(real, port=port)

    def _refuse_contradiction(
        self, masquerade: Masquerade | None, keys: tuple[VirtualServerKey, ...], path: KeyPath
    ) -> None:
        """It is a matter of the address, whatever the port."""
        if masquerade in (None, Masquerade.AUTO):
            return
        asked = masquerade is Masquerade.ALWAYS
        for key in keys:
            if isinstance(key, ServiceAddress):
                other, first = self._masqueraded.setdefault(key.address, (asked, path))
                if other is not asked:
                    wrong = f"{key.address} has it otherwise ({self._report.where(first)})"
                    self._report.add(path, wrong, "use one for all ports of an address")
                    return

    def _refuse_nat_of_single_packets(self, methods: set[Method], path: KeyPath) -> None:
        if Method.NAT in methods:
            wrong = "the kernel forgets each packet at once, so that NAT cannot translate the reply"
            self._report.add((*path, "ops"), wrong, 'remove it, or use lvs_method = "DR"')

    def _refuse_doubles(self, *located: Mapping[KeyPath, RealServerSettings]) -> None:
        seen: set[tuple[IPAddress, int]] = set()
        for path, real in chain.from_iterable(each.items() for each in located):
            place = real.address, real.port
            if place in seen:
                self._report.add(
                    path, f"{real.address} is a real server of it already", "remove one, or change its port"
                )
            seen.add(place)


def _name(values: Mapping[str, Any], keys: tuple[VirtualServerKey, ...]) -> str:
    group = values.get("virtual_server_group")
    if not group:
        return str(keys[0])
    marks = any(isinstance(key, FirewallMark) and key.family is Family.IPV6 for key in keys)
    return f"{values.get('protocol', Protocol.TCP).name} group {group}{' (IPv6)' if marks else ''}"


def _flags(values: Mapping[str, Any]) -> Flag:
    flags = Flag.PERSISTENT if values.get("persistence_timeout") else Flag(0)
    flags |= Flag.ONE_PACKET if values.get("ops") else Flag(0)
    for name, (_, flag) in _FLAGS.items():
        flags |= flag if values.get(name) else Flag(0)
    return flags


def _marked(keys: tuple[VirtualServerKey, ...]) -> bool:
    return any(isinstance(key, FirewallMark) for key in keys)


def _complete(table: Table, values: Mapping[str, Any]) -> bool:
    return all(key.name in values for key in table.keys if key.required)


def _needs_port(check: Check) -> bool:
    return check.connect_port is None and not isinstance(check, PingCheck | MiscCheck)
