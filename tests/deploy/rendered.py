"""What deploy/ comes to when it is rendered."""

import subprocess
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.deploy.image import REPOSITORY
from tests.kube.binary import HELM, KUBE_APISERVER, KUBECTL, Program

DEPLOY: Final = REPOSITORY / "deploy"
OVERLAYS: Final = ("multicast", "unicast", "spread")
CHART: Final = DEPLOY / "helm" / "vrrpd"
Manifest = dict[str, Any]


def run(program: Program, *arguments: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of the programs that the tests build."""
    found = program.find()
    assert found, program.how
    done = subprocess.run(
        [found, *arguments], input=given, capture_output=True, text=True, check=False, timeout=120, cwd=REPOSITORY
    )
    assert not check or done.returncode == 0, f"{program.name} {arguments}:\n{done.stderr}"
    return done


def kustomized(directory: str) -> str:
    """What `kubectl apply -k deploy/DIRECTORY` would apply, as YAML."""
    return run(KUBECTL, "kustomize", f"deploy/{directory}").stdout


def charted(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """What `helm install vrrpd` would, in namespace vrrpd."""
    helm = ("template", "vrrpd", str(CHART), "--namespace=vrrpd", f"--kube-version={KUBE_APISERVER.release}")
    return run(HELM, *helm, *arguments, check=check)


def objects(text: str) -> list[Manifest]:
    """The objects of a stream of YAML."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(kind: str, text: str) -> Manifest:
    """The only object of that kind."""
    (found,) = (manifest for manifest in objects(text) if manifest["kind"] == kind)
    return found


def containers(daemon_set: Manifest) -> Iterator[Manifest]:
    """Init containers, too."""
    pod = daemon_set["spec"]["template"]["spec"]
    yield from (*pod.get("initContainers", ()), *pod["containers"])
