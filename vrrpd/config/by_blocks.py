"""Reads a file of thousands of virtual servers quickly, and what has not changed since not at all.

This only ever says that a file is right. What it does not understand, and what is wrong, `vrrpd.config.load` reads as a
whole, and has the words for.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vrrpd.config.blocks import SERVERS, Blocks, NotPlainError, cut, server_of
from vrrpd.config.conflicts import Draft
from vrrpd.config.load import config_of, held_by, parse, read_rest, text_of
from vrrpd.config.model import Config
from vrrpd.config.problems import Report
from vrrpd.config.sealed import SealedConfig, SealedServer, seal, seal_server


def load_sealed(path: Path, before: SealedConfig | None = None, remark: Callable[[str], object] = str) -> SealedConfig:
    """The configuration in the file.

    Args:
        path: the file.
        before: what it held, as an earlier call has returned it.
        remark: as for `vrrpd.config.load.load`.

    Raises:
        ConfigError: the file cannot be read, or is wrong.
    """
    text = text_of(path)
    return read_by_blocks(text, before) or seal(parse(text, str(path), remark))


def load_speakers(path: Path) -> Config:
    """What the file says beside virtual servers, at which nobody looks if they stand in blocks.

    Raises:
        ConfigError: the file cannot be read, or is wrong.
    """
    text = text_of(path)
    blocks = cut(text)
    with contextlib.suppress(ValueError):
        if blocks.servers:
            _, values, drafts = _read_rest(blocks, _Silent())
            return config_of(values, drafts)
    return parse(text, str(path))


class _Silent(Report):
    """Says nothing of what is wrong, but that something is."""

    def __init__(self) -> None:
        super().__init__("", "")

    def add(self, *_: object, **__: object) -> None:
        """Part of `Report`."""
        raise NotPlainError

    def where(self, *_: object, **__: object) -> str:
        """Part of `Report`: nobody will read it."""
        return ""


def read_by_blocks(text: str, before: SealedConfig | None) -> SealedConfig | None:
    """The same of a text; None: it must be read as a whole."""
    blocks = cut(text)
    try:
        return _read(blocks, before) if blocks.servers else None
    except ValueError:
        return None


def _read(blocks: Blocks, before: SealedConfig | None) -> SealedConfig:
    from vrrpd.config.virtual_servers import Reader  # noqa: PLC0415  (who has no virtual servers does without)

    report, rest = _Silent(), hash(blocks.rest)
    document, values, drafts = _read_rest(blocks, report)
    reader = Reader(document, report, held_by(drafts))
    known = _known(before) if before and before.rest == rest else {}
    servers: dict[str, SealedServer | None] = {}
    for index, text in enumerate(blocks.servers):
        path, block = (SERVERS, index), hash(text)
        if found := known.get(block):
            name, sealed = found
            reader.claim(sealed.keys, sealed.masquerade, path)
        else:
            server = reader.read(server_of(text), path)
            assert server  # else the report has said something
            name, sealed = server.name, seal_server(server, block)
        servers[name] = sealed
    return SealedConfig(config_of(values, drafts), servers, rest)


def _read_rest(blocks: Blocks, report: Report) -> tuple[dict[str, Any], dict[str, Any], list[Draft]]:
    import tomllib  # noqa: PLC0415  (only who reads a file needs it)

    document = tomllib.loads(blocks.rest)
    if SERVERS in document:
        raise NotPlainError
    return document, *read_rest(document | {SERVERS: blocks.servers}, report)


def _known(before: SealedConfig) -> dict[int, tuple[str, SealedServer]]:
    """By what the file said of each."""
    return {each.block: (name, each) for name, each in before.servers.items() if each and each.block is not None}
