"""The checks of a `real_server`: each of ours is one of keepalived's, or one of its `url` or `host` blocks."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from vrrpd.config.keepalived.programs import AS_VRRPD, program
from vrrpd.config.keepalived.statements import Statement
from vrrpd.config.keepalived.translation import (
    Target,
    Words,
    apply,
    as_number,
    block_of,
    flag,
    refuse,
    remark,
    same,
    to,
    translate,
    value,
    when_on,
)
from vrrpd.config.problems import Refused

TIMES: Words = {word: to(word) for word in ("connect_timeout", "delay_loop", "retry", "delay_before_retry", "warmup")}
"""Words that virtual servers and real servers have for the checks that do not."""
DELAY_LOOP = 60
"""Seconds; keepalived's default, as those of `CHECKS` are."""
_NO_SUCH_SOURCE = ("vrrpd cannot bind a check to it", "remove it, or use bindto")
_INLINE = {"caseless": "i", "multiline": "m", "dotall": "s", "extended": "x"}
"""Options of regular expressions as they are written in one."""
_NEEDLESS = ("utf", "ucp", "no_auto_possess", "no_start_optimize", "no_dotstar_anchor", "no_auto_capture", "never_utf")

_CONNECTION: Words = {
    "connect_ip": to("connect_ip", value),
    "connect_port": to("connect_port"),
    "bindto": to("bindto", value),
    "bind_port": refuse(*_NO_SUCH_SOURCE),
    "bind_if": refuse(*_NO_SUCH_SOURCE),
    "fwmark": refuse("vrrpd does not mark packets of checks", "remove it"),
}
FAILURES = remark("a real server that fails, or is well again, is logged, and not each failure")
_ALPHA = when_on(refuse("vrrpd has alpha for a virtual server as a whole", "put it there"))
_COMMON: Words = {**TIMES, "alpha": _ALPHA, "log_all_failures": FAILURES}


def _regex_options(statement: Statement, target: Target) -> None:
    others = [option for option in statement.values if option not in (*_INLINE, *_NEEDLESS)]
    if others:
        target.translation.refuse(statement, f"{' '.join(others)}: Python has no such option", "write it in the regex")
    target.put("regex_options", "".join(_INLINE.get(option, "") for option in statement.values), statement)


def _regex(statement: Statement) -> str:
    values = statement.escaped_values()
    if len(values) != 1:
        raise Refused("it is not one regular expression", "put it in quotes")
    return values[0]


def _payload(statement: Statement) -> str:
    """Digits in groups, each of which stands for whole bytes."""
    groups = [group if len(group) % 2 == 0 else f"0{group}" for group in statement.values]
    return "".join(groups)


def _require_reply(statement: Statement, target: Target) -> None:
    if statement.values:
        wrong = "vrrpd looks for a reply, not into it"
        target.translation.refuse(statement, wrong, "leave require_reply without a value, or use MISC_CHECK")
    target.put("require_reply", True, statement)


def _pending(statement: Statement, target: Target) -> None:
    """Remember a block that is a check of its own."""
    target.values.setdefault(_BLOCKS, []).append((statement, block_of(statement)))


_BLOCKS = "blocks"
_URL: Words = {
    "path": to("path", value),
    "digest": to("digest", value),
    "status_code": to("status_code", lambda statement: list(map(as_number, statement.values))),
    "virtualhost": to("virtualhost", value),
    "regex": to("regex", _regex),
    "regex_no_match": to("regex_no_match", flag),
    "regex_options": _regex_options,
    "regex_stack": remark("Python's regular expressions need none"),
    **{
        word: refuse("vrrpd looks for it in the whole body", "remove it")
        for word in ("regex_min_offset", "regex_max_offset")
    },
}
_HTTP: Words = {
    **_CONNECTION,
    **_COMMON,
    "nb_get_retry": to("retry"),
    "virtualhost": to("virtualhost", value),
    "url": _pending,
    "http_protocol": remark("vrrpd speaks HTTP/1.1"),
    "fast_recovery": remark("vrrpd asks for each url by itself, not for one after the other"),
}


class Kind(NamedTuple):
    """A kind of check."""

    type: str
    words: Words
    defaults: Mapping[str, object] = MappingProxyType({})
    """keepalived's, where ours are others."""
    parts: Words = MappingProxyType({})
    """Of the blocks in it that are checks of their own."""


CHECKS: Mapping[str, Kind] = {
    "TCP_CHECK": Kind("TCP", {**_CONNECTION, **_COMMON}),
    "HTTP_GET": Kind("HTTP", {**_HTTP, "enable_sni": same}, {"delay_before_retry": 3}, _URL),
    "SSL_GET": Kind(
        "HTTPS", {**_HTTP, "enable_sni": to("enable_sni", flag)}, {"delay_before_retry": 3, "enable_sni": False}, _URL
    ),
    "UDP_CHECK": Kind(
        "UDP",
        {
            **_CONNECTION,
            **_COMMON,
            "payload": to("payload", _payload),
            "require_reply": _require_reply,
            "min_reply_length": to("min_reply_length"),
            "max_reply_length": to("max_reply_length"),
        },
        {"max_reply_length": 255},
    ),
    "PING_CHECK": Kind("PING", {**_CONNECTION, **_COMMON}),
    "DNS_CHECK": Kind(
        "DNS",
        {**_CONNECTION, **_COMMON, "type": to("record_type", value), "name": to("name", value)},
        {"retry": 3},
    ),
    "SMTP_CHECK": Kind(
        "SMTP",
        {**_CONNECTION, **_COMMON, "helo_name": to("helo_name", value), "host": _pending},
        {"helo_name": "smtpchecker.keepalived.org"},
        {**_CONNECTION, **_COMMON},
    ),
    "MISC_CHECK": Kind(
        "MISC",
        {
            **_COMMON,
            "misc_path": program("misc_path"),
            "misc_timeout": to("connect_timeout"),
            "connect_timeout": remark("of a program misc_timeout counts"),
            "misc_dynamic": to("misc_dynamic", flag),
            "user": remark(AS_VRRPD),
        },
        {"retry": 0},
    ),
}
OTHER_CHECKS: Words = {
    "BFD_CHECK": refuse("vrrpd has no BFD, and the real server would count as well for ever", "use another check"),
    "FILE_CHECK": refuse("vrrpd watches no files, and the weight would not change", "use MISC_CHECK"),
}


def translate_checks(
    statements: Sequence[Statement], target: Target, inherited: Sequence[tuple[str, object, Statement]]
) -> None:
    """Give the real server its checks.

    Args:
        statements: those with a word of `CHECKS`.
        target: the real server's table.
        inherited: what the virtual server and the real server say of checks, the nearer one last.
    """

    def rule(statement: Statement, target: Target) -> None:
        kind = CHECKS[statement.word]
        whole = target.scratch(statement)
        translate(block_of(statement), kind.words, whole, statement.word)
        parts = whole.values.pop(_BLOCKS, [])
        if "url" in kind.words and not parts:
            raise Refused("it has no url, and keepalived ignores it", 'add url { path "/" }')
        for part, block in parts or [(statement, [])]:
            check = target.append("check", part)
            check.put("type", kind.type, statement)
            _put(check, [each for each in inherited if each[0] in _inherits(kind)])
            _put(check, [(key, given, whole.made_by[key]) for key, given in whole.values.items()])
            translate(block, kind.parts, check, part.word)
            _complete(check.values, kind)

    for statement in statements:
        apply(rule, statement, target)


def _inherits(kind: Kind) -> set[str]:
    return {*kind.words, *kind.parts} - ({"connect_timeout"} if kind.type == "MISC" else set())


def _put(check: Target, given: Sequence[tuple[str, object, Statement]]) -> None:
    for key, each, where in given:
        check.put(key, each, where)


def _complete(values: dict[str, Any], kind: Kind) -> None:
    """Add keepalived's defaults."""
    for key, default in _defaults(kind, values):
        values.setdefault(key, default)
    options = values.pop("regex_options", "")
    if options and "regex" in values:
        values["regex"] = f"(?{options}){values['regex']}"


def _defaults(kind: Kind, values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    yield from kind.defaults.items()
    yield "delay_loop", DELAY_LOOP
    rest = values.get("delay_loop", DELAY_LOOP)
    if kind.type == "DNS":
        yield "delay_before_retry", rest
    if kind.type == "MISC":
        yield "connect_timeout", rest
