"""The API server of the tests is a real one, and rights are really enforced."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kube.binary import KUBE_APISERVER
from tests.kube.server import ApiError, ApiServer


@pytest.mark.kube
def test_it_is_the_release_that_was_asked_for_and_keeps_what_it_has_been_given(api: ApiServer) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    api.apply(path, {"metadata": {"name": "kept"}, "data": {"a": "1"}})
    api.apply(path, {"metadata": {"name": "kept"}, "data": {"a": "2"}})
    api.restart()
    assert api.request("GET", f"{path}/kept")["data"] == {"a": "2"}
    assert api.request("GET", "/version")["gitVersion"].startswith("v1.")


@pytest.mark.kube
def test_who_may_not_is_refused(api: ApiServer) -> None:
    api.account("default", "nobody")
    review = {"spec": {"user": "system:serviceaccount:default:nobody", "resourceAttributes": {"verb": "list"}}}
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is False
    with pytest.raises(ApiError, match="404"):
        api.request("GET", "/api/v1/namespaces/default/configmaps/none")


def test_the_server_is_taken_from_the_assets_then_the_path_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / name for name in ("assets", "path", "cache")}
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(places["assets"]))
    monkeypatch.setenv("PATH", str(places["path"]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(places["cache"]))
    assert KUBE_APISERVER.find() is None
    for program in (
        places["cache"] / "vrrpd" / f"kube-apiserver-{KUBE_APISERVER.release}",
        places["path"] / "kube-apiserver",
        places["assets"] / "kube-apiserver",
    ):
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
        assert KUBE_APISERVER.find() == program


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")], ids=["ci", "desk"])
def test_what_is_missing_is_named(tmp_path: Path, ci: str, outcome: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-m", "kube", "tests/kube/test_server.py", "-k", "refused"],
        env=os.environ | {"PATH": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path), "CI": ci, "KUBEBUILDER_ASSETS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "it needs etcd-server: apt-get install etcd-server" in done.stdout
    assert "python -m tests.kube.binary" in done.stdout
