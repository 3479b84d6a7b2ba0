"""Every key that a configuration file can have, as data, and the reading of a table by it.

Defaults are those of the fields in `vrrpd.config.model`; a key that is not in the file is not passed on.
"""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from vrrpd.config import kinds
from vrrpd.config.model import GarpForm, Handover
from vrrpd.config.problems import KeyPath, Refused, Report, shown
from vrrpd.config.service_kinds import command, host, hosts
from vrrpd.config.services import NodeSettings
from vrrpd.protocol.advert import ChecksumForm


class Key(NamedTuple):
    """A key of a table."""

    name: str
    kind: kinds.Kind | None
    """None: a list, the elements of which are read one by one where it is known what they belong to."""
    required: str = ""
    """What to write if it is missing; empty: it may be."""
    ipv4_only: bool = False


class Table(Struct, frozen=True, dict=True):
    """The keys of one kind of table."""

    title: str
    """What it is called in messages."""
    place: str
    """Where its keys are to be written, for messages."""
    keys: tuple[Key, ...]
    not_yet: Mapping[str, str]
    """Keys that are to come: what to do until then."""
    never: Mapping[str, str] = MappingProxyType({})
    """Keys, most of them keepalived's, that vrrpd does without: what to do instead."""

    @cached_property
    def by_name(self) -> Mapping[str, Key]:
        """The same, to be looked up."""
        return {key.name: key for key in self.keys}

    @cached_property
    def required(self) -> tuple[Key, ...]:
        """Those of them that may not be missing."""
        return tuple(key for key in self.keys if key.required)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that can be used."""
        return tuple(self.by_name)


WEIGHT_MAX = 253
"""What can be added to a priority, or taken from it."""
_WEIGHT = Key("weight", kinds.whole(-WEIGHT_MAX, WEIGHT_MAX))
REMOVE = "remove it"
NOT_YET = "this release does not do it yet"
NEVER = "vrrpd does without this key"

TOP = Table(
    "the file itself",
    "above the first [[vrrp_instance]]",
    (
        Key("control_socket", kinds.socket_path),
        Key("http", kinds.http_address),
        Key("vip_lease", kinds.lease),
        Key("realtime_priority", kinds.whole(0, 99)),
        Key("memory_lock", kinds.flag),
        Key("node_settings", kinds.choice(NodeSettings)),
        Key("resync_interval", kinds.seconds(1, 3600)),
        Key("vrrp_instance", None),
        Key("vrrp_script", None),
        Key("virtual_server", None),
        Key("virtual_server_group", None),
    ),
    {
        "vrrp_sync_group": REMOVE,
        "vrrp_track_process": REMOVE,
        "vrrp_track_file": REMOVE,
    },
    {
        "global_defs": "remove it: its keys stand at the top of the file or in each instance",
        "static_ipaddress": "remove it: it is for the host's own network configuration",
        "static_routes": "remove it: it is for the host's own network configuration",
        "static_rules": "remove it: it is for the host's own network configuration",
        "vrrp_version": "remove it: it is always 3",
        "router_id": REMOVE,
        "log_level": "remove it: vrrpd run --log-level",
    },
)

INSTANCE = Table(
    "[[vrrp_instance]]",
    "below a [[vrrp_instance]]",
    (
        Key("name", kinds.name, required='add name = "..."'),
        Key("interface", kinds.interface_name, required='add interface = "...", the interface that the adverts use'),
        Key(
            "virtual_router_id",
            kinds.whole(1, 255),
            required="add virtual_router_id = 1-255, the same on all its routers",
        ),
        Key("priority", kinds.whole(1, 255)),
        Key("advert_int", kinds.whole_centiseconds(0.01, 40.95)),
        Key("nopreempt", kinds.flag),
        Key("preempt_delay", kinds.seconds(0, 1000)),
        Key("link_up_delay", kinds.seconds(0, 1000)),
        Key("handover", kinds.choice(Handover)),
        Key("accept", kinds.always_true),
        Key("checksum", kinds.choice(ChecksumForm), ipv4_only=True),
        Key("garp_master_delay", kinds.seconds(0, 3600)),
        Key("garp_master_repeat", kinds.whole(1, 1000)),
        Key("garp_master_refresh", kinds.seconds(0, 86400)),
        Key("garp_master_refresh_repeat", kinds.whole(1, 1000)),
        Key("garp_form", kinds.choice(GarpForm), ipv4_only=True),
        Key("unicast_src_ip", host),
        Key("unicast_peer", hosts),
        Key("track_interface", None),
        Key("track_script", None),
        Key("notify", command),
        Key("virtual_ipaddress", None, required='add virtual_ipaddress = ["ADDRESS/PREFIX"]'),
    ),
    {
        "track_process": REMOVE,
        "track_file": REMOVE,
        "use_vmac": REMOVE,
    },
    {
        **dict.fromkeys(
            ("notify_master", "notify_backup", "notify_fault", "notify_stop"),
            "use notify, which is called with the state",
        ),
        "state": "remove it: the election by priority decides who is master",
        "preempt": "remove it: it is so unless nopreempt = true",
        "no_accept": "remove it, or use accept",
        "strict_mode": REMOVE,
        "version": "remove it: it is always 3",
        "authentication": "remove it: VRRPv3 has none",
        "auth_type": "remove it: VRRPv3 has no authentication",
        "auth_pass": "remove it: VRRPv3 has no authentication",
        "mcast_src_ip": "remove it: adverts come from the interface's primary address",
        "mcast_dst_ip": "remove it: adverts go to the group of RFC 9568",
        "native_ipv6": "remove it: the addresses say so",
        "skip_check_adv_addr": "remove it: another list of addresses is reported, and the advert is heard all the same",
        "higher_prio_send_advert": "remove it",
        "down_timer_adverts": "remove it: it is always 3",
        "linkbeat_use_polling": "remove it: the kernel tells of links at once",
        "dont_track_primary": "remove it: without its interface an instance is in FAULT",
        "garp_lower_prio_delay": "remove it: a master that hears a worse one announces again at once",
        "garp_lower_prio_repeat": "remove it: a master that hears a worse one announces again at once",
        "virtual_ipaddress_excluded": "put the addresses into virtual_ipaddress",
        "virtual_routes": REMOVE,
        "virtual_rules": REMOVE,
        "use_ipvlan": REMOVE,
        "vmac_xmit_base": REMOVE,
        "smtp_alert": REMOVE,
        "lvs_sync_daemon_interface": REMOVE,
        "promote_secondaries": REMOVE,
        "debug": "remove it: vrrpd run --log-level debug",
    },
)

ADDRESS = Table(
    "an entry of virtual_ipaddress",
    'into its entry: { address = "...", ... }',
    (
        Key("address", kinds.interface_address, required='add address = "ADDRESS/PREFIX"'),
        Key("dev", kinds.interface_name),
        Key("label", kinds.label, ipv4_only=True),
        Key("noprefixroute", kinds.flag),
    ),
    {},
    {
        "brd": REMOVE,
        "scope": REMOVE,
        "home": REMOVE,
        "mngtmpaddr": REMOVE,
        "preferred_lft": REMOVE,
    },
)


TRACKED = Table(
    "an entry of track_interface",
    'into its entry: { interface = "...", ... }',
    (
        Key("interface", kinds.interface_name, required='add interface = "..."'),
        _WEIGHT,
    ),
    {"reverse": REMOVE},
)


SCRIPT = Table(
    "[[vrrp_script]]",
    "below a [[vrrp_script]]",
    (
        Key("name", kinds.name, required='add name = "..."'),
        Key("script", command, required='add script = "/path/to/script"'),
        Key("interval", kinds.seconds(0.1, 86400)),
        Key("timeout", kinds.seconds(0.01, 86400)),
        _WEIGHT,
        Key("rise", kinds.whole(1, 1000)),
        Key("fall", kinds.whole(1, 1000)),
        Key("init_fail", kinds.flag),
    ),
    {"reverse": REMOVE},
    {"user": "remove it: it runs as vrrpd does"},
)

TRACKED_SCRIPT = Table(
    "an entry of track_script",
    'into its entry: { script = "...", ... }',
    (
        Key("script", kinds.name, required='add script = "...", the name of a [[vrrp_script]]'),
        _WEIGHT,
    ),
    {"reverse": REMOVE},
)


def read_table(raw: Mapping[str, object], table: Table, path: KeyPath, report: Report) -> dict[str, Any]:
    """The values of the table's keys as far as they are right; what is not goes to the report.

    Keys without a kind are not among them, but are known.
    """
    values: dict[str, Any] = {}
    for name, value in raw.items():
        key = table.by_name.get(name)
        if key is None:
            _report_unknown(name, table, (*path, name), report)
        elif key.kind:
            try:
                values[name] = key.kind(value)
            except Refused as refused:
                report.add((*path, name), refused.wrong, refused.remedy)
    for key in table.required:
        if key.name not in raw and key.name not in report.broken_keys:
            report.add((*path, key.name), "the key is missing", key.required)
    return values


def tables_of(raw: object, table: Table, path: KeyPath, report: Report) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    """The tables of an array of them, and where each stands, unread; what is none goes to the report."""
    if isinstance(raw, dict):
        report.add(path, "it is a single table", f"write {table.title}, with two brackets, for each")
        return [] if raw.keys().isdisjoint(table.names) else [(path, raw)]  # what is wrong in it is told as well
    below = f"write {table.title} and its keys below it"
    if not isinstance(raw, list):
        report.add(path, f"{shown(raw)} is not a table", below)
        return []
    for index, each in enumerate(raw):
        if not isinstance(each, dict):
            report.add((*path, index), f"{shown(each)} is not a table", below)
    return [((*path, index), each) for index, each in enumerate(raw) if isinstance(each, dict)]


def refuse_ipv4_only(raw: Mapping[str, object], table: Table, path: KeyPath, report: Report) -> None:
    """Report the keys that mean nothing for an IPv6 instance or address."""
    for key in table.keys:
        if key.ipv4_only and key.name in raw:
            report.add((*path, key.name), "it is for IPv4 only, and this is IPv6", REMOVE)


def _of_services() -> tuple[Table, ...]:
    from vrrpd.config.service_keys import TABLES  # noqa: PLC0415  (only a wrong file needs them)

    return TABLES


def _report_unknown(name: str, table: Table, path: KeyPath, report: Report) -> None:
    if name in table.not_yet:
        report.add(path, NOT_YET, table.not_yet[name])
        return
    if name in table.never:
        report.add(path, NEVER, table.never[name])
        return
    for other in (TOP, INSTANCE, ADDRESS, TRACKED, SCRIPT, TRACKED_SCRIPT, *_of_services()):
        if name in other.names:
            report.add(path, f"it is a key of {other.title}, not of {table.title}", f"move it {other.place}")
            return
    import difflib  # noqa: PLC0415  (only a wrong file needs it)

    others = (*table.not_yet, *table.never)
    nearest = difflib.get_close_matches(name[:100], (*table.names, *others), n=1, cutoff=0.6)
    if not nearest:
        remedy = f"remove it; the known keys are {', '.join(table.names)}"
    elif nearest[0] in others:
        why = NOT_YET if nearest[0] in table.not_yet else NEVER
        remedy = f"remove it; as to the nearest key, {nearest[0]}: {why}"
    else:
        remedy = f"did you mean {nearest[0]}?"
    report.add(path, "it is not a known key", remedy)
