"""MISC_CHECK, with real programs."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.director.checks.asking import DEADLINE, Run, asked, eventually, patient
from vrrpd.config.services import MiscCheck
from vrrpd.director.checks.probe import probe
from vrrpd.protocol.advert import IPAddress

pytestmark = pytest.mark.parametrize("address", ["192.0.2.1"])
"""Nobody asks it."""


def shell(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script, "sh", *arguments)


@pytest.mark.parametrize(
    ("code", "dynamic", "outcome"),
    [
        (0, False, None),
        (1, False, "/bin/sh exited with 1"),
        (2, False, "/bin/sh exited with 2"),
        (255, False, "/bin/sh exited with 255"),
        (0, True, None),
        (1, True, "/bin/sh exited with 1"),
        (2, True, 0),
        (52, True, 50),
        (255, True, 253),
    ],
)
def test_exit_codes(run: Run, address: IPAddress, code: int, dynamic: bool, outcome: str | int | None) -> None:
    check = patient(MiscCheck, misc_path=shell(f"exit {code}"), misc_dynamic=dynamic)
    assert run(asked(check, address)) == outcome


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_program_that_is_killed(run: Run, address: IPAddress, dynamic: bool) -> None:
    check = patient(MiscCheck, misc_path=shell("kill -SEGV $$"), misc_dynamic=dynamic)
    assert run(asked(check, address)) == "/bin/sh was killed by signal 11 (Segmentation fault)"


def test_no_shell_takes_part(run: Run, address: IPAddress, tmp_path: Path) -> None:
    words = ("a b", "$HOME", "*", "; false", "")
    path = tmp_path / "heard"
    check = patient(MiscCheck, misc_path=shell('printf "%s\\n" "$@" > ' + str(path), *words))
    assert run(asked(check, address)) is None
    assert path.read_text(encoding="utf-8").split("\n")[:-1] == list(words)


def test_nothing_to_read_and_no_harm_in_writing(run: Run, address: IPAddress) -> None:
    """More than a pipe holds, while nobody reads it."""
    script = "cat && head -c 1000000 /dev/zero && head -c 1000000 /dev/zero >&2"
    assert run(asked(patient(MiscCheck, misc_path=shell(script)), address)) is None


def test_a_missing_program(run: Run, address: IPAddress) -> None:
    check = patient(MiscCheck, misc_path=("/nonexistent/check", "-v"))
    assert run(asked(check, address)) == "/nonexistent/check: no such file or directory"


def test_a_file_that_is_no_program(run: Run, address: IPAddress, tmp_path: Path) -> None:
    path = tmp_path / "check"
    path.write_text("exit 0\n", encoding="utf-8")
    check = patient(MiscCheck, misc_path=(str(path),))
    assert run(asked(check, address)) == f"{path}: permission denied"


GRANDCHILD = 'sleep 60 & echo $! > "$1.part" && mv "$1.part" "$1" && {}'
"""Leaves a process in the background, whose number it writes into a file."""


@pytest.mark.parametrize("then", ["sleep 60", "trap '' TERM INT HUP; sleep 60"])
def test_the_whole_group_ends_with_the_attempt(run: Run, address: IPAddress, tmp_path: Path, then: str) -> None:
    path = tmp_path / "number"
    check = patient(MiscCheck, misc_path=shell(GRANDCHILD.format(then), str(path)))

    async def main() -> None:
        task = asyncio.ensure_future(probe(check, address, 0))
        await eventually(path.exists)
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.cancelled()
        grandchild = int(path.read_text(encoding="ascii"))
        await eventually(lambda: not runs(grandchild))
        assert not runs(grandchild)

    run(main())


def test_what_a_program_has_started_outlives_it(run: Run, address: IPAddress, tmp_path: Path) -> None:
    """Such as a service that it had found dead; keepalived leaves it alone, too."""
    told, alive = tmp_path / "told", tmp_path / "alive"
    service = f"{{ until test -e {told}; do sleep 0.02; done; touch {alive}; }} &"
    check = patient(MiscCheck, misc_path=shell(service))

    async def main() -> None:
        assert await asked(check, address) is None
        told.touch()
        await eventually(alive.exists)
        assert alive.exists()

    run(main())


def runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "XZ"


def test_the_daemon_is_not_of_the_group(run: Run, address: IPAddress) -> None:
    check = patient(MiscCheck, misc_path=shell("kill -KILL 0"))
    assert run(asked(check, address)) == f"/bin/sh was killed by signal 9 ({signal.strsignal(9)})"


def test_many_at_once(run: Run, address: IPAddress) -> None:
    """Each gets its own exit code."""

    async def main() -> None:
        checks = [patient(MiscCheck, misc_path=shell(f"exit {code}"), misc_dynamic=True) for code in range(2, 34)]
        assert await asyncio.gather(*(asked(check, address) for check in checks)) == list(range(32))

    run(main())
