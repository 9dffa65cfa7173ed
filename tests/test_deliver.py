"""A transcript lies beside its recording: once, whole, and in nobody's place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder import Folder, export, trio


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(str(tmp_path / "share"), str(tmp_path / "state"))
    yield made
    made.ledger.close()


def test_exports_are_named_after_the_recording(share: Folder) -> None:
    job = share.drop(b"monday/talk.mp4")
    published = share.deliver(job, trio())
    assert share.exports(b"monday") == {
        b"talk.srt": b"one.srt",
        b"talk.en.srt": b"one.en.srt",
        b"talk.json": b"one.json",
    }
    assert [row.path for row in published][-1] == b"monday/talk.json"
    assert {row.state for row in published} == {"published"}


def test_delivering_twice_is_delivering_once(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, trio())
    before = {name: os.stat(share.full(name)).st_ino for name in share.exports()}
    share.deliver(share.again(job), trio())
    assert {name: os.stat(share.full(name)).st_ino for name in share.exports()} == before


def test_new_content_replaces_our_own_file(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, [export(".srt", b"one")])
    share.deliver(share.again(job), [export(".srt", b"two, and longer")])
    assert share.exports() == {b"talk.srt": b"two, and longer"}
