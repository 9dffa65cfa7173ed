"""Backups by command and by the hour, what the health checks say of them, and the reserve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance import daemon, recover, supervise
from appliance.health import keeping
from appliance.health.finding import Level
from appliance.nouns import Options, Source
from appliance.settings import BackupSettings, DiskSettings, NodeSettings, Settings
from appliance.store import backups, jobs, reserve, schema
from appliance.store.ledger import Ledger


class Place:
    """A state directory, and the command over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = str(folder / ".appliance")
        self.settings = Settings(node=NodeSettings(state_dir=self.state))
        schema.prepare(self.state)

    def run(self, *words: str, expect: int = 0) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "appliance", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        told = ran.stdout + ran.stderr
        assert ran.returncode == expect, told
        assert "Traceback" not in told
        return ran.stdout if "--json" in words else told

    def read(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self.run("--json", *words, expect=expect))

    def born(self, name: bytes) -> None:
        with Ledger(self.state) as ledger:
            jobs.add(ledger, Source("s", name, 1, 1), Options(), correlation="c")

    @property
    def paths(self) -> set[bytes]:
        with Ledger(self.state) as ledger:
            return {job.source.path for job in jobs.listing(ledger)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("APPLIANCE_SETTINGS", "APPLIANCE_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


# --- by command ---------------------------------------------------------------------------------


def test_a_backup_comes_back_and_what_was_there_is_kept(place: Place) -> None:
    place.born(b"before.wav")
    made = place.read("backup")
    assert os.path.exists(made["path"])
    place.born(b"after.wav")
    assert place.read("restore", "--list") == [
        {"name": made["name"], "at": made["at"], "size": made["size"], "sound": True}
    ]
    done = place.read("restore")
    assert done["restored"] == made["name"]
    assert place.paths == {b"before.wav"}
    os.rename(os.path.join(done["quarantine"], "ledger.db"), f"{place.state}/ledger.db")
    assert place.paths == {b"before.wav", b"after.wav"}


@pytest.mark.parametrize(("folder", "lock"), [("", "worker"), ("", "up"), ("run", "watch")])
def test_nothing_is_restored_under_a_running_appliance(
    place: Place, folder: str, lock: str
) -> None:
    place.run("backup")
    with daemon.only_one(os.path.join(place.state, folder), lock):
        assert "node.already-running" in place.run("restore", expect=75)
    place.run("restore")


def test_a_backup_that_is_not_one_is_refused(place: Place) -> None:
    assert "node.no-backup" in place.run("restore", expect=1)
    (place.folder / "mine.db").write_bytes(b"no")
    assert "node.no-backup" in place.run("restore", "./mine.db", expect=1)
    assert "node.no-backup" in place.run("restore", "nothing-here.db", expect=1)


def test_a_second_copy_that_fails_is_a_warning_that_check_names(place: Place) -> None:
    nas = place.folder / "nas"
    (place.folder / "appliance.toml").write_text(f"[backup]\ncopy_to = '{nas}'\n")
    assert "no second copy" in place.run("backup")
    findings = {one["code"]: one for one in place.read("check", expect=1)}
    assert findings["backup"]["level"] == "OK"
    assert findings["backup-copy"]["level"] == "WARN"
    nas.mkdir()
    made = place.read("backup")
    assert [one.name for one in (nas / backups.this_box()).iterdir()] == [made["name"]]
    assert "backup-copy" not in {one["code"] for one in place.read("check", expect=1)}


def test_a_damaged_ledger_is_named_and_migrate_mends_it(place: Place) -> None:
    place.born(b"before.wav")
    place.run("backup")
    for name in ("ledger.db-wal", "ledger.db-shm"):
        Path(place.state, name).unlink(missing_ok=True)
    Path(place.state, "ledger.db").write_bytes(b"garbage" * 2000)
    for words in (["jobs", "list"], ["check"], ["share", "list"]):
        told = place.run(*words, expect=75)
        assert told.startswith("node.ledger-damaged:"), told
    assert "damaged" in place.read("migrate")["mended"]
    assert place.paths == {b"before.wav"}


# --- by the hour --------------------------------------------------------------------------------


def test_up_runs_what_a_timer_would_run() -> None:
    timed = [one for one in supervise.appliance(None, {}) if one.every is not None]
    assert {one.name: one.every for one in timed} == {"backup": 3_600.0, "retention": 86_400.0}
    assert not any(one.is_due for one in timed), "first of all the box is to be up"


def test_what_a_timer_would_run_ends_in_silence_and_comes_again() -> None:
    said: list[str] = []
    argv = [sys.executable, "-c", "print('tick')"]
    process = supervise.Process("tick", argv, {}, every=6.0)  # stuck after half of it
    process._again_at = 0.0
    with supervise.Supervisor([process], lambda _name, line: said.append(line)):
        until = datetime.now(UTC) + timedelta(seconds=30)
        while said.count("tick") < 2 and datetime.now(UTC) < until:
            time.sleep(0.05)
    assert said[:2] == ["tick", "tick"]


# --- what the checks say ------------------------------------------------------------------------


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with Ledger(place.state) as opened:
        yield opened


@pytest.mark.parametrize(
    ("hours", "level"), [(1, Level.OK), (5, Level.WARN), (30, Level.FAIL), (None, Level.WARN)]
)
def test_an_old_backup_is_told(
    place: Place, ledger: Ledger, hours: int | None, level: Level
) -> None:
    if hours is not None:
        backups.make(ledger, datetime.now(UTC) - timedelta(hours=hours))
    (finding,) = keeping.backed_up(ledger, place.settings)
    assert finding.level is level
    assert bool(finding.remedy) is (level is not Level.OK)


def test_a_quarantine_is_told_with_what_to_do(place: Place, ledger: Ledger) -> None:
    assert list(keeping.quarantine(ledger, place.settings)) == []
    os.makedirs(f"{place.state}/quarantine/then")
    (finding,) = keeping.quarantine(ledger, place.settings)
    assert finding.level is Level.WARN
    assert "remove" in finding.remedy


def test_the_reserve_is_made_by_reconcile_and_told(place: Place, ledger: Ledger) -> None:
    disk = DiskSettings(reserve_mb=1, stop_below_gb=0)
    settings = place.settings.model_copy(update={"disk": disk})

    def level() -> Level:
        (finding,) = keeping.reserved(ledger, settings)
        return finding.level

    assert level() is Level.WARN
    recover.reconcile(ledger, settings, ring=lambda _job: None, pending=0)
    assert level() is Level.OK
    found = os.stat(f"{place.state}/reserve")
    assert found.st_blocks * 512 >= found.st_size == 1_000_000, "no hole"
    assert reserve.release(place.state)
    assert level() is Level.WARN


def test_no_reserve_is_made_where_there_is_no_room(place: Place, ledger: Ledger) -> None:
    disk = DiskSettings(reserve_mb=1, stop_below_gb=1_000_000)
    settings = place.settings.model_copy(update={"disk": disk})
    recover.reconcile(ledger, settings, ring=lambda _job: None, pending=0)
    assert not reserve.is_there(place.state, 1)
    none = place.settings.model_copy(update={"disk": DiskSettings(reserve_mb=0)})
    assert list(keeping.reserved(ledger, none)) == []


def test_a_second_copy_has_a_folder_named_in_full() -> None:
    with pytest.raises(ValueError, match="absolute"):
        BackupSettings(copy_to="nas")
