"""What can go wrong with a box: page, /readyz, /metrics and alert say the same, and recover.

Each within two looks, that is twenty seconds; the post adds two, the watch of a share five.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance import alarm, pulse, weights
from appliance.alarm import unsaved
from appliance.states import State
from appliance.store import backups, jobs, overdue, reserve
from appliance.store.ledger import locked
from appliance.weights import manifest
from tests.alarm.tower import Tower, tower
from tests.faults.mounted import full, may_mount, unmount
from tests.notify.receivers import Web, web

ANOTHER = {"profile": {"default": {"model": "another"}}}


@pytest.fixture
def receiver() -> Iterator[Web]:
    with web() as lent:
        yield lent


@pytest.fixture
def box(tmp_path: Path, receiver: Web) -> Iterator[Tower]:
    with tower(tmp_path, receiver) as made:
        yield made


def another_model(state: Path) -> Path:
    """A model that is not the bundled one, with its manifest."""
    folder = state / "models" / "another"
    shutil.copytree(weights.BUNDLED, folder)
    files = {one.name: manifest.of_file(str(one)) for one in folder.iterdir() if one.is_file()}
    files.pop(manifest.NAME, None)
    (folder / manifest.NAME).write_text(manifest.as_text(manifest.Manifest(files)))
    return folder


def test_a_model_that_is_missing(tmp_path: Path, receiver: Web) -> None:
    folder = another_model(tmp_path / "state")
    with tower(tmp_path, receiver, **ANOTHER) as box:
        folder.rename(folder.with_name(".away"))
        words = "The model another is not on this box"
        box.tells("model", words, code="node.model-missing", level="fail", ready=False)
        folder.with_name(".away").rename(folder)
        box.recovers("model")


def test_a_model_that_is_corrupt(tmp_path: Path, receiver: Web) -> None:
    """Of the same size: only who reads it all can tell."""
    folder = another_model(tmp_path / "state")
    with tower(tmp_path, receiver, **ANOTHER) as box:
        right = (folder / "config.json").read_bytes()
        (folder / "config.json").write_bytes(right.swapcase())
        words = "config.json is not what manifest.json says"
        box.tells("model", words, code="node.model-corrupt", level="fail", ready=False)
        (folder / "config.json").write_bytes(right)
        box.recovers("model")


def test_looks_go_on_while_a_large_model_is_read(
    tmp_path: Path, receiver: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gigabytes on a slow disk take minutes; the watchdog of `check` waits for 90 s."""
    another_model(tmp_path / "state")
    go_on, of_file = threading.Event(), manifest.of_file

    def slow(path: str) -> manifest.Content:
        go_on.wait(60)
        return of_file(path)

    monkeypatch.setattr(manifest, "of_file", slow)
    monkeypatch.setattr(alarm, "_READ_SECONDS", 0.1)
    with tower(tmp_path, receiver, **ANOTHER) as box:
        box.stop("engine")
        words = "No engine answers"
        box.tells("engine", words, code="node.engine-unreachable", level="fail", ready=False)
        go_on.set()


@pytest.mark.parametrize(
    ("part", "words", "code"),
    [
        ("engine", "No engine answers", "node.engine-unreachable"),
        ("worker", "The worker is not running", "node.worker-stopped"),
        ("watch", "The watch is not running", "node.watch-stopped"),
    ],
)
def test_a_process_that_stopped(box: Tower, part: str, words: str, code: str) -> None:
    box.stop(part)
    box.tells(part, words, code=code, level="fail", ready=False)
    box.start(part)
    box.recovers(part)


def test_a_ledger_that_is_locked(box: Tower) -> None:
    """Nothing can be written down, and people are told all the same, once."""
    with locked(box.settings.state_dir):
        box.tells("ledger", "was locked", code="node.ledger-busy", level="fail", ready=False)
        assert box.letters[0]["title"].endswith("The ledger was locked for 2 seconds.")
    box.recovers("ledger")
    assert not any(Path(box.settings.run_dir, "unsaved").iterdir())


def test_who_watches_may_die_while_the_ledger_is_locked(box: Tower) -> None:
    """Whoever comes next knows what was told, and tells its end."""
    with locked(box.settings.state_dir):
        box.look(2)
        box.alarm = alarm.Alarm(box.ledger, box.settings)
        box.look()
        assert len(box.letters) == 1
    box.alarm = alarm.Alarm(box.ledger, box.settings)
    box.recovers("ledger")
    assert unsaved.alerts(box.settings.run_dir) is None


@may_mount
def test_a_state_disk_at_97_percent(tmp_path: Path, receiver: Web) -> None:
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(state)], check=True)
    limits = {"warn_below_gb": 0, "stop_below_gb": 0, "reserve_mb": 0}
    try:
        with tower(tmp_path, receiver, disk=limits) as box:
            filling = state / "filling"
            _fill(filling, percent=97)
            box.tells("disk", "97 % used", code="node.disk-low", level="warn", ready=True)
            _fill(filling, percent=94.5)  # below the limit, and not enough below it
            box.look(3)
            assert len(box.letters) == 1
            _fill(filling, percent=93)
            box.recovers("disk")
    finally:
        unmount(state)


def _fill(file: Path, *, percent: float) -> None:
    file.unlink(missing_ok=True)
    disk = shutil.disk_usage(file.parent)
    with file.open("wb") as stream:
        stream.write(bytes(max(round(disk.total * percent / 100) - disk.used, 0)))


@may_mount
def test_a_state_disk_that_is_full_to_the_last_byte(tmp_path: Path, receiver: Web) -> None:
    """The ledger itself has no room but the reserve's; people are told all the same."""
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(state)], check=True)
    limits = {"warn_below_gb": 0.002, "stop_below_gb": 0.002, "reserve_mb": 2}
    try:
        with tower(tmp_path, receiver, disk=limits) as box:
            assert reserve.keep(str(state), 2_000_000, spare=0)
            with full(state):
                box.look(2)
                (letter,) = box.letters
                assert (letter["kind"], letter["code"]) == ("alert", "node.disk-full")
                assert letter["cause"] in box.page
                assert box.ready[0] == 503
            box.recovers("disk")
    finally:
        unmount(state)


@pytest.fixture
def small(tmp_path: Path, receiver: Web) -> Iterator[Tower]:
    """A box whose share is a disk of a megabyte."""
    root = tmp_path / "share"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(root)], check=True)
    try:
        with tower(tmp_path, receiver) as made:
            yield made
    finally:
        unmount(root)


@may_mount
def test_a_share_that_is_full(small: Tower) -> None:
    (small.root / "talk.wav").write_bytes(b"sound")
    _fill(small.root / "filling.bin", percent=100)
    small.carry("talk.wav")
    words = "The share inbox is full: the text for a recording does not fit."
    small.tells("share", words, code="share.full", level="fail", ready=False)
    assert small.figures["appliance_share_up{share=inbox}"] == 0
    assert "talk.wav" not in small.receiver.heard[0].body.decode()
    (small.root / "filling.bin").unlink()
    small.look()  # the watch tries the share before it opens the gate
    _go_on(small)
    small.recovers("share")


@may_mount
def test_a_share_that_is_read_only(small: Tower) -> None:
    (small.root / "talk.wav").write_bytes(b"sound")
    subprocess.run(["mount", "-o", "remount,ro", str(small.root)], check=True)
    small.carry("talk.wav")
    words = "inbox does not let us save it"
    small.tells("share", words, code="share.read-only", level="fail", ready=False)
    subprocess.run(["mount", "-o", "remount,rw", str(small.root)], check=True)
    small.look()
    _go_on(small)
    small.recovers("share")


def _go_on(box: Tower) -> None:
    """What waited is done: nothing of it may stay for the page to count."""
    for job in overdue.behind_open_gates(box.ledger):
        jobs.move(box.ledger, job, State.CANCELLED, who="t")


def test_a_share_that_is_away(box: Tower) -> None:
    box.root.rename(box.folder / "away")
    box.tells(
        "share", "The share inbox does not answer", code="share.offline", level="fail", ready=False
    )
    (box.folder / "away").rename(box.root)
    box.recovers("share")


def test_a_share_with_another_marker(box: Tower) -> None:
    marker = box.root / ".transcribe-id"
    right = marker.read_bytes()
    marker.write_text("another share's\n")
    box.tells("share", "its marker differs", code="share.wrong-marker", level="fail", ready=False)
    marker.write_bytes(right)
    box.recovers("share")


def test_a_clock_that_went_back_by_a_day(box: Tower) -> None:
    box.wall_off = -86_400
    box.tells("clock", "it is 24 hours behind", code="node.clock-wrong", level="fail", ready=True)
    box.wall_off = 0
    box.recovers("clock")


def test_a_clock_that_stays_behind_is_believed_after_a_day(box: Tower) -> None:
    box.wall_off = -86_400 * 30
    box.tells("clock", "it is 30 days behind", code="node.clock-wrong", level="fail", ready=True)
    box._later += 86_400
    backups.make(box.ledger, box.utc)
    box.look()
    box.recovers("clock")


def test_a_gpu_that_is_wanted_and_hidden(tmp_path: Path, receiver: Web) -> None:
    with tower(tmp_path, receiver, engine={"device": "cuda"}) as box:
        pulse.write(box.settings.run_dir, {"device": "cpu"})
        box.tells("gpu", "the engine finds none", code="node.gpu-missing", level="fail", ready=True)
        pulse.write(box.settings.run_dir, {"device": "cuda"})
        box.recovers("gpu")


def test_a_gpu_whose_libraries_do_not_open(tmp_path: Path, receiver: Web) -> None:
    with tower(tmp_path, receiver) as box:
        pulse.write(box.settings.run_dir, {"device": "cpu", "lacking": "libcublas.so.12"})
        box.tells("gpu", "libcublas.so.12", code="node.gpu-library", level="warn", ready=True)
        pulse.write(box.settings.run_dir, {"device": "cuda", "lacking": None})
        box.recovers("gpu")


def test_a_backup_that_is_older_than_a_day(box: Tower) -> None:
    folder = box.settings.state(backups.FOLDER)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    backups.make(box.ledger, box.utc - timedelta(hours=25))
    words = "last backed up 25 hours ago"
    box.tells("backup", words, code="node.backup-old", level="fail", ready=True)
    backups.make(box.ledger, box.utc)
    box.recovers("backup")
