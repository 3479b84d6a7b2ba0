"""The director on a kernel of its own: what it adopts, what it tells, and what it goes on with after errors."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ipvs.tables import SimulatedKernel
from vrrpd.channel import SetBurdens, SetProxied
from vrrpd.config.load import parse
from vrrpd.config.model import Config
from vrrpd.director import director as module
from vrrpd.director.director import Director
from vrrpd.director.own import OwnAddresses
from vrrpd.director.service import Health
from vrrpd.ipvs.kernel import IpvsError
from vrrpd.ipvs.model import (
    Activity,
    RealServerKey,
    ServiceActivity,
    ServiceAddress,
    Table,
    VirtualServer,
    VirtualServerKey,
)
from vrrpd.ipvs.plan import Step
from vrrpd.protocol.advert import Family

ROUTER = ("eth0", Family.IPV4, 51)
TCP, PING = '{ type = "TCP", delay_loop = 1000 }', '{ type = "PING", delay_loop = 1000 }'


class Kernel(SimulatedKernel):
    """As `Ipvs`, and it outlives directors."""

    def __init__(self) -> None:
        super().__init__({})
        self.error = ""
        self.refuses: Callable[[Step], bool] = lambda _: False
        self.steps: list[Step] = []
        self.opened = 0

    def __call__(self) -> "Kernel":
        if self.error == "no IPVS":
            raise IpvsError(self.error)
        self.opened += 1
        return self

    def table(self) -> dict[VirtualServerKey, VirtualServer]:
        if self.error:
            raise IpvsError(self.error)
        return dict(self.servers)

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:  # type: ignore[override]
        refused = [step for step in steps if self.refuses(step)]
        for step in steps:
            if step not in refused:
                self.take(step)
        self.steps += steps
        return [(step, OSError(2, "No such file or directory")) for step in refused]

    def each(self) -> Iterator[VirtualServer]:
        return iter([*self.table().values()])

    def activity(self) -> Iterator[tuple[VirtualServerKey, ServiceActivity]]:
        return iter(())

    def activity_of(self, _: VirtualServerKey) -> Mapping[RealServerKey, Activity]:
        return {}

    def close(self) -> None:
        self.opened -= 1

    def weights(self) -> dict[str, dict[str, int]]:
        """Of real servers, by the virtual server and the address."""
        return {
            str(key): {str(real.address): entry.weight for real, entry in server.real_servers.items()}
            for key, server in self.servers.items()
        }


class Life:
    """One director after another on one kernel."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, kernel: Kernel) -> None:
        self.loop = loop
        self.directory = directory
        self.kernel = kernel
        self.told: list[Mapping[tuple[str, Family, int], int]] = []
        self.said = SetBurdens({})
        self.proxied: Table = {}
        self.director: Director | None = None

    def config(self, *lines: str, check: str = TCP, reals: Sequence[int] = (1, 2), servers: bool = True) -> Config:
        text = [
            f'control_socket = "{self.directory}/vrrpd.sock"',
            'node_settings = "off"',
            "[[vrrp_instance]]",
            'name = "VI_1"',
            'interface = "eth0"',
            "virtual_router_id = 51",
            'virtual_ipaddress = ["192.0.2.100/24"]',
        ]
        if servers:
            text += ["[[virtual_server]]", 'address = "192.0.2.100"', "port = 80", "masquerade = false", *lines]
            for last in reals:
                text += ["[[virtual_server.real_server]]", f'address = "198.51.100.{last}"', f"check = {check}"]
        return parse("\n".join(text), "vrrpd.toml")

    def begin(self, config: Config, *, master: bool = True) -> Director:
        """Another director, as after a crash of the last one."""
        if self.director:
            self.director._checking.close()
        held = frozenset({ROUTER}) if master else frozenset()
        self.director = Director(self.loop, config, held, self.said, self.tell)
        self.director.start(self.proxied)
        return self.director

    def tell(self, burdens: SetBurdens | SetProxied) -> None:
        if isinstance(burdens, SetProxied):
            self.proxied = burdens.table
            return
        self.said = burdens
        self.told.append({key: burden.weight for key, burden in burdens.burdens.items()})

    def fail(self, last: int, *, up: bool = False) -> None:
        """The checks of a real server find that it fails, or is well."""
        assert self.director
        (name,) = self.director._services
        real = next(key for key in self.director._services[name].health if int(key.address) & 0xFF == last)
        for checker in self.director._checking._checkers[name][real].values():
            for _ in range(2):
                following = checker.found_well(None) if up else checker.found_failed("it fails")
                if following.changed:
                    checker._changed(checker)
        self.director.flush()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Life], Any]], None]:
    kernel = Kernel()
    monkeypatch.setattr(module, "Ipvs", kernel)

    def run(story: Callable[[Life], Any]) -> None:
        async def live() -> None:
            life = Life(asyncio.get_running_loop(), tmp_path, kernel)
            try:
                told = story(life)
                if asyncio.iscoroutine(told):
                    await told
            finally:
                if life.director:
                    life.director._checking.close()

        asyncio.run(live())

    return run


Run = Callable[[Callable[[Life], Any]], None]
BOTH, FIRST = {"198.51.100.1": 1, "198.51.100.2": 1}, {"198.51.100.1": 1}
SERVICE = "TCP 192.0.2.100:80"


@pytest.mark.parametrize("line", ["", "alpha = true"])
def test_a_new_director_takes_who_is_well_from_the_kernel(run: Run, line: str) -> None:
    def story(life: Life) -> None:
        life.begin(life.config(line))
        life.fail(1, up=True)
        life.fail(2, up=True)
        life.fail(2)
        assert life.kernel.weights() == {SERVICE: FIRST}
        life.kernel.steps.clear()
        life.begin(life.config(line))
        assert life.kernel.steps == []
        life.fail(2, up=True)
        assert life.kernel.weights() == {SERVICE: BOTH}

    run(story)


def test_a_new_director_takes_back_what_the_last_one_took_from_the_priority(run: Run) -> None:
    async def story(life: Life) -> None:
        config = life.config("vrrp_weight = -50", "quorum = 2")
        life.begin(config)
        life.fail(2)
        await asyncio.sleep(2 * module.DEBOUNCE)
        assert life.told == [{ROUTER: -50}]
        life.kernel.servers.clear()  # so that nothing says that it had failed
        life.begin(config)
        assert life.told[1:] == [{}]

    run(story)


def test_a_burst_of_lost_quorums_comes_to_the_priority_together(run: Run) -> None:
    async def story(life: Life) -> None:
        one = life.config("vrrp_weight = -1")
        many = _many(life, 50)
        servers = (replace(each, vrrp_weight=-1) for each in many.virtual_servers)
        director = life.begin(replace(one, virtual_servers=tuple(servers)))
        for name, service in director._services.items():
            for key in [*service.health]:
                director.heard((name, key), Health(up=False))
        await asyncio.sleep(2 * module.DEBOUNCE)
        assert life.told == [{ROUTER: -50}]

    run(story)


def test_who_has_failed_has_so_under_another_name_of_its_virtual_server(run: Run) -> None:
    def story(life: Life) -> None:
        director = life.begin(life.config())
        life.fail(2)
        config = life.config()
        (server,) = config.virtual_servers
        director.apply(replace(config, virtual_servers=(replace(server, name="TCP group web"),)))
        assert life.kernel.weights() == {SERVICE: FIRST}
        life.fail(2, up=True)
        assert life.kernel.weights() == {SERVICE: BOTH}

    run(story)


def test_a_check_that_is_removed_takes_its_verdict_along(run: Run) -> None:
    def story(life: Life) -> None:
        director = life.begin(life.config(check=f"[{TCP}, {PING}]"))
        ((checkers, *_),) = (each.values() for each in director._checking._checkers.values())
        tcp = next(iter(checkers.values()))
        for _ in range(2):
            tcp.found_failed("refused")
        tcp._changed(tcp)
        director.flush()
        assert life.kernel.weights() == {SERVICE: {"198.51.100.2": 1}}
        director.apply(life.config(check=PING))
        assert life.kernel.weights() == {SERVICE: BOTH}

    run(story)


def test_checks_that_decide_who_is_master_do_not_rest(run: Run) -> None:
    def story(life: Life) -> None:
        director = life.begin(life.config("ha_suspend = true", "vrrp_weight = -50"), master=False)
        assert not director._rests(director._config.virtual_servers[0])
        director.apply(life.config("ha_suspend = true"))
        assert director._rests(director._config.virtual_servers[0])

    run(story)


def test_a_backup_with_dr_finds_out_whether_the_kernel_has_ipvs(run: Run) -> None:
    async def story(life: Life) -> None:
        life.kernel.error = "no IPVS"
        director = life.begin(life.config('lvs_method = "DR"'), master=False)
        assert (await director.status())["ipvs"]["errors"] == ["no IPVS"]

    run(story)


def test_a_table_that_cannot_be_read_is_tried_again(run: Run) -> None:
    async def story(life: Life) -> None:
        life.kernel.error = "cannot read the IPVS table: Operation not permitted"
        director = life.begin(life.config())
        assert (await director.status())["ipvs"]["errors"] == [life.kernel.error]
        assert life.kernel.opened == 0
        life.kernel.error = ""
        director.flush()
        assert life.kernel.weights() == {SERVICE: BOTH}
        assert (await director.status())["ipvs"]["errors"] == []

    run(story)


def test_what_an_earlier_life_left_goes_though_nothing_is_configured(run: Run) -> None:
    def story(life: Life) -> None:
        life.begin(life.config())
        life.begin(life.config(servers=False))
        director = life.director
        assert director
        assert life.kernel.weights() == {SERVICE: dict.fromkeys(BOTH, 0)}
        director._poll_draining()
        assert life.kernel.weights() == {}

    run(story)


def test_refusals_are_told_briefly(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def story(life: Life) -> None:
        life.kernel.refuses = lambda _: True
        director = life.begin(life.config(reals=range(1, 10)))
        refused = (await director.status())["ipvs"]["refused"]
        assert len(refused) == 10
        assert refused[0].startswith(
            f"AddVirtualServer {SERVICE} with the scheduler wlc: the kernel has no scheduler wlc"
        )
        assert refused[1] == f"AddRealServer 198.51.100.1 port 80 of {SERVICE}: No such file or directory"
        assert sum("the kernel refuses" in line for line in caplog.messages) == 6
        life.kernel.refuses = lambda _: False
        director.flush()
        assert len(life.kernel.weights()[SERVICE]) == 9

    run(story)


def test_dr_is_there_before_the_address(run: Run) -> None:
    async def story(life: Life) -> None:
        director = life.begin(life.config('lvs_method = "DR"'), master=False)
        life.fail(2)
        assert life.kernel.weights() == {SERVICE: FIRST}
        life.kernel.steps.clear()
        director.hold(ROUTER, holds=True)
        await asyncio.sleep(0.01)
        assert life.kernel.steps == []

    run(story)


def test_of_a_real_server_dr_comes_and_goes_with_the_address(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(life: Life) -> None:
        own = frozenset({ip_address("198.51.100.1")})
        monkeypatch.setattr(OwnAddresses, "addresses", property(lambda _: own, lambda *_: None), raising=False)
        director = life.begin(life.config('lvs_method = "DR"'), master=False)
        assert life.kernel.weights() == {}
        life.fail(2)
        director.hold(ROUTER, holds=True)
        await asyncio.sleep(0.01)
        assert life.kernel.weights() == {SERVICE: FIRST}
        director.hold(ROUTER, holds=False)
        await asyncio.sleep(0.01)
        assert life.kernel.weights() == {}

    run(story)


def test_a_burst_comes_to_the_kernel_together(run: Run) -> None:
    async def story(life: Life) -> None:
        director = life.begin(life.config(reals=range(1, 9)))
        (service,) = director._services.values()
        life.kernel.steps.clear()
        for key in [*service.health][:5]:
            director.heard((service.settings.name, key), Health(up=False))
        assert life.kernel.steps == []
        await asyncio.sleep(2 * module.DEBOUNCE)
        assert len(life.kernel.steps) == 5

    run(story)


def _many(life: Life, count: int) -> Config:
    """As many virtual servers, at ports from 1."""
    config = life.config()
    (server,) = config.virtual_servers
    (key,) = server.keys
    assert isinstance(key, ServiceAddress)
    keys = [replace(key, port=port) for port in range(1, count + 1)]
    return replace(config, virtual_servers=tuple(replace(server, name=str(each), keys=(each,)) for each in keys))


def test_of_many_virtual_servers_the_kernel_is_told_some_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVERS_AT_ONCE", 2)

    async def story(life: Life) -> None:
        director = life.begin(life.config(servers=False))
        applied, sizes, apply = list[int](), dict[int, None](), life.kernel.apply

        def noting(steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
            refused = apply(steps)
            sizes[len(life.kernel.servers)] = None
            return refused

        monkeypatch.setattr(life.kernel, "apply", noting)
        director.apply(_many(life, 7), lambda: applied.append(len(life.kernel.servers)))
        assert ([*sizes], applied) == ([2], [])
        await asyncio.sleep(0.01)
        assert ([*sizes], applied) == ([2, 4, 6, 7], [7])
        director.apply(_many(life, 3), lambda: applied.append(len(life.kernel.servers)))
        await asyncio.sleep(0.01)
        assert applied == [7, 7], "four are leaving"

    run(story)


def test_what_an_earlier_life_left_stays_while_the_kernel_is_told_of_many(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def story(life: Life) -> None:
        life.begin(_many(life, 7))
        life.kernel.steps.clear()
        monkeypatch.setattr(module, "SERVERS_AT_ONCE", 2)
        life.begin(_many(life, 9))
        assert len(life.kernel.steps) == 2 * 3
        assert len(life.kernel.servers) == 9

    run(story)


def test_what_a_life_without_a_word_left_is_taken_over_whole_however_much_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def story(life: Life) -> None:
        config = _many(life, 7)
        life.begin(config)
        config.belongings.unlink()  # as in a container that is killed
        life.kernel.steps.clear()
        monkeypatch.setattr(module, "SERVERS_AT_ONCE", 2)
        director = life.begin(config)
        assert life.kernel.steps == []
        assert director._reconciler
        assert len(director._reconciler.ours) == 7
        director.apply(life.config(servers=False))
        director._poll_draining()
        assert not life.kernel.servers

    run(story)


def test_what_others_have_is_left_alone_and_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def story(life: Life) -> None:
        config = life.config()
        (key,) = config.virtual_servers[0].keys
        theirs = VirtualServer(key, "rr")
        life.kernel.servers[key] = theirs
        director = life.begin(config)
        assert life.kernel.servers == {key: theirs}
        assert "there is one that is not ours" in (await director.status())["ipvs"]["refused"][0]
        assert any("there is one that is not ours" in line for line in caplog.messages)
        await director.shutdown()
        assert life.kernel.servers == {key: theirs}

    run(story)


def test_what_the_kernel_refuses_is_not_tried_for_each_of_many(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVERS_AT_ONCE", 2)

    async def story(life: Life) -> None:
        life.kernel.refuses = lambda _: True
        looks, applied = list[int](), list[int]()

        def look() -> dict[VirtualServerKey, VirtualServer]:
            looks.append(1)
            return {}

        monkeypatch.setattr(life.kernel, "table", look)
        director = life.begin(life.config(servers=False))
        director.apply(_many(life, 30), lambda: applied.append(1))
        await asyncio.sleep(0.01)
        assert applied
        assert len(looks) < 10

    run(story)


def test_the_end_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async def story(life: Life) -> None:
        director = life.begin(life.config())
        assert life.config().belongings.exists()
        await director.shutdown()
        assert life.kernel.weights() == {}
        assert life.kernel.opened == 0

    run(story)
    assert [*tmp_path.iterdir()] == []
