"""Programs that are called one after another, and that cannot keep the director."""

import asyncio
from pathlib import Path

import pytest

from vrrpd.director import notify
from vrrpd.director.notify import Notifier


def told(*commands: tuple[str, ...], patience: float = 20.0) -> None:
    async def tell() -> None:
        notifier = Notifier()
        for command in commands:
            notifier.tell("web", command)
        notifier.tell("web", None)
        await notifier.close(patience)

    asyncio.run(tell())


def append(path: Path, word: str, delay: float = 0) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"sleep {delay}; echo {word} >> {path}")


def test_they_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "words"
    told(append(path, "first", 0.2), append(path, "second"), append(path, "third"))
    assert path.read_text() == "first\nsecond\nthird\n"


def test_one_that_fails_or_is_missing_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "words"
    told(("/no/such/program",), ("/bin/sh", "-c", "exit 3"), append(path, "last"))
    assert "cannot call /no/such/program: No such file or directory" in caplog.text
    assert "/bin/sh exited with 3" in caplog.text
    assert path.read_text() == "last\n"


def test_one_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "TIMEOUT", 0.3)
    path = tmp_path / "words"
    told(("/bin/sh", "-c", f"(sleep 600; echo never >> {path}) & wait"), append(path, "last"))
    assert "was not done within" in caplog.text
    assert path.read_text() == "last\n"


def test_the_end_does_not_wait_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "words"
    told(("/bin/sleep", "600"), append(path, "never"), patience=0.1)
    assert not path.exists()


def test_one_virtual_server_does_not_wait_for_another(tmp_path: Path) -> None:
    path = tmp_path / "words"

    async def tell() -> None:
        notifier = Notifier()
        notifier.tell("slow", ("/bin/sh", "-c", f"until grep -q fast {path}; do sleep 0.02; done; echo slow >> {path}"))
        notifier.tell("fast", append(path, "fast"))
        await notifier.close(20)

    asyncio.run(tell())
    assert path.read_text() == "fast\nslow\n"


def test_what_is_not_called_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told(("/bin/sleep", "600"), ("/bin/true",), ("/bin/true",), patience=0.1)
    assert "1 programs are broken off, and 2 are not called" in caplog.text
