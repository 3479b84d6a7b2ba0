"""The direction of imports: what docs/architecture.md draws is what the code does."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vrrpd"

# What each part may import of the others. Nothing points back up.
ALLOWED = {
    "protocol": set(),
    "config": {"ipvs", "protocol"},
    "channel": {"config", "ipvs", "ledger"},
    "link": {"channel"},
    "ledger": {"protocol"},
    "histogram": set(),
    "net": {"protocol"},
    "ipvs": {"net", "protocol"},
    "speaker": {"channel", "config", "histogram", "ledger", "link", "net", "protocol"},
    "agent": {"channel", "config", "ipvs", "ledger", "link", "net", "protocol"},
    "director": {"channel", "config", "histogram", "ipvs", "ledger", "link", "net", "protocol", "web"},
    "proxy": {"channel", "ipvs", "link", "protocol"},
    "supervisor": {"agent", "channel", "config", "director", "ipvs", "ledger", "protocol", "proxy", "speaker"},
    "web": {"config"},
    "lan": {"config", "net", "protocol", "supervisor"},
    "demo": {"lan", "protocol", "supervisor"},
    "sniff": {"lan", "net", "protocol"},
    "cli": {"agent", "config", "demo", "director", "lan", "sniff", "supervisor"},
}

PURE = {"asyncio", "socket", "time", "logging", "os", "select", "selectors", "threading", "subprocess"}
HEAVY = {"scapy", "kubernetes", "aiohttp", "dns", "prometheus_client", "rich"}


def parts() -> list[str]:
    return sorted(
        entry.stem for entry in PACKAGE.iterdir() if entry.stem not in ("__init__", "__main__", "__pycache__", "py")
    )


def imports(part: str) -> Iterator[tuple[str, str]]:
    """(file, imported module) for each import in the part, in functions too."""
    root = PACKAGE / part
    for path in sorted(root.rglob("*.py")) if root.is_dir() else [root.with_suffix(".py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path.name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: relative imports hide where an arrow points"
                yield path.name, node.module or ""


def test_every_part_is_known() -> None:
    assert set(parts()) == set(ALLOWED)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_arrows_point_down(part: str) -> None:
    for file, module in imports(part):
        names = module.split(".")
        if names[0] == "vrrpd" and len(names) > 1:
            assert names[1] in ALLOWED[part] | {part}, f"{part}/{file} imports {module}"


def test_what_a_table_should_be_and_how_it_gets_there_is_pure() -> None:
    for file, module in imports("ipvs"):
        if file in ("model.py", "plan.py"):
            assert module.split(".")[0] not in PURE, f"ipvs/{file} imports {module}"
            assert not module.startswith("vrrpd.net"), f"ipvs/{file} imports {module}"


def test_what_a_virtual_server_is_to_be_is_pure() -> None:
    for file, module in imports("director"):
        if file == "service.py":
            assert module.split(".")[0] not in PURE, f"director/{file} imports {module}"


def test_what_a_cluster_comes_to_is_pure() -> None:
    names = (
        "grammar",
        "identity",
        "objects",
        "parse",
        "problems",
        "settings",
        "spread",
        "translate",
        "virtual_servers",
    )
    for file, module in imports("agent"):
        if file.removesuffix(".py") in names:
            assert module.split(".")[0] not in PURE | HEAVY, f"agent/{file} imports {module}"
            assert not module.startswith("vrrpd.net"), f"agent/{file} imports {module}"


def test_the_protocol_is_pure() -> None:
    for file, module in imports("protocol"):
        assert module.split(".")[0] not in PURE, f"protocol/{file} imports {module}"


@pytest.mark.parametrize("part", ["protocol", "config", "channel", "net", "proxy", "speaker", "supervisor"])
def test_the_daemon_imports_nothing_heavy(part: str) -> None:
    for file, module in imports(part):
        assert module.split(".")[0] not in HEAVY, f"{part}/{file} imports {module}"


def test_only_a_check_that_needs_them_brings_heavy_libraries() -> None:
    """Many have no HTTP check and no DNS check; each of these libraries is more than all the rest."""
    code = "import sys, vrrpd.director.checks.schedule; print(*{name.partition('.')[0] for name in sys.modules})"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not HEAVY & set(printed.split())


@pytest.mark.parametrize("module", ["vrrpd.cli.agent", "vrrpd.cli.run"])
def test_what_the_speaker_is_forked_from_has_no_heavy_libraries(module: str) -> None:
    """Of the agent's processes only the watcher asks an API server; it imports for itself what that takes."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not HEAVY & set(printed.split())


CLOCKS = {"time", "datetime"}
MONOTONIC = {"time.sleep", "time.monotonic", "time.CLOCK_MONOTONIC"}


def attributes(part: str) -> Iterator[tuple[str, ast.Attribute]]:
    """(file, x.y) for each attribute that the part asks for or sets."""
    for path in sorted((PACKAGE / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                yield f"{part}/{path.name}", node


def test_the_clocks_are_imported_so_that_their_use_is_seen() -> None:
    for part in ("protocol", "net", "speaker", "supervisor"):
        for path in sorted((PACKAGE / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module in CLOCKS:
                    assert node.module == "datetime", f"{path}: write time.monotonic(), with its module"
                    assert {alias.name for alias in node.names} <= {"datetime", "UTC"}, path


def test_a_clock_step_has_no_effect() -> None:
    """The date is read to be told to people, of a transition and of a log line. Nothing depends on it: deadlines are on
    the monotonic clock, which no clock step moves."""
    uses = {
        (file, ast.unparse(node))
        for part in ("protocol", "net", "speaker", "supervisor")
        for file, node in attributes(part)
        if isinstance(node.value, ast.Name) and node.value.id in CLOCKS and ast.unparse(node) not in MONOTONIC
    }
    assert uses == {
        ("speaker/driver.py", "datetime.now"),
        ("supervisor/log.py", "datetime.fromtimestamp"),
        ("net/adverts.py", "time.time"),  # how long ago a stamp of the kernel was, less than 2 ms or not believed
    }
    readers = {
        file
        for part in ("speaker", "supervisor")
        for file, node in attributes(part)
        if node.attr == "last_transition" and isinstance(node.ctx, ast.Load)
    }
    assert readers == {"speaker/status.py"}
