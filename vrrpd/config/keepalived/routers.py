"""`vrrp_instance`: its words, and what they mean together."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from vrrpd.config.keepalived.programs import AS_VRRPD, BY_STATE, notify, program
from vrrpd.config.keepalived.statements import Statement
from vrrpd.config.keepalived.translation import (
    NO_MAIL,
    Target,
    Translation,
    Words,
    apply,
    as_number,
    block_of,
    flag,
    merged,
    refuse,
    remark,
    same,
    to,
    translate,
    unless,
    value,
    when_on,
)
from vrrpd.config.problems import Refused, shown
from vrrpd.protocol.timing import PRIORITY_OWNER

GARP_DEFAULTS: Mapping[str, str] = {
    f"vrrp_{word}": word
    for word in ("garp_master_delay", "garp_master_repeat", "garp_master_refresh", "garp_master_refresh_repeat")
}
"""Words of global_defs that instances have their defaults from."""
HEARD_AT_ONCE = "a better master announces again as soon as it hears the worse one"
ANNOUNCED_AT_ONCE = "a master that hears a worse one announces again at once"
_NOT_YET = "vrrpd has no tracking of it, and who is master would change"
_TRACK_OTHERWISE = "use a track_script: pgrep -x NAME, or test FILE"
_NO_VMAC = "vrrpd has no virtual MAC: adverts and addresses come from the interface's own"
_NO_REVERSE = "reverse: a weight is added while that is well, or taken while it is not"
_EXCLUDED = "vrrpd advertises every address, and a keepalived drops adverts with others than its own list has"


def _tracked(each: Statement, key: str, target: Target) -> object | None:
    """`NAME [weight WEIGHT] [reverse|noreverse]`; None: it is not that."""
    weight = each.values[1] if each.values[:1] == ["weight"] and len(each.values) > 1 else ""
    more = each.values[2:] if weight else each.values
    if more == ["reverse"]:
        target.translation.refuse(each, _NO_REVERSE, "remove it")
    elif more not in ([], ["noreverse"]):
        wrong = f"{shown(' '.join(more))} is not understood"
        target.translation.add(each, wrong, "use NAME, or NAME weight WEIGHT")
    else:
        return {key: each.word, "weight": as_number(weight)} if weight else each.word
    return None


def _track_interface(statement: Statement, target: Target) -> None:
    entries: list[tuple[object, Statement]] = []
    for each in block_of(statement):
        if each.word == target.values.get("interface"):
            target.translation.remark(each, "it is the instance's own interface, which is tracked anyway")
        elif (entry := _tracked(each, "interface", target)) is not None:
            entries.append((entry, each))
    target.put_list("track_interface", entries, statement)


def _track_script(statement: Statement, target: Target) -> None:
    entries = [(_tracked(each, "script", target), each) for each in block_of(statement)]
    target.put_list("track_script", [entry for entry in entries if entry[0] is not None], statement)


def _unicast_peer(statement: Statement, target: Target) -> None:
    peers = block_of(statement)
    for each in peers:
        if each.values:
            remedy = "remove it, and let a firewall see to it"
            target.translation.refuse(each, f"{' '.join(each.values[:1])}: vrrpd hears peers at any distance", remedy)
    target.put_list("unicast_peer", [(each.word, each) for each in peers], statement)


_ADDRESS_REMARKS = {
    "brd": "vrrpd sets no broadcast address",
    "scope": "virtual addresses have global scope",
    "preferred_lft": "vrrpd deprecates IPv6 addresses, so that nothing comes from them by itself, and no others",
    "home": "vrrpd has no such flag",
    "mngtmpaddr": "vrrpd has no such flag",
    "autojoin": "vrrpd does not join a group for an address",
    "no_track": "a virtual address that somebody removes is put back",
}
_WITH_VALUE = ("dev", "label", "brd", "scope", "preferred_lft", "peer")
_WITHOUT_VALUE = ("-nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac")


def _virtual_ipaddress(statement: Statement, target: Target) -> None:
    entries: list[tuple[object, Statement]] = []
    for each in block_of(statement):
        try:
            entries.append((_address(each, target), each))
        except Refused as refused:
            target.translation.add(each, refused.wrong, refused.remedy)
            target.translation.wrong.add(statement.word)
    versions = [_version(each.word) for _, each in entries]
    family = next(filter(None, versions), 0)
    kept = []
    for entry, version in zip(entries, versions, strict=True):
        if version and version != family:
            text = "it is of another family than the first of the list: keepalived ignores it, and so does vrrpd"
            target.translation.remark(entry[1], f"{text}; make an instance of its own for it")
        else:
            kept.append(entry)
    target.put_list("virtual_ipaddress", kept, statement)


def _address(statement: Statement, target: Target) -> object:
    entry: dict[str, Any] = {"address": statement.word}
    words = iter(statement.values)
    for word in words:
        if word not in (*_WITH_VALUE, *_WITHOUT_VALUE):
            raise Refused(f"{shown(word)} is not a known word of an address", "use dev, label or noprefixroute")
        argument = next(words, None) if word in _WITH_VALUE else None
        if word in _WITH_VALUE and argument is None:
            raise Refused(f"the value of {shown(word)} is missing", "add it")
        if word in ("dev", "label"):
            entry[word] = argument
        elif word == "noprefixroute":
            entry[word] = True
        elif word in ("use_vmac", "peer"):
            wrong = _NO_VMAC if word == "use_vmac" else "vrrpd has no point-to-point addresses"
            target.translation.refuse(statement, f"{word}: {wrong}", f"remove {word}")
        elif word in _ADDRESS_REMARKS and (word, argument) != ("scope", "global"):
            target.translation.remark(Statement([word], statement.place, word), _ADDRESS_REMARKS[word])
    return entry if len(entry) > 1 else statement.word


def _version(address: str) -> int:
    try:
        return ip_address(address.partition("/")[0]).version
    except ValueError:
        return 0


_LISTS = ("virtual_ipaddress", "unicast_peer", "track_interface", "track_script")
INSTANCE: Words = {
    "interface": to("interface", value),
    "virtual_router_id": to("virtual_router_id"),
    "priority": to("priority"),
    "advert_int": to("advert_int"),
    "nopreempt": to("nopreempt", flag),
    "preempt": to("nopreempt", lambda statement: not flag(statement)),
    "preempt_delay": to("preempt_delay"),
    "unicast_src_ip": to("unicast_src_ip", value),
    "unicast_peer": _unicast_peer,
    "track_interface": same,  # see `_track_interface`, which needs the interface
    "virtual_ipaddress": _virtual_ipaddress,
    **{word: to(word) for word in GARP_DEFAULTS.values()},
    "state": unless(("backup",), remark("the election by priority decides who is master")),
    **dict.fromkeys(("version", "authentication"), same),  # see `_version_of_protocol`
    **dict.fromkeys(("notify", *BY_STATE), same),  # see `notify`
    **dict.fromkeys(("accept", "native_ipv6", "check_unicast_src", "track_src_ip"), same),
    "down_timer_adverts": unless(
        ("3",), refuse("a master may miss three adverts, as RFC 9568 has it", "remove it on all routers of the group")
    ),
    "unicast_ttl": unless(("255",), remark("adverts to peers leave with a TTL of 255")),
    "unicast_fault_no_peer": same,  # see `translate_instance`
    "old_unicast_checksum": unless(("never",), refuse("it is of keepalived 1.3.6", "remove it on all routers")),
    "strict_mode": when_on(refuse("with it addresses answer nobody, which vrrpd cannot do", "remove it")),
    "no_accept": refuse("vrrpd cannot do without answering at its addresses", "remove it, and filter with a firewall"),
    "mcast_src_ip": refuse("adverts come from the interface's primary address", "remove it, or use unicast"),
    "mcast_dst_ip": refuse("adverts go to the group of RFC 9568", "remove it on all routers of the group"),
    "dont_track_primary": refuse("without its interface an instance of vrrpd is in FAULT", "remove it"),
    "track_script": _track_script,
    **{word: refuse(_NOT_YET, _TRACK_OTHERWISE) for word in ("track_process", "track_file")},
    "track_bfd": refuse(_NOT_YET, "remove it, and use a shorter advert_int"),
    **{word: refuse(_NO_VMAC, "remove it") for word in ("use_vmac", "use_vmac_addr", "use_ipvlan")},
    "vrf": refuse("vrrpd has no VRF", "remove it, and name the interface"),
    "virtual_ipaddress_excluded": refuse(
        _EXCLUDED, "put those of its family into virtual_ipaddress on all routers, others into an instance of their own"
    ),
    "virtual_routes": refuse("vrrpd moves addresses alone", "remove it, and set routes with notify"),
    "virtual_rules": refuse("vrrpd moves addresses alone", "remove it, and set rules with notify"),
    **dict.fromkeys(
        ("lvs_sync_daemon_interface", "lvs_sync_daemon_inteface"),  # the second is how it was written for years
        refuse(
            "vrrpd starts no sync daemon, without which connections are not known to the next master",
            "remove it, and call ipvsadm --start-daemon with notify",
        ),
    ),
    "notify_master_rx_lower_pri": refuse("vrrpd calls nothing when it hears a worse master", "remove it"),
    "notify_deleted": remark("vrrpd has no DELETED"),
    "notify_priority_changes": remark("priorities are told by status and metrics"),
    "vmac_xmit_base": remark("vrrpd has no virtual MAC"),
    "garp_lower_prio_delay": remark(ANNOUNCED_AT_ONCE),
    "garp_lower_prio_repeat": remark(ANNOUNCED_AT_ONCE),
    "garp_extra_if": remark("garp_master_refresh is for addresses on all interfaces"),
    "lower_prio_no_advert": when_on(remark("a worse master is answered, as RFC 9568 has it")),
    "higher_prio_send_advert": when_on(remark(HEARD_AT_ONCE)),
    "skip_check_adv_addr": remark("an advert with another list of addresses is reported, and heard"),
    "promote_secondaries": remark("an address that goes with another one is put back"),
    "kernel_rx_buf_size": remark("vrrpd sizes its buffers itself"),
    "linkbeat_use_polling": remark("the kernel tells of links at once"),
    "smtp_alert": NO_MAIL,
    "debug": remark("vrrpd run --log-level debug"),
}


def _weight(statement: Statement, target: Target) -> None:
    if statement.values[1:] == ["reverse"]:
        target.translation.refuse(statement, _NO_REVERSE, "remove it")
    else:
        target.put("weight", as_number(value(statement)), statement)


SCRIPT: Words = {
    "script": program("script"),
    **{word: to(word) for word in ("interval", "timeout", "rise", "fall")},
    "weight": _weight,
    "init_fail": to("init_fail", flag),
    "user": unless(("root", "root root"), remark(AS_VRRPD)),
}


def translate_script(statement: Statement, translation: Translation) -> None:
    """Make a `[[vrrp_script]]` of one."""
    name, block = value(statement), block_of(statement)
    target = translation.append("vrrp_script", statement)
    target.put("name", name, statement)
    translate(block, SCRIPT, target, "vrrp_script")


def translate_instance(statement: Statement, translation: Translation, defaults: Target) -> None:
    """Make a `[[vrrp_instance]]` of one; `defaults` has what global_defs says of all."""
    name, block = value(statement), block_of(statement)
    target = translation.append("vrrp_instance", statement)
    target.put("name", name, statement)
    translate(merged(block, _LISTS), INSTANCE, target, "vrrp_instance")
    for word, key in GARP_DEFAULTS.items():
        if key not in target.seen and word in defaults.seen and key in defaults.values:
            target.put(key, defaults.values[key], defaults.seen[word])
    if "vrrp_min_garp" in defaults.values:
        _min_garp(target, defaults)
    _preemption(target)
    _version_of_protocol(statement, target, defaults)
    if "unicast_fault_no_peer" in target.seen and not target.values.get("unicast_peer"):
        wrong, remedy = "without unicast_peer vrrpd speaks to the multicast group", "add unicast_peer, or remove it"
        translation.refuse(target.seen["unicast_fault_no_peer"], wrong, remedy)
    if "track_interface" in target.seen:
        apply(_track_interface, target.seen["track_interface"], target)
    for word in ("notify", *BY_STATE):
        if word in target.seen:
            apply(notify, target.seen[word], target)
            break


def _min_garp(target: Target, defaults: Target) -> None:
    """One announcement and no more, where nothing else is said."""
    for key, few in (("garp_master_delay", 0), ("garp_master_repeat", 1)):
        if defaults.values["vrrp_min_garp"] and key not in target.values:
            target.put(key, few, defaults.seen["vrrp_min_garp"])


def _preemption(target: Target) -> None:
    """Keepalived drops what does not go together."""
    values, seen, translation = target.values, target.seen, target.translation
    if values.get("priority") == PRIORITY_OWNER and values.get("nopreempt"):
        translation.remark(seen["nopreempt"], "an owner (priority 255) takes over at once, in keepalived as well")
        del values["nopreempt"]
    starts_as_master = seen.get("state") and seen["state"].values == ["MASTER"]
    for word in ("nopreempt", "preempt_delay"):
        if starts_as_master and values.get(word):
            translation.remark(seen[word], "keepalived ignores it beside state MASTER, and so does vrrpd: left out")
            del values[word]
    if values.get("nopreempt") and values.get("preempt_delay"):
        translation.remark(seen["preempt_delay"], "nopreempt rules preemption out, in keepalived as well: left out")
        del values["preempt_delay"]


def _version_of_protocol(statement: Statement, target: Target, defaults: Target) -> None:
    """That of IPv6 is 3 whatever is said; that of IPv4 is 2 unless something is said."""
    translation = target.translation
    said = target.seen.get("version") or defaults.seen.get("vrrp_version")
    addresses = target.values.get("virtual_ipaddress") or [""]
    first = addresses[0]["address"] if isinstance(addresses[0], dict) else addresses[0]
    is_3 = _version(first) == 6 or (said is not None and said.values == ["3"])
    if said and not is_3:
        translation.refuse(said, "vrrpd speaks VRRPv3 alone", "set version 3 on all routers of the group first")
    elif not is_3:
        text = "keepalived speaks VRRPv2 without vrrp_version 3, and vrrpd VRRPv3 alone: add it to global_defs on every"
        translation.remark(
            Statement(["vrrp_instance"], statement.place, ""), f"{text} router that stays with keepalived"
        )
    authentication = target.seen.get("authentication")
    if authentication:
        translation.remark(authentication, "VRRPv3 has none, so that it is left out, as keepalived does with version 3")
