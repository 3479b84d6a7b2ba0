"""The demo as a newcomer runs it, and as he stops it."""

import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.peers import DEADLINE, eventually

pytestmark = pytest.mark.namespaces

DOCUMENTATION = Path(__file__).parent.parent.parent / "docs" / "demo.md"
DEMO = (sys.executable, "-m", "vrrpd", "demo")
QUICK = ("--advert-int", "0.05")
TIMEOUT = 100
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
NEEDED = ("vrrpd", "msgspec", "rich", "pygments", "markdown_it", "mdurl", "pyroute2", "uvloop")
"""What the demo imports."""


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where there is no program to be found."""
    environment = {"PATH": "/nonexistent"}
    return subprocess.run(
        [*DEMO, *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def documented(heading: str) -> set[str]:
    """The keys in the table below a heading."""
    _, _, after = DOCUMENTATION.read_text(encoding="utf-8").partition(f"### {heading}\n")
    cells = re.findall(r"^\| (`.*?) \|", after.partition("\n#")[0], re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("family", ["4", "6"])
def test_json_has_the_documented_keys_and_true_numbers_and_no_program_is_needed(family: str) -> None:
    done = demo("--json", "--fault", "link", "crash", "--family", family, *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == documented("The object")
    assert (found["family"], found["advert_int"], found["rootless"]) == (f"ipv{family}", 0.05, False)
    assert [set(router) for router in found["routers"]] == 3 * [documented("`routers`")]
    link, crash = found["faults"]
    for fault in (link, crash):
        assert set(fault) == documented("`faults`")
        assert set(fault["back"]) == documented("`back`")
        assert fault["probes"] > fault["lost"]
    assert (link["fault"], link["master"], link["successor"]) == ("link", "r1", "r2")
    assert link["bound_ms"] == pytest.approx(150 + 106 / 256 * 50, abs=0.001)
    assert link["lost"] > 50
    assert link["outage_ms"] > 100 - 2
    assert link["takeover_ms"] > link["takeover_bound_ms"] - 1, "no timer runs out early"
    assert (crash["fault"], crash["master"], crash["successor"]) == ("crash", "r1", None)
    assert (crash["lost"], crash["bound_ms"], crash["within_bound"]) == (0, 0, True)
    assert crash["takeover_ms"] is crash["takeover_bound_ms"] is None


def test_faults_may_be_repeated_and_a_pipe_gets_plain_lines_and_the_table() -> None:
    done = demo("--fault", "drain", "reload", "--fault", "heal", "--routers", "2", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    events, _, table = done.stdout.partition("Fault")
    assert [re.findall(r" s  (\w+): lost", line) for line in events.splitlines() if ": lost" in line] == [
        ["drain"],
        ["reload"],
        ["heal"],
    ]
    for name, who in (("drain", "r1 → r2"), ("reload", "r1 stays"), ("heal", "r1 → r2")):
        assert re.search(rf"^ +{name} +{who} ", table, re.MULTILINE)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--fault", "earthquake"),
        ("--fault",),
        ("--routers", "1"),
        ("--routers", "21"),
        ("--routers", "two"),
        ("--advert-int", "0.001"),
        ("--advert-int", "0.015"),
        ("--advert-int", "nan"),
        ("--family", "5"),
        ("extra",),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(wrong: Sequence[str]) -> None:
    done = demo(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert ": error: " in done.stderr


# What is left


def bearing(mark: str) -> list[int]:
    """The processes that have it in their environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:  # it is gone
            continue
    return found


def networks(pids: Sequence[int] | None = None) -> set[str]:
    """The network namespaces of these processes, or of all."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*") if pids is None else [Path(f"/proc/{pid}") for pid in pids]:
        for task in directory.glob("task/*/ns/net"):
            try:
                found.add(str(task.readlink()))
            except OSError:
                continue
    return found


class Running:
    """A demo under way, marked so that everything of it is found."""

    def __init__(self, *arguments: str) -> None:
        self.mark = f"DEMO_MARK={uuid.uuid4()}"
        self.process = subprocess.Popen(
            [*DEMO, *arguments],
            env=dict([self.mark.split("=")]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.networks: set[str] = set()

    def wait_for(self, words: str) -> None:
        assert self.process.stdout is not None
        assert any(words in line for line in self.process.stdout), f"it never said {words!r}"
        self.networks = networks(bearing(self.mark)) - networks([os.getpid()])
        assert len(self.networks) == 5, "three routers, a client and the switch"

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=DEADLINE)
        return self.process.returncode

    def nothing_is_left(self) -> bool:
        return not bearing(self.mark) and not networks() & self.networks


@pytest.fixture
def running() -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for demo in started:
        demo.process.kill()
        demo.process.communicate()


@pytest.mark.parametrize("moment", ["r1 is MASTER and answers", "freeze: SIGSTOP"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_nothing_is_left_once_an_interrupted_demo_has_ended(
    running: list[Running], number: signal.Signals, moment: str
) -> None:
    demo = Running("--fault", "freeze")
    running.append(demo)
    demo.wait_for(moment)
    assert demo.end(number) == 128 + number
    assert demo.nothing_is_left()


@pytest.mark.parametrize("moment", ["r1 is MASTER and answers", "r2 is MASTER and answers"])
def test_nothing_is_left_soon_after_the_demo_was_killed(running: list[Running], moment: str) -> None:
    """The kernel kills what it started, and a guardian what that started in turn, frozen or not."""
    demo = Running("--fault", "freeze", "--advert-int", "0.5")
    running.append(demo)
    demo.wait_for(moment)
    assert demo.end(signal.SIGKILL) == -signal.SIGKILL
    eventually(demo.nothing_is_left, "no process and no namespace of the demo is left")


def test_a_terminal_gets_a_live_view_and_ctrl_c_ends_it_with_130() -> None:
    mark = f"DEMO_MARK={uuid.uuid4()}"
    pid, terminal = pty.fork()
    if not pid:
        os.execve(DEMO[0], DEMO, {"TERM": "xterm", "COLUMNS": "80", "LINES": "24", **dict([mark.split("=")])})
    seen = b""
    deadline = time.monotonic() + DEADLINE
    while not re.search(rb"Adverts.*MASTER", seen, re.DOTALL) and time.monotonic() < deadline:
        seen += os.read(terminal, 1 << 16)
    os.write(terminal, b"\x03")
    try:
        while chunk := os.read(terminal, 1 << 16):
            seen += chunk
    except OSError:  # the terminal's last user is gone
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert not bearing(mark)
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l"), "the cursor is there again"


# Without being root


@pytest.fixture
def anybodys() -> Iterator[tuple[list[str], dict[str, str]]]:
    """The demo as nobody can run it, and its environment: files of this machine's root are closed to nobody."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # noqa: PTH101
        for name in NEEDED:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.submodule_search_locations
            shutil.copytree(spec.submodule_search_locations[0], Path(directory, name))
        interpreters = (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
        for python in interpreters:
            if not subprocess.run([*NOBODY, "env", python, "-c", ""], capture_output=True, check=False).returncode:
                yield [python, "-m", "vrrpd", "demo"], {"PATH": os.environ["PATH"], "PYTHONPATH": directory}
                return
    what = f"no user but root can run {' or '.join(interpreters)}: apt-get install python3"
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


def test_anybody_may_where_the_kernel_lets_him_and_is_told_the_remedy_where_not(
    anybodys: tuple[list[str], dict[str, str]],
) -> None:
    command, environment = anybodys
    attempt = [*NOBODY, "unshare", "--user", "--map-root-user", "--net", "--mount", "true"]
    closed = subprocess.run(attempt, capture_output=True, check=False).returncode
    done = subprocess.run(
        [*NOBODY, *command, "--json", "--fault", "link", *QUICK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd="/",
    )
    if closed:
        assert done.returncode == 1
        assert re.search("sysctl -w|run as root", done.stderr)
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["rootless"] is True
        assert json.loads(done.stdout)["faults"][0]["successor"] == "r2"


def test_root_without_capabilities_is_told_what_is_missing() -> None:
    done = subprocess.run([*WITHOUT_CAPABILITIES, *DEMO], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "CAP_NET_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr
