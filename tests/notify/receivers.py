"""Receivers on this machine: a mail server and a web server that keep what they are sent.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass
class Heard:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """A web server. It answers what `answers` says, the last of them for ever."""

    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [204])
    location: str = ""

    def answer(self) -> int:
        """The next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def web() -> Iterator[Web]:
    """Lend a web server."""
    kept = Web()

    class Asked(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept.heard.append(
                Heard(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            )
            self.send_response(kept.answer())
            if kept.location:
                self.send_header("Location", kept.location)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with _served(http.server.ThreadingHTTPServer((LOOPBACK, 0), Asked)) as port:
        kept.port = port
        yield kept


@dataclass
class Mail:
    """A mail server."""

    port: int = 0
    letters: list[tuple[list[str], str]] = field(default_factory=list)  # to whom, and the text
    full: bool = False  # it takes nothing


@contextlib.contextmanager
def mail() -> Iterator[Mail]:
    """Lend a mail server (RFC 5321, as much of it as a letter needs)."""
    kept = Mail()

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            to: list[str] = []
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "DATA":
                    self._say("354 go on")
                    kept.letters.append((to, self._text()))
                elif verb == "RCPT":
                    to.append(line.partition("<")[2].partition(">")[0])
                self._say("452 no room" if kept.full and verb == "RCPT" else "250 well")
                if verb == "QUIT":
                    return

        def _text(self) -> str:
            lines = iter(self.rfile.readline, b".\r\n")
            return b"".join(lines).decode()

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with _served(socketserver.ThreadingTCPServer((LOOPBACK, 0), Talk)) as port:
        kept.port = port
        yield kept


@contextlib.contextmanager
def _served(server: socketserver.TCPServer) -> Iterator[int]:
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
