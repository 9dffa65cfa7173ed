"""Debian's Chromium before the pages, and what it does behind the reader's back.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, which may play without having been clicked at."""
    assert CHROMIUM, "these tests need chromium: apt-get install chromium"
    how = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=how)
        yield opened
        opened.close()


@dataclass
class Watched:
    """What a browser did behind the reader's back."""

    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def over(self, page: Page, own: str) -> None:
        """Write down every complaint, and every request that does not go to the box."""
        page.on("console", lambda line: self.complaints.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(own) else self.strangers.append(request.url)
            ),
        )


def signed_page(browser: Browser, address: str, cookie: dict[str, str], **how: Any) -> Page:
    """A page in which whoever the cookie belongs to is signed in."""
    page = browser.new_page(**how)
    held = cookie["Cookie"].partition("=")[2]
    page.context.add_cookies([{"name": "appliance", "value": held, "url": address}])
    return page


def until(page: Page, claim: str, *, seconds: float = 20.0) -> None:
    """Wait until an expression holds on the page; Playwright's own way would need unsafe-eval."""
    limit = time.monotonic() + seconds
    while not page.evaluate(claim):
        assert time.monotonic() < limit, f"never: {claim}"
        page.wait_for_timeout(50)


@cache
def _axe() -> str:
    return Path(AXE_FILE_PATH).read_text(encoding="utf-8")


def barriers(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its own best practice."""
    page.evaluate(_axe())
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", _RULES
    )
    return [
        f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]
    ]


@contextlib.contextmanager
def port_to(path: str) -> Iterator[str]:
    """The address of a port of this machine that leads to a socket: browsers open no sockets."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                if there.connect_ex(path) == 0:
                    back = threading.Thread(target=_pump, args=(there, self.request), daemon=True)
                    back.start()
                    _pump(self.request, there)
                    back.join(10)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes until one of the two hangs up."""
    with contextlib.suppress(OSError):
        while piece := one.recv(65_536):
            other.sendall(piece)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
