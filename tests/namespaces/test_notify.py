"""The program that is told of a router's states: each once, in their order, whatever becomes of the processes."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER
from tests.peers import DEADLINE, Network, alone, eventually, settings, start_as

pytestmark = pytest.mark.namespaces


def told_program(directory: Path) -> tuple[str, Path]:
    """A line of configuration, and the file that says how the program was called."""
    program, calls = directory / "notify", directory / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n', encoding="ascii")
    program.chmod(0o755)
    calls.touch()
    return f'notify = "{program} -x"', calls


def calls_of(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()


def test_it_is_called_as_keepalived_does(network: Network, tmp_path: Path) -> None:
    line, calls = told_program(tmp_path)
    router = network.vrrpd("r1", alone(4, line))
    start_as(MASTER, router)
    name = router.routers[0].name
    told = [f"-x INSTANCE {name} {state} 100" for state in ("BACKUP", "MASTER")]
    eventually(lambda: calls_of(calls) == told, "both states are told")
    router.host.cut_carrier()
    eventually(lambda: calls_of(calls)[2:] == [f"-x INSTANCE {name} FAULT 100"], "FAULT is told")
    router.stop()
    assert calls_of(calls)[3:] == [f"-x INSTANCE {name} STOP 100"]


def test_a_speaker_that_dies_enters_nothing_new_and_a_director_that_dies_tells_nothing_twice(
    network: Network, tmp_path: Path
) -> None:
    line, calls = told_program(tmp_path)
    router, other = network.vrrpd("r1", settings(4, 200, line)), network.vrrpd("r2", settings(4, 100))
    start_as(MASTER, router)
    start_as(BACKUP, other)
    eventually(lambda: len(calls_of(calls)) == 2, "both states are told")
    processes = router.status()["processes"]
    for process in ("director", "speaker"):
        os.kill(processes[process], signal.SIGKILL)
    eventually(lambda: router.state() == MASTER, "another speaker goes on")
    router.ask("drain")
    router.wait_until(BACKUP, DEADLINE)
    eventually(lambda: [call.split()[3] for call in calls_of(calls)] == ["BACKUP", "MASTER", "BACKUP"], "told once")
