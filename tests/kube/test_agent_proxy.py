"""A Service behind `:PROXY`, as kube-keepalived-vip had it: a pod hears of its client by the PROXY protocol."""

import socket

import pytest

from tests.kube import manifests
from tests.kube.nodes import VIP, Nodes, start_alone
from tests.peers import DEADLINE, eventually

pytestmark = [pytest.mark.kube, pytest.mark.namespaces]

PORT, TARGET_PORT = 80, 8080
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


def test_a_pod_hears_who_the_client_is(nodes: Nodes) -> None:
    client, pods = nodes.network.lan.host("client"), [nodes.network.lan.host(f"pod-{number}") for number in (1, 2)]
    own = [str(next(each.ip for each in pod.addresses() if each.version == 4)) for pod in pods]
    listening = [pod.call(socket.create_server, (address, TARGET_PORT)) for pod, address in zip(pods, own, strict=True)]
    for each in listening:
        each.settimeout(DEADLINE)
    nodes.api.apply(f"{nodes.core}/services", manifests.service("web", ports=[{"name": "http", "port": PORT}]))
    slices = SLICES.format(nodes.namespace)
    nodes.api.apply(slices, manifests.endpoint_slice("web-1", "web", own[0]))
    nodes.vips(**{VIP: f"{nodes.namespace}/web:PROXY"})
    agent = start_alone(nodes, "--proxy-protocol-mode=true")

    def heard_by(pod: int) -> None:
        """Connect; that pod hears of it, between checks, which say nothing."""
        with client.call(socket.create_connection, (VIP, PORT), DEADLINE) as near:
            near.sendall(b"question")
            near.shutdown(socket.SHUT_WR)
            said = b""
            while not said:
                with listening[pod].accept()[0] as far, far.makefile("rb") as file:
                    said = file.read()
            assert said == b"PROXY TCP4 %s %s %d %d\r\nquestion" % (
                *(near.getsockname()[0].encode(), VIP.encode()),
                *(near.getsockname()[1], PORT),
            )

    eventually(lambda: agent.status()["virtual_servers"][0]["programmed"], "the proxy listens")
    heard_by(0)
    nodes.api.apply(slices, manifests.endpoint_slice("web-1", "web", own[1]))
    eventually(
        lambda: [each["address"] for each in agent.status()["virtual_servers"][0]["real_servers"]] == [own[1]],
        "the endpoint moves",
    )
    heard_by(1)
    assert 'lvs_method = "PROXY"' in agent.shown()
    assert agent.status()["kubernetes"]["problems"] == []
