"""The observer and a real API server: what is there, what changes, what may not be read, and a server that is away."""

from functools import partial
from pathlib import Path

import pytest

from tests.kube import manifests
from tests.kube.observing import Observing
from tests.kube.server import ApiServer
from tests.peers import eventually
from vrrpd.agent.connection import Access
from vrrpd.agent.objects import ConfigMap, Endpoint, EndpointPort, EndpointSlice, Node, Service, ServicePort, Snapshot
from vrrpd.agent.reflector import Counters, Patience

pytestmark = pytest.mark.kube


class Cluster:
    """What the tests do to the objects of one namespace, and to the nodes."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.api = api
        self.core = f"/api/v1/namespaces/{namespace}"
        self.slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def config_map(self, **data: str) -> None:
        self.api.apply(f"{self.core}/configmaps", manifests.config_map("vips", **data))

    def service(self, name: str, **spec: object) -> None:
        self.api.apply(f"{self.core}/services", manifests.service(name, **spec))

    def slice(self, name: str, of: str, *addresses: str) -> None:
        self.api.apply(self.slices, manifests.endpoint_slice(name, of, *addresses))

    def endpoints(self, name: str, *addresses: str, not_ready: tuple[str, ...] = ()) -> None:
        self.api.apply(f"{self.core}/endpoints", manifests.endpoints(name, *addresses, not_ready=not_ready))

    def node(self, name: str, address: str) -> None:
        self.api.apply("/api/v1/nodes", manifests.node(name, zone="a"))
        status = {"status": {"addresses": [{"type": "InternalIP", "address": address}]}}
        self.api.request("PATCH", f"/api/v1/nodes/{name}/status", status)

    def delete(self, path: str) -> None:
        self.api.request("DELETE", path)


@pytest.fixture
def cluster(api: ApiServer, namespace: str) -> Cluster:
    return Cluster(api, namespace)


def addresses(snapshot: Snapshot, namespace: str, service: str) -> list[str]:
    slices = snapshot.slices.get((namespace, service), ())
    return sorted(endpoint.address for one in slices for endpoint in one.endpoints)


def has_data(snapshot: Snapshot, **data: str) -> bool:
    return snapshot.config_map is not None and snapshot.config_map.data == data


def later_watch(counters: Counters, seen: int) -> bool:
    return counters.watches > seen


def test_what_is_there_is_one_snapshot_and_every_change_comes(cluster: Cluster, namespace: str, admin: Access) -> None:
    cluster.config_map(**{"192.0.2.1": f"{namespace}/web"})
    cluster.service("web", sessionAffinity="ClientIP")
    cluster.slice("web-1", "web", "198.51.100.1")
    cluster.slice("web-2", "web", "2001:db8::1")
    cluster.node("n1", "192.0.2.11")
    with Observing(admin, (namespace, "vips"), watch_namespace=namespace) as observing:
        first = observing.until(lambda _: True)
        ports = (EndpointPort(8080, "TCP", "http"),)
        web = (namespace, "web")
        assert isinstance(first.config_map, ConfigMap)
        assert first.config_map.data == {"192.0.2.1": f"{namespace}/web"}
        given = cluster.api.request("GET", f"/api/v1/namespaces/{namespace}/services/web")["spec"]["clusterIPs"]
        assert first.services == {
            web: Service(
                web,
                (ServicePort(80, "TCP", "http"),),
                10800,
                annotations={"vrrpd.io/scheduler": "rr"},
                cluster=tuple(given),
            )
        }
        assert first.slices == {
            web: (
                EndpointSlice((namespace, "web-1"), "web", ports, (Endpoint("198.51.100.1"),)),
                EndpointSlice((namespace, "web-2"), "web", ports, (Endpoint("2001:db8::1"),), 6),
            )
        }
        assert first.nodes == {"n1": Node("n1", internal=("192.0.2.11",), labels={"zone": "a"})}

        cluster.slice("web-1", "web", "198.51.100.1", "198.51.100.2")
        last = observing.until(lambda now: len(addresses(now, *web)) == 3)
        assert last.services is first.services
        assert last.slices[web][1] is first.slices[web][1]
        cluster.service("web", sessionAffinity="None", externalTrafficPolicy="Local", type="NodePort")
        observing.until(lambda now: now.services[web].local and not now.services[web].session_affinity)
        cluster.node("n1", "192.0.2.12")
        observing.until(lambda now: now.nodes["n1"].internal == ("192.0.2.12",))
        cluster.delete(f"{cluster.core}/services/web")
        observing.until(lambda now: not now.services)
        cluster.delete(f"{cluster.slices}/web-1")
        observing.until(lambda now: addresses(now, *web) == ["2001:db8::1"])
        cluster.delete("/api/v1/nodes/n1")
        observing.until(lambda now: not now.nodes)
        assert all(counters.lists == 1 and not counters.errors for counters in observing.observer.counters.values())


def test_the_config_map_goes_and_comes_back_and_no_other_counts(
    cluster: Cluster, namespace: str, admin: Access
) -> None:
    with Observing(admin, (namespace, "vips"), watch_namespace=namespace) as observing:
        assert observing.until(lambda _: True).config_map is None
        cluster.api.apply(f"{cluster.core}/configmaps", manifests.config_map("other", a="b"))
        cluster.config_map(a="1")
        created = observing.until(lambda now: now.config_map is not None).config_map
        cluster.delete(f"{cluster.core}/configmaps/vips")
        observing.until(lambda now: now.config_map is None)
        cluster.config_map(a="1")
        again = observing.until(lambda now: now.config_map is not None).config_map
    assert created
    assert again
    assert again.data == created.data == {"a": "1"}
    assert again.uid != created.uid
    assert observing.observer.counters["configmaps"].events == 3


def test_services_of_other_namespaces_count_unless_one_is_named(
    cluster: Cluster, namespace: str, admin: Access
) -> None:
    cluster.service("web")
    cluster.slice("web-1", "web", "198.51.100.1")
    with Observing(admin, ("default", "vips")) as observing:
        snapshot = observing.until(lambda _: True)
        assert (namespace, "web") in snapshot.services
        assert (namespace, "web") in snapshot.slices
    with Observing(admin, ("default", "vips"), watch_namespace="default") as observing:
        snapshot = observing.until(lambda _: True)
        assert {owner for owner, _ in snapshot.services} == {"default"}
        assert (namespace, "web") not in snapshot.slices


def test_a_watch_that_the_server_ends_goes_on_without_a_list(cluster: Cluster, namespace: str, admin: Access) -> None:
    short = Patience(first=0.05, cap=0.4, settled=0.1, watch=1.0)
    with Observing(admin, (namespace, "vips"), watch_namespace=namespace, patience=short) as observing:
        observing.until(lambda _: True)
        counters = observing.observer.counters["configmaps"]
        for number in range(4):
            # Each is on another watch: a watch lasts a second.
            cluster.config_map(a=str(number))
            observing.until(partial(has_data, a=str(number)))
            assert counters.events == number + 1
            seen = counters.watches
            eventually(partial(later_watch, counters, seen), "another watch")
        assert observing.lists("configmaps") == 1
        assert observing.status("configmaps").failing_since is None


def test_while_the_server_is_away_all_stays_and_what_changed_meanwhile_comes_with_it(
    cluster: Cluster, namespace: str, admin: Access, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.config_map(a="before")
    for name in ("same", "changed", "gone"):
        cluster.service(name)
        cluster.slice(f"{name}-1", name, "198.51.100.1")
    cluster.node("n1", "192.0.2.11")
    with Observing(admin, (namespace, "vips"), watch_namespace=namespace) as observing:
        before = observing.until(lambda _: True)
        caplog.clear()
        with cluster.api.unseen():
            eventually(
                lambda: all(status.failing_since is not None for status in observing.observer.status),
                "what was waited for",
            )
            assert observing.last is before
            assert "Connect" in observing.status("nodes").reason
            cluster.config_map(a="after")
            cluster.service("changed", externalTrafficPolicy="Local", type="NodePort")
            cluster.service("new")
            cluster.slice("changed-1", "changed", "198.51.100.2")
            cluster.delete(f"{cluster.core}/services/gone")
            cluster.delete(f"{cluster.slices}/gone-1")
            cluster.delete("/api/v1/nodes/n1")
            cluster.node("n2", "192.0.2.12")
            cluster.api.compact()
        assert observing.last is before
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) <= 3 * 4, "a server that is away fills the log"
        cluster.api.start()
        after = observing.until(
            lambda now: (
                "n2" in now.nodes
                and (namespace, "new") in now.services
                and now.config_map is not None
                and now.config_map.data == {"a": "after"}
                and addresses(now, namespace, "changed") == ["198.51.100.2"]
            )
        )
        first = next(now for now in observing.snapshots if now.config_map and now.config_map.data == {"a": "after"})
        assert {name for _, name in first.services} == {"same", "changed", "new"}, "new entries with old services"
        assert {name for _, name in after.services} == {"same", "changed", "new"}
        assert {name for _, name in after.slices} == {"same", "changed"}
        assert set(after.nodes) == {"n2"}
        assert after.services[namespace, "same"] is before.services[namespace, "same"]
        assert after.slices[namespace, "same"] is before.slices[namespace, "same"]
        assert after.services[namespace, "changed"].local
        eventually(
            lambda: all(status.failing_since is None for status in observing.observer.status), "what was waited for"
        )
        assert all(not status.reason for status in observing.observer.status)


def test_a_version_that_etcd_has_forgotten_makes_a_new_list(cluster: Cluster, namespace: str, admin: Access) -> None:
    cluster.config_map(a="before")
    cluster.api.restart("--watch-cache=false")  # so that etcd itself is asked for history
    with Observing(admin, (namespace, "vips"), watch_namespace=namespace) as observing:
        observing.until(lambda _: True)
        with cluster.api.unseen():
            cluster.config_map(a="after")
            cluster.service("new")
            cluster.api.compact()
        cluster.api.start("--watch-cache=false")
        observing.until(lambda now: has_data(now, a="after"))
        observing.until(lambda now: (namespace, "new") in now.services)
        assert observing.lists("configmaps") == 2
        assert observing.lists("services") == 2


def test_with_the_rights_of_old_endpoints_take_the_place_of_slices_until_they_may_be_read(
    cluster: Cluster, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = cluster.api.account(namespace, "agent", manifests.NARROW)
    cluster.config_map(a="b")
    cluster.service("web")
    cluster.endpoints("web", "198.51.100.1", not_ready=("198.51.100.2",))
    access = Access(kubeconfig=str(cluster.api.kubeconfig(token)))
    with Observing(access, (namespace, "vips"), watch_namespace=namespace) as observing:
        snapshot = observing.until(lambda now: (namespace, "web") in now.slices)
        assert snapshot.slices[namespace, "web"] == (
            EndpointSlice(
                (namespace, "web/0"),
                "web",
                (EndpointPort(8080, "TCP", "http"),),
                (
                    Endpoint("198.51.100.1", node="n1"),
                    Endpoint("198.51.100.2", ready=False, serving=False),
                ),
            ),
        )
        cluster.endpoints("web", "198.51.100.3")
        observing.until(lambda now: addresses(now, namespace, "web") == ["198.51.100.3"])
        eventually(lambda: observing.observer._slices.refusals > 3, "what was waited for")
        # Nothing is unseen, so that no alert is due.
        assert not any(counters.errors for counters in observing.observer.counters.values())
        told = [record.message for record in caplog.records if "endpointslices" in record.message]
        assert len(told) == 1
        user = f'User "system:serviceaccount:{namespace}:agent"'
        assert told[0].startswith(f"{user} may not list endpointslices.discovery.k8s.io: ")
        rule = '{apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["get", "list", "watch"]}'
        assert told[0].endswith(f"needs this rule of a ClusterRole: {rule}; without it Endpoints are followed")
        assert observing.status("endpointslices.discovery.k8s.io").reason == told[0]

        following_endpoints = observing.observer._endpoints_task
        assert following_endpoints
        cluster.slice("web-1", "web", "198.51.100.4")
        cluster.api.account(namespace, "agent", manifests.NARROW, manifests.SLICES)
        observing.until(lambda now: addresses(now, namespace, "web") == ["198.51.100.4"])
        assert "endpoints" not in observing.observer.counters
        eventually(following_endpoints.done, "Endpoints are followed no more")


def test_a_verb_that_is_missing_is_named_and_the_others_go_on(
    cluster: Cluster, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    listed_only = manifests.rule("", "nodes", verbs=["get", "list"])
    others = manifests.rule("", "services", "configmaps")
    token = cluster.api.account(namespace, "agent", others, listed_only, manifests.SLICES)
    access = Access(kubeconfig=str(cluster.api.kubeconfig(token)))
    with Observing(access, (namespace, "vips"), watch_namespace=namespace) as observing:
        observing.until(lambda _: True)
        eventually(lambda: bool(observing.status("nodes").reason), "what was waited for")
        cluster.config_map(a="b")
        observing.until(lambda now: now.config_map is not None)
        cluster.node("n1", "192.0.2.11")  # without a watch it is seen by the next list
        observing.until(lambda now: "n1" in now.nodes)
        told = [record.message for record in caplog.records if record.levelname == "WARNING"]
        rule = '{apiGroups: [""], resources: ["nodes"], verbs: ["get", "list", "watch"]}'
        user = f'User "system:serviceaccount:{namespace}:agent"'
        assert told == [f"{user} may not watch nodes: needs this rule of a ClusterRole: {rule}"]


@pytest.mark.parametrize("resource", ["configmaps", "services", "endpointslices", "nodes"])
@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_each_verb_that_is_missing_is_named(
    cluster: Cluster, namespace: str, resource: str, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    groups = dict.fromkeys(("configmaps", "services", "nodes"), "") | {"endpointslices": "discovery.k8s.io"}
    verbs = {each: [other for other in manifests.READ if (each, other) != (resource, verb)] for each in groups}
    rules = [manifests.rule(group, each, verbs=verbs[each]) for each, group in groups.items()]
    token = cluster.api.account(namespace, f"without-{verb}-{resource}", *rules)
    access = Access(kubeconfig=str(cluster.api.kubeconfig(token)))
    with Observing(access, (namespace, "vips"), watch_namespace=namespace) as observing:
        if verb != "list":
            observing.until(lambda _: True)
        if verb == "get":  # which is granted along with the others, and not needed
            assert "may not" not in caplog.text
            return
        group = groups[resource]
        full = f"{resource}.{group}" if group else resource
        rule = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["get", "list", "watch"]}}'
        told = f"may not {verb} {full}: needs this rule of a ClusterRole: {rule}"
        eventually(lambda: told in caplog.text, told)


@pytest.mark.parametrize("missing", ["configmaps", "services", "endpointslices", "nodes"])
def test_there_is_no_snapshot_before_everything_may_be_read(cluster: Cluster, namespace: str, missing: str) -> None:
    rules = {plural: manifests.rule("", plural) for plural in ("configmaps", "services", "nodes")}
    rules["endpointslices"] = manifests.SLICES
    withheld = rules.pop(missing)
    access = Access(kubeconfig=str(cluster.api.kubeconfig(cluster.api.account(namespace, "agent", *rules.values()))))
    with Observing(access, (namespace, "vips"), watch_namespace=namespace) as observing:
        eventually(lambda: sum(status.listed for status in observing.observer.status) == 3, "the others")
        refused = [status for status in observing.observer.status if status.resource.startswith(missing)]
        reflectors = {each.resource.full: each for each in observing.observer._reflectors()}
        eventually(lambda: reflectors[refused[0].resource].refusals > 2, "tries")
        assert f"may not list {missing}" in observing.status(refused[0].resource).reason
        assert not observing.snapshots
        cluster.api.account(namespace, "agent", *rules.values(), withheld)
        observing.until(lambda _: True)


def test_as_a_pod_it_reads_its_token_and_authority_again_when_they_are_refused(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", cluster.api.address)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.api.port))
    authority, token = tmp_path / "ca.crt", tmp_path / "token"
    with Observing(Access(account=tmp_path), (namespace, "vips")) as observing:
        eventually(lambda: "does not exist" in observing.status("nodes").reason, "what was waited for")
        token.write_text("nobody's")
        authority.write_bytes(cluster.api.another_authority())
        eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in observing.status("nodes").reason, "what was waited for")
        authority.write_bytes(cluster.api.ca_file.read_bytes())
        eventually(lambda: "401" in observing.status("nodes").reason, "what was waited for")
        assert not observing.snapshots
        token.write_text(cluster.api.account(namespace, "agent", manifests.NARROW, manifests.SLICES))
        observing.until(lambda _: True)


def test_a_host_that_is_named_is_asked_with_the_service_account(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(cluster.api.ca_file.read_bytes())
    (tmp_path / "token").write_text(cluster.api.account(namespace, "agent", manifests.NARROW, manifests.SLICES))
    with Observing(Access(host=cluster.api.url, account=tmp_path), (namespace, "vips")) as observing:
        observing.until(lambda _: True)
