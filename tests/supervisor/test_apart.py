"""Work that children do: what it comes to, and what becomes of those that die or hang."""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.config.samples import BASE
from vrrpd.config.by_blocks import load_sealed
from vrrpd.config.load import load
from vrrpd.config.problems import ConfigError
from vrrpd.config.sealed import SealedConfig
from vrrpd.supervisor import reading
from vrrpd.supervisor.apart import PATIENCE, Apart, ApartError, apart
from vrrpd.supervisor.reading import Outcome, Reading, _outcome, read_first

LONG = 60.0


class Parent:
    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.children = Apart(self.selector, lambda: None)

    def wait_for(self, outcomes: list[Any], count: int = 1) -> None:
        while len(outcomes) < count:
            ready = self.selector.select(LONG)
            assert ready
            for key, _ in ready:
                key.data()


@pytest.fixture
def parent() -> Iterator[Parent]:
    made = Parent()
    yield made
    made.children.close()
    made.selector.close()


def test_what_it_comes_to_may_be_long(parent: Parent) -> None:
    outcomes: list[Any] = []
    parent.children.run(lambda: (os.getpid(), bytes(1 << 22)), outcomes.append)
    parent.wait_for(outcomes)
    ((pid, data),) = outcomes
    assert pid != os.getpid()
    assert data == bytes(1 << 22)
    assert parent.children.due is None


@pytest.mark.parametrize(
    ("work", "said"),
    [(lambda: 1 // 0, "failed"), (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by signal 9")],
    ids=["fails", "is killed"],
)
def test_one_that_dies_is_told_of(parent: Parent, work: Callable[[], Any], said: str) -> None:
    outcomes: list[Any] = []
    parent.children.run(work, outcomes.append)
    parent.wait_for(outcomes)
    assert isinstance(outcomes[0], ApartError)
    assert said in str(outcomes[0])
    with pytest.raises(ApartError, match=said):
        apart(work)


def test_one_that_hangs_is_killed(parent: Parent) -> None:
    outcomes: list[Any] = []
    parent.children.run(lambda: time.sleep(LONG), outcomes.append)
    parent.children.do_what_is_due(time.monotonic())
    parent.children.do_what_is_due(time.monotonic() + PATIENCE)
    parent.wait_for(outcomes)
    assert "was killed by signal 9" in str(outcomes[0])


def test_the_end_waits_for_nobody(parent: Parent) -> None:
    parent.children.run(lambda: time.sleep(LONG), lambda _: None)
    parent.children.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_who_asks_while_a_file_is_read_gets_what_it_says_later(parent: Parent, tmp_path: Path) -> None:
    path, outcomes = tmp_path / "vrrpd.toml", list[Outcome]()
    path.write_text(BASE)
    files = Reading(path, load_sealed(path), parent.children)
    files.read(outcomes.append)
    path.write_text("nonsense")
    files.read(outcomes.append)
    files.read(outcomes.append)
    parent.wait_for(outcomes, 3)
    assert [str(each) for each in outcomes[1:]] == [_refusal(path)] * 2


def test_what_has_not_changed_is_handed_over_once(
    parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, outcomes, handed = tmp_path / "vrrpd.toml", list[Outcome](), list[Any]()

    def noting(found: Any, before: SealedConfig | None) -> Outcome:
        handed.append(found)
        return _outcome(found, before)

    monkeypatch.setattr(reading, "_outcome", noting)
    blocks = [f'[[virtual_server]]\naddress = "192.0.2.100"\nport = {port}\n' for port in range(80, 84)]
    path.write_text(BASE + "".join(blocks))
    files = Reading(path, load_sealed(path), parent.children)
    for count, changed in enumerate((*blocks[1:], "nonsense", blocks[3]), start=1):
        path.write_text(BASE + "".join(blocks[:3]) + changed.replace("192.0.2.100", "192.0.2.101"))
        files.read(outcomes.append)
        parent.wait_for(outcomes, count)
        if changed == "nonsense":
            assert isinstance(outcomes[-1], ConfigError)
        else:
            assert isinstance(outcomes[-1], SealedConfig)
            assert outcomes[-1].opened() == load(path)
            assert sum(each is not None for each in handed[-1].servers.values()) == (count < 4)


def _refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_at_the_start_it_makes_no_difference_who_reads(
    small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SMALL", small)
    path = tmp_path / "vrrpd.toml"
    path.write_text(BASE)
    found = read_first(path)
    assert isinstance(found, SealedConfig)
    assert found.opened() == load(path)
    path.write_text("nonsense")
    with pytest.raises(ConfigError) as caught:
        read_first(path)
    assert str(caught.value) == _refusal(path)
    with pytest.raises(ConfigError, match="there is no such file"):
        read_first(tmp_path / "none")
