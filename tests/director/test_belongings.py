"""What a later life knows of an earlier one."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ipvs.tables import KEYS
from vrrpd.director.belongings import Belongings
from vrrpd.ipvs.model import Protocol, ServiceAddress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vrrpd.ipvs"


def test_everything_comes_back(path: Path) -> None:
    ours = Belongings(path)
    ours.sysctls["net/ipv4/vs/conntrack"] = "0"
    ours.masquerade = True
    ours.note(KEYS)
    later = Belongings(path)
    assert (later.virtual_servers, later.sysctls, later.masquerade) == (frozenset(KEYS), ours.sysctls, True)


def test_nothing_leaves_no_file(path: Path) -> None:
    ours = Belongings(path)
    ours.note(KEYS)
    assert [*path.parent.iterdir()] == [path]
    ours.note(())
    assert not path.exists()


def test_what_is_noted_already_is_not_written_again(path: Path) -> None:
    ours = Belongings(path)
    ours.note(KEYS)
    path.unlink()
    ours.note(KEYS)
    assert not path.exists()


@given(st.binary() | st.sampled_from([b"[]", b"{}", b'{"virtual_servers": 3, "sysctls": 3, "masquerade": 3}']))
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ipvs"
    path.write_bytes(content)
    assert Belongings(path).virtual_servers == frozenset()


def test_entries_that_mean_nothing_are_passed_over(path: Path) -> None:
    path.write_text('{"virtual_servers": [["TCP", "192.0.2.1", 80], ["X", "192.0.2.1", 80], 3, ["TCP"], []]}')
    assert Belongings(path).virtual_servers == {ServiceAddress(Protocol.TCP, ip_address("192.0.2.1"), 80)}


def test_a_directory_that_cannot_be_written_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = Belongings(tmp_path / "missing" / "vrrpd.ipvs")
    ours.note(KEYS)
    assert "No such file or directory" in caplog.text
    assert ours.virtual_servers == frozenset(KEYS)
