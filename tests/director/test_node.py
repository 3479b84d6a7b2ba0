"""Which settings of the kernel are needed, made, missing, and put back."""

from pathlib import Path

import pytest

from tests.director.services import real, settings
from vrrpd.director import node
from vrrpd.director.node import Node, needed
from vrrpd.ipvs.model import Method, Protocol, Scheduler

VS = "net/ipv4/vs/"
ALWAYS = {f"{VS}expire_nodest_conn": "1"}
DIRECT = real(1, method=Method.DR)
KERNEL = (6, 1)


def test_without_virtual_servers_nothing_is_needed() -> None:
    assert needed([], KERNEL, masquerades=False) == {}


@pytest.mark.parametrize(
    ("server", "more"),
    [
        (settings(DIRECT), {}),
        (settings(real(1)), {"net/ipv4/ip_forward": "1"}),
        (settings(DIRECT, sorry_server=real(9)), {"net/ipv4/ip_forward": "1"}),
        (settings(DIRECT, persistence_timeout=9), {f"{VS}expire_quiescent_template": "1"}),
        (settings(DIRECT, scheduler=Scheduler.MH), {f"{VS}sloppy_tcp": "1"}),
        (settings(DIRECT, scheduler=Scheduler.SH), {f"{VS}sloppy_tcp": "1"}),
        (settings(DIRECT, scheduler=Scheduler.MH, protocol=Protocol.SCTP), {f"{VS}sloppy_sctp": "1"}),
        (settings(DIRECT, scheduler=Scheduler.MH, protocol=Protocol.UDP), {}),
    ],
)
def test_each_needs_its_own(server: object, more: dict[str, str]) -> None:
    assert needed([server], KERNEL, masquerades=False) == ALWAYS | more  # type: ignore[list-item]


def test_what_the_proxy_serves_takes_nothing_of_the_kernel() -> None:
    assert needed([settings(method=Method.PROXY)], KERNEL, masquerades=False) == {}


def test_masquerading_needs_conntrack_and_before_5_9_another_mode() -> None:
    conntrack = ALWAYS | {f"{VS}conntrack": "1"}
    assert needed([settings(DIRECT)], (5, 9), masquerades=True) == conntrack
    assert needed([settings(DIRECT)], (5, 8), masquerades=True) == conntrack | {f"{VS}conn_reuse_mode": "0"}


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(node, "PROC_SYS", tmp_path)
    (tmp_path / "a").write_text("0\n", encoding="ascii")
    (tmp_path / "b").write_text("1\n", encoding="ascii")
    return tmp_path


def test_what_is_wrong_is_made_right_and_put_back(proc: Path) -> None:
    made, remembered = Node({}), []

    def remember() -> None:
        remembered.append((dict(made.originals), (proc / "a").read_text(encoding="ascii")))

    for _ in range(2):
        made.want({"a": "1", "b": "1"}, remember, may_write=True)
    assert (proc / "a").read_text(encoding="ascii") == "1"
    assert remembered == [({"a": "0"}, "0\n")]  # once, and before anything was changed
    made.restore()
    assert ((proc / "a").read_text(encoding="ascii"), made.originals) == ("0", {})


def test_what_an_earlier_life_found_is_what_comes_back(proc: Path) -> None:
    made = Node({"a": "7"})
    made.want({"a": "1"}, lambda: None, may_write=True)
    made.restore()
    assert (proc / "a").read_text(encoding="ascii") == "7"


def test_what_may_not_be_written_is_told_once(proc: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Node({})
    for _ in range(2):
        made.want({"a": "1"}, lambda: None, may_write=False)
    assert made.missing == {"a": "is 0, and should be 1"}
    assert [record.getMessage() for record in caplog.records] == ["a is 0, and should be 1; run sysctl -w a=1"]
    assert (proc / "a").read_text(encoding="ascii") == "0\n"


def test_what_the_kernel_does_not_have_is_told(proc: Path) -> None:
    made = Node({})
    made.want({"c/d": "1"}, lambda: None, may_write=True)
    assert made.missing == {"c/d": "cannot be set to 1: No such file or directory"}
    assert not (proc / "c").exists()
