"""The real processes: one looks and writes, one sends, and what does not run is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import daemon, supervise
from appliance.health import alive
from appliance.settings import load
from appliance.store import outbox, schema
from appliance.store.ledger import Ledger
from tests.notify.receivers import LOOPBACK, Web, web

SETTINGS = """
[node]
state_dir = '{folder}/state'
[[share]]
name = 'inbox'
root = '{folder}/inbox'
[notify]
allow = ['{host}']
[[notify.channel]]
name = 'desk'
kind = 'webhook'
url = 'http://{host}:{port}/'
secret = '{folder}/key'
"""


@pytest.fixture
def receiver() -> Iterator[Web]:
    with web() as lent:
        yield lent


@pytest.fixture
def file(tmp_path: Path, receiver: Web) -> str:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "key").write_text("a key\n")
    (tmp_path / "key").chmod(0o600)
    path = tmp_path / "appliance.toml"
    path.write_text(SETTINGS.format(folder=tmp_path, host=LOOPBACK, port=receiver.port))
    settings = load(str(path))
    schema.prepare(settings.state_dir)
    os.makedirs(settings.run_dir)
    return str(path)


@contextlib.contextmanager
def running(file: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A verb of the appliance, until TERM."""
    argv = [sys.executable, "-m", "appliance", "--settings", file, *words]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told.decode()
        assert b"Traceback" not in told, told.decode()


def until(claim: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)


def told(receiver: Web) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.heard]


def test_a_worker_that_does_not_run_is_told(file: str, receiver: Web) -> None:
    with (
        running(file, "check", "--every", "1"),
        running(file, "notify"),
        daemon.only_one(load(file).run_dir, "watch"),
    ):
        until(lambda: {one["check"] for one in told(receiver)} >= {"worker", "engine"})
    assert {one["check"] for one in told(receiver)} == {"worker", "engine"}
    assert {one["kind"] for one in told(receiver)} == {"alert"}
    argv = [sys.executable, "-m", "appliance", "--json", "--settings", file, "alerts"]
    rows = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert {(row["alert"], row["over"]) for row in rows} == {("worker", None), ("engine", None)}


def test_up_looks_and_sends_to_whomever_the_page_may_name_meanwhile() -> None:
    names = [one.name for one in supervise.appliance(None, {})]
    assert (names.count("check"), names.count("notify")) == (1, 1)


def test_a_channel_is_tried_by_hand(file: str, receiver: Web) -> None:
    argv = [sys.executable, "-m", "appliance", "--settings", file, "notify", "--test"]
    assert subprocess.run([*argv, "desk"], check=False).returncode == 0
    assert [one["kind"] for one in told(receiver)] == ["test"]
    receiver.answers = [500]
    failed = subprocess.run([*argv, "desk"], capture_output=True, text=True, check=False)
    assert (failed.returncode, "answers 500" in failed.stderr) == (69, True)
    # Where somebody sends, he does: of all on a box he alone has a way out.
    with running(file, "notify"):
        until(lambda: alive.held(load(file).run_dir, "notify"))
        failed = subprocess.run([*argv, "desk"], capture_output=True, text=True, check=False)
        assert (failed.returncode, "answers 500" in failed.stderr) == (69, True)
        receiver.answers = [204]
        assert subprocess.run([*argv, "desk"], check=False).returncode == 0
    with Ledger(load(file).state_dir) as ledger:
        states = [one.state for one in outbox.listing(ledger, "desk", limit=9)]
    assert states == [outbox.SENT, outbox.GIVEN_UP], "the others were sent from here"
    unknown = subprocess.run([*argv, "phone"], capture_output=True, text=True, check=False)
    assert (unknown.returncode, "there are: desk" in unknown.stderr) == (2, True)
