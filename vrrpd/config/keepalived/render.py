"""A configuration in the words of keepalived 2.x, which can share the virtual routers: same VRIDs, addresses, times.

What keepalived has no word for stands as a comment, as do virtual servers without real servers, which it refuses, and
those of PROXY.
"""

import ipaddress
import shlex
from collections.abc import Iterable, Iterator
from math import ceil

from vrrpd.config.model import (
    Config,
    GarpForm,
    GarpSettings,
    Handover,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
)
from vrrpd.config.services import (
    Check,
    Command,
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
from vrrpd.config.toml import flags_of, group_of, status_codes
from vrrpd.ipvs.model import FirewallMark, ServiceAddress, VirtualServerKey
from vrrpd.protocol.advert import ChecksumForm, Family
from vrrpd.protocol.timing import PRIORITY_OWNER

Lines = Iterator[str]

_INDENT = "    "
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_+-")


def as_keepalived(config: Config) -> str:
    """The file, which `keepalived --config-test` takes where the interfaces and the programs in it exist."""
    blocks = [_block("global_defs", _global(config))]
    blocks += (_block(f"vrrp_script {_word(each.name)}", _script(each)) for each in config.scripts)
    blocks += (_block(f"vrrp_instance {_word(each.name)}", _instance(each)) for each in config.instances)
    kernels = [server for server in config.virtual_servers if not server.proxied]
    groups = {name: server.keys for server in kernels if (name := group_of(server))}
    blocks += (_block(f"virtual_server_group {_word(name)}", map(_member, keys)) for name, keys in groups.items())
    for server in config.virtual_servers:
        block = _block(f"virtual_server {_key(server)}", _virtual_server(server))
        if server.proxied:
            block.insert(0, "keepalived has no proxy: it takes another program, such as HAProxy, to serve this")
        blocks.append(block if server.real_servers and not server.proxied else [f"# {line}" for line in block])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _block(title: str, lines: Iterable[str]) -> list[str]:
    return [f"{title} {{", *(f"{_INDENT}{line}" for line in lines), "}"]


def _global(config: Config) -> Lines:
    yield "vrrp_version 3"
    if config.realtime_priority:
        yield f"vrrp_rt_priority {config.realtime_priority}"
    if config.memory_lock:
        yield "vrrp_no_swap"
    notified = any(instance.notify for instance in config.instances)
    if notified or config.scripts or any(map(_runs_programs, config.virtual_servers)):
        yield "enable_script_security"
        yield "script_user root"


def _runs_programs(server: VirtualServerSettings) -> bool:
    commands = [server.quorum_up, server.quorum_down]
    commands += (command for real in server.real_servers for command in (real.notify_up, real.notify_down))
    return any(commands) or any(isinstance(check, MiscCheck) for real in server.real_servers for check in real.checks)


def _instance(instance: VrrpInstance) -> Lines:
    yield f"state {'MASTER' if instance.priority == PRIORITY_OWNER else 'BACKUP'}"
    yield f"interface {_word(instance.interface)}"
    yield f"virtual_router_id {instance.virtual_router_id}"
    yield f"priority {instance.priority}"
    yield f"advert_int {instance.advert_int:g}"
    if instance.nopreempt:
        yield "nopreempt"
    if instance.preempt_delay:
        yield f"preempt_delay {instance.preempt_delay:g}"
    yield from _announcements(instance.garp)
    if instance.track_interface:
        yield from _block(
            "track_interface", (_tracked(each.interface, each.weight) for each in instance.track_interface)
        )
    if instance.track_script:
        yield from _block("track_script", (_tracked(each.script, each.weight) for each in instance.track_script))
    if instance.unicast_src_ip:
        yield f"unicast_src_ip {instance.unicast_src_ip}"
    if instance.unicast_peer:
        yield from _block("unicast_peer", map(str, instance.unicast_peer))
    yield from _program("notify", instance.notify)
    if instance.handover is Handover.HITLESS:
        yield "# a master that goes removes the addresses at once, where vrrpd answers until its successor does"
    if instance.checksum is ChecksumForm.MESSAGE:
        yield '# no checksum = "message": keepalived drops such adverts'
    yield from _block("virtual_ipaddress", map(_address, instance.virtual_ipaddress))


def _tracked(name: str, weight: int) -> str:
    return f"{_word(name)} weight {weight}"


def _script(script: VrrpScript) -> Lines:
    """Times are whole seconds there, a second at least."""
    yield f"script {_program_text(script.script)}"
    yield f"interval {ceil(script.interval)}"
    yield f"timeout {ceil(script.timeout)}"
    yield f"rise {script.rise}"
    yield f"fall {script.fall}"
    if script.init_fail:
        yield "init_fail"


def _announcements(garp: GarpSettings) -> Lines:
    """Times are whole seconds there."""
    default = GarpSettings()
    if garp.master_delay != default.master_delay:
        yield f"garp_master_delay {ceil(garp.master_delay)}"
    if garp.master_repeat != default.master_repeat:
        yield f"garp_master_repeat {garp.master_repeat}"
    if garp.master_refresh != default.master_refresh:
        yield f"garp_master_refresh {ceil(garp.master_refresh)}"
    if garp.master_refresh_repeat != default.master_refresh_repeat:
        yield f"garp_master_refresh_repeat {garp.master_refresh_repeat}"
    if garp.form is GarpForm.REPLY:
        yield '# no garp_form = "reply"'


def _address(vip: VirtualAddress) -> str:
    label = f" label {_word(vip.label)}" if vip.label else ""
    route = " noprefixroute" if vip.noprefixroute else ""
    return f"{vip} dev {_word(vip.dev)}{label}{route}"


def _key(server: VirtualServerSettings) -> str:
    if name := group_of(server):
        return f"group {_word(name)}"
    return _member(server.keys[0])


def _member(key: VirtualServerKey) -> str:
    return f"fwmark {key.mark}" if isinstance(key, FirewallMark) else f"{key.address} {key.port}"


def _virtual_server(server: VirtualServerSettings) -> Lines:
    if any(isinstance(key, FirewallMark) and key.family is Family.IPV6 for key in server.keys):
        yield "ip_family inet6"
    yield f"lvs_sched {server.scheduler}"
    yield from flags_of(server)
    yield f"lvs_method {server.method.name}"
    yield from _persistence(server)
    if any(isinstance(key, ServiceAddress) for key in server.keys):
        yield f"protocol {server.protocol.name}"
    if server.quorum != 1:
        yield f"quorum {server.quorum}"
    if server.hysteresis:
        yield f"hysteresis {server.hysteresis}"
    yield from _program("quorum_up", server.quorum_up)
    yield from _program("quorum_down", server.quorum_down)
    yield from (word for word in ("alpha", "omega", "ha_suspend") if getattr(server, word))
    if server.vrrp_weight:
        yield f"# no vrrp_weight = {server.vrrp_weight}"
    if server.masquerade is not Masquerade.NEVER:
        yield "# keepalived masquerades nobody"
    if sorry := server.sorry_server:
        yield f"sorry_server {sorry.address} {sorry.port}"
        if sorry.method is not server.method:
            yield f"sorry_server_lvs_method {sorry.method.name}"
    for real in server.real_servers:
        yield from _block(f"real_server {real.address} {real.port}", _real_server(real, server))


def _persistence(server: VirtualServerSettings) -> Lines:
    if not server.persistence_timeout:
        return
    yield f"persistence_timeout {server.persistence_timeout}"
    if server.persistence_granularity is None:
        return
    if server.keys[0].family is Family.IPV4:
        yield f"persistence_granularity {ipaddress.ip_network(f'0.0.0.0/{server.persistence_granularity}').netmask}"
    else:
        yield f"persistence_granularity {server.persistence_granularity}"


def _real_server(real: RealServerSettings, server: VirtualServerSettings) -> Lines:
    if real.method is not server.method:
        yield f"lvs_method {real.method.name}"
    yield f"weight {real.weight}"
    if real.inhibit_on_failure:
        yield "inhibit_on_failure"
    if real.uthreshold:
        yield f"uthreshold {real.uthreshold}"
    if real.lthreshold:
        yield f"lthreshold {real.lthreshold}"
    yield from _program("notify_up", real.notify_up)
    yield from _program("notify_down", real.notify_down)
    for check in real.checks:
        yield from _block(_kind(check), _check(check))


def _kind(check: Check) -> str:
    match check:
        case HttpCheck():
            return "SSL_GET" if check.tls else "HTTP_GET"
        case UdpCheck():
            return "UDP_CHECK"
        case PingCheck():
            return "PING_CHECK"
        case DnsCheck():
            return "DNS_CHECK"
        case SmtpCheck():
            return "SMTP_CHECK"
        case MiscCheck():
            return "MISC_CHECK"
        case _:
            assert isinstance(check, TcpCheck)
            return "TCP_CHECK"


def _check(check: Check) -> Lines:
    if isinstance(check, MiscCheck):
        yield f"misc_path {_program_text(check.misc_path)}"
        yield f"misc_timeout {ceil(check.connect_timeout)}"
        if check.misc_dynamic:
            yield "misc_dynamic"
    else:
        yield from _connection(check)
    yield f"delay_loop {check.delay_loop:g}"
    yield f"retry {check.retry}"
    yield f"delay_before_retry {check.delay_before_retry:g}"
    if check.warmup is not None:
        yield f"warmup {check.warmup:g}"
    match check:
        case HttpCheck():
            yield from _http(check)
        case UdpCheck():
            yield from _udp(check)
        case DnsCheck():
            yield f"type {check.record_type}"
            yield f"name {check.name}"
        case SmtpCheck():
            yield f"helo_name {_word(check.helo_name)}"


def _connection(check: Check) -> Lines:
    if check.connect_ip:
        yield f"connect_ip {check.connect_ip}"
    if check.connect_port and not isinstance(check, PingCheck):
        yield f"connect_port {check.connect_port}"
    if check.bindto:
        yield f"bindto {check.bindto}"
    yield f"connect_timeout {check.connect_timeout:g}"


def _http(check: HttpCheck) -> Lines:
    if check.virtualhost:
        yield f"virtualhost {_word(check.virtualhost)}"
    if check.tls and check.enable_sni:
        yield "enable_sni"
    if check.verify:
        yield "# no verify: keepalived takes any certificate"
    yield from _block("url", _url(check))


def _url(check: HttpCheck) -> Lines:
    yield f"path {_word(check.path)}"
    if check.status_code:
        yield f"status_code {' '.join(status_codes(check))}"
    if check.digest:
        yield f"digest {check.digest}"
    if check.regex:
        yield f"regex {_quoted(check.regex)}"
        if check.regex_no_match:
            yield "regex_no_match"


def _udp(check: UdpCheck) -> Lines:
    if check.payload:
        yield f"payload {check.payload.hex()}"
    if check.require_reply:
        yield "require_reply"
    if check.min_reply_length:
        yield f"min_reply_length {check.min_reply_length}"
    if check.require_reply or check.max_reply_length != UdpCheck().max_reply_length:
        yield f"max_reply_length {check.max_reply_length}"


def _program(key: str, command: Command | None) -> Lines:
    if command:
        yield f"{key} {_program_text(command)}"


def _program_text(command: Command) -> str:
    return _quoted(shlex.join(command))


def _word(text: str) -> str:
    """A word; keepalived has no way to write one with a quote in it."""
    if text and _BARE.issuperset(text):
        return text
    unquoted = text.replace('"', "'")
    return f'"{unquoted}"'


def _quoted(text: str) -> str:
    """A program or a regular expression; keepalived counts quotes before it sees which of them are escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', "\\042")
    return f'"{escaped}"'
