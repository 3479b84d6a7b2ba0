"""Configurations of which keepalived can be told everything."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_interface

from hypothesis import strategies as st
from msgspec.structs import replace

from vrrpd.config.addresses import link_local_of
from vrrpd.config.model import (
    Config,
    GarpSettings,
    TrackedInterface,
    TrackedScript,
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
from vrrpd.ipvs.model import FirewallMark, Flag, Method, Protocol, Scheduler, ServiceAddress, VirtualServerKey
from vrrpd.protocol.advert import Family
from vrrpd.protocol.timing import PRIORITY_OWNER

COMMANDS = st.none() | st.lists(st.sampled_from(["a", "b c", 'd"e', "f'g", "h\\i", "#j", "{", "$k"]), max_size=3).map(
    lambda words: ("/bin/true", *words)
)
NAMES = st.sampled_from(["VI_1", "two words", "#3", "four!", "@five", "s;x"])
SECONDS = st.integers(1, 60).map(float)
FAMILIES = st.sampled_from(Family)


def address(family: Family, number: int) -> str:
    return f"198.51.100.{number}" if family is Family.IPV4 else f"2001:db8::{number}"


@st.composite
def instances(draw: st.DrawFn, name: str, virtual_router_id: int, others: Sequence[str]) -> VrrpInstance:
    family = draw(FAMILIES)
    numbers = draw(st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True))
    prefix = draw(st.sampled_from([24, 32] if family is Family.IPV4 else [64, 128]))
    network = f"192.0.{virtual_router_id}." if family is Family.IPV4 else f"2001:db8:{virtual_router_id}::"
    vips = [ip_interface(f"{network}{number}/{prefix}") for number in numbers]
    addresses = [
        VirtualAddress(
            each,
            dev := draw(st.sampled_from(["eth0", *others])),
            draw(st.none() | st.just(f"{dev}:vip")) if family is Family.IPV4 else None,
            draw(st.sampled_from([None, True])),
        )
        for each in vips
    ]
    if family is Family.IPV6:
        addresses.insert(0, VirtualAddress(link_local_of(virtual_router_id), "eth0"))
    numbers = draw(st.lists(st.integers(1, 9), max_size=2, unique=True))
    peers = tuple(ip_address(address(family, number)) for number in numbers)
    priority = draw(st.integers(1, PRIORITY_OWNER))
    nopreempt = draw(st.booleans()) and priority != PRIORITY_OWNER
    return VrrpInstance(
        name,
        "eth0",
        virtual_router_id,
        tuple(addresses),
        priority,
        draw(st.integers(1, 4095)) / 100,
        nopreempt,
        0.0 if nopreempt or priority == PRIORITY_OWNER else draw(st.just(0.0) | SECONDS),
        garp=GarpSettings(draw(SECONDS), draw(st.integers(1, 9)), draw(SECONDS), draw(st.integers(1, 9))),
        unicast_src_ip=ip_address(address(family, 50)) if draw(st.booleans()) and peers else None,
        unicast_peer=peers,
        track_interface=tuple(TrackedInterface(other, draw(st.integers(-20, 20))) for other in others),
        notify=draw(COMMANDS),
    )


def common(family: Family) -> dict[str, st.SearchStrategy[object]]:
    """What every check may have."""
    return {
        "connect_ip": st.sampled_from([None, ip_address(address(family, 70))]),
        "connect_port": st.none() | st.integers(1, 65535),
        "bindto": st.sampled_from([None, ip_address(address(family, 71))]),
        "connect_timeout": SECONDS,
        "delay_loop": SECONDS,
        "retry": st.integers(0, 9),
        "delay_before_retry": SECONDS,
        "warmup": st.none() | SECONDS,
    }


def scripts_named(name: str) -> st.SearchStrategy[VrrpScript]:
    counts = st.integers(1, 9)
    program = COMMANDS.filter(bool).map(lambda each: each or ())
    return st.builds(VrrpScript, st.just(name), program, SECONDS, SECONDS, counts, counts, st.booleans())


@st.composite
def checks(draw: st.DrawFn, family: Family) -> Check:
    shared = common(family)
    times = {key: shared[key] for key in ("connect_timeout", "delay_loop", "retry", "delay_before_retry", "warmup")}
    unported = {key: each for key, each in shared.items() if key != "connect_port"}
    found = draw(
        st.builds(TcpCheck, **shared)
        | st.builds(PingCheck, **unported)
        | st.builds(DnsCheck, record_type=st.sampled_from(["SOA", "AAAA"]), name=st.just("www.example.com"), **shared)
        | st.builds(SmtpCheck, helo_name=st.sampled_from(["localhost", "a.example"]), **shared)
        | st.builds(
            MiscCheck, misc_path=COMMANDS.filter(bool).map(lambda each: each or ()), misc_dynamic=st.booleans(), **times
        )
        | st.builds(UdpCheck, payload=st.binary(max_size=4), min_reply_length=st.integers(0, 9), **shared)
        | st.builds(
            HttpCheck,
            tls=st.booleans(),
            path=st.sampled_from(["/", "/a?b=c#d!e"]),
            virtualhost=st.sampled_from([None, "www.example.com"]),
            enable_sni=st.booleans(),
            status_code=st.sampled_from([((200, 299),), ((200, 200), (300, 399))]),
            digest=st.sampled_from([None, "0123456789abcdef" * 2]),
            regex=st.sampled_from([None, r'a{2} "b" \d+ # !', "'"]),
            regex_no_match=st.booleans(),
            **shared,
        )
    )
    if isinstance(found, HttpCheck):
        sni = found.enable_sni if found.tls else True
        return replace(found, enable_sni=sni, regex_no_match=found.regex_no_match and found.regex is not None)
    if isinstance(found, UdpCheck):
        reply = draw(st.booleans())
        longest = draw(st.integers(9, 90)) if reply else 255
        return replace(found, require_reply=reply, max_reply_length=longest)
    return found


@st.composite
def real_servers(draw: st.DrawFn, family: Family, number: int, method: Method, port: int) -> RealServerSettings:
    upper = draw(st.sampled_from([0, 100]))
    return RealServerSettings(
        ip_address(address(family, number)),
        draw(st.integers(1, 65535)) if method is Method.NAT else port,
        method,
        draw(st.integers(1, 9)),
        draw(st.booleans()),
        upper,
        upper and draw(st.integers(0, 99)),
        tuple(draw(st.lists(checks(family), max_size=2))),
        draw(COMMANDS),
        draw(COMMANDS),
    )


@st.composite
def virtual_servers(draw: st.DrawFn, number: int, marks: bool) -> VirtualServerSettings:
    family, method = draw(FAMILIES), draw(st.sampled_from([Method.NAT, Method.DR, Method.TUN]))
    protocol = draw(st.sampled_from(Protocol))
    virtual = ip_address(address(family, 200 + number))
    keys: tuple[VirtualServerKey, ...] = (ServiceAddress(protocol, virtual, 80),)
    name = str(keys[0])
    if marks and draw(st.booleans()):
        keys = (*keys, FirewallMark(number + 1, family))
        name = f"{protocol.name} group {number}{' (IPv6)' if family is Family.IPV6 else ''}"
    scheduler = draw(st.sampled_from([Scheduler.RR, Scheduler.SH, Scheduler.MH, Scheduler.WLC]))
    flags = draw(st.sampled_from([Flag.SCHED_1, Flag.SCHED_2, Flag(0)]))
    persistent = draw(st.booleans())
    reals = tuple(draw(real_servers(family, each, method, 80)) for each in range(1, draw(st.integers(2, 3))))
    quorum = draw(st.integers(1, sum(real.weight for real in reals)))
    return VirtualServerSettings(
        name,
        keys,
        reals,
        protocol,
        scheduler,
        method,
        (flags if scheduler in (Scheduler.SH, Scheduler.MH) else Flag(0)) | Flag.PERSISTENT * persistent,
        draw(st.integers(1, 999)) if persistent else 0,
        draw(st.sampled_from([None, 24])) if persistent else None,
        draw(st.none() | st.just(RealServerSettings(ip_address(address(family, 60)), 80, method))),
        quorum,
        draw(st.integers(0, quorum - 1)),
        draw(COMMANDS),
        draw(COMMANDS),
        *draw(st.tuples(st.booleans(), st.booleans())),
        ha_suspend=len(keys) == 1 and draw(st.booleans()),
        masquerade=Masquerade.NEVER,
    )


@st.composite
def configs(draw: st.DrawFn, others: Sequence[str] = ("eth1", "eth2"), marks: bool = True) -> Config:
    """Those of a host with eth0 and others; `marks`: of firewalls, perhaps."""
    names = draw(st.lists(NAMES, max_size=2, unique=True))
    routers = tuple(draw(instances(name, number, others)) for number, name in enumerate(names, start=1))
    scripts = tuple(draw(st.lists(scripts_named("chk"), max_size=1))) if names else ()
    tracked = tuple(TrackedScript(script.name, draw(st.integers(-20, 20))) for script in scripts)
    routers = tuple(replace(router, track_script=tracked) for router in routers)
    servers = tuple(draw(virtual_servers(number, marks)) for number in range(draw(st.integers(0 if names else 1, 2))))
    return Config(
        routers,
        scripts=scripts,
        realtime_priority=draw(st.sampled_from([0, 50])),
        memory_lock=draw(st.booleans()),
        virtual_servers=servers,
    )
