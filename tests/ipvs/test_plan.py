"""Plans on a simulated kernel: they converge, from anywhere, and hurt nobody on the way."""

import pytest
from hypothesis import given
from msgspec.structs import replace

from tests.ipvs.tables import KEYS, PLACES, SimulatedKernel, good, tables
from vrrpd.ipvs.model import RealServer, Table, virtual_server
from vrrpd.ipvs.plan import AddVirtualServer, EditRealServer, RemoveRealServer, RemoveVirtualServer, plan
from vrrpd.protocol.advert import Family

HTTP = KEYS[0]
FIRST, SECOND, *_ = PLACES[Family.IPV4]


def one(*real_servers: RealServer) -> Table:
    return {HTTP: virtual_server(HTTP, real_servers)}


@given(tables())
def test_nothing_is_to_be_done_where_all_is_well(table: Table) -> None:
    assert plan(table, table, table.keys()) == ()
    copied = {key: replace(server) for key, server in table.items()}
    assert plan(table, copied, table.keys()) == ()


@given(tables(), tables())
def test_a_plan_converges_from_any_table(actual: Table, desired: Table) -> None:
    kernel = SimulatedKernel(actual)
    kernel.apply(plan(actual, desired, actual.keys()))
    assert kernel.servers == desired
    assert plan(kernel.servers, desired, desired.keys()) == ()


@given(tables(), tables())
def test_what_is_not_ours_is_not_touched(actual: Table, desired: Table) -> None:
    kernel = SimulatedKernel(actual)
    kernel.apply(plan(actual, desired))
    assert kernel.servers == {**actual, **desired}


@given(tables(), tables())
def test_no_virtual_server_is_ever_without_its_last_good_real_server(actual: Table, desired: Table) -> None:
    kernel = SimulatedKernel(actual)
    served = {key for key, server in desired.items() if good(server) and good(actual.get(key))}
    for step in plan(actual, desired, actual.keys()):
        kernel.take(step)
        for key in served:
            assert good(kernel.servers.get(key)), f"{key} serves nobody after {step}"


@given(tables(), tables())
def test_nothing_that_stays_is_deleted_and_added_again(actual: Table, desired: Table) -> None:
    for step in plan(actual, desired, actual.keys()):
        if isinstance(step, RemoveVirtualServer):
            assert step.key not in desired
        elif isinstance(step, AddVirtualServer):
            assert step.server.key not in actual
        elif isinstance(step, RemoveRealServer):
            assert step.real_server not in desired[step.virtual_server].real_servers


def test_a_changed_weight_is_one_step() -> None:
    changed = RealServer(SECOND, weight=7)
    steps = plan(one(RealServer(FIRST), RealServer(SECOND)), one(RealServer(FIRST), changed))
    assert steps == (EditRealServer(HTTP, changed),)


def test_one_real_server_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        virtual_server(HTTP, (RealServer(FIRST), RealServer(FIRST, weight=2)))
