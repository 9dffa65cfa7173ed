"""The pages as a process: gunicorn over a real socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from http.client import HTTPConnection
from pathlib import Path

import httpx

from appliance.accounts import setup
from appliance.cli.run import free_address
from appliance.store import audit
from tests import signed_in
from tests.web.box import Box, settings_of
from tests.web.serving import Served, ended, start, toml_of, until_open

GOOD = "drei Birnen im Schnee"


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


def test_a_connection_outlives_the_pause_between_two_looks(served: Served) -> None:
    with contextlib.closing(HTTPConnection(served.address.removeprefix("http://"))) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(2):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"status":"pass"}\n')
            assert connection.sock is first  # another one would say that it was hung up
            time.sleep(3)  # an open page asks every two seconds; the server's clock is its own
