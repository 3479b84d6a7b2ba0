"""Resigning is seen through, whatever happens to who does it."""

import os
import signal
from pathlib import Path

import pytest

import vrrpd.supervisor.resign as resign_module
from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.supervisor.resign import ATTEMPTS, resign_apart


def attempts_until(monkeypatch: pytest.MonkeyPatch, file: Path, succeeds: int) -> int:
    """How often it is tried, when that attempt is the first that nobody kills."""
    file.touch()

    def resign(*_: object) -> None:
        with file.open("a") as attempts:
            attempts.write(".")
        if len(file.read_text()) < succeeds:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(resign_module, "resign", resign)
    resign_apart(Config(()), Ledger())
    return len(file.read_text())


@pytest.mark.parametrize("succeeds", [1, 2, ATTEMPTS])
def test_one_that_is_killed_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, succeeds: int
) -> None:
    assert attempts_until(monkeypatch, tmp_path / "attempts", succeeds) == succeeds
    assert "cannot resign" not in caplog.text


def test_one_that_is_always_killed_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert attempts_until(monkeypatch, tmp_path / "attempts", ATTEMPTS + 1) == ATTEMPTS
    assert "cannot resign" in caplog.text


def test_it_is_done_without_another_process_where_there_may_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    done: list[int] = []
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(resign_module, "resign", lambda *_: done.append(os.getpid()))
    resign_apart(Config(()), Ledger())
    assert done == [os.getpid()]
