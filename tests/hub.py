"""A model hub on loopback, with real sockets: what the pull tests fetch from.

It answers what the public hub answers (commit, tree, resolve with a redirect to another
host for large files, ranges), remembers what it was asked, and misbehaves on request.

Not here: any test.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

COMMIT = "c0ffee" + "0" * 34
LATER = "decade" + "0" * 34
REPOSITORY = "somebody/faster-whisper-noise"
WEIGHTS = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(40_000))  # 1.28 MB
FILES = {
    "README.md": b"not for us",
    "config.json": b'{"alignment_heads": [[0, 0]]}',
    "model.bin": WEIGHTS,
    "preprocessor_config.json": b'{"feature_size": 128}',
    "tokenizer.json": b'{"model": {}}',
    "vocabulary.json": b'["a", "b"]',
}


@dataclass
class Asked:
    """One request."""

    path: str
    range: str | None
    port: int


@dataclass
class HubOnLoopback:
    """Two servers: the hub, and the other host it sends large files from."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    main: str = COMMIT
    drop_at: list[int] = field(default_factory=list)  # byte of model.bin where a download ends
    busy: int = 0  # so many answers are 503 first
    instead: dict[str, bytes] = field(default_factory=dict)  # sent for a file, promised or not
    sizes: dict[str, int] = field(default_factory=dict)  # promised for a file, true or not
    elsewhere: str | None = None  # where large files are said to be
    ranges: bool = True
    before: Callable[[str], None] = lambda _path: None  # runs before a file is sent
    slow: threading.Event | None = None  # the second half of model.bin waits for it
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
        for server in self._servers:
            server.daemon_threads = True
            server.handle_error = lambda *_who: None  # type: ignore[method-assign] # it hung up
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.slow:
            self.slow.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._servers[0].server_port

    @property
    def other_port(self) -> int:
        return self._servers[1].server_port

    def ranges_of(self, name: str) -> list[str | None]:
        """The ranges asked for, of every time a file was really sent."""
        return [
            one.range
            for one in self.asked
            if one.path.partition("?")[0].endswith(f"/{name}")
            and (one.port != self.port or name != "model.bin")
        ]


class _Handler(BaseHTTPRequestHandler):
    hub: HubOnLoopback
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        self.hub.asked.append(Asked(self.path, self.headers["Range"], port))
        if self.hub.busy:
            self.hub.busy -= 1
            self.send_error(503)
        elif port == self.hub.other_port:
            self._send(self.path.rpartition("/")[2])
        elif self.path == f"/api/models/{REPOSITORY}/revision/main":
            self._json({"sha": self.hub.main})
        elif self.path in {f"/api/models/{REPOSITORY}/tree/{one}" for one in (COMMIT, LATER)}:
            self._json([self._entry(name) for name in self.hub.files])
        elif match := re.fullmatch(rf"/{REPOSITORY}/resolve/[0-9a-f]{{40}}/(.+)", self.path):
            self._resolve(match[1])
        else:
            self.send_error(401)

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.hub.files[name]
        size = self.hub.sizes.get(name, len(content))
        blob = hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()
        entry = {"type": "file", "path": name, "size": size, "oid": blob}
        if name == "model.bin":
            oid = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 134}
        return entry

    def _json(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _resolve(self, name: str) -> None:
        if name not in self.hub.files:
            self.send_error(404)
        elif name == "model.bin":
            elsewhere = self.hub.elsewhere or f"http://127.0.0.1:{self.hub.other_port}"
            self.send_response(302)
            self.send_header("Location", f"{elsewhere}/cdn/{name}?signature=secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(name)

    def _send(self, name: str) -> None:
        name = name.partition("?")[0]
        self.hub.before(name)
        content = self.hub.instead.get(name, self.hub.files[name])
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and self.hub.ranges:
            start = int(asked[1])
            self.send_response(206)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if name == "model.bin" and self.hub.drop_at:
            end = self.hub.drop_at.pop(0)
        half = (start + end) // 2
        self.wfile.write(content[start:half])
        self.wfile.flush()
        if name == "model.bin" and self.hub.slow:
            self.hub.slow.wait(30)
        self.wfile.write(content[half:end])
        if end < len(content):
            self.close_connection = True
