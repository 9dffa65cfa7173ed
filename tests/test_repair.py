"""A ledger destroyed in every way we can think of: put aside, restored, nothing deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import LedgerDamaged, NodeIO
from appliance.nouns import Options, Source
from appliance.states import State
from appliance.store import backups, jobs, marks, repair, restores, schema, shares, wal
from appliance.store.ledger import Ledger


def born(ledger: Ledger, name: bytes) -> None:
    assert jobs.add(ledger, Source("s", name, 1, 1), Options(), correlation="c")


def crash(folder: Path) -> None:
    """Leave a ledger with commits in its log, as a process does that is killed."""
    script = """
import os, sys
from appliance.nouns import Options, Source
from appliance.store import jobs
from appliance.store.ledger import Ledger
ledger = Ledger(sys.argv[1])
for n in range(40):
    jobs.add(ledger, Source("s", b"late%d.wav" % n, 1, 1), Options(), correlation="c")
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert (folder / "ledger.db-wal").stat().st_size > 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with 301 jobs, a backup of the first, and commits in the log."""
    place = tmp_path_factory.mktemp("killed") / "state"
    schema.prepare(str(place))
    with Ledger(str(place)) as ledger:
        shares.adopt(ledger, "s", marker="m", existing="process")
        born(ledger, b"early.wav")
        backups.make(ledger, datetime(2026, 1, 1, tzinfo=UTC))
        with ledger.writing():
            for n in range(300):
                born(ledger, b"%d.wav" % n)
    crash(place)
    return place


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """A copy of that for one test."""
    return Path(shutil.copytree(killed, tmp_path / "state"))


def deleted(folder: Path) -> None:
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)


def deleted_but_for_its_log(folder: Path) -> None:
    (folder / "ledger.db").unlink()


def emptied(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"")


def no_header(folder: Path) -> None:
    with Ledger(str(folder)) as ledger:
        ledger.checkpoint()  # or the log mends it
    with open(folder / "ledger.db", "r+b") as stream:
        stream.write(os.urandom(100))


def damaged_page(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'job'").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with open(folder / "ledger.db", "r+b") as stream:
        stream.seek((page - 1) * 4096)
        stream.write(os.urandom(4096))


def truncated(folder: Path) -> None:
    os.truncate(folder / "ledger.db", os.path.getsize(folder / "ledger.db") // 2 // 4096 * 4096)
    (folder / "ledger.db-wal").unlink()
    (folder / "ledger.db-shm").unlink()


def another_database(folder: Path) -> None:
    deleted(folder)
    with sqlite3.connect(folder / "ledger.db") as db:
        db.execute("CREATE TABLE cats (name)")
    db.close()


LOSSES: list[Callable[[Path], None]] = [
    deleted,
    deleted_but_for_its_log,
    emptied,
    no_header,
    damaged_page,
    truncated,
    another_database,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_ledger_is_put_aside_and_the_backup_takes_its_place(
    folder: Path, lose: Callable[[Path], None]
) -> None:
    lose(folder)
    left = {
        name: (folder / name).read_bytes()
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm")
        if (folder / name).exists()
    }
    mended = schema.prepare(str(folder))
    assert mended is not None
    assert mended.backup is not None
    with Ledger(str(folder)) as ledger:
        assert [job.source.path for job in jobs.listing(ledger)] == [b"early.wav"]
        assert shares.get(ledger, "s").adopted_ms
        noted = restores.newest(ledger)
        assert noted is not None
        assert (noted.backup, noted.why) == (mended.backup.name, mended.why)
        born(ledger, b"new.wav")
    aside = repair.put_aside(str(folder))
    kept = {
        path.name: path.read_bytes()
        for name in aside
        for path in (folder / "quarantine" / name).iterdir()
    }
    for name, content in left.items():  # SQLite itself writes into the index of a log
        assert kept[name] == content or name.endswith("-shm")
    assert not (folder / "restoring").exists()
    assert schema.prepare(str(folder)) is None, "and that was that"
    with Ledger(str(folder)) as ledger:
        assert len(jobs.listing(ledger)) == 2


def garbage(folder: Path) -> None:
    (folder / "ledger.db-wal").write_bytes(os.urandom(50_000))


def cut_off(folder: Path) -> None:
    (folder / "ledger.db-wal").write_bytes(b"garbage")


def damaged_in_the_middle(folder: Path) -> None:
    with open(folder / "ledger.db-wal", "r+b") as stream:
        stream.seek(32 + 3 * (4096 + 24) + 2000)
        stream.write(b"\xff" * 64)


@pytest.mark.parametrize("lose", [garbage, cut_off, damaged_in_the_middle])
def test_a_log_that_lost_commits_is_noticed_and_the_rest_stays(
    folder: Path, lose: Callable[[Path], None]
) -> None:
    with Ledger(str(folder)) as ledger:
        ledger.checkpoint()
        for n in range(3):
            born(ledger, b"again%d.wav" % n)
        shutil.copytree(folder, folder.parent / "crashed")  # as a killed process leaves it
    crashed = folder.parent / "crashed"
    lose(crashed)
    was = (crashed / "ledger.db-wal").read_bytes()
    mended = schema.prepare(str(crashed))
    assert mended is not None
    assert mended.in_place
    with Ledger(str(crashed)) as ledger:
        paths = {job.source.path for job in jobs.listing(ledger, limit=1000)}
        assert b"299.wav" in paths, "what was folded in is still there"
        assert restores.newest(ledger) is not None
    (aside,) = repair.put_aside(str(crashed))
    assert (crashed / "quarantine" / aside / "ledger.db-wal.lost").read_bytes() == was
    assert schema.prepare(str(crashed)) is None


def test_a_killed_process_leaves_a_log_that_is_whole(folder: Path) -> None:
    assert wal.damage(str(folder / "ledger.db-wal")) is None
    assert schema.prepare(str(folder)) is None
    with Ledger(str(folder)) as ledger:
        assert len(jobs.listing(ledger, limit=1000)) == 341


def test_a_log_cut_off_in_its_last_commit_is_what_a_power_cut_leaves(folder: Path) -> None:
    log = folder / "ledger.db-wal"
    os.truncate(log, log.stat().st_size - 100)
    assert wal.damage(str(log)) is None


def test_a_ledger_never_backed_up_begins_anew_and_says_so(tmp_path: Path) -> None:
    schema.prepare(str(tmp_path))
    deleted(tmp_path)
    mended = schema.prepare(str(tmp_path))
    assert mended is not None
    assert mended.backup is None
    with Ledger(str(tmp_path)) as ledger:
        assert restores.newest(ledger) is not None


def test_a_first_start_restores_nothing(tmp_path: Path) -> None:
    assert schema.prepare(str(tmp_path / "new")) is None
    with Ledger(str(tmp_path / "new")) as ledger:
        assert restores.newest(ledger) is None


def test_a_backup_that_rotted_is_passed_over(folder: Path) -> None:
    with Ledger(str(folder)) as ledger:
        newer = backups.make(ledger, datetime(2026, 1, 2, tzinfo=UTC))
    with open(newer.path, "r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(20_000))
    deleted(folder)
    mended = schema.prepare(str(folder))
    assert mended is not None
    assert mended.backup is not None
    assert mended.backup.at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_sound_ledger_of_which_quick_check_complains_stays(folder: Path) -> None:
    with Ledger(str(folder)) as ledger, ledger.writing() as db:
        db.execute(
            "CREATE TABLE odd (a INTEGER NOT NULL, b TEXT NOT NULL, PRIMARY KEY (b, a))"
            " STRICT, WITHOUT ROWID"
        )
        db.execute("INSERT INTO odd (a, b) VALUES (1, 'x')")
    assert schema.prepare(str(folder)) is None
    assert repair.put_aside(str(folder)) == []


def test_tags_outlive_a_restart(folder: Path) -> None:
    with Ledger(str(folder)) as ledger:
        marks.tag(ledger, jobs.must(ledger, 1), ["board"])
    assert schema.prepare(str(folder)) is None
    with Ledger(str(folder)) as ledger:
        assert ledger.row("PRAGMA quick_check(1)") == {"quick_check": "ok"}
        assert marks.of_job(ledger, 1) == ["board"]


def test_no_table_has_a_key_in_another_order_than_its_columns(tmp_path: Path) -> None:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        for table in [row for row in ledger.rows("PRAGMA table_list") if row["wr"]]:
            columns = list(ledger.rows(f"PRAGMA table_info('{table['name']}')"))
            places = [column["pk"] for column in columns if column["pk"]]
            assert places == list(range(1, len(places) + 1)), table["name"]


@pytest.mark.parametrize("name", ["ledger.db", "restoring/ledger.db"])
def test_a_repair_that_was_killed_is_done_again(folder: Path, name: str) -> None:
    """Killed after it put the old one aside, or before its own was ready."""
    aside = folder / "quarantine" / "before"
    aside.mkdir(parents=True)
    os.rename(folder / "ledger.db", aside / "ledger.db")
    (folder / "restoring").mkdir()
    if name != "ledger.db":
        (folder / name).write_bytes(b"half a copy")
    mended = schema.prepare(str(folder))
    assert mended is not None
    with Ledger(str(folder)) as ledger:
        assert [job.source.path for job in jobs.listing(ledger)] == [b"early.wav"]


def test_a_share_whose_old_files_were_not_all_noted_is_asked_about_again(tmp_path: Path) -> None:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        shares.adopt(ledger, "half", marker="m", existing="ignore")
        shares.adopt(ledger, "whole", marker="m", existing="ignore")
        shares.scanned(ledger, "whole", old_files=3)
        backups.make(ledger, datetime(2026, 1, 1, tzinfo=UTC))
    emptied(tmp_path)
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as ledger:
        assert shares.get(ledger, "half").adopted_ms is None
        assert shares.get(ledger, "whole").adopted_ms is not None


def test_a_damaged_ledger_has_a_name_wherever_it_is_met(folder: Path) -> None:
    no_header(folder)
    with pytest.raises(LedgerDamaged), Ledger(str(folder)) as ledger:
        jobs.listing(ledger)


@pytest.mark.parametrize("lose", [deleted, emptied, no_header, damaged_page])
def test_one_that_was_replaced_takes_no_write_any_more(
    folder: Path, lose: Callable[[Path], None]
) -> None:
    with Ledger(str(folder)) as ledger:
        born(ledger, b"before.wav")
        ledger.checkpoint()
        lose(folder)
        schema.prepare(str(folder))
        with pytest.raises(LedgerDamaged):
            born(ledger, b"into the void.wav")
        with pytest.raises(LedgerDamaged):
            jobs.counts(ledger)
    with Ledger(str(folder)) as ledger:
        assert jobs.counts(ledger) == {State.QUEUED: 1}
    assert schema.prepare(str(folder)) is None, "the one that was replaced closed without harm"


def test_one_deleted_under_an_open_connection_is_noticed(folder: Path) -> None:
    with Ledger(str(folder)) as ledger:
        jobs.counts(ledger)
        deleted(folder)
        with pytest.raises(LedgerDamaged):
            born(ledger, b"into the void.wav")


def test_nobody_makes_a_ledger_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerDamaged), Ledger(str(tmp_path)) as ledger:
        jobs.counts(ledger)
    assert not (tmp_path / "ledger.db").exists()


def test_a_backup_is_made_before_a_migration(tmp_path: Path) -> None:
    with Ledger(str(tmp_path), make=True) as ledger:
        schema.migrations.apply(ledger.db, stop_before="jobs_by_time")
        ledger.db.execute(
            "INSERT INTO job (workload, share, path, size, mtime_ns, state, correlation,"
            " created_ms, updated_ms) VALUES ('x', 's', ?, 1, 1, 'discovered', 'c', 1, 1)",
            [b"old.wav"],
        )
    (tmp_path / "backups").mkdir()
    assert schema.prepare(str(tmp_path)) is None
    (made,) = backups.listed(str(tmp_path / "backups"), datetime.now(UTC))
    with contextlib.closing(sqlite3.connect(made.path)) as db:
        assert db.execute("SELECT path FROM job").fetchall() == [(b"old.wav",)]
        assert db.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (1,)


def test_a_named_backup_that_rotted_is_refused_and_the_ledger_stays(folder: Path) -> None:
    (old,) = backups.listed(str(folder / "backups"), datetime.now(UTC))
    Path(old.path).write_bytes(b"rot")
    before = (folder / "ledger.db").read_bytes()
    with pytest.raises(NodeIO):
        schema.restore(str(folder), "asked for", old)
    assert (folder / "ledger.db").read_bytes() == before


# --- the queue ----------------------------------------------------------------------------------


def queue(folder: Path) -> Path:
    file = folder / "huey.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE task (data)")
        db.executemany("INSERT INTO task VALUES (?)", [("x" * 500,)] * 200)
    db.close()
    return file


def test_a_damaged_queue_is_put_aside_and_a_sound_one_stays(tmp_path: Path) -> None:
    file = queue(tmp_path)
    assert not repair.discard_broken_queue(str(tmp_path))
    assert file.exists()
    file.write_bytes(b"garbage" * 1000)
    assert repair.discard_broken_queue(str(tmp_path))
    assert not file.exists()
    (aside,) = repair.put_aside(str(tmp_path))
    assert (tmp_path / "quarantine" / aside / "huey.db").read_bytes() == b"garbage" * 1000
