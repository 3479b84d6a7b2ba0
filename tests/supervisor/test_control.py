"""The control socket beyond its protocol: what it keeps of an answer, and what it does without descriptors."""

import resource
import selectors
import socket
import threading
import tracemalloc
from pathlib import Path

import pytest
from msgspec import Raw

from vrrpd.supervisor.control import Connection, ControlServer, ask

SIZE = 8 << 20


def test_an_answer_that_was_sent_is_kept_by_nobody(tmp_path: Path) -> None:
    asking: list[Connection] = []  # as the loop of the supervisor keeps the last one that it served
    answers: list[int] = []
    with selectors.DefaultSelector() as selector:
        server = ControlServer(tmp_path / "sock", selector, {"status": asking.append})
        client = threading.Thread(target=lambda: answers.append(len(str(ask(server.path, "status")["result"]))))
        client.start()

        def serve() -> None:
            for key, _ in selector.select(1):
                key.data()

        while not asking:
            serve()
        tracemalloc.start()
        asking[0].answer({"ok": True, "result": Raw(b'"' + b"x" * SIZE + b'"')})
        while server.connections:
            serve()
        client.join()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        server.close()
    assert answers == [SIZE]
    assert kept < SIZE / 2


@pytest.mark.parametrize("clients", [1, 3])
def test_without_a_descriptor_clients_are_hung_up_on_and_nothing_spins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clients: int
) -> None:
    """Who waits to be accepted would else have the supervisor awake for ever."""
    with selectors.DefaultSelector() as selector:
        server = ControlServer(tmp_path / "vrrpd.sock", selector, {})
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(clients)]
        for client in waiting:
            client.connect(str(server.path))
        with socket.socket() as last:
            free = last.fileno()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            rounds = 0
            while ready := selector.select(0):
                rounds += 1
                assert rounds <= clients
                for key, _ in ready:
                    key.data()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [client.recv(1) for client in waiting] == [b""] * clients
        assert "raise LimitNOFILE" in caplog.text
        for client in waiting:
            client.close()
        # It goes on where there are descriptors again.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.path))
            for _ in range(3):
                client.sendall(b"{}\n" if not server.connections else b"")
                for key, _ in selector.select(0.1):
                    key.data()
            assert b"not a request" in client.recv(1 << 16)
        server.close()
