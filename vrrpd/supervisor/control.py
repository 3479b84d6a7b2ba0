"""The control socket: one JSON object a line each way, for `vrrpd status`, `reload` and scripts.

-> {"command": "status"}
<- {"ok": true, "result": {...}}            or {"ok": false, "error": "...", "problems": ["..."]}
"""

import contextlib
import errno
import json
import logging
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.json import Encoder

log = logging.getLogger(__name__)

JSON = dict[str, Any]
MODE = 0o600
REQUEST_MAX = 1 << 16
CONNECTIONS_MAX = 256
"""Clients at a time. One more takes the place of one that has asked for nothing yet, or else of the first that came."""
_ENCODER = Encoder()


class ControlError(Exception):
    """The control socket cannot be opened, or the daemon behind it cannot be asked; says what to do."""


class Connection:
    """One client: its request comes in, its answer goes out, and no client makes the others wait."""

    def __init__(self, server: "ControlServer", sock: socket.socket) -> None:
        self._server = server
        self._socket = sock
        self.request: JSON = {}
        """The object that it sent."""
        self.asked = False
        """Whether its request is here; its answer may take the speaker a while."""
        self._received = b""
        self._to_send = memoryview(b"")
        sock.setblocking(False)
        server.selector.register(sock, selectors.EVENT_READ, self._readable)

    def answer(self, result: JSON) -> None:
        """Send the answer and hang up; a client that is gone already misses it."""
        self._to_send = memoryview(_ENCODER.encode_lines([result]))
        if self in self._server.connections:
            self._server.selector.register(self._socket, selectors.EVENT_WRITE, self._writable)

    def close(self) -> None:
        """Hang up."""
        self._to_send = memoryview(b"")  # even an empty part of an answer keeps all of it, and a loop may keep us
        if self in self._server.connections:
            del self._server.connections[self]
            if self._socket in self._server.selector.get_map():
                self._server.selector.unregister(self._socket)
            self._socket.close()

    def abandon(self) -> None:
        """Close the descriptor in a forked child; the client goes on talking to the parent."""
        self._socket.close()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(REQUEST_MAX)
        except OSError:
            data = b""
        self._received += data
        if not data or len(self._received) > REQUEST_MAX:
            self.close()
        elif b"\n" in self._received:
            self.asked = True
            self._server.selector.unregister(self._socket)
            self._dispatch(self._received.partition(b"\n")[0])

    def _dispatch(self, line: bytes) -> None:
        try:
            self.request = json.loads(line)
            command = self.request["command"]
        except (ValueError, KeyError, TypeError, RecursionError):  # the last for what is nested too deeply
            self.answer({"ok": False, "error": 'not a request; send one line such as {"command": "status"}'})
            return
        handler = self._server.commands.get(command) if isinstance(command, str) else None
        if handler is None:
            known = ", ".join(sorted(self._server.commands))
            self.answer({"ok": False, "error": f"unknown command {command!r}; known: {known}"})
        else:
            handler(self)

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._to_send)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._to_send = self._to_send[sent:]
        if not self._to_send:
            self.close()


class ControlServer:
    """Listens on the control socket; `commands` are called with the connection that they are to answer.

    Raises:
        ControlError: another daemon has the socket, or it cannot be made.
    """

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, commands: dict[str, Callable[[Connection], None]]
    ) -> None:
        self.path = path
        self.selector = selector
        self.commands = commands
        self.connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self._listener = _listen(path)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        """To hang up with where there is no further descriptor: who waits to be accepted would keep us awake."""
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for connection in [*self.connections]:
            connection.close()
        self.selector.unregister(self._listener)
        with contextlib.suppress(OSError):  # its directory may be read-only by now
            self.path.unlink(missing_ok=True)  # first: once nobody listens, another vrrpd may put its own there
        self._listener.close()
        os.close(self._spare)

    def abandon(self) -> None:
        """Close the descriptors in a forked child; the socket goes on in the parent."""
        self._listener.close()
        os.close(self._spare)
        for connection in self.connections:
            connection.abandon()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._hang_up(error)
            return
        if len(self.connections) >= CONNECTIONS_MAX:
            first = next(iter(self.connections))
            next((client for client in self.connections if not client.asked), first).close()
        self.connections[Connection(self, sock)] = None

    def _hang_up(self, error: OSError) -> None:
        log.error("%s: hanging up on a client: %s; raise LimitNOFILE", self.path, error.strerror)
        os.close(self._spare)
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def ask(path: Path, command: str, timeout: float = 10.0, **arguments: str) -> JSON:
    """Send `command` to the daemon behind the control socket and return its answer.

    Args:
        path: of the socket.
        command: one of the server's commands.
        timeout: seconds to wait for the answer.
        arguments: of the command.

    Raises:
        ControlError: nobody listens there, we may not talk to them, or no answer came.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    except PermissionError as error:
        raise ControlError(f"{path}: permission denied; run as the user that runs vrrpd, usually root") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(f"{path}: no vrrpd listens there; start `vrrpd run`, or name its file with -c") from error
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or 'no answer in time'}; is vrrpd stopped?") from error
    try:
        parsed: JSON = json.loads(answer)
    except ValueError as error:
        raise ControlError(f"{path}: the daemon hung up without an answer; look at its log") from error
    return parsed


def result_of(path: Path, command: str, timeout: float = 10.0, **arguments: str) -> JSON:
    """What the daemon answers to a command that it does not refuse; arguments as for `ask`.

    Raises:
        ControlError: as `ask`; or the daemon refuses, and says why.
    """
    answer = ask(path, command, timeout, **arguments)
    if not answer["ok"]:
        raise ControlError(answer["error"])
    result: JSON = answer["result"]
    return result


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        old_mask = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old_mask)
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ControlError(
            f"control_socket {path}: {error.strerror or error}; name a path in a directory that vrrpd may write"
        ) from error
    except ControlError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if not path.is_socket():
                raise OSError(errno.EEXIST, "exists and is no socket") from None
            path.unlink()
            return
    raise ControlError(f"control_socket {path}: another vrrpd listens there; stop it, or give this one its own")
