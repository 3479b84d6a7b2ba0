"""A Service behind a virtual address, end to end: nodes with kernels of their own, pods, a client."""

import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path

import pytest

from tests.ipvs.servers import serve
from tests.kube import manifests
from tests.kube.machines import Machine, agent_command
from tests.kube.nodes import VIP, Gateway
from tests.kube.server import ON_LANS, ApiServer
from tests.peers import eventually
from vrrpd.lan.hosts import Host, Lan

pytestmark = [pytest.mark.kube, pytest.mark.namespaces, pytest.mark.ipvs_kernel]

PORT, TARGET_PORT = 80, 8080
DIRECT = "192.0.2.101"
"""Served by DR."""


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as lan:
        yield lan


def who_answers(client: Host, address: str, port: int) -> str:
    """The name of the pod that a new connection gets to; empty: none answers."""
    try:
        with client.call(socket.create_connection, (address, port), 1) as connection:
            return str(connection.recv(64).decode().split()[0])
    except OSError:
        return ""


def answers(client: Host, wanted: set[str], address: str = VIP, port: int = PORT) -> bool:
    """Whether 8 connections in a row get to these pods, and to no others."""
    found = Counter(who_answers(client, address, port) for _ in range(8))
    return found.keys() == wanted


def take_directly(pod: Host) -> None:
    """Have a pod take packets for the address that DR serves, without its LAN hearing of it."""
    for key, value in (("arp_ignore", 1), ("arp_announce", 2)):
        pod.sysctl(f"net.ipv4.conf.all.{key}", value)
    pod.add_address(f"{DIRECT}/32", "lo")


def holder(client: Host) -> str:
    """The hardware address that the client has of the virtual address."""
    for entry in client.netlink("get_neighbours"):
        if entry.get_attr("NDA_DST") == VIP:
            return str(entry.get_attr("NDA_LLADDR"))
    return ""


def test_the_service_answers_at_its_virtual_address_whoever_goes(
    lan: Lan, api: ApiServer, namespace: str, tmp_path: Path
) -> None:
    token = api.account(namespace, "vrrpd", *manifests.RIGHTS)
    client, pods = lan.host("client"), [lan.host("pod-1"), lan.host("pod-2")]
    for pod in pods:
        serve(pod, TARGET_PORT)
        take_directly(pod)
    core, slices = f"/api/v1/namespaces/{namespace}", f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    own = [str(pod.addresses()[0].ip) for pod in pods]
    for name, port in (("web", PORT), ("direct", TARGET_PORT)):  # DR cannot map ports
        service = manifests.service(name, ports=[{"name": "http", "port": port}])
        service["metadata"]["annotations"]["vrrpd.io/persistence-timeout"] = "0"
        api.apply(f"{core}/services", service)
        api.apply(slices, manifests.endpoint_slice(f"{name}-1", name, *own))
    entries = {VIP: f"{namespace}/web", DIRECT: f"{namespace}/direct:DR"}
    api.apply(f"{core}/configmaps", manifests.config_map("vip-configmap", **entries))
    with Gateway(api) as gateway:
        way_to_api = lan.host("api", [f"{ON_LANS}/24"])
        gateway.open(way_to_api, ON_LANS)
        command = agent_command(
            f"{namespace}/vip-configmap", api.kubeconfig(token, ON_LANS), "--advert-int=0.3", "--http-port=0"
        )
        machines = [
            Machine(lan, name, command, tmp_path, {"NODE_NAME": name, "PYTHONDONTWRITEBYTECODE": "1"})
            for name in ("bs-01", "bs-02")
        ]
        for machine in machines:
            api.apply("/api/v1/nodes", manifests.node(machine.name))
            node = [{"type": "InternalIP", "address": str(ip_interface(each).ip)} for each in machine.addresses]
            api.request("PATCH", f"/api/v1/nodes/{machine.name}/status", {"status": {"addresses": node}})
        try:
            both = {"pod-1", "pod-2"}
            eventually(lambda: answers(client, both), "both pods answer")
            eventually(lambda: answers(client, both, DIRECT, TARGET_PORT), "both pods answer without NAT")
            api.apply(slices, manifests.endpoint_slice("web-1", "web", own[1]))
            eventually(lambda: answers(client, {"pod-2"}), "the one that is left answers alone")
            (master,) = [machine for machine in machines if machine.mac == holder(client)]
            gateway.close(way_to_api)  # which nobody needs for that
            master.kill()
            eventually(lambda: answers(client, {"pod-2"}) and holder(client) != master.mac, "the other node serves")
        except AssertionError as error:
            logs = "\n".join(f"log of {machine.name}:\n{machine.log}" for machine in machines)
            raise AssertionError(f"{error}\n{logs}") from None
