"""A configuration as a file that says the same: `vrrpd.config.load.parse` reads it back equal.

Keys that have their default are left out, but for those that say what a virtual router is. A configuration without
virtual routers and virtual servers is no file that can be loaded; it is shown all the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType

from msgspec import Struct

from vrrpd.config.model import (
    Config,
    GarpSettings,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
)
from vrrpd.config.services import (
    Check,
    DnsCheck,
    HttpCheck,
    Masquerade,
    MiscCheck,
    PingCheck,
    RealServerSettings,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
    VirtualServerSettings,
)
from vrrpd.ipvs.model import FirewallMark, Flag, Method, Protocol, Scheduler, VirtualServerKey
from vrrpd.protocol.advert import Family

_TYPES: Mapping[type[Check], str] = MappingProxyType(
    {
        TcpCheck: "TCP",
        HttpCheck: "HTTP",
        UdpCheck: "UDP",
        PingCheck: "PING",
        DnsCheck: "DNS",
        SmtpCheck: "SMTP",
        MiscCheck: "MISC",
    }
)
_MASQUERADE = {Masquerade.AUTO: "auto", Masquerade.ALWAYS: True, Masquerade.NEVER: False}
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(32), 127)} | {ord('"'): '\\"', ord("\\"): "\\\\"}

Pairs = Iterator[tuple[str, object]]
"""Keys and values of a table, in their order."""


def as_toml(config: Config) -> str:
    """The file."""
    groups: dict[str, VirtualServerSettings] = {}
    for server in config.virtual_servers:
        if name := group_of(server):
            groups.setdefault(name, server)
    tables = [
        list(_lines(_changed(config, Config(()), "instances", "scripts", "virtual_servers"))),
        *(["[[vrrp_script]]", *_lines(_script(script))] for script in config.scripts),
        *(["[[vrrp_instance]]", *_lines(_instance(instance))] for instance in config.instances),
        *(["[[virtual_server_group]]", *_lines(_group(name, server))] for name, server in groups.items()),
        *(_virtual_server(server) for server in config.virtual_servers),
    ]
    return "\n\n".join("\n".join(table) for table in tables if table) + "\n"


def group_of(server: VirtualServerSettings) -> str:
    """The name of the group that a virtual server has its keys from; empty: it has one of its own."""
    if len(server.keys) == 1 and server.name == str(server.keys[0]):
        return ""
    name = server.name.removeprefix(f"{server.protocol.name} group ")
    of_ipv6 = any(isinstance(key, FirewallMark) and key.family is Family.IPV6 for key in server.keys)
    return name.removesuffix(" (IPv6)") if of_ipv6 else name


def sole_checks(server: VirtualServerSettings) -> tuple[Check, ...]:
    """The checks that all its real servers have; none where they differ."""
    different = {real.checks for real in server.real_servers}
    return different.pop() if len(different) == 1 else ()


def _changed(value: Struct, default: Struct, *but: str) -> Pairs:
    """The fields that do not have the default."""
    for name in value.__struct_fields__:
        if name not in but and getattr(value, name) != getattr(default, name):
            yield name, getattr(value, name)


def _instance(instance: VrrpInstance) -> Pairs:
    yield "name", instance.name
    yield "interface", instance.interface
    yield "virtual_router_id", instance.virtual_router_id
    yield "priority", instance.priority
    yield "advert_int", instance.advert_int
    said = ("name", "interface", "virtual_router_id", "virtual_ipaddress", "priority", "advert_int", "garp")
    yield from _changed(instance, VrrpInstance("", "", 1, ()), *said, "track_interface", "track_script")
    for name, value in _changed(instance.garp, GarpSettings()):
        yield f"garp_{name}", value
    if instance.track_interface:
        yield (
            "track_interface",
            [_tracked("interface", each.interface, each.weight) for each in instance.track_interface],
        )
    if instance.track_script:
        yield "track_script", [_tracked("script", each.script, each.weight) for each in instance.track_script]
    yield "virtual_ipaddress", [_address(vip, instance.interface) for vip in instance.virtual_ipaddress]


def _address(vip: VirtualAddress, interface: str) -> object:
    more = dict(_changed(vip, VirtualAddress(vip.interface_address, interface)))
    return {"address": str(vip), **more} if more else str(vip)


def _tracked(key: str, name: str, weight: int) -> object:
    return {key: name, "weight": weight} if weight else name


def _script(script: VrrpScript) -> Pairs:
    yield "name", script.name
    yield from _changed(script, VrrpScript(script.name, (), timeout=script.interval))


def _group(name: str, server: VirtualServerSettings) -> Pairs:
    yield "name", name
    yield "members", [_member(key) for key in server.keys]


def _member(key: VirtualServerKey) -> str:
    return f"fwmark {key.mark}" if isinstance(key, FirewallMark) else f"{key.address} {key.port}"


def _virtual_server(server: VirtualServerSettings) -> list[str]:
    checks = sole_checks(server)
    lines = ["[[virtual_server]]", *_lines(_about(server))]
    lines += _lines(_checks(checks))
    for real in server.real_servers:
        lines += ["[[virtual_server.real_server]]", *_lines(_real_server(real, server))]
        if not checks:
            lines += _lines(_checks(real.checks))
    return lines


def _about(server: VirtualServerSettings) -> Pairs:
    key = server.keys[0]
    if name := group_of(server):
        yield "virtual_server_group", name
    elif isinstance(key, FirewallMark):
        yield "fwmark", key.mark
    else:
        yield "address", str(key.address)
        yield "port", key.port
    yield "protocol", server.protocol
    yield "lvs_sched", server.scheduler
    yield "lvs_method", server.method
    for flag in flags_of(server):
        yield flag, True
    said = ("name", "keys", "real_servers", "protocol", "scheduler", "method", "flags", "masquerade", "sorry_server")
    yield from _changed(server, VirtualServerSettings("", ()), *said)
    if server.masquerade is not Masquerade.AUTO:
        yield "masquerade", _MASQUERADE[server.masquerade]
    if server.sorry_server:
        yield "sorry_server", dict(_real_server(server.sorry_server, server))


def flags_of(server: VirtualServerSettings) -> Iterator[str]:
    """The keys, here and for keepalived, that stand for its flags; that of persistence is its timeout."""
    if server.flags & Flag.ONE_PACKET:
        yield "ops"
    if server.scheduler in (Scheduler.SH, Scheduler.MH):
        if server.flags & Flag.SCHED_1:
            yield f"{server.scheduler}-fallback"
        if server.flags & Flag.SCHED_2:
            yield f"{server.scheduler}-port"


def _real_server(real: RealServerSettings, server: VirtualServerSettings) -> Pairs:
    yield "address", str(real.address)
    yield "port", real.port
    if real.method is not server.method:
        yield "lvs_method", real.method
    yield from _changed(real, RealServerSettings(real.address, real.port, real.method), "checks")


def _checks(checks: tuple[Check, ...]) -> Pairs:
    if checks:
        tables = [dict(_check(check)) for check in checks]
        yield "check", tables[0] if len(tables) == 1 else tables


def _check(check: Check) -> Pairs:
    yield "type", "HTTPS" if isinstance(check, HttpCheck) and check.tls else _TYPES[type(check)]
    default = MiscCheck(misc_path=()) if isinstance(check, MiscCheck) else type(check)()
    for name, value in _changed(check, default, "tls"):
        yield name, status_codes(check) if name == "status_code" and isinstance(check, HttpCheck) else value


def status_codes(check: HttpCheck) -> list[str]:
    """As people write them: `200`, `200-299`."""
    return [str(least) if least == most else f"{least}-{most}" for least, most in check.status_code]


def _lines(pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    return (f"{name} = {_value(value)}" for name, value in pairs)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Protocol | Method):
        return _string(value.name)
    if isinstance(value, Enum):
        return _string(str(value.value))
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, bytes):
        return _string(value.hex())
    if isinstance(value, dict):
        return f"{{ {', '.join(_lines(value.items()))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return _string(str(value))


def _string(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'
