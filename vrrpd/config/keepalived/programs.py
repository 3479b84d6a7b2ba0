"""Programs that keepalived calls, with their arguments and the user that they run as."""

import re
import shlex
from collections.abc import Mapping

from vrrpd.config.keepalived.statements import Statement
from vrrpd.config.keepalived.translation import Rule, Target
from vrrpd.config.problems import Refused
from vrrpd.config.service_kinds import command

BY_STATE: Mapping[str, str] = {
    "notify_master": "MASTER",
    "notify_backup": "BACKUP",
    "notify_fault": "FAULT",
    "notify_stop": "STOP",
}


_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)
AS_WHOM = "programs run as vrrpd does, whatever user is named"


def program(key: str) -> Rule:
    """A program, and perhaps who is to run it, are a key of ours."""

    def rule(statement: Statement, target: Target) -> None:
        target.put(key, program_of(statement, target), statement)

    return rule


def program_of(statement: Statement, target: Target) -> str:
    """The program and its arguments.

    Raises:
        Refused: there is none.
    """
    values = statement.escaped_values()
    if not values:
        raise Refused("its value is missing", 'add the program: "/path ARGUMENT"')
    if values[1:] and values[1] != "root":
        target.translation.remark(statement, AS_WHOM)
    return _with_path(values[0])


def _with_path(text: str) -> str:
    """What keepalived looks for in PATH, or leaves to a shell, with what does that."""
    if text.startswith("<"):
        return f"/bin/sh -c {shlex.quote(text)}"
    return f"/usr/bin/env {text}" if _NAME.fullmatch(text.partition(" ")[0]) else text


def notify(statement: Statement, target: Target) -> None:
    """Make one `notify` of those of the states and that of all of them, which keepalived calls last."""
    seen = target.seen
    by_state = {state: program_of(seen[word], target) for word, state in BY_STATE.items() if word in seen}
    every = program_of(seen["notify"], target) if "notify" in seen else ""
    if not by_state:
        target.put("notify", every, statement)
        return
    cases = [f"{state}) {shlex.join(command(text))} ;;" for state, text in by_state.items()]
    script = f'case "$3" in {" ".join(cases)} esac'
    if every:
        script += f'; exec {shlex.join(command(every))} "$@"'
    target.put("notify", ["/bin/sh", "-c", script, "notify"], statement)
