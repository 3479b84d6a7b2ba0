"""To the API server: the official client's configuration, authentication and TLS, and answers as they are."""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSSLError, ClientTimeout
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import load_kube_config
from msgspec import Struct

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has the token of its service account and the certificate of the API server's authority."""
_MESSAGE_MAX: Final = 1 << 16
"""Bytes of an error that are read."""


class Access(Struct, frozen=True):
    """Where the API server is and who asks."""

    kubeconfig: str = ""
    """A file's path; "": as a pod's service account."""
    host: str = ""
    """An URL in place of the one that is configured; alone, of a server that is asked without credentials by HTTP."""
    account: Path = ACCOUNT


class AccessError(Exception):
    """It is not known how to ask: a file is missing or wrong."""


class UnreachableError(Exception):
    """No answer, or the answer broke off."""


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        """`status`: of HTTP; `retry_after`: seconds for which the server wants to be left alone."""
        super().__init__(f"{status} {message}".rstrip())
        self.status = status
        self.message = message
        self.retry_after = retry_after

    @property
    def asker(self) -> str:
        """Who was refused, as the API server knows it."""
        found = re.search(r'User "[^"]+"', self.message)
        return found[0] if found else "the agent"


class _Status(Struct):
    message: str = ""


class _Request(Struct, frozen=True):
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    kind: str = ""
    """Of the body."""


class Connection:
    """Asks the API server; loads its credentials anew when they are not accepted any more."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: ApiClient | None = None
        self._rejected = False  # what we presented: token, certificate
        self._distrusted = False  # what the server presented: its certificate
        self._loading = asyncio.Lock()

    async def close(self) -> None:
        """End it, and what is being answered."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    @asynccontextmanager
    async def get(
        self, path: str, query: Sequence[tuple[str, str]], limits: ClientTimeout
    ) -> AsyncIterator[ClientResponse]:
        """The answer to a GET, its body to be read inside the `with`.

        Raises:
            AccessError, UnreachableError, RefusedError: the last two also while the body is read.
        """
        async with self._answer(_Request("GET", path, tuple(query)), limits) as response:
            yield response

    async def create(self, path: str, body: Mapping[str, Any], limits: ClientTimeout) -> None:
        """Create an object in the collection at `path`.

        Raises:
            AccessError, UnreachableError, RefusedError: it was not taken, or that is not known.
        """
        async with self._answer(_Request("POST", path, (), body, "application/json"), limits) as response:
            await response.read()

    async def merge(self, path: str, changes: Mapping[str, Any], limits: ClientTimeout) -> None:
        """Change these fields of the object at `path`.

        Raises:
            AccessError, UnreachableError, RefusedError: it was not taken, or that is not known.
        """
        async with self._answer(
            _Request("PATCH", path, (), changes, "application/merge-patch+json"), limits
        ) as response:
            await response.read()

    @asynccontextmanager
    async def _answer(self, request: "_Request", limits: ClientTimeout) -> AsyncIterator[ClientResponse]:
        client = await self._usable()
        response: ClientResponse | None = None
        try:
            response = await _ask(client, request, limits)
            if response.status >= 400:
                raise await self._refusal(response)
            yield response
        except (ClientError, OSError) as error:
            self._distrusted |= isinstance(error, ClientSSLError | ssl.SSLError)
            raise UnreachableError(_in_words(error)) from error
        finally:
            if response is not None:
                response.close()

    async def _refusal(self, response: ClientResponse) -> RefusedError:
        self._rejected |= response.status == 401
        body = await response.content.read(_MESSAGE_MAX)
        try:
            message = msgspec.json.decode(body, type=_Status).message
        except (msgspec.MsgspecError, UnicodeError):
            message = response.reason or ""
        after = response.headers.get("Retry-After", "")
        return RefusedError(response.status, message, float(after) if after.isascii() and after.isdigit() else 0.0)

    async def _usable(self) -> ApiClient:
        """The client, with credentials that were not refused yet.

        Raises:
            AccessError: they cannot be read.
        """
        async with self._loading:
            client = self._client
            # A TLS context keeps the authorities and the certificate that it was made with.
            if client and (self._distrusted or (self._rejected and client.configuration.cert_file)):
                await self.close()
            if self._client is None:
                configuration = Configuration()
                await self._load(configuration)
                self._client = _client(configuration)
            elif self._rejected:
                await self._load(self._client.configuration)
            self._rejected = self._distrusted = False
            return self._client

    async def _load(self, configuration: Configuration) -> None:
        access = self._access
        try:
            if access.kubeconfig:
                await load_kube_config(access.kubeconfig, client_configuration=configuration, persist_config=False)
            elif _wants_account(access):
                _load_account(access, configuration)
        except Exception as error:  # whatever a wrong file makes of a parser
            raise AccessError(_in_words(error)) from error
        if access.host:
            configuration.host = access.host


def _wants_account(access: Access) -> bool:
    """Where a host is named the service account's token goes there if it can be kept secret, and if there is one."""
    return not access.host or (access.host.startswith("https:") and (access.account / "token").exists())


def _load_account(access: Access, configuration: Configuration) -> None:
    """Those of a pod. The token's file is read again before a request if that was more than a minute ago."""
    place = {"KUBERNETES_SERVICE_HOST": access.host, "KUBERNETES_SERVICE_PORT": "443"} if access.host else os.environ
    loader = InClusterConfigLoader(str(access.account / "token"), str(access.account / "ca.crt"), environ=place)
    loader.load_and_set(configuration)
    if access.host:
        loader.host = access.host  # it configures that anew with each token


async def _ask(client: ApiClient, wanted: _Request, limits: ClientTimeout) -> ClientResponse:
    try:
        request = await client.param_serialize(
            wanted.method,
            wanted.path,
            query_params=list(wanted.query),
            header_params={"Accept": "application/json"} | ({"Content-Type": wanted.kind} if wanted.kind else {}),
            body=wanted.body,
            auth_settings=["BearerToken"],
        )
        answer: ClientResponse = (await client.call_api(*request, _request_timeout=limits)).response
    except (ClientError, OSError):  # some of which are a ValueError, too
        raise
    except (ConfigException, ValueError) as error:  # of the token's file, which is read again now and then
        raise AccessError(_in_words(error)) from error
    return answer


def _client(configuration: Configuration) -> ApiClient:
    try:
        client = ApiClient(configuration)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise AccessError(_in_words(error)) from error
    client.user_agent = "vrrpd"
    return client


def _in_words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__  # parsers of YAML draw on several lines
