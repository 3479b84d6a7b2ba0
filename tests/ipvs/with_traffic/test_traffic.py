"""Connections through virtual servers that we have programmed: client, director and two real servers on real LANs."""

from collections.abc import Iterator

import pytest

from tests.ipvs.cluster import CONNECTIONS, Cluster
from tests.peers import families
from vrrpd.ipvs.model import Method
from vrrpd.lan.hosts import Lan


@pytest.fixture(params=[Method.NAT, Method.DR], ids=["nat", "dr"])
def cluster(request: pytest.FixtureRequest, family: int) -> Iterator[Cluster]:
    with Lan() as front, Lan("198.51.100.0/24", "2001:db8:1::/64") as back:
        made = Cluster(front, back if request.param is Method.NAT else None, family, request.param)
        made.wait_for_servers()
        yield made
        made.ipvs.close()


@families
def test_connections_are_shared_out(cluster: Cluster) -> None:
    cluster.program(1, 1)
    assert cluster.who_answers() == {"r1": CONNECTIONS / 2, "r2": CONNECTIONS / 2}


@families
def test_a_drained_real_server_keeps_what_it_has_and_gets_nothing_new(cluster: Cluster) -> None:
    cluster.program(1)
    served = cluster.connect()
    assert served.by == "r1"
    cluster.program(0, 1)
    assert cluster.who_answers() == {"r2": CONNECTIONS}
    served.connection.sendall(b"still there?")
    assert served.connection.recv(64) == b"still there?"
    served.connection.close()


@families
def test_clients_are_refused_where_there_is_no_real_server(cluster: Cluster) -> None:
    cluster.program(1)
    cluster.program()
    with pytest.raises(OSError, match="refused"):
        cluster.connect()
