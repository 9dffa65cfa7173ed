"""A disk that is really full: the ledger can still say so, and goes on when there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance import recover
from appliance.errors import DiskFull
from appliance.nouns import Options, Source
from appliance.settings import DiskSettings, NodeSettings, Settings
from appliance.states import State, Verdict
from appliance.store import backups, gates, jobs, reserve, schema
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

DISK_MB = 16
RESERVE_MB = 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A small ext4 of its own."""
    assert os.geteuid() == 0, "this test mounts a disk: run it as root"
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, DISK_MB << 20)
    place.mkdir()
    # No blocks only root may use: we are root, and mean everybody.
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield str(place)
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def settings(disk: str) -> Settings:
    wishes = DiskSettings(reserve_mb=RESERVE_MB, stop_below_gb=0.004, warn_below_gb=0.005)
    return Settings(node=NodeSettings(state_dir=os.path.join(disk, "state")), disk=wishes)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as opened:
        yield opened


def reconcile(ledger: Ledger, settings: Settings) -> None:
    recover.reconcile(ledger, settings, ring=lambda _job: None, pending=0, minded=lambda _job: True)


def fill(disk: str) -> str:
    """Use up every block."""
    file = os.path.join(disk, "somebody elses")
    with open(file, "ab", buffering=0) as stream, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 512):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"\xff" * size)
    os.sync()
    found = os.statvfs(disk)
    assert found.f_bavail * found.f_frsize < 1 << 16
    return file


def claimed(ledger: Ledger, number: int) -> Job:
    source = Source("inbox", b"%d.wav" % number, 1, 1)
    born = jobs.add(ledger, source, Options(), correlation="c")
    assert born is not None
    job = jobs.claim(ledger, born.id, owner="me")
    assert job is not None
    return job


def use_up_what_the_log_has(ledger: Ledger) -> None:
    """Write until the ledger's own log finds no room. Raises DiskFull."""
    for number in range(100_000):
        source = Source("inbox", b"filler %d.wav" % number, 1, 1)
        jobs.add(ledger, source, Options(), correlation="c")


def end(ledger: Ledger, job: Job) -> Job:
    error = DiskFull(where="here", free_gb=0.0)
    return jobs.end(ledger, job, Verdict(State.WAITING), error, who="me")


def test_the_end_of_a_job_and_its_gate_are_written_on_a_full_disk(
    disk: str, settings: Settings, ledger: Ledger
) -> None:
    job = claimed(ledger, 1)
    reconcile(ledger, settings)
    assert reserve.is_there(settings.state_dir, RESERVE_MB * 1_000_000)
    filled = fill(disk)
    with pytest.raises(DiskFull):
        use_up_what_the_log_has(ledger)
    assert not reserve.is_there(settings.state_dir, 1), "given up"
    assert end(ledger, job).state is State.WAITING
    assert [gate.name for gate in gates.closed(ledger)] == ["disk"]
    reconcile(ledger, settings)
    assert not reserve.is_there(settings.state_dir, 1), "there is still no room"
    os.unlink(filled)
    ledger.checkpoint()
    reconcile(ledger, settings)
    assert list(gates.closed(ledger)) == []
    assert jobs.must(ledger, job.id).state is State.QUEUED
    assert reserve.is_there(settings.state_dir, RESERVE_MB * 1_000_000), "made again"


def test_a_lost_ledger_is_restored_on_a_full_disk(
    disk: str, settings: Settings, ledger: Ledger
) -> None:
    claimed(ledger, 1)
    backups.make(ledger, datetime.now(UTC))
    reconcile(ledger, settings)
    assert reserve.is_there(settings.state_dir, 1)
    ledger.close()
    with open(settings.state("ledger.db"), "r+b") as stream:
        stream.write(b"garbage")
    fill(disk)
    mended = schema.prepare(settings.state_dir)
    assert mended is not None
    assert mended.backup is not None
    assert not reserve.is_there(settings.state_dir, 1), "its room was needed"
    with Ledger(settings.state_dir) as restored:
        assert jobs.counts(restored) == {State.RUNNING: 1}


def test_a_write_that_finds_no_room_is_tried_once_more(
    disk: str, settings: Settings, ledger: Ledger
) -> None:
    """The end of the job is itself the write that meets the full disk."""
    job = claimed(ledger, 1)
    fill(disk)
    with pytest.raises(DiskFull):
        use_up_what_the_log_has(ledger)
    with pytest.raises(DiskFull):  # without a reserve there is nothing to be done
        ledger.insist(lambda: end(ledger, job))
    os.truncate(os.path.join(disk, "somebody elses"), 6 << 20)
    reconcile(ledger, settings)
    assert reserve.is_there(settings.state_dir, RESERVE_MB * 1_000_000)
    fill(disk)
    job = jobs.must(ledger, job.id)
    before = reserve.is_there(settings.state_dir, 1)
    attempts = 0

    def write() -> Job:
        nonlocal attempts
        attempts += 1
        with ledger.writing() as db:
            db.execute("UPDATE job SET detail = ? WHERE id = ?", ["x" * 500_000, job.id])
            return end(ledger, job)

    assert ledger.insist(write).state is State.WAITING
    assert (before, attempts) == (True, 2)
    assert jobs.must(ledger, job.id).gate == "disk"
    assert [gate.name for gate in gates.closed(ledger)] == ["disk"]
