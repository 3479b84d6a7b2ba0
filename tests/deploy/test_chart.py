"""The chart's values: what is wrong is refused, with its name, before anything is applied."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.rendered import CHART, charted, objects, of_kind, run
from tests.kube.binary import HELM

pytestmark = pytest.mark.deploy

WRONG = {
    "--set=mode=broadcast": "'/mode'",
    "--set=vrid=256": "'/vrid'",
    "--set=vrids=100": "'/vrids'",
    "--set=vrids=0-9": "'/vrids'",
    "--set=vrids=200-256": "'/vrids'",
    "--set=vrids=200-100,mode=spread": "'/vrids': 200-100 ends before it begins",
    "--set=watchNamespace=A_b": "'/watchNamespace'",
    "--set=interface=eth0/1": "'/interface'",
    "--set-json=advertInterval=0.015": "'/advertInterval'",
    '--set-json=addresses={"192.0.2.256":""}': "propertyName '192.0.2.256'",
    "--set=httpPort=none": "'/httpPort'",
    "--set-json=advertInterval=0": "'/advertInterval'",
    "--set=intreface=eth0": "'intreface'",
    "--set=image.name=x": "'name'",
    '--set-json=addresses={"web":""}': "propertyName 'web'",
    '--set-json=addresses={"192.0.2.1":"web"}': "'/addresses/192.0.2.1'",
    '--set-json=addresses={"192.0.2.1":"default/web:TUN"}': "'/addresses/192.0.2.1'",
    '--set-json=addresses={"192.0.2.1":null}': "'/addresses/192.0.2.1'",
}
RIGHT = (
    '--set-json=addresses={"192.0.2.1":"","192.0.2.2":"default/web","192.0.2.3":"a/b:NAT"}',
    '--set-json=addresses={"2001-db8--1":"a/b:DR","--1":"","2001-db8-0-0-0-0-0-2":"a/b:PROXY"}',
    "--set=configMap=mine",
    "--set=vrids=1-255,mode=spread,watchNamespace=web-1,interface=br-lan.5",
    '--set-json=addresses={"255.249.199.0":"","192.0.2.9":""}',
    *(f"--set-json=advertInterval={seconds}" for seconds in (0.01, 0.07, 0.29, 1.1, 40.95)),
    '--set-json=nodeSelector={"role":"edge"}',
)


@pytest.mark.parametrize(("wrong", "named"), WRONG.items())
def test_wrong_values_are_refused(wrong: str, named: str) -> None:
    done = charted(wrong, check=False)
    assert done.returncode == 1
    assert named in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("right", RIGHT)
def test_right_values_are_taken(right: str) -> None:
    assert charted(right).stdout


def test_addresses_come_to_the_config_map_as_they_are() -> None:
    made = charted('--set-json=addresses={"192.0.2.1":"","2001-db8--1":"default/web:DR"}').stdout
    assert of_kind("ConfigMap", made)["data"] == {"192.0.2.1": "", "2001-db8--1": "default/web:DR"}


def test_a_config_map_of_ones_own_is_read_and_not_made() -> None:
    made = charted("--set=configMap=mine").stdout
    assert "kind: ConfigMap\n" not in made
    assert "--services-configmap=$(POD_NAMESPACE)/mine" in made
    assert of_kind("Role", made)["rules"][0]["resourceNames"] == ["mine"]


def test_the_nodes_that_count_are_those_that_run_it() -> None:
    made = charted('--set-json=nodeSelector={"role":"edge","zone":"a"}').stdout
    pod = of_kind("DaemonSet", made)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"role": "edge", "zone": "a", "kubernetes.io/os": "linux"}
    assert "--node-selector=kubernetes.io/os=linux,role=edge,zone=a" in pod["containers"][0]["args"]


def test_two_releases_do_not_meet() -> None:
    other = run(HELM, "template", "edge", str(CHART), "--namespace=vrrpd", "--kube-version=v1.36.0").stdout
    names = {
        (manifest["kind"], manifest["metadata"]["name"])
        for text in (other, charted().stdout)
        for manifest in objects(text)
    }
    assert len(names) == 2 * 7


def test_it_has_no_faults(tmp_path: Path) -> None:
    """And it is whole as a package, where the files for monitoring are files of its own."""
    run(HELM, "lint", "--strict", str(CHART))
    run(HELM, "package", str(CHART), f"--destination={tmp_path}")
    (package,) = tmp_path.iterdir()
    shutil.unpack_archive(package, tmp_path)
    inside = tmp_path / "vrrpd" / "files"
    assert {path.name for path in inside.iterdir() if path.is_file() and not path.is_symlink()} == {
        "dashboard.json",
        "podmonitor.yaml",
        "prometheusrule.yaml",
    }
