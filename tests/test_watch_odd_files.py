"""Watching files that nobody expects: none of them may stop the watch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import stage
from appliance.admit.folder import FolderOptions
from appliance.nouns import Options
from appliance.states import State
from appliance.store import jobs
from tests.watched import Watched, settings_for

BEYOND_THE_LEDGER = 13_569_465_600  # 1 January 2400: more nanoseconds than 63 bits hold


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    box = Watched(tmp_path, settings_for(tmp_path))
    box.adopt()
    yield box
    box.close()


@pytest.mark.parametrize("seconds", [BEYOND_THE_LEDGER, -BEYOND_THE_LEDGER])
def test_a_file_of_another_century_is_a_file(watched: Watched, seconds: int) -> None:
    file = watched.drop("far.wav")
    os.utime(file, (seconds, seconds))
    watched.until(lambda: watched.queued("far.wav"))
    job = jobs.claim(watched.ledger, 1, owner="worker")
    assert job is not None
    assert job.state is State.RUNNING
    spool = str(watched.folder / "spool")
    staged = stage.stage(str(watched.root), job.source, spool, job=1, spool_bytes=10**12)
    assert staged.size == 5
    watched.look_again()
    assert len(watched.rung) == 1


def test_a_folder_file_is_read_before_the_ledger_is_locked(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[bool] = []
    real = FolderOptions.options

    def looked(*args: Any) -> Options:
        depths.append(watched.ledger.db.conn.in_transaction)
        return real(*args)

    monkeypatch.setattr(FolderOptions, "options", looked)
    watched.drop("a/.transcribe.toml", b'language = "de"')
    watched.drop("a/talk.wav")
    watched.until(lambda: watched.queued("a/talk.wav"))
    assert depths
    assert not any(depths)
