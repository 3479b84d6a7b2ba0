"""What the control socket keeps of an answer when it has been sent: nothing."""

import selectors
import threading
import tracemalloc
from pathlib import Path

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
