"""Programs that keepalived calls, with their arguments and the user that they run as."""

import re
import shlex
import shutil
from collections.abc import Mapping

from vrrpd.config.keepalived.statements import Statement
from vrrpd.config.keepalived.translation import Rule, Target
from vrrpd.config.problems import Refused, shown

AS_VRRPD = "programs run as vrrpd does, whatever user is named"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where keepalived, too, finds a program that is named without its path."""
_OPENS_A_FILE = re.compile(r"<\s*/")
"""What keepalived gives to a shell: `</dev/tcp/127.0.0.1/80`. It starts all else by itself."""
BY_STATE: Mapping[str, str] = {
    "notify_master": "MASTER",
    "notify_backup": "BACKUP",
    "notify_fault": "FAULT",
    "notify_stop": "STOP",
}


def program(key: str) -> Rule:
    """A program, and perhaps who is to run it, are a key of ours."""

    def rule(statement: Statement, target: Target) -> None:
        target.put(key, program_of(statement, target), statement)

    return rule


def program_of(statement: Statement, target: Target) -> list[str]:
    """The program, by its whole path, and its arguments.

    Raises:
        Refused: there is none.
    """
    values = statement.escaped_values()
    if not values:
        raise Refused("its value is missing", 'add the program: "/path ARGUMENT"')
    if values[1:] and values[1] != "root":
        target.translation.remark(statement, AS_VRRPD)
    if _OPENS_A_FILE.match(values[0]):
        return ["/bin/sh", "-c", values[0]]
    try:
        words = shlex.split(values[0])
    except ValueError as error:
        raise Refused(f"{shown(values[0])} cannot be split into words: {error}", "close the quote") from None
    first = words[0] if words else ""
    found = shutil.which(first, path=_PATH) if "/" not in first else first
    if found is None or not found.startswith("/"):
        raise Refused(f"there is no program {shown(first)} on this host's path", "write where it is: /path/program")
    return [found, *words[1:]]


def notify(statement: Statement, target: Target) -> None:
    """Make one `notify` of those of the states and that of all of them, which keepalived calls last."""
    seen = target.seen
    by_state = {state: program_of(seen[word], target) for word, state in BY_STATE.items() if word in seen}
    every = program_of(seen["notify"], target) if "notify" in seen else []
    if not by_state:
        target.put("notify", every, statement)
        return
    cases = [f"{state}) {shlex.join(words)} ;;" for state, words in by_state.items()]
    script = f'case "$3" in {" ".join(cases)} esac'
    if every:
        script += f'; exec {shlex.join(every)} "$@"'
    target.put("notify", ["/bin/sh", "-c", script, "notify"], statement)
