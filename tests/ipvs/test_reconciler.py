"""Others change the kernel's table, and the kernel refuses: ours gets right again, theirs is left alone."""

import errno
import os
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.ipvs.tables import KEYS, PLACES, SimulatedKernel, tables
from vrrpd.ipvs.model import RealServer, Table, VirtualServer, VirtualServerKey, virtual_server
from vrrpd.ipvs.plan import AddVirtualServer, RemoveRealServer, RemoveVirtualServer, Step
from vrrpd.ipvs.reconciler import Reconciler
from vrrpd.protocol.advert import Family

HTTP, DNS = KEYS[:2]
FIRST, SECOND = PLACES[Family.IPV4][:2]
REFUSED = "nonsense"


class RefusingKernel:
    """Goes on past errors, as the real one does; knows no scheduler by the name of `REFUSED`."""

    def __init__(self, table: Table) -> None:
        self.real = SimulatedKernel(table)
        self.dumps = 0

    def table(self) -> dict[VirtualServerKey, VirtualServer]:
        self.dumps += 1
        return dict(self.real.servers)

    def each(self) -> Iterator[VirtualServer]:
        for key in [*self.real.servers]:
            yield self.real.servers.get(key, virtual_server(key))

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        failed: list[tuple[Step, OSError]] = []
        for step in steps:
            number = 0
            if isinstance(step, AddVirtualServer) and step.server.scheduler == REFUSED:
                number = errno.ENOENT
            else:
                try:
                    self.real.take(step)
                except (AssertionError, KeyError):
                    number = errno.EEXIST if isinstance(step, AddVirtualServer) else errno.ESRCH
            if number:
                failed.append((step, OSError(number, os.strerror(number))))
        return failed


def resync(reconciler: Reconciler) -> int:
    return sum(reconciler.resync())


def http(*real_servers: RealServer) -> VirtualServer:
    return virtual_server(HTTP, real_servers)


@given(st.lists(st.tuples(tables(), st.none() | tables()), min_size=1, max_size=5), tables())
def test_whatever_others_do_ours_gets_right(changes: list[tuple[Table, Table | None]], before: Table) -> None:
    kernel = RefusingKernel(before)
    reconciler = Reconciler(kernel, known=True)
    for desired, vandalised in changes:
        if vandalised is not None:
            kernel.real.servers = dict(vandalised)
        theirs = {key: server for key, server in kernel.real.servers.items() if key not in reconciler.ours}
        reconciler.want(desired)
        resync(reconciler)
        assert {refusal.step.server.key for refusal in reconciler.refusals} == theirs.keys() & desired.keys()  # type: ignore[union-attr]
        assert kernel.real.servers == {**desired, **theirs}
        drift = reconciler.drift
        assert resync(reconciler) == 0
        assert reconciler.drift == drift


@given(tables(), tables(), st.integers(1, 3))
def test_it_gets_there_step_by_step_and_takes_nothing_away_before_the_end(
    first: Table, desired: Table, most: int
) -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    reconciler.want(first)
    for _ in range(len(desired) // most + 1):
        wanted: Table = {key: replace(server) for key, server in desired.items()}  # others each time, but the same
        part = reconciler.towards(wanted, most)
        news = [key for key, server in part.items() if reconciler.desired.get(key) != server]
        assert len(news) <= most
        reconciler.want(part)
        if part is wanted:
            break
        assert first.keys() <= kernel.real.servers.keys()
    assert kernel.real.servers == desired


def test_a_change_costs_what_it_consists_of_and_no_look_at_the_kernel() -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    others = {key: virtual_server(key) for key in KEYS[1:]}
    reconciler.want(others | {HTTP: http(RealServer(FIRST))})
    dumps = kernel.dumps
    assert reconciler.want(others | {HTTP: http(RealServer(FIRST), RealServer(SECOND))}) == 1
    assert kernel.dumps == dumps


def test_what_is_ours_goes_when_it_is_not_wanted_and_nothing_else_does() -> None:
    foreign = virtual_server(DNS, (RealServer(FIRST),))
    kernel = RefusingKernel({DNS: foreign})
    reconciler = Reconciler(kernel)
    reconciler.want({HTTP: http(RealServer(FIRST))})
    reconciler.want({})
    assert kernel.real.servers == {DNS: foreign}
    assert reconciler.drift == 0


def test_what_an_earlier_life_left_is_adopted_in_place() -> None:
    kernel = RefusingKernel({HTTP: http(RealServer(FIRST)), DNS: virtual_server(DNS)})
    reconciler = Reconciler(kernel, ours=[HTTP, DNS])
    assert reconciler.want({HTTP: http(RealServer(FIRST), RealServer(SECOND))}) == 2
    assert [*kernel.real.servers] == [HTTP]
    assert [*kernel.real.servers[HTTP].real_servers] == [FIRST, SECOND]


ALIKE = http(RealServer(FIRST))
UNLIKE = VirtualServer(HTTP, "rr")


@pytest.mark.parametrize(("theirs", "known"), [(UNLIKE, False), (UNLIKE, True), (ALIKE, True)])
def test_what_others_have_stays_theirs_and_is_told_until_they_remove_it(theirs: VirtualServer, known: bool) -> None:
    kernel = RefusingKernel({HTTP: theirs})
    reconciler = Reconciler(kernel, known=known)
    wanted = {HTTP: http(RealServer(SECOND)), DNS: virtual_server(DNS)}
    for _ in range(2):
        reconciler.want(wanted)
        assert kernel.real.servers == {HTTP: theirs, DNS: wanted[DNS]}
        assert resync(reconciler) == 0
        (refusal,) = reconciler.refusals
        assert str(refusal).startswith(f"AddVirtualServer {HTTP} with the scheduler wlc: there is one that is not ours")
        assert ({*reconciler.ours}, {*reconciler.theirs}, reconciler.drift) == ({DNS}, {HTTP}, 0)
    reconciler.want({})
    assert kernel.real.servers == {HTTP: theirs}
    assert not reconciler.refusals
    reconciler.want(wanted)
    kernel.real.take(RemoveVirtualServer(HTTP))
    resync(reconciler)
    assert kernel.real.servers == wanted
    assert (reconciler.refusals, reconciler.ours, reconciler.drift) == ((), {HTTP, DNS}, 0)


def test_what_others_have_put_there_meanwhile_is_not_touched() -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    reconciler.want({DNS: virtual_server(DNS)})
    kernel.real.servers[HTTP] = ALIKE
    wanted = {HTTP: http(RealServer(SECOND)), DNS: virtual_server(DNS, (RealServer(SECOND),))}
    reconciler.want(wanted)
    assert kernel.real.servers == {HTTP: ALIKE, DNS: wanted[DNS]}
    assert len(reconciler.refusals) == 1
    reconciler.want({})
    assert kernel.real.servers == {HTTP: ALIKE}


def test_what_looks_like_ours_is_taken_over_where_an_earlier_life_could_leave_no_word() -> None:
    kernel = RefusingKernel({HTTP: ALIKE})
    reconciler = Reconciler(kernel, known=False)
    reconciler.want({HTTP: http(RealServer(SECOND))})
    assert kernel.real.servers == {HTTP: http(RealServer(SECOND))}
    reconciler.want({})
    assert not kernel.real.servers


def test_drift_is_counted_and_mended() -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    reconciler.want({HTTP: http(RealServer(FIRST), RealServer(SECOND))})
    kernel.real.take(RemoveRealServer(HTTP, FIRST))
    assert resync(reconciler) == 1
    kernel.real.take(RemoveVirtualServer(HTTP))
    assert resync(reconciler) == 3
    assert reconciler.drift == 4
    assert kernel.real.servers == {HTTP: http(RealServer(FIRST), RealServer(SECOND))}


def test_drift_is_found_when_a_step_is_refused() -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    reconciler.want({HTTP: http(RealServer(FIRST))})
    kernel.real.take(RemoveRealServer(HTTP, FIRST))
    reconciler.want({HTTP: http(RealServer(FIRST, weight=5))})
    assert kernel.real.servers == {HTTP: http(RealServer(FIRST, weight=5))}
    assert (reconciler.drift, reconciler.refusals) == (1, ())


def test_what_the_kernel_does_not_want_is_told_and_tried_again_and_is_no_drift() -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    wanted = VirtualServer(HTTP, REFUSED)
    reconciler.want({HTTP: wanted, DNS: virtual_server(DNS)})
    (refusal,) = reconciler.refusals
    assert refusal.step == AddVirtualServer(wanted)
    assert refusal.reason.startswith("the kernel has no scheduler nonsense: it needs the module ip_vs_nonsense")
    assert [*kernel.real.servers] == [DNS]
    assert (resync(reconciler), reconciler.drift, len(reconciler.refusals)) == (1, 0, 1)
    reconciler.want({HTTP: virtual_server(HTTP), DNS: virtual_server(DNS)})
    assert not reconciler.refusals
    assert {*kernel.real.servers} == {HTTP, DNS}


@given(st.lists(tables(), min_size=2, max_size=4), st.data())
def test_what_is_wanted_while_it_looks_is_not_undone(wanted: list[Table], data: st.DataObject) -> None:
    kernel = RefusingKernel({})
    reconciler = Reconciler(kernel)
    reconciler.want(wanted[0])
    for following in wanted[1:]:
        looking = reconciler.resync()
        for _ in range(data.draw(st.integers(0, 6))):
            next(looking, None)
        reconciler.want(following)
        assert sum(looking) == 0
        assert kernel.real.servers == following
    assert (reconciler.drift, reconciler.refusals) == (0, ())
