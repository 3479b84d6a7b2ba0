"""What the proxy is to serve: told as it changes, kept from the kernel, and known again by the next director."""

import asyncio
from typing import Any

import pytest
from msgspec.json import decode

from tests.director.test_director import Life, Run, run
from vrrpd.channel import Proxied
from vrrpd.director import director as module
from vrrpd.director.director import Director
from vrrpd.ipvs.model import Activity, Method, ServiceActivity, Traffic

__all__ = ["run"]

SERVICE = "TCP 192.0.2.100:80"
PROXY = 'lvs_method = "PROXY"'
NAT = 'lvs_method = "NAT"'
BOTH = {"198.51.100.1": 1, "198.51.100.2": 1}


def told(life: Life) -> dict[str, dict[str, int]]:
    """Weights, as `Kernel.weights` has them."""
    assert all(real.method is Method.PROXY for each in life.proxied.values() for real in each.real_servers.values())
    return {
        str(key): {str(real.address): entry.weight for real, entry in server.real_servers.items()}
        for key, server in life.proxied.items()
    }


def says(life: Life, active: int) -> None:
    """The proxy: each real server has so many connections."""
    assert life.director
    life.director.hear_proxy(
        Proxied(
            {
                key: ServiceActivity(Traffic(7), dict.fromkeys(server.real_servers, Activity(active)))
                for key, server in life.proxied.items()
            },
            {},
        )
    )


def test_it_is_told_and_the_kernel_is_not(run: Run) -> None:
    def story(life: Life) -> None:
        life.begin(life.config(PROXY))
        assert told(life) == {SERVICE: BOTH}
        assert (life.kernel.steps, life.kernel.opened) == ([], 0)  # there need not be any IPVS
        life.fail(2)
        assert told(life) == {SERVICE: {"198.51.100.1": 1}}
        life.fail(2, up=True)
        assert told(life) == {SERVICE: BOTH}

    run(story)


@pytest.mark.parametrize("line", [PROXY, f"{PROXY}\nalpha = true"])
def test_a_new_director_takes_who_is_well_from_what_the_last_one_told(run: Run, line: str) -> None:
    def story(life: Life) -> None:
        life.begin(life.config(line))
        life.fail(1, up=True)
        life.fail(2, up=True)
        life.fail(2)
        assert told(life) == {SERVICE: {"198.51.100.1": 1}}
        before, life.proxied = life.proxied, dict(life.proxied)
        life.begin(life.config(line))
        assert life.proxied == before

    run(story)


def test_one_that_is_taken_out_leaves_when_its_connections_are_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(life: Life) -> None:
        director = life.begin(life.config(PROXY))
        says(life, active=1)
        director.apply(life.config(PROXY, reals=(1,)))
        assert told(life) == {SERVICE: {"198.51.100.1": 1, "198.51.100.2": 0}}
        life.proxied = dict(life.proxied)
        again = life.begin(life.config(PROXY, reals=(1,)))  # it knows who was leaving
        assert told(life) == {SERVICE: {"198.51.100.1": 1, "198.51.100.2": 0}}
        says(life, active=1)
        await asyncio.sleep(3 * module.DRAIN_POLL)
        assert told(life) == {SERVICE: {"198.51.100.1": 1, "198.51.100.2": 0}}
        says(life, active=0)
        await asyncio.sleep(3 * module.DRAIN_POLL)
        assert told(life) == {SERVICE: {"198.51.100.1": 1}}
        again.apply(life.config(servers=False))
        await asyncio.sleep(3 * module.DRAIN_POLL)
        assert told(life) == {}

    monkeypatch.setattr(module, "DRAIN_POLL", 0.01)
    run(story)


def test_a_virtual_server_goes_from_the_kernel_to_the_proxy_and_back(run: Run) -> None:
    def story(life: Life) -> None:
        director = life.begin(life.config(NAT))
        assert (life.kernel.weights(), told(life)) == ({SERVICE: BOTH}, {})
        director.apply(life.config(PROXY))
        assert (life.kernel.weights(), told(life)) == ({}, {SERVICE: BOTH})
        director.apply(life.config(NAT))
        assert (life.kernel.weights(), told(life)) == ({SERVICE: BOTH}, {})

    run(story)


def test_the_status_has_what_the_proxy_says(run: Run) -> None:
    async def story(life: Life) -> None:
        director = life.begin(life.config(PROXY))
        (before,) = await virtual_servers(director)
        assert not before["programmed"]  # until it says so
        says(life, active=3)
        (server,) = await virtual_servers(director)
        assert (server["programmed"], server["connections"], server["lvs_method"]) == (True, 7, "PROXY")
        assert [real["active_connections"] for real in server["real_servers"]] == [3, 3]
        assert all(real["programmed"] and real["healthy"] for real in server["real_servers"])
        director.hear_proxy(Proxied({}, dict.fromkeys(life.proxied, "it is taken")))
        (server,) = await virtual_servers(director)
        assert not server["programmed"]
        assert (await director.status())["ipvs"]["errors"] == ["it is taken"]

    run(story)


async def virtual_servers(director: Director) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = decode((await director.status())["virtual_servers"])
    return found
