"""Programs that instances track: what is believed of them, and that they run."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_interface
from pathlib import Path

import pytest
from msgspec.structs import replace

from vrrpd.channel import Burden, Standing
from vrrpd.config.model import TrackedScript, VirtualAddress, VrrpInstance, VrrpScript
from vrrpd.director.priorities import burdens
from vrrpd.director.scripts import Opinion, Scripts

DEADLINE = 20.0
CHECK = VrrpScript("check", ("/bin/true",))


def believed(script: VrrpScript, runs: str) -> str:
    """What is believed after each of the runs: `+` one that succeeds, `-` one that fails; `?`: nothing."""
    opinion, found = Opinion(script), ""
    for run in runs:
        before = opinion.standing
        assert opinion.ran("" if run == "+" else "it fails") is (opinion.standing is not before)
        found += "?" if opinion.standing is None else "+" if opinion.standing.works else "-"
    return found


def test_the_first_run_decides() -> None:
    assert believed(replace(CHECK, rise=3, fall=3), "+") == "+"
    assert believed(replace(CHECK, rise=3, fall=3), "-") == "-"


def test_later_ones_must_come_in_a_row() -> None:
    assert believed(replace(CHECK, rise=2, fall=3), "+--+---+-++") == "++++++----+"


def test_one_that_counts_as_failed_at_first_must_rise() -> None:
    script = replace(CHECK, rise=2, init_fail=True)
    assert Opinion(script).standing == Standing(works=False, reason="it has not succeeded yet")
    assert believed(script, "+-++") == "---+"


def test_what_they_come_to_for_a_router() -> None:
    vip = VirtualAddress(ip_interface("192.0.2.100/24"), "eth0")
    tracked = TrackedScript("a", 20), TrackedScript("b", -30), TrackedScript("c")
    instance = VrrpInstance("VI_1", "eth0", 51, (vip,), track_script=tracked)
    works = Standing(works=True)

    def burden(a: Standing, b: Standing, c: Standing) -> Burden:
        (found,) = burdens([instance], [], {"a": a, "b": b, "c": c}, {}).values()
        return found

    fails = Standing(works=False, reason="/bin/false exited with 1")
    # Named in any case: nothing said would mean that nothing is known.
    assert burden(works, works, works) == Burden(20)
    assert burden(fails, works, works) == Burden()
    assert burden(fails, fails, works) == Burden(-30)
    assert burden(works, works, fails) == Burden(20, "vrrp_script c fails: /bin/false exited with 1")


def test_what_is_not_known_yet_holds_nothing_up_that_is() -> None:
    vip = VirtualAddress(ip_interface("192.0.2.100/24"), "eth0")
    waits = VrrpInstance("VI_1", "eth0", 51, (vip,), track_script=(TrackedScript("a"), TrackedScript("new", 20)))
    other = VrrpInstance("VI_2", "eth0", 52, (vip,), track_script=(TrackedScript("a"),))
    works, fails = {"a": Standing(works=True)}, {"a": Standing(works=False, reason="it exited with 1")}
    fault = Burden(lacking="vrrp_script a fails: it exited with 1")
    assert burdens([waits, other], [], works, {}) == {other.key: Burden()}
    assert burdens([waits, other], [], works, {waits.key: Burden(7)}) == {waits.key: Burden(7), other.key: Burden()}
    assert burdens([waits, other], [], fails, {waits.key: Burden(7)}) == {waits.key: fault, other.key: fault}
    assert burdens([waits], [], works, {waits.key: fault}) == {waits.key: fault}


def run(scripts: list[VrrpScript], until: Callable[[Scripts], bool]) -> Scripts:
    """Run them until it is so."""

    async def wait() -> Scripts:
        news = asyncio.Event()
        running = Scripts(asyncio.get_running_loop(), news.set, {})
        running.apply(scripts)
        async with asyncio.timeout(DEADLINE):
            while not until(running):
                await news.wait()
                news.clear()
        running.close()
        return running

    return asyncio.run(wait())


def test_each_is_known_when_it_has_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = VrrpScript("slow", ("/bin/sh", "-c", f"until test -e {gate}; do sleep 0.02; done"), timeout=DEADLINE)

    def until(scripts: Scripts) -> bool:
        works = {each["name"]: each["works"] for each in scripts.status()}
        if works["check"] and works["slow"] is None:
            assert scripts.standings == {"check": Standing(works=True)}
            gate.touch()
        return scripts.standings == {"check": Standing(works=True), "slow": Standing(works=True)}

    run([CHECK, slow], until)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/bin/false",), "/bin/false exited with 1"),
        (("/no/such/program",), "/no/such/program: no such file or directory"),
        (("/bin/sh", "-c", "kill -9 $$"), "/bin/sh was killed by signal 9 (Killed)"),
        (("/bin/sleep", "600"), "no answer within 0.2 s"),
    ],
)
def test_why_one_fails(command: tuple[str, ...], reason: str) -> None:
    found: list[Standing] = []

    def until(scripts: Scripts) -> bool:
        if scripts.standings:
            found.append(scripts.standings["broken"])
        return bool(found)

    run([VrrpScript("broken", command, timeout=0.2 if "sleep" in command[0] else DEADLINE)], until)
    assert found == [Standing(works=False, reason=reason)]


def test_a_reload_leaves_alone_what_is_as_it_was(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    kept = VrrpScript("kept", ("/bin/sh", "-c", f"echo >> {runs}"), interval=600, timeout=DEADLINE)

    async def wait() -> None:
        news = asyncio.Event()
        running = Scripts(asyncio.get_running_loop(), news.set, {})
        running.apply([kept])
        async with asyncio.timeout(DEADLINE):
            await news.wait()
            news.clear()
            running.apply([kept, CHECK])
            await news.wait()
        assert running.standings == {"kept": Standing(works=True), "check": Standing(works=True)}
        running.apply([CHECK])
        assert running.standings == {"check": Standing(works=True)}
        running.close()

    asyncio.run(wait())
    assert runs.read_text() == "\n"


def test_a_reload_or_a_new_life_keeps_what_is_believed() -> None:
    works, gone = Standing(works=True), Standing(works=False, reason="of a script that is no more")

    async def apply() -> None:
        running = Scripts(asyncio.get_running_loop(), lambda: None, {"check": works, "gone": gone})
        running.apply([replace(CHECK, init_fail=True)])
        assert running.standings == {"check": works}
        running.apply([replace(CHECK, init_fail=True, interval=60.0)])
        assert running.standings == {"check": works}
        running.apply([replace(CHECK, name="gone")])
        assert running.standings == {}
        running.close()

    asyncio.run(apply())
