"""The image of deploy/Dockerfile, made without a container engine: its instructions, in root directories of their own.

Its base is made by mmdebstrap, of the packages that Debian's own slim image has. The outcome is an archive as
`docker save` writes it, kept in a cache for as long as what it is made of does not change.
`python -m tests.deploy.image` says where it is.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from dockerfile_parse import DockerfileParser
from msgspec import Struct

from tests.kube.binary import cache
from vrrpd import __version__

REPOSITORY: Final = Path(__file__).parent.parent.parent
DOCKERFILE: Final = REPOSITORY / "deploy" / "Dockerfile"
BASE: Final = "docker.io/library/debian:12-slim"
NAME: Final = f"registry.example/vrrpd:{__version__}"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
_REGISTRIES: Final = "/run/registries.crt"
"""Where the instructions find those of this machine."""
_TIMEOUT: Final = 600.0
"""Seconds for one instruction."""


class DockerfileError(Exception):
    """An instruction that this does not know, or that has failed."""


class Instruction(Struct, frozen=True):
    """One line of a Dockerfile."""

    word: str
    flags: tuple[str, ...]
    rest: str

    def flag(self, name: str) -> str:
        """Its value, "" if it is not there."""
        return next((flag.removeprefix(f"--{name}=") for flag in self.flags if flag.startswith(f"--{name}=")), "")


def instructions() -> Iterator[Instruction]:
    """Those of the Dockerfile."""
    for line in DockerfileParser(fileobj=BytesIO(DOCKERFILE.read_bytes())).structure:
        if line["instruction"] == "COMMENT":
            continue
        flags, rest = [], line["value"]
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            flags.append(flag)
        yield Instruction(line["instruction"], tuple(flags), rest)


def archive() -> Path:
    """The image, built if it has not been.

    Raises:
        DockerfileError: it cannot be built; says at which instruction.
    """
    made = cache() / f"image-{_digest()}.tar"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            built = Path(scratch) / "image.tar"
            # The mounts of a build go with the namespace.
            command = [sys.executable, "-m", "tests.deploy.image", str(built)]
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", "--", *command],
                cwd=REPOSITORY,
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise DockerfileError(done.stderr[-4000:])
            for earlier in made.parent.glob("image-*.tar"):
                earlier.unlink()
            built.replace(made)
    return made


def unpack(image: Path, directory: Path) -> dict[str, Any]:
    """Have the files of an image in a directory; returns its settings (`Entrypoint`, `Env`)."""
    with tarfile.open(image) as content:
        manifest = _json(content, "manifest.json")[0]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=content.extractfile(layer)) as files:
                files.extractall(directory, filter="fully_trusted")
        settings = _json(content, manifest["Config"])["config"]
    assert isinstance(settings, dict)
    return settings


def _json(content: tarfile.TarFile, name: str) -> Any:
    member = content.extractfile(name)
    assert member
    return json.load(member)


def _base() -> Path:
    """The base, made if it has not been."""
    made = cache() / "debian-12-slim.tar"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            built = Path(scratch) / "base.tar"
            without = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale", "info")]
            _run("mmdebstrap", "--variant=minbase", "--mode=root", "--quiet", *without, "bookworm", str(built))
            built.replace(made)
    return made


def _digest() -> str:
    """Of all that the image is made of, but for what the registries have today."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    copied = [word.split()[:-1] for word in (line.rest for line in instructions() if _from_context(line))]
    for name in ["deploy/Dockerfile", "deploy/Dockerfile.dockerignore", *(name for names in copied for name in names)]:
        path = REPOSITORY / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _from_context(line: Instruction) -> bool:
    return line.word == "COPY" and not line.flag("from")


class _Build:
    """Carries out instructions, in a mount namespace of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._stages: dict[str, Path] = {}
        self._ignored = [
            pattern.removeprefix("**/")
            for pattern in (REPOSITORY / "deploy" / "Dockerfile.dockerignore").read_text(encoding="ascii").split()
        ]
        _run("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", str(scratch))

    def all(self) -> tuple[Path, dict[str, Any]]:
        """The files of the last stage, and its settings."""
        for line in instructions():
            carry_out = getattr(self, f"_{line.word.lower()}", None)
            if carry_out is None:
                raise DockerfileError(f"{line.word}: {__name__} does not know this instruction; teach it")
            carry_out(line)
        environment = [f"{name}={value}" for name, value in self._environment.items()]
        return self._root, {"Entrypoint": self._entry, "Env": environment, "Labels": self._labels}

    def _from(self, line: Instruction) -> None:
        base, *named = line.rest.split()
        self._root = self._scratch / (named[-1] if named else "last")
        self._stages[self._root.name] = self._root
        self._directory = "/"
        self._environment: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._entry: list[str] = []
        self._root.mkdir()
        if base == BASE:
            _run("tar", "--extract", f"--file={_base()}", f"--directory={self._root}")
            for directory in ("/dev", "/proc", "/sys"):
                self._share(directory, directory)
            self._share("/etc/resolv.conf", "/etc/resolv.conf")
            self._share(_CERTIFICATES, _REGISTRIES)
            self._environment["PATH"] = _PATH
        elif base != "scratch":
            raise DockerfileError(f"FROM {base}: only {BASE} can stand in for an image here, and scratch")

    def _share(self, here: str, inside: str) -> None:
        target = self._root / inside.lstrip("/")
        if not Path(here).is_dir():
            target.touch()
        _run("mount", "--rbind", here, str(target))

    def _run(self, line: Instruction) -> None:
        for mount in (flag for flag in line.flags if flag.startswith("--mount=")):
            options = dict(option.partition("=")[::2] for option in mount.removeprefix("--mount=").split(","))
            if set(options) != {"type", "target"} or options["type"] != "cache":
                raise DockerfileError(f"RUN {mount}: only caches with a target are known here")
            target = self._root / options["target"].lstrip("/")
            kept = cache() / "caches" / options["target"].strip("/").replace("/", "-")
            for directory in (kept, target):
                directory.mkdir(parents=True, exist_ok=True)
            _run("mount", "--bind", str(kept), str(target))
        # How this machine reaches the registries is not the image's business.
        registries = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        registries["PIP_CERT"] = _REGISTRIES
        _run(
            *("chroot", str(self._root), "/bin/sh", "-c", f"cd {self._directory} && {line.rest}"),
            environment={"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", **registries, **self._environment},
        )

    def _copy(self, line: Instruction) -> None:
        source = self._stages[line.flag("from")] if line.flag("from") else REPOSITORY
        *names, to = line.rest.split()
        target = self._inside(to)
        ignore = shutil.ignore_patterns(*self._ignored) if source == REPOSITORY else None
        for name in names:
            path = source / name.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)
            else:
                file = target / path.name if to.endswith("/") else target
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, file)

    def _inside(self, path: str) -> Path:
        return Path(f"{self._root}{path if path.startswith('/') else f'{self._directory}/{path}'}")

    def _workdir(self, line: Instruction) -> None:
        self._directory = line.rest
        (self._root / line.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _env(self, line: Instruction) -> None:
        self._environment.update(_pairs(line.rest))

    def _label(self, line: Instruction) -> None:
        self._labels.update(_pairs(line.rest))

    def _entrypoint(self, line: Instruction) -> None:
        self._entry = json.loads(line.rest)


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    for word in shlex.split(rest):
        name, _, value = word.partition("=")
        yield name, value


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    """Raises DockerfileError, with what it said, if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise DockerfileError(f"{shlex.join(command)}:\n{done.stdout.decode(errors='replace')[-3000:]}")


def write_archive(to: Path, name: str, root: Path, settings: dict[str, Any]) -> None:
    """Write an image of one layer as `docker save` does.

    Args:
        to: the archive.
        name: the image's, with a tag.
        root: its files.
        settings: as of Docker's `config`.
    """
    with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
        layer = Path(scratch) / "layer.tar"
        with tarfile.open(layer, "w") as files:
            files.add(root, ".", filter=_of_root)
        digest = hashlib.sha256(layer.read_bytes()).hexdigest()
        config = {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        with tarfile.open(to, "w") as image:
            image.add(layer, "layer.tar")
            _add_json(image, "config.json", config)
            _add_json(image, "manifest.json", [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}])


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _add_json(image: tarfile.TarFile, name: str, content: object) -> None:
    raw = json.dumps(content).encode()
    member = tarfile.TarInfo(name)
    member.size = len(raw)
    image.addfile(member, BytesIO(raw))


def main(arguments: Sequence[str]) -> None:
    """Without an argument: say where the image is. With one: build it there, in a mount namespace of one's own."""
    if not arguments:
        print(archive())
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            root, settings = _Build(Path(scratch)).all()
            write_archive(Path(arguments[0]), NAME, root, settings)
        except DockerfileError as error:
            sys.exit(str(error))
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", scratch], check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
