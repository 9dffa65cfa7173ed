"""A recording that ends the engine: it pays, three times, and nobody else does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import tasks
from appliance.box import Box, open_box
from appliance.errors import DecoderCrash
from appliance.nouns import Options, Source
from appliance.settings import NodeSettings, Settings, Share
from appliance.states import State
from appliance.store import jobs
from appliance.store.jobs import Job
from tests.line import sounds


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    (tmp_path / "inbox").mkdir()
    share = Share(name="inbox", root=str(tmp_path / "inbox"), require_marker=False)
    settings = Settings(node=NodeSettings(state_dir=str(tmp_path / "state")), share=(share,))
    with open_box(settings) as opened:
        yield opened


@pytest.fixture
def deaths(box: Box) -> Iterator[list[int]]:
    """An engine that dies of every second window, started again each time; its ends so far."""
    stopping, ends = threading.Event(), list[int]()
    command = [sys.executable, "-m", "tests.engines", "poisoned", box.settings.engine_socket]

    def keep_running() -> None:
        while not stopping.is_set():
            engine = subprocess.Popen(command)
            while engine.poll() is None and not stopping.wait(0.05):
                pass
            if engine.poll() is not None:
                ends.append(engine.returncode)
            engine.kill()
            engine.wait()

    thread = threading.Thread(target=keep_running)
    thread.start()
    yield ends
    stopping.set()
    thread.join()


def born(box: Box, name: str, seconds: float) -> Job:
    path = sounds.write(os.path.join(box.settings.share[0].root, name), sounds.long(seconds))
    look = os.stat(path)
    source = Source("inbox", os.fsencode(name), look.st_size, look.st_mtime_ns)
    job = jobs.add(box.ledger, source, Options(language="en"), correlation="c")
    assert job is not None
    return job


def test_a_window_that_ends_the_engine_alone_is_its_own_recordings_fault(
    box: Box, deaths: list[int]
) -> None:
    poison = born(box, "poison.wav", 90)
    for times in (1, 2, 3):
        good = born(box, f"good-{times}.wav", 10 + times)  # a single window
        both = [
            threading.Thread(target=tasks.perform, args=(one.id, box)) for one in (poison, good)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        unharmed = jobs.must(box.ledger, good.id)
        assert (unharmed.state, unharmed.crashes, unharmed.errors) == (State.DONE, 0, 0)
        now = jobs.must(box.ledger, poison.id)
        if times < 3:
            assert (now.state, now.code) == (State.RETRY_WAIT, "node.engine-lost")
            assert (now.crashes, now.errors, now.losses) == (times, 0, 0)
            jobs.move(box.ledger, now, State.QUEUED, who="tests")
    assert (now.state, now.code, now.detail["times"]) == (State.FAILED, DecoderCrash.code, 3)
    until = time.monotonic() + 10.0
    while len(deaths) < 6 and time.monotonic() < until:
        time.sleep(0.05)  # the last one is yet to be found dead
    assert len(deaths) >= 6, "in company first, then alone"
    note = Path(box.settings.share[0].root) / "poison.wav.ERROR.txt"
    assert DecoderCrash.code in note.read_text("utf-8")
