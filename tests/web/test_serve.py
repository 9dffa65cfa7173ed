"""The pages as a process: gunicorn over a real socket, and a browser in front of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from appliance.accounts import setup
from appliance.cli.run import free_address
from appliance.rights import Right
from appliance.settings import Settings
from appliance.store import audit
from tests import signed_in
from tests.web.box import Box, Door, settings_of

CHROMIUM = shutil.which("chromium")
GOOD = "drei Birnen im Schnee"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


@dataclass
class Served:
    """A box whose pages are served by the real process."""

    box: Box
    address: str
    process: subprocess.Popen[bytes]


def toml_of(settings: Settings, folder: Path, listen: str) -> str:
    """Settings as a file."""
    lines = [f"[node]\nstate_dir = {json.dumps(settings.state_dir)}\n"]
    lines += [f"[web]\nlisten = {json.dumps(listen)}\n"]
    lines += [f'[[share]]\nname = "{one.name}"\nroot = "{one.root}"\n' for one in settings.share]
    file = folder / "appliance.toml"
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def start(file: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "appliance", "--settings", file, "web"]
    return subprocess.Popen(command, cwd=TOP, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> str:
    """End it in good order; what it printed."""
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=20)
    return printed.decode()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until_open(family: socket.AddressFamily, address: object) -> None:
    """Wait until somebody listens there."""
    until = time.monotonic() + 30
    while True:
        with socket.socket(family) as sock:
            if sock.connect_ex(address) == 0:  # type: ignore[arg-type]  # of either family
                return
        assert time.monotonic() < until, "the pages never answered"
        time.sleep(0.1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A busy box behind the real server."""
    box = Box.made(settings_of(str(tmp_path)))
    door = Door(box.settings)
    port = free_port()
    address = f"127.0.0.1:{port}"
    process = start(toml_of(box.settings, tmp_path, address))
    until_open(socket.AF_INET, ("127.0.0.1", port))
    yield Served(box, f"http://{address}", process)
    ended(process)
    door.close()
    box.ledger.close()


def test_it_serves_a_socket_and_ends_in_good_order(tmp_path: Path) -> None:
    box = Box.made(settings_of(str(tmp_path)))
    path = str(tmp_path / "web.sock")
    process = start(toml_of(box.settings, tmp_path, path))
    until_open(socket.AF_UNIX, path)
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
        assert client.get("http://localhost/healthz").json() == {"status": "pass"}
        assert client.get("http://localhost/").headers["location"] == "/setup"
        signs_in = signed_in.cookie(box.ledger)
        page = client.get("http://localhost/", headers=signs_in).text
        assert "1 thing needs you" in page or "things need you" in page  # there is no engine
        assert client.get("http://evil.example/").status_code == 400
    printed = ended(process)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert not os.path.exists(os.path.expanduser("~/.gunicorn/gunicorn.ctl"))
    box.ledger.close()


def test_behind_a_proxy_the_cookie_follows_the_scheme_and_the_log_knows_who_came(
    tmp_path: Path,
) -> None:
    box = Box.made(settings_of(str(tmp_path)))
    code = setup.new_code(box.ledger, signed_in.TEST)
    path = str(tmp_path / "web.sock")
    process = start(toml_of(box.settings, tmp_path, path))
    until_open(socket.AF_UNIX, path)
    nginx = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "8.8.8.8, 10.0.0.7"}
    with httpx.Client(transport=httpx.HTTPTransport(uds=path), headers=nginx) as client:
        first = {"code": code, "name": "anna", "password": GOOD}
        answer = client.post("http://localhost/setup", data=first)
    assert answer.status_code == 303, answer.text
    assert answer.headers["set-cookie"].startswith("__Host-appliance=")
    assert "Secure" in answer.headers["set-cookie"]
    printed = ended(process)
    assert {one.address for one in audit.page(box.ledger, limit=3)} == {"10.0.0.7"}
    assert GOOD not in printed
    assert code not in printed
    box.ledger.close()


def test_an_address_for_everybody_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    settings = settings_of(str(tmp_path))
    process = start(toml_of(settings, tmp_path, "0.0.0.0:8080"))
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 78
    assert b"web.listen" in printed


def test_the_demo_moves_aside_when_its_port_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        assert free_address(taken) not in ("", taken)
    assert free_address(taken) == taken
    assert free_address("/run/web.sock") == "/run/web.sock"


def test_many_readers_at_once_are_served(served: Served) -> None:
    served.box.every_state()
    with httpx.Client(headers=signed_in.cookie(served.box.ledger)) as client:
        for _ in range(40):
            assert client.get(f"{served.address}/").status_code == 200
    held = os.listdir(f"/proc/{served.process.pid}/fd")
    assert len(held) < 40


# --- in a browser -------------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    assert CHROMIUM, "these tests need chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(served: Served, browser: Browser, **how: Any) -> Page:
    """A page of a browser in which somebody is signed in."""
    page = browser.new_page(**how)
    held = signed_in.cookie(served.box.ledger)["Cookie"].partition("=")[2]
    page.context.add_cookies([{"name": "appliance", "value": held, "url": served.address}])
    return page


def test_progress_moves_by_itself_and_nothing_comes_from_elsewhere(
    served: Served, browser: Browser
) -> None:
    watched = Watched()
    page = opened(served, browser)
    watched.over(page, served.address)
    job = served.box.run(b"<img src=x onerror=alert(1)>.wav")
    facts = {"stage": "transcribe", "began": time.time() - 100, "done": 360.0, "total": 3600.0}
    facts["left"] = 900.0
    served.box.progress({job.id: facts})
    page.goto(served.address)
    assert page.locator("#sentence").inner_text() == "All good — 1 file in work"
    assert page.locator(".work .percent").inner_text() == "10 %"

    served.box.progress({job.id: {**facts, "done": 1800.0}})
    page.locator(".work .percent", has_text="50 %").wait_for(timeout=8000)
    assert page.locator(".work progress").evaluate("bar => bar.value") == 50

    served.box.add(b"next.wav")
    page.locator("#queue").wait_for(timeout=8000)
    page.get_by_text("1 file in work, 1 waiting").first.wait_for(timeout=8000)
    assert page.locator("bdi", has_text="next.wav").count() == 1
    assert page.locator("img").count() == 1, "a name became an element"
    assert (watched.complaints, watched.strangers) == ([], [])

    with served.box.ledger.writing() as ledger:
        ledger.execute("DELETE FROM session")
    page.wait_for_url(f"{served.address}/login", timeout=8000)
    page.close()


def test_the_link_on_the_console_leads_to_the_first_admin(served: Served, browser: Browser) -> None:
    watched = Watched()
    page = browser.new_page()
    watched.over(page, served.address)
    code = setup.new_code(served.box.ledger, signed_in.TEST)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.address}/setup#code={code}")
    page.wait_for_function("document.querySelector('input[name=code]').value !== ''")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate(_PALE) == []
    page.locator("input[name=password]").fill(GOOD)
    page.get_by_role("button", name="Begin").click()
    page.locator("#sentence").wait_for()
    assert not [url for url in asked if code in url]
    assert (watched.complaints, watched.strangers) == ([], [])
    page.get_by_role("link", name="My account").click()
    page.get_by_role("button", name="Sign out").click()
    page.locator("input[name=name]").fill("admin")
    page.locator("input[name=password]").fill(GOOD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#sentence").wait_for()
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_can_be_read(
    served: Served, browser: Browser, width: int, scheme: str
) -> None:
    every = served.box.every_state()
    watched = Watched()
    page = opened(
        served,
        browser,
        viewport={"width": width, "height": 700},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    watched.over(page, served.address)
    signed_in.key(served.box.ledger, Right.READ)
    every_page = ["/", "/jobs", "/help", *(f"/jobs/{job.id}" for job in every.values())]
    every_page += [
        "/upload",
        "/account",
        "/confirm",
        "/admin/users",
        "/admin/users/1",
        "/admin/sessions",
    ]
    for address in (*every_page, "/admin/keys", "/admin/audit"):
        page.goto(served.address + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate(_PALE) == [], f"{address} in {scheme}"
    assert (watched.complaints, watched.strangers) == ([], [])
    page.close()


def test_the_keyboard_reaches_the_content_first(served: Served, browser: Browser) -> None:
    page = opened(served, browser)
    page.goto(served.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.close()


def test_without_javascript_the_page_is_whole(served: Served, browser: Browser) -> None:
    served.box.every_state()
    page = opened(served, browser, java_script_enabled=False)
    page.goto(served.address)
    assert page.locator(".work .percent").inner_text() == "24 %"
    assert "UTC" in page.locator("#recent ~ ul time").first.inner_text()
    page.close()


# Texts whose contrast with what lies behind them is below WCAG's 4.5 (AA).
_PALE = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const pale = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.add(`${element.className || element.tagName} ${contrast.toFixed(2)}`);
  }
  return [...pale];
}"""
