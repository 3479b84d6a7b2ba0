"""A real API server with its etcd on loopback: TLS, RBAC, tokens of service accounts. It can go away and come back."""

import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kube.binary import KUBE_APISERVER

ADMIN: Final = "admin-of-the-tests"
"""The token of one who may do everything."""
ON_LANS: Final = "192.0.2.254"
"""Where a `tests.kube.nodes.Gateway` may have it be on LANs; its certificate has both addresses."""
_START: Final = 60.0
"""Seconds to be ready in; it takes three."""
_STOP: Final = 2.0
"""Seconds for an orderly end; kube-apiserver would wait longer for those who watch."""
_PATCH: Final = "application/merge-patch+json"


class ApiError(Exception):
    """The API server says no; `status` is its status code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ApiServer:
    """etcd and kube-apiserver, from `with` to its end; what they keep and say is in a directory that goes with them."""

    def __init__(self, address: str = "127.0.0.1", *options: str) -> None:
        """`address`: where it listens; `options`: more of kube-apiserver's flags."""
        self.address = address
        self._options = options
        self._passing: tuple[str, ...] = ()
        self._directory = Path(tempfile.mkdtemp(prefix="kube-"))
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._etcd_url = f"http://127.0.0.1:{_free_port('127.0.0.1')}"
        self._connection: http.client.HTTPSConnection | None = None
        self.port = _free_port(address)

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self._etcd = self._start_etcd()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop both; nothing stays behind."""
        self.stop()
        if self._etcd:
            _end(self._etcd)
            self._etcd = None
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"https://{self.address}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that vouches for its own."""
        return self._directory / "certificates" / "apiserver.crt"

    def start(self, *options: str) -> None:
        """Start the API server, with the same objects, port and certificate as before; returns when it is ready.

        Args:
            options: more of kube-apiserver's flags, for this life.

        Raises:
            RuntimeError: it ended, or was not ready in time; says what it logged last.
        """
        assert self._server is None
        self._passing = options
        program = KUBE_APISERVER.find()
        assert program, KUBE_APISERVER.how
        files = self._directory
        with (files / "apiserver.log").open("ab") as out:
            self._server = subprocess.Popen(
                [
                    *_WITH_US,
                    str(program),
                    f"--bind-address={self.address}",
                    f"--advertise-address={ON_LANS}",
                    f"--secure-port={self.port}",
                    f"--cert-dir={files / 'certificates'}",
                    f"--etcd-servers={self._etcd_url}",
                    f"--token-auth-file={files / 'tokens.csv'}",
                    f"--service-account-signing-key-file={files / 'accounts.key'}",
                    f"--service-account-key-file={files / 'accounts.key'}",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
                    "--authorization-mode=Node,RBAC",
                    "--shutdown-delay-duration=0",
                    *self._options,
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        until = time.monotonic() + _START
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > until:
                said = (files / "apiserver.log").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"kube-apiserver does not get ready:\n{said[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the API server alone: it is away, and etcd keeps the objects."""
        if self._connection:
            self._connection.close()
            self._connection = None
        if self._server:
            _end(self._server)
            self._server = None

    def restart(self, *options: str) -> None:
        """Stop and start."""
        self.stop()
        self.start(*options)

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Inside, the API server is away for everybody but those who ask by this object, which may change things."""
        self.stop()
        port, self.port = self.port, _free_port(self.address)
        try:
            self.start()
            yield
        finally:
            self.stop()
            self.port = port

    def be_running(self) -> None:
        """Start the API server if it does not run, and restart it if it has flags of a test's own."""
        if self._server is None or self._passing:
            self.restart()

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask as the administrator; returns the answer's object.

        Raises:
            ApiError: the answer is an error.
        """
        kind = _PATCH if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
        connection = self._connection or self._connect()
        self._connection = None
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        answer = response.read()
        if not response.will_close:
            self._connection = connection
        if response.status >= 300:
            raise ApiError(response.status, answer.decode("utf-8", "replace"))
        return json.loads(answer) if answer.startswith(b"{") else answer.decode()

    def apply(self, path: str, manifest: Mapping[str, Any]) -> Any:
        """Create an object in the collection at `path`, or make the one of its name as `manifest` has it."""
        name = manifest["metadata"]["name"]
        try:
            return self.request("POST", path, manifest)
        except ApiError as error:
            if error.status != http.HTTPStatus.CONFLICT:
                raise
        return self.request("PATCH", f"{path}/{urllib.parse.quote(name)}", manifest)

    def account(self, namespace: str, name: str, *rules: Mapping[str, Any]) -> str:
        """Make a service account that may do what the rules of its ClusterRole say, no more; returns a token of it."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        group = "rbac.authorization.k8s.io"
        self.apply(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        full = f"{namespace}-{name}"
        self.apply(f"{rbac}/clusterroles", {"metadata": {"name": full}, "rules": list(rules)})
        self.apply(
            f"{rbac}/clusterrolebindings",
            {
                "metadata": {"name": full},
                "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": full},
            },
        )
        return self.token(namespace, name)

    def token(self, namespace: str, name: str) -> str:
        """A new token of a service account (TokenRequest), good for an hour."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.request("POST", path, {"spec": {"expirationSeconds": 3600}})
        return str(answer["status"]["token"])

    def kubeconfig(self, token: str = ADMIN, address: str = "") -> Path:
        """A kubeconfig for who has that token, and finds the server at that address."""
        url = f"https://{address or self.address}:{self.port}"
        cluster = {"server": url, "certificate-authority": str(self.ca_file)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        path = self._directory / f"kubeconfig-{zlib.crc32(f'{url} {token}'.encode()):08x}"
        path.write_text(json.dumps(content), encoding="ascii")  # which is YAML, too
        return path

    def another_authority(self) -> bytes:
        """The certificate of an authority that has nothing to do with this server."""
        flags = ["-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=another", "-days", "1"]
        made = subprocess.run(["openssl", "req", "-x509", *flags], check=True, capture_output=True, timeout=60)
        return made.stdout

    def compact(self) -> None:
        """Have etcd forget all history: what reads on from an earlier version is told that it has expired (410)."""
        flags = ["etcdctl", f"--endpoints={self._etcd_url}"]
        environment = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/usr/local/bin"}
        answer = subprocess.run(
            [*flags, "get", "none", "--write-out=json"], check=True, capture_output=True, env=environment, timeout=30
        )
        revision = json.loads(answer.stdout)["header"]["revision"]
        subprocess.run([*flags, "compact", str(revision)], check=True, capture_output=True, env=environment, timeout=30)

    def _prepare(self) -> None:
        files = self._directory
        (files / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n", encoding="ascii")
        key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, timeout=60)
        (files / "accounts.key").write_bytes(key.stdout)
        (files / "accounts.key").chmod(0o600)

    def _start_etcd(self) -> subprocess.Popen[bytes]:
        peer = f"http://127.0.0.1:{_free_port('127.0.0.1')}"
        with (self._directory / "etcd.log").open("ab") as out:
            return subprocess.Popen(
                [
                    *_WITH_US,
                    "etcd",
                    f"--data-dir={self._directory / 'etcd'}",
                    f"--listen-client-urls={self._etcd_url}",
                    f"--advertise-client-urls={self._etcd_url}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=default={peer}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return http.client.HTTPSConnection(self.address, self.port, timeout=30, context=context)

    def _is_ready(self) -> bool:
        try:
            self.request("GET", "/readyz")
            # An account's rights are known a moment later than those of the administrators.
            return bool(self.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"))
        except (OSError, ApiError, http.client.HTTPException):
            return False


_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""A test run that is killed leaves nothing behind; nor does a thread that starts a server and ends."""


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return int(listener.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
