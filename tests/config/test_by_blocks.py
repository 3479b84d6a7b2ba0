"""A file that is read block by block says the same as one that is read as a whole; what is known is not read again."""

from pathlib import Path

import pytest

from tests.config.samples import BASE
from vrrpd.config import by_blocks
from vrrpd.config.blocks import server_of
from vrrpd.config.by_blocks import load_sealed, load_speakers, read_by_blocks
from vrrpd.config.load import load, parse
from vrrpd.config.problems import ConfigError

REAL = '[[virtual_server.real_server]]\naddress = "198.51.100.{}"\n'
REALS = REAL.format(1) + REAL.format(2)
GROUP = '[[virtual_server_group]]\nname = "G"\nmembers = ["192.0.2.100 {}"]\n'


def block(port: int, more: str = "") -> str:
    return f'[[virtual_server]]\naddress = "192.0.2.100"\nport = {port}\n{more}{REALS}\n'


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blocks that were read."""
    blocks: list[str] = []

    def noting(text: str) -> object:
        blocks.append(text)
        return server_of(text)

    monkeypatch.setattr(by_blocks, "server_of", noting)
    return blocks


@pytest.mark.parametrize(
    "text",
    [
        BASE + block(80) + block(81, 'check = { type = "TCP", retry = 2 }  # why\n'),
        block(80).replace("\n", "\r\n") + BASE.partition("\n\n")[2],
        BASE + block(80, "sh-port = true\nlvs_sched = 'sh'\n# a remark\n") + GROUP.format(443),
        BASE
        + block(80)
        + '[[virtual_server]]  # a group\nvirtual_server_group = "G"\n'
        + GROUP.format(443)
        + block(81),
        BASE + block(80) + '  [virtual_server.sorry_server]\n  address = "198.51.100.9"\n',
        BASE + block(80, 'quorum_up = """/bin/\\\n   true"""\n'),
        BASE + block(80, 'quorum_up = [\n  "/bin/true",\n  "x",\n]\n'),
        BASE + block(80) + '[virtual_server.check]\ntype = "PING"\n' + block(81),
    ],
)
def test_it_says_the_same(text: str) -> None:
    found = read_by_blocks(text, None)
    assert found
    assert found.opened() == parse(text, "vrrpd.toml")


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        BASE + block(80) + '[[ virtual_server.real_server ]]\naddress = "198.51.100.3"\n',
        BASE + '[[ virtual_server ]]\naddress = "192.0.2.100"\nport = 80\n' + REALS,
        BASE + '[["virtual_server"]]\naddress = "192.0.2.100"\nport = 80\n' + REALS,
        BASE + block(80, "quorum_up = '''/bin/true\n[[virtual_server]]\n'''\n"),
        BASE.replace('"VI_1"', "'VI_1'  # [[virtual_server]]").replace("\n\n", "\nvirtual_server_group = [\n]\n\n", 1),
    ],
)
def test_what_is_written_otherwise_is_read_as_a_whole(text: str) -> None:
    assert read_by_blocks(text, None) is None


@pytest.mark.parametrize(
    "text",
    [
        BASE + block(80) + block(80),
        BASE + block(80, "port = 81\n"),
        BASE + block(80, "prot = 81\n"),
        BASE + block(80, "real_server = []\n"),
        BASE + block(80, "quorum = 01\n"),
        BASE + block(80, "quorum = 1 1\n"),
        BASE + block(80, 'quorum_up = "/bin/true\n'),
        BASE + block(80, 'quorum_up = "/bin/\x01true"\n'),
        BASE + block(80, "# \x01\n"),
        BASE + block(80).replace("[[virtual_server]]", "[[virtual_server]] # \x01"),
        BASE + block(80).replace("[[virtual_server]]", "[[virtual_server]] x"),
        BASE + block(80) + "[virtual_server]\n",
        BASE + block(80, "masquerade = true\n") + block(81, "masquerade = false\n"),
        BASE + BASE + block(80),
    ],
)
def test_what_is_wrong_is_not_taken(text: str) -> None:
    assert read_by_blocks(text, None) is None
    assert read_by_blocks(text, read_by_blocks(BASE + block(80), None)) is None
    with pytest.raises(ConfigError):
        parse(text, "vrrpd.toml")


def test_what_is_known_is_not_read_again(read: list[str]) -> None:
    first = read_by_blocks(BASE + block(80) + block(81) + block(82), None)
    assert first
    assert read == [block(80), block(81), block(82)]
    read.clear()
    text = BASE + block(82) + block(81, "quorum = 2\n") + block(80)
    second = read_by_blocks(text, first)
    assert second
    assert read == [block(81, "quorum = 2\n")]
    assert second.opened() == parse(text, "vrrpd.toml")
    news = second.since(first)
    assert [name for name, each in news.servers.items() if each] == ["TCP 192.0.2.100:81"]
    assert news.upon(first) == second
    assert news.opened({each.name: each for each in first.opened().virtual_servers}) == second.opened()


def test_what_is_known_is_read_again_where_it_may_mean_something_else(read: list[str]) -> None:
    server = '[[virtual_server]]\nvirtual_server_group = "G"\n' + REALS
    first = read_by_blocks(BASE + server + GROUP.format(443), None)
    second = read_by_blocks(BASE + server + GROUP.format(444), first)
    assert second
    assert len(read) == 2
    assert second.opened() == parse(BASE + server + GROUP.format(444), "vrrpd.toml")


@pytest.mark.parametrize(("old", "new"), [("", ""), ("masquerade = true\n", "masquerade = false\n")])
def test_what_is_new_may_not_contradict_what_is_known(old: str, new: str) -> None:
    first = read_by_blocks(BASE + block(80, old), None)
    assert first
    assert read_by_blocks(BASE + block(80, old) + block(80, new + "# other\n"), first) is None
    assert read_by_blocks(BASE + block(80, old) + block(80, old), first) is None


def test_a_file_is_read_as_a_whole_where_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / "vrrpd.toml"
    for text in (BASE, BASE + block(80), BASE + block(80).replace("[[virtual_server]]", "[[ virtual_server ]]")):
        path.write_text("\ufeff" + text)
        assert load_sealed(path).opened() == load(path)
        assert load_sealed(path, load_sealed(path)).opened() == load(path)
        assert load_speakers(path).control_socket == load(path).control_socket
    path.write_text(BASE + block(80) + "x = 1\n")
    with pytest.raises(ConfigError, match=f"{path}:16: virtual_server"):
        load_sealed(path)
