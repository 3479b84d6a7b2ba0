"""A file of thousands of virtual servers, cut into blocks that can be read one by one.

    what stands before the first header                 rest
    [[vrrp_instance]], [[virtual_server_group]]         rest, with all that follows up to the next block
    [[virtual_server]]                                  a block, with its [[virtual_server.real_server]] and the like

A header of the top level means the same wherever it stands. A line in a string or an array may look like one: then the
pieces on both sides of the cut are no TOML by themselves, and whoever reads them sees that.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

SERVERS, REALS = "virtual_server", "real_server"
_CUT = re.compile(rf"^(?=[ \t]*\[)(?![ \t]*\[+{SERVERS}\.)", re.MULTILINE)
_BLOCK = re.compile(rf"[ \t]*\[\[{SERVERS}\]\][ \t]*(?:#[^\x00-\x1f\x7f]*)?$", re.MULTILINE)
_REAL_HEADER = f"[[{SERVERS}.{REALS}]]"
_PAIR = re.compile(
    r'[ \t]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(?:"([^"\\\x00-\x1f\x7f]*)"|(0|[1-9][0-9]{0,17}))?([^\x00-\x1f\x7f]*)'
)
_LINES_KEPT = 1 << 16
_reals_follow = object()
"""In place of a value: the line is the header of a real server."""


class Blocks(NamedTuple):
    """The pieces of a file."""

    rest: str
    """What is not of a virtual server."""
    servers: list[str]
    """Each begins with its header."""


class NotPlainError(ValueError):
    """It must be read as a whole."""


def cut(text: str) -> Blocks:
    """The pieces of `text`, which may be no TOML."""
    rest, servers = list[str](), list[str]()
    for piece in _CUT.split(text.replace("\r\n", "\n")):
        (servers if _BLOCK.match(piece) else rest).append(piece)
    return Blocks("".join(rest), servers)


def server_of(block: str) -> dict[str, Any]:
    """The table that a block is, as tomllib has it; the values in it may be other blocks' as well.

    Raises:
        ValueError: it is no TOML, or no single virtual server.
    """
    _, _, body = block.partition("\n")
    try:
        return _plain(body)
    except NotPlainError:
        import tomllib  # noqa: PLC0415  (few files need it, and starting the daemon is not to pay for it)

        document = tomllib.loads(block)
        if document.keys() != {SERVERS} or len(document[SERVERS]) != 1:
            raise
        server: dict[str, Any] = document[SERVERS][0]
        return server


def _plain(body: str) -> dict[str, Any]:
    """A block without its header, if there are only headers of real servers, and keys with values of one line."""
    server: dict[str, Any] = {}
    table, reals = server, list[dict[str, Any]]()
    for line in body.split("\n"):
        found = _read(line)
        if found is None:
            continue
        key, value = found
        if value is _reals_follow:
            table = {}
            reals.append(table)
        elif key in table:
            raise NotPlainError
        else:
            table[key] = value
    if reals and REALS in server:
        raise NotPlainError
    return server | {REALS: reals} if reals else server


@lru_cache(_LINES_KEPT)
def _read(line: str) -> tuple[str, Any] | None:
    """The key and the value of a line that stands for itself; None: it says nothing. Most lines are there often."""
    pair = _PAIR.fullmatch(line)
    if pair and not pair[4]:
        if pair[2] is not None:
            return pair[1], pair[2]
        if pair[3]:
            return pair[1], int(pair[3])
    if line.strip(" \t") == _REAL_HEADER:
        return REALS, _reals_follow
    import tomllib  # noqa: PLC0415

    if line.lstrip(" \t").startswith("["):
        raise NotPlainError
    try:
        document = tomllib.loads(line)
    except ValueError:
        raise NotPlainError from None
    if not document:
        return None
    if not pair:  # a key with dots or quotes
        raise NotPlainError
    return pair[1], document[pair[1]]
