"""Every key of virtual servers, as data (`vrrpd.config.schema` has the others)."""

from collections.abc import Mapping
from types import MappingProxyType

from vrrpd.config import kinds, service_kinds
from vrrpd.config.schema import REMOVE, Key, Table
from vrrpd.config.services import Check, DnsCheck, HttpCheck, MiscCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck
from vrrpd.ipvs.model import ProxyProtocol, Scheduler

WEIGHT_MAX = 65535
THRESHOLD_MAX = 1 << 31
_DAY = 86400

TIMING = (
    Key("connect_timeout", kinds.seconds(0.01, 3600)),
    Key("delay_loop", kinds.seconds(0.01, _DAY)),
    Key("retry", kinds.whole(0, 1000)),
    Key("delay_before_retry", kinds.seconds(0, 3600)),
    Key("warmup", kinds.seconds(0, _DAY)),
)
"""Keys of each check, that a virtual server gives the checks which do not have them."""
_VIRTUALHOST = Key("virtualhost", service_kinds.host_name)

VIRTUAL_SERVER = Table(
    "[[virtual_server]]",
    "below a [[virtual_server]]",
    (
        Key("address", service_kinds.host),
        Key("port", kinds.whole(0, 65535)),
        Key("fwmark", kinds.whole(1, (1 << 32) - 1)),
        Key("virtual_server_group", kinds.name),
        Key("protocol", service_kinds.protocol),
        Key("lvs_sched", kinds.choice(Scheduler)),
        Key("lvs_method", service_kinds.method),
        Key("proxy_protocol", kinds.choice(ProxyProtocol)),
        Key("persistence_timeout", kinds.whole(0, 31 * _DAY)),
        Key("persistence_granularity", service_kinds.granularity),
        Key("ops", kinds.flag),
        Key("sh-port", kinds.flag),
        Key("sh-fallback", kinds.flag),
        Key("mh-port", kinds.flag),
        Key("mh-fallback", kinds.flag),
        Key("weight", kinds.whole(0, WEIGHT_MAX)),
        Key("inhibit_on_failure", kinds.flag),
        Key("sorry_server", None),
        Key("quorum", kinds.whole(1, WEIGHT_MAX)),
        Key("hysteresis", kinds.whole(0, WEIGHT_MAX)),
        Key("quorum_up", service_kinds.command),
        Key("quorum_down", service_kinds.command),
        Key("alpha", kinds.flag),
        Key("omega", kinds.flag),
        Key("ha_suspend", kinds.flag),
        Key("vrrp_weight", kinds.whole(-253, 0)),
        Key("masquerade", service_kinds.masquerade),
        Key("drain_timeout", kinds.seconds(0, _DAY)),
        Key("check", None),
        Key("real_server", None),
        _VIRTUALHOST,
        *TIMING,
    ),
    {
        "lvs_timeouts": REMOVE,
        "alias": REMOVE,
        "pe_name": REMOVE,
        "tun_type": REMOVE,
        "quorum_max": REMOVE,
        "retry_max": REMOVE,
        "smtp_alert": REMOVE,
        "snmp_name": REMOVE,
    },
    {
        "lb_algo": "use lvs_sched",
        "lvs_scheduler": "use lvs_sched",
        "lb_kind": "use lvs_method",
        "ip_family": "remove it: the addresses say so",
        "hashed": REMOVE,
        "service_type": "use protocol",
        "flag-1": "use sh-fallback or mh-fallback",
        "flag-2": "use sh-port or mh-port",
        "flag-3": REMOVE,
    },
)

REAL_SERVER = Table(
    "[[virtual_server.real_server]]",
    "below a [[virtual_server.real_server]]",
    (
        Key("address", service_kinds.host, required='add address = "...", where the real server is'),
        Key("port", kinds.whole(0, 65535)),
        Key("lvs_method", service_kinds.method),
        Key("weight", kinds.whole(0, WEIGHT_MAX)),
        Key("inhibit_on_failure", kinds.flag),
        Key("uthreshold", kinds.whole(0, THRESHOLD_MAX)),
        Key("lthreshold", kinds.whole(0, THRESHOLD_MAX)),
        Key("notify_up", service_kinds.command),
        Key("notify_down", service_kinds.command),
        Key("check", None),
        _VIRTUALHOST,
        *TIMING,
    ),
    {"alpha": "use alpha of the virtual server", "snmp_name": REMOVE, "smtp_alert": REMOVE},
    {
        "TCP_CHECK": 'write check = { type = "TCP" }',
        "HTTP_GET": 'write check = { type = "HTTP", path = "/" }',
        "SSL_GET": 'write check = { type = "HTTPS", path = "/" }',
        "UDP_CHECK": 'write check = { type = "UDP" }',
        "PING_CHECK": 'write check = { type = "PING" }',
        "DNS_CHECK": 'write check = { type = "DNS", name = "." }',
        "SMTP_CHECK": 'write check = { type = "SMTP" }',
        "MISC_CHECK": 'write check = { type = "MISC", misc_path = "/path/to/script" }',
    },
)

SORRY_SERVER = Table(
    "sorry_server",
    'into sorry_server = { address = "...", port = ... }',
    (
        Key("address", service_kinds.host, required='add address = "..."'),
        Key("port", kinds.whole(0, 65535)),
        Key("lvs_method", service_kinds.method),
        Key("weight", kinds.whole(1, WEIGHT_MAX)),
    ),
    {},
)

GROUP = Table(
    "[[virtual_server_group]]",
    "below a [[virtual_server_group]]",
    (
        Key("name", kinds.name, required='add name = "..."'),
        Key("members", None, required='add members = ["ADDRESS PORT", "ADDRESS-LAST PORT", "fwmark MARK"]'),
    ),
    {},
)

_COMMON = (
    Key("type", None),
    Key("connect_ip", service_kinds.host),
    Key("connect_port", kinds.whole(1, 65535)),
    Key("bindto", service_kinds.host),
    *TIMING,
)
_NOT_YET = {"bind_port": REMOVE, "bind_if": REMOVE, "fwmark": REMOVE, "alpha": "use alpha of the virtual server"}
_HTTP = (
    Key("path", service_kinds.path),
    Key("status_code", service_kinds.status_codes),
    Key("digest", service_kinds.digest),
    Key("regex", service_kinds.pattern),
    Key("regex_no_match", kinds.flag),
    _VIRTUALHOST,
)


def _check(kind: str, *keys: Key, never: Mapping[str, str] | None = None) -> Table:
    title = f'a check of type "{kind}"'
    return Table(title, f'into check = {{ type = "{kind}", ... }}', (*_COMMON, *keys), _NOT_YET, never or {})


CHECKS: Mapping[str, tuple[Table, type[Check]]] = MappingProxyType(
    {
        "TCP": (_check("TCP"), TcpCheck),
        "HTTP": (_check("HTTP", *_HTTP), HttpCheck),
        "HTTPS": (_check("HTTPS", *_HTTP, Key("enable_sni", kinds.flag), Key("verify", kinds.flag)), HttpCheck),
        "UDP": (
            _check(
                "UDP",
                Key("payload", service_kinds.hexadecimal),
                Key("require_reply", kinds.flag),
                Key("min_reply_length", kinds.whole(0, 65535)),
                Key("max_reply_length", kinds.whole(0, 65535)),
            ),
            UdpCheck,
        ),
        "PING": (_check("PING"), PingCheck),
        "DNS": (
            _check("DNS", Key("record_type", service_kinds.record_type), Key("name", service_kinds.host_name)),
            DnsCheck,
        ),
        "SMTP": (_check("SMTP", Key("helo_name", service_kinds.host_name)), SmtpCheck),
        "MISC": (
            _check(
                "MISC",
                Key("misc_path", service_kinds.command, required='add misc_path = "/path/to/script"'),
                Key("misc_dynamic", kinds.flag),
                never={"misc_timeout": "use connect_timeout", "user": "remove it: it runs as vrrpd does"},
            ),
            MiscCheck,
        ),
    }
)
"""By the value of `type`; keepalived calls HTTPS SSL_GET, and what is MISC_CHECK there is MISC here."""

TABLES = (VIRTUAL_SERVER, REAL_SERVER, SORRY_SERVER, GROUP, *(table for table, _ in CHECKS.values()))
