"""The proof that the pages answer: an answer counts, a socket that is open does not."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path

import pytest

from web import proof


class Plain(http.server.BaseHTTPRequestHandler):
    """Says yes to /healthz and is out of its mind otherwise."""

    code = 200

    def do_GET(self) -> None:
        self.send_response(self.code if self.path == "/healthz" else 500)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


class Ill(Plain):
    """Answers, but only that it cannot."""

    code = 500


@pytest.mark.parametrize(("kind", "proves"), [(Plain, True), (Ill, False)])
def test_an_answer_is_a_proof_and_a_failure_is_none(kind: type[Plain], proves: bool) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        assert proof.answers(server.socket) is proves
        server.shutdown()


def test_a_door_that_nobody_opens_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_PATIENCE_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "web.sock"))
        door.listen()
        assert not proof.answers(door)


def test_it_is_said_for_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Semaphore(0)
    with http.server.HTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        proof.prove(server.socket, 0.15, lambda _status: said.release())
        for _ in range(3):
            assert said.acquire(timeout=20)
        monkeypatch.setattr(proof, "answers", lambda _door: False)
        server.shutdown()
