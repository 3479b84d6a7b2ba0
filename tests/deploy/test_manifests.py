"""The objects of deploy/, on a real API server: it takes them, and they grant what is needed and no more."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendered import DEPLOY, OVERLAYS, charted, containers, kustomized, objects, of_kind, run
from tests.kube.binary import KUBECTL
from tests.kube.observing import Observing
from tests.kube.server import ApiServer
from vrrpd import __version__
from vrrpd.agent.connection import Access
from vrrpd.agent.settings import FLAGS, read_settings

pytestmark = pytest.mark.deploy
ACCOUNT = "system:serviceaccount:vrrpd:vrrpd"
READ = ("get", "list", "watch")
GRANTED = {
    *itertools.product(["services", "endpoints", "nodes", "endpointslices.discovery.k8s.io"], READ),
    *itertools.product(["configmaps/vips"], READ),
    *itertools.product(["events"], ["create", "patch"]),
}
ASKED = (
    *("services", "endpoints", "nodes", "endpointslices.discovery.k8s.io", "configmaps/vips", "configmaps/other"),
    *("events", "events.events.k8s.io", "pods", "pods/exec", "secrets", "leases.coordination.k8s.io", "namespaces"),
    *(
        "daemonsets.apps",
        "clusterroles.rbac.authorization.k8s.io",
        "nodes/status",
        "nodes/proxy",
        "serviceaccounts/token",
    ),
)
VERBS = (*READ, "create", "update", "patch", "delete", "deletecollection")
MODES = {"multicast": [], "unicast": ["--use-unicast=true"], "spread": ["--spread=100-149"]}


def rendered(way: str, mode: str) -> str:
    if way == "helm":
        return charted(f"--set=mode={mode}").stdout
    return kustomized(f"kustomize/overlays/{mode}")


def with_component(name: str, directory: Path) -> str:
    """What a kustomization of one's own comes to that has the component."""
    up = "../" * len(directory.relative_to("/").parts)
    base, component = (f"{up}{DEPLOY}/kustomize/{part}" for part in ("overlays/unicast", f"components/{name}"))
    text = f"resources: [{base}]\ncomponents: [{component}]\n"
    (directory / "kustomization.yaml").write_text(text, encoding="utf-8")
    return run(KUBECTL, "kustomize", str(directory)).stdout


def dry_run(api: ApiServer, text: str) -> str:
    """Have the API server validate it, strictly, and change nothing; returns its warnings."""
    flags = ["--server-side", "--dry-run=server", "--validate=strict", "--filename=-"]
    return run(KUBECTL, f"--kubeconfig={api.kubeconfig()}", "apply", *flags, given=text).stderr


@pytest.mark.parametrize("way", ["kustomize", "helm"])
@pytest.mark.parametrize("mode", OVERLAYS)
def test_the_api_server_takes_it(api: ApiServer, way: str, mode: str) -> None:
    assert "Warning" not in dry_run(api, rendered(way, mode)).replace("Warning: would violate PodSecurity", "")


def test_the_api_server_takes_the_chart_with_everything(api: ApiServer) -> None:
    everything = charted(
        "--set=nodeSettings=true,interface=eth0,watchNamespace=default,vrid=7,dashboard=true",
        "--set=image.pullSecrets[0].name=secret,podAnnotations.a=b,extraArgs[0]=--v=2",
        '--set-json=addresses={"192.0.2.1":"","2001-db8--1":"default/web:DR"},advertInterval=0.1',
    ).stdout
    dry_run(api, everything)
    assert of_kind("DaemonSet", everything)["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "--services-configmap=$(POD_NAMESPACE)/vrrpd-vips",
        "--node-selector=kubernetes.io/os=linux",
        "--http-port=8080",
        "--vrid=7",
        "--advert-int=0.1",
        "--iface=eth0",
        "--watch-namespace=default",
        "--v=2",
    ]


def test_the_api_server_takes_the_tutorial(api: ApiServer) -> None:
    for file in ("rbac.yaml", "vip-configmap.yaml", "vip-daemonset.yaml"):
        dry_run(api, (DEPLOY / "tutorial" / file).read_text(encoding="utf-8"))


def test_the_component_prepares_nodes(api: ApiServer, tmp_path: Path) -> None:
    mine = with_component("node-settings", tmp_path)
    dry_run(api, mine)
    settings, agent = containers(of_kind("DaemonSet", mine))
    assert settings["image"] == agent["image"]
    assert settings["args"] == next(containers(of_kind("DaemonSet", charted("--set=nodeSettings=true").stdout)))["args"]


def test_ports_below_1024_take_a_capability_that_is_given_to_who_asks_for_it(api: ApiServer, tmp_path: Path) -> None:
    mine = with_component("privileged-ports", tmp_path)
    dry_run(api, mine)
    for text in (mine, charted("--set=privilegedPorts=true").stdout):
        (agent,) = containers(of_kind("DaemonSet", text))
        assert agent["securityContext"]["capabilities"]["add"] == ["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"]


@pytest.mark.parametrize("mode", OVERLAYS)
def test_the_chart_and_the_overlays_make_the_same_pods(mode: str) -> None:
    """All but names, labels and what the API server would fill in itself."""

    def pod(text: str) -> Any:
        spec = of_kind("DaemonSet", text)["spec"]
        (agent,) = spec["template"]["spec"]["containers"]
        agent.pop("imagePullPolicy", None)
        agent["args"] = [argument.replace("vrrpd-vips", "vips") for argument in agent["args"]]
        assert agent["args"][3:] == MODES[mode]
        return spec["template"]["spec"], spec["updateStrategy"], spec["minReadySeconds"]

    assert pod(rendered("helm", mode)) == pod(rendered("kustomize", mode))


@pytest.mark.parametrize("way", ["kustomize", "helm"])
@pytest.mark.parametrize("mode", OVERLAYS)
def test_the_agent_understands_its_arguments(way: str, mode: str) -> None:
    (agent,) = containers(of_kind("DaemonSet", rendered(way, mode)))
    environment = {variable["name"]: "x" for variable in agent["env"]} | {"POD_NAMESPACE": "vrrpd"}
    given = dict(argument.removeprefix("--").split("=", 1) for argument in agent["args"])
    flags = {flag.key: given.pop(flag.name, flag.default).replace("$(POD_NAMESPACE)", "vrrpd") for flag in FLAGS}
    settings = read_settings(flags, environment)
    assert not given
    assert settings.unicast == (mode == "unicast")
    assert settings.spread == ((100, 149) if mode == "spread" else None)
    assert (
        settings.node_selector == of_kind("DaemonSet", rendered(way, mode))["spec"]["template"]["spec"]["nodeSelector"]
    )
    assert settings.config_map[1] == of_kind("ConfigMap", rendered(way, mode))["metadata"]["name"]


def test_the_image_is_of_this_release() -> None:
    chart = (DEPLOY / "helm" / "vrrpd" / "Chart.yaml").read_text(encoding="utf-8")
    assert f"appVersion: {__version__}\n" in chart
    images = {
        match
        for path in DEPLOY.rglob("*.yaml")
        for match in re.findall(r"image: (\S+)", path.read_text(encoding="utf-8"))
        if "{{" not in match
    }
    assert images == {f"registry.example/vrrpd:{__version__}"}


def test_it_asks_for_nothing_that_it_does_not_need(api: ApiServer) -> None:
    """What Pod Security's strictest level has against the pods is the network and how to change it; nothing else."""
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    pods = of_kind("DaemonSet", kustomized("kustomize/overlays/multicast"))
    pods["metadata"]["namespace"] = "strict"
    (warning,) = dry_run(api, yaml.safe_dump(pods)).splitlines()
    complaints = re.split(r"\), ", warning.partition('"restricted:latest": ')[2])
    assert [complaint.partition(" (")[0] for complaint in complaints] == [
        "host namespaces",
        "unrestricted capabilities",
        "restricted volume types",
        "runAsNonRoot != true",
        "runAsUser=0",
    ]
    assert 'must not include "NET_ADMIN", "NET_RAW" in' in warning


def test_the_account_may_do_what_it_needs_and_no_more(api: ApiServer) -> None:
    apply_accounts(api)
    allowed = {(resource, verb) for resource in ASKED for verb in VERBS if may(api, resource, verb)}
    assert allowed == GRANTED


def test_the_agent_reads_with_these_rights(api: ApiServer) -> None:
    apply_accounts(api)
    api.apply("/api/v1/namespaces/vrrpd/configmaps", {"metadata": {"name": "vips"}, "data": {"192.0.2.1": ""}})
    access = Access(kubeconfig=str(api.kubeconfig(api.token("vrrpd", "vrrpd"))))
    with Observing(access, ("vrrpd", "vips")) as observing:
        observing.until(lambda seen: seen.config_map is not None)
        assert not [status for status in observing.observer.status if status.reason]


def apply_accounts(api: ApiServer) -> None:
    wanted = [one for one in objects(kustomized("kustomize/base")) if one["kind"] not in ("DaemonSet", "ConfigMap")]
    run(KUBECTL, f"--kubeconfig={api.kubeconfig()}", "apply", "--filename=-", given=yaml.safe_dump_all(wanted))


def may(api: ApiServer, resource: str, verb: str) -> bool:
    """Whether the account may, in its own namespace."""
    kind, _, rest = resource.partition(".")
    kind, _, sub = kind.partition("/")
    name = kind == "configmaps"
    attributes = {"namespace": "vrrpd", "verb": verb, "resource": kind, "group": rest}
    attributes |= {"name" if name else "subresource": sub}
    review = {"spec": {"user": ACCOUNT, "groups": ["system:serviceaccounts"], "resourceAttributes": attributes}}
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
