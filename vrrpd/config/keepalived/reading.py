"""A keepalived.conf as a `Config`, and what is to be said of it."""

from typing import NamedTuple

from vrrpd.config.keepalived.elsewhere import GLOBAL, GLOBAL_KEYS, ROOT
from vrrpd.config.keepalived.routers import INSTANCE, SCRIPT, translate_instance, translate_script
from vrrpd.config.keepalived.servers import REAL_SERVER, VIRTUAL_SERVER, translate_group, translate_virtual_server
from vrrpd.config.keepalived.source import Place, Source
from vrrpd.config.keepalived.statements import Statement, statements_of
from vrrpd.config.keepalived.translation import (
    LocatedReport,
    Remark,
    Target,
    Translation,
    Words,
    block_of,
    same,
    translate,
)
from vrrpd.config.load import configured
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError, Problem

_BEFORE = {"global_defs": 0, "virtual_server_group": 1}
"""What comes before the rest."""
_BLOCKS: dict[str, Words] = {
    "keepalived.conf outside of blocks": {**ROOT, **dict.fromkeys(("vrrp_instance", "virtual_server"), same)},
    "global_defs": GLOBAL,
    "vrrp_instance": INSTANCE,
    "vrrp_script": SCRIPT,
    "virtual_server": VIRTUAL_SERVER,
    "real_server": REAL_SERVER,
}


class Imported(NamedTuple):
    """What a keepalived.conf comes to."""

    config: Config
    remarks: tuple[Remark, ...]
    left_out: tuple[Problem, ...]
    """Words that matter and that vrrpd has nothing for, if it was asked to go on without them."""


def read_keepalived(text: str, file: str, config_id: str | None = None, *, partial: bool = False) -> Imported:
    """Read a keepalived.conf and what it includes.

    Args:
        text: the file.
        file: its name; what it includes is looked for beside it.
        config_id: what `@ID` is compared with; None: the name of this host.
        partial: whether to leave out what vrrpd has nothing for.

    Raises:
        ConfigError: it is wrong, or has words that matter and that vrrpd has nothing for.
    """
    translation = Translation(file, _BLOCKS)
    source = Source(translation.problems, config_id)
    statements = statements_of(source.lines(text.removeprefix("\ufeff"), file), translation.problems)
    if source.first_condition and not source.is_named:
        nobody = "no line is for it: vrrpd import --config-id names another, as keepalived -i does"
        translation.remark(Statement([f"@{source.config_id}"], source.first_condition, ""), nobody)
    _translate(statements, translation)
    report = LocatedReport(translation)
    refused = [] if partial else translation.refused
    config = None
    if translation.document or not (report.problems or refused):  # else it is no wonder that there is nothing
        config = configured(translation.document, report)
    if config is None or refused:
        raise ConfigError(dict.fromkeys([*report.problems, *refused]))
    return Imported(config, translation.remarks, tuple(translation.refused))


def _translate(statements: list[Statement], translation: Translation) -> None:
    defaults = Target(translation, (), Statement(["global_defs"], Place(translation.file, 1), ""))
    whole = defaults.scratch(Statement([translation.file], Place(translation.file, 1), ""))
    words: Words = {
        **ROOT,
        "global_defs": lambda statement, _: translate(block_of(statement), GLOBAL, defaults, "global_defs"),
        "vrrp_script": lambda statement, _: translate_script(statement, translation),
        "vrrp_instance": lambda statement, _: translate_instance(statement, translation, defaults),
        "virtual_server": lambda statement, _: translate_virtual_server(statement, translation),
        "virtual_server_group": lambda statement, _: translate_group(statement, translation),
    }
    # What others refer to may stand below them.
    ordered = sorted(statements, key=lambda statement: _BEFORE.get(statement.word, len(_BEFORE)))
    translate(ordered, words, whole, "keepalived.conf")
    translation.document |= {key: defaults.values[key] for key in GLOBAL_KEYS if key in defaults.values}
