"""`virtual_server`, `real_server` and `virtual_server_group`: their words, and what they mean together."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from vrrpd.config.keepalived.checks import CHECKS, OTHER_CHECKS, TIMES, translate_checks
from vrrpd.config.keepalived.programs import program
from vrrpd.config.keepalived.statements import Statement
from vrrpd.config.keepalived.translation import (
    NO_MAIL,
    NO_SNMP,
    Rule,
    Target,
    Translation,
    Words,
    apply,
    as_number,
    block_of,
    flag,
    number,
    refuse,
    remark,
    same,
    to,
    translate,
    value,
    when_on,
)
from vrrpd.config.problems import Refused, shown

_PERSISTENCE_TIMEOUT = 360
"""Seconds, of persistence_timeout without a value."""
_FOR_CHECKS = (*TIMES, "virtualhost")
_SCHEDULERS_WITH_FLAGS = ("sh", "mh")
_FLAGS = {"flag-1": "fallback", "flag-2": "port"}
_USE_METHOD = "use NAT, DR or TUN"


def _method(key: str) -> Rule:
    def rule(statement: Statement, target: Target) -> None:
        method, *more = statement.values or [""]
        if more and " ".join(more).lower() not in ("type ipip", "type ipip nocsum"):
            target.translation.refuse(statement, f"{' '.join(more)}: vrrpd tunnels by IPIP alone", "remove it")
        if not method:
            raise Refused("its value is missing", _USE_METHOD)
        target.put(key, method.upper(), statement)

    return rule


def _persistence_timeout(statement: Statement) -> object:
    return number(statement) if statement.values else _PERSISTENCE_TIMEOUT


def _sorry_server(statement: Statement, target: Target) -> None:
    target.put("sorry_server", _address_and_port(statement.values), statement)


def _address_and_port(values: Sequence[str]) -> dict[str, object]:
    if not values:
        raise Refused("its address is missing", "write ADDRESS PORT")
    if len(values) > 2:
        raise Refused(f"{shown(' '.join(values))} is more than an address and a port", "write ADDRESS PORT")
    table: dict[str, object] = {"address": values[0]}
    if len(values) == 2:
        table["port"] = as_number(values[1])
    return table


_WEIGHTS: Words = {
    "weight": to("weight"),
    "inhibit_on_failure": to("inhibit_on_failure", flag),
    "virtualhost": to("virtualhost", value),
    "smtp_alert": NO_MAIL,
    "snmp_name": NO_SNMP,
    **TIMES,
}
VIRTUAL_SERVER: Words = {
    **_WEIGHTS,
    **dict.fromkeys(("lvs_sched", "lb_algo"), to("lvs_sched", value)),
    **dict.fromkeys(("lvs_method", "lb_kind"), _method("lvs_method")),
    **{word: to(word, flag) for word in ("sh-port", "sh-fallback", "mh-port", "mh-fallback", "ops")},
    **{word: to(word, flag) for word in ("alpha", "omega", "ha_suspend")},
    **dict.fromkeys(_FLAGS, same),  # see `_scheduler_flags`
    "flag-3": refuse("no scheduler of vrrpd has it", "remove it"),
    "persistence_timeout": to("persistence_timeout", _persistence_timeout),
    "persistence_granularity": to("persistence_granularity"),
    "persistence_engine": refuse("vrrpd has no persistence engine", "remove it"),
    "protocol": to("protocol", lambda statement: value(statement).upper()),
    "quorum": to("quorum"),
    "hysteresis": to("hysteresis"),
    "quorum_up": program("quorum_up"),
    "quorum_down": program("quorum_down"),
    "sorry_server": _sorry_server,
    "sorry_server_lvs_method": same,  # see `_sorry_method`
    "sorry_server_inhibit": remark("the sorry server is taken out when there is a quorum again"),
    "ip_family": same,  # see `_family`
    "hashed": remark("the kernel sets it by itself"),
    "nat_mask": remark("the kernel has no such mask any more"),
    "real_server": same,  # see `_real_server`
}
REAL_SERVER: Words = {
    **_WEIGHTS,
    "lvs_method": _method("lvs_method"),
    "uthreshold": to("uthreshold"),
    "lthreshold": to("lthreshold"),
    "notify_up": program("notify_up"),
    "notify_down": program("notify_down"),
    "alpha": when_on(refuse("vrrpd has alpha for a virtual server as a whole", "put it there")),
    **dict.fromkeys(CHECKS, same),  # see `translate_checks`
    **OTHER_CHECKS,
}


def translate_virtual_server(statement: Statement, translation: Translation) -> None:
    """Make a `[[virtual_server]]` of one."""
    block = block_of(statement)
    if not any(each.word == "real_server" for each in block):
        translation.remark(statement, "keepalived leaves out what has no real server, and so does vrrpd")
        return
    asked = _asked(statement.values)
    target = translation.append("virtual_server", statement)
    for key, each in asked.items():
        target.put(key, each, statement)
    target.put("masquerade", False, statement)  # keepalived masquerades nobody
    translate(block, VIRTUAL_SERVER, target, "virtual_server")
    _scheduler_flags(target)
    if "persistence_granularity" in target.values and "persistence_timeout" not in target.values:
        target.put("persistence_timeout", _PERSISTENCE_TIMEOUT, target.seen["persistence_granularity"])
    _defaults_of_what_is_asked(statement, target)
    if "sorry_server" in target.values and (of_sorry := target.seen.get("sorry_server_lvs_method")):
        apply(_sorry_method, of_sorry, target)
    for_checks = _for_checks(target)
    for each in block:
        if each.word == "real_server":
            apply(_real_server(for_checks), each, target)
    for word, rule in (("ip_family", _family), ("quorum", _quorum)):
        if word in target.seen:
            apply(rule, target.seen[word], target)


def _asked(values: Sequence[str]) -> dict[str, object]:
    """What clients ask for."""
    match values:
        case ["group", name]:
            return {"virtual_server_group": name}
        case ["fwmark", mark]:
            return {"fwmark": as_number(mark)}
        case _:
            return {"port": 0} | _address_and_port(values)


def _defaults_of_what_is_asked(statement: Statement, target: Target) -> None:
    """What keepalived makes of addresses without a protocol or a port, and of firewall marks."""
    values, translation = target.values, target.translation
    addresses, marks = _members_of(values, translation.document.get("virtual_server_group", []))
    if addresses and "protocol" not in values:
        target.put("protocol", "UDP", statement)
        translation.remark(statement, "without protocol it is UDP, as in keepalived")
    elif marks and not addresses:
        values.pop("protocol", None)  # a mark has packets of any
    if any(member.endswith(" 0") for member in addresses) and "persistence_timeout" not in values:
        target.put("persistence_timeout", _PERSISTENCE_TIMEOUT, statement)
        text = "every port is served with persistence alone, which is of"
        translation.remark(statement, f"{text} {_PERSISTENCE_TIMEOUT} s then, as in keepalived")
    if marks and values.get("ha_suspend"):
        text = "a firewall mark has no address to go by, in keepalived as well: left out"
        translation.remark(target.seen["ha_suspend"], text)
        del values["ha_suspend"]


def _members_of(values: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """The addresses with their ports, and the firewall marks, that clients ask for."""
    members: list[str]
    if "virtual_server_group" in values:
        members = next((each["members"] for each in groups if each["name"] == values["virtual_server_group"]), [])
    elif "fwmark" in values:
        members = [f"fwmark {values['fwmark']}"]
    else:
        members = [f"{values['address']} {values['port']}"]
    marks = [member for member in members if member.startswith("fwmark ")]
    return [member for member in members if member not in marks], marks


def _scheduler_flags(target: Target) -> None:
    for word, meaning in _FLAGS.items():
        if word in target.seen:
            scheduler = target.values.get("lvs_sched", "wlc")
            if scheduler in _SCHEDULERS_WITH_FLAGS:
                target.put(f"{scheduler}-{meaning}", True, target.seen[word])
            else:
                wrong = f"the scheduler {shown(scheduler)} has no such flag"
                target.translation.add(target.seen[word], wrong, "remove it")


def _sorry_method(statement: Statement, target: Target) -> None:
    scratch = target.scratch(statement)
    _method("lvs_method")(statement, scratch)
    target.values["sorry_server"] |= scratch.values


def _for_checks(target: Target) -> list[tuple[str, object, Statement]]:
    """Take out of the table what is for checks, which get it one by one."""
    return [(key, target.values.pop(key), target.made_by[key]) for key in _FOR_CHECKS if key in target.values]


def _real_server(inherited: list[tuple[str, object, Statement]]) -> Rule:
    """The rule of those of a virtual server that says this of checks."""

    def rule(statement: Statement, server: Target) -> None:
        where = _address_and_port(statement.values)
        target = server.append("real_server", statement)
        for key, each in where.items():
            target.put(key, each, statement)
        block = [] if statement.block is None else statement.block
        translate(block, REAL_SERVER, target, "real_server")
        own = _for_checks(target)
        translate_checks([each for each in block if each.word in CHECKS], target, [*inherited, *own])

    return rule


def _family(statement: Statement, target: Target) -> None:
    """A firewall mark has the family of its real servers here; keepalived can be told another for tunnels."""
    version = {"inet": 4, "inet6": 6}.get(value(statement))
    if version is None:
        raise Refused(f"{shown(value(statement))} is no family", "use inet or inet6")
    try:
        has = {ip_address(real["address"]).version for real in target.values.get("real_server", [])}
    except ValueError:
        return  # which is told where it stands
    if "fwmark" in target.values and has and has != {version}:
        target.translation.refuse(statement, "a firewall mark has the family of its real servers", "remove it")


def _quorum(statement: Statement, target: Target) -> None:
    """No more than there can be, as in keepalived."""
    default = target.values.get("weight", 1)
    weights = [real.get("weight", default) for real in target.values.get("real_server", [])]
    quorum, most = target.values.get("quorum"), sum(weight for weight in weights if isinstance(weight, int))
    if isinstance(quorum, int) and quorum > most > 0:
        target.put("quorum", most, statement)
        target.values["hysteresis"] = min(target.values.get("hysteresis", 0), most - 1)
        target.translation.remark(statement, "it is no more than the real servers weigh together, as in keepalived")


def translate_group(statement: Statement, translation: Translation) -> None:
    """Make a `[[virtual_server_group]]` of one."""
    name, block = value(statement), block_of(statement)
    target = translation.append("virtual_server_group", statement)
    target.put("name", name, statement)
    members: list[tuple[object, Statement]] = []
    for each in block:
        try:
            members.append((_member(each, translation), each))
        except Refused as refused:
            translation.add(each, refused.wrong, refused.remedy)
    target.put_list("members", members, statement)


def _member(statement: Statement, translation: Translation) -> str:
    first, *more = statement.words
    if first == "fwmark":
        if more[1:] and more[1] not in ("inet", "inet6"):
            raise Refused(f"{shown(more[1])} is no family", "write fwmark MARK")
        if more[1:]:
            translation.remark(statement, "its family is that of the real servers")
        return " ".join([first, *more[:1]])
    if len(more) > 1:
        raise Refused(f"{shown(' '.join(more))} is not a port", "write ADDRESS PORT")
    if "/" in first:
        try:
            network = ip_network(first, strict=False)
        except ValueError:
            raise Refused(f"{shown(first)} is no range", "use FIRST-LAST, such as 192.0.2.101-110") from None
        raise Refused(
            f"{shown(first)} is not taken as a range", f"write {network[0]}-{network[-1]} without what is no host"
        )
    return f"{first} {more[0] if more else 0}"
