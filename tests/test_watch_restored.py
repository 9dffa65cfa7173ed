"""A share after its ledger was lost: nobody floods the box, and nothing new is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.store import backups, schema
from appliance.store.ledger import Ledger
from tests.watched import Watched, settings_for

MANY = 30


def lost(box: Watched) -> Watched:
    """The same share, watched anew after its ledger was destroyed."""
    box.close()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        Path(box.settings.state_dir, name).unlink(missing_ok=True)
    return Watched(box.folder, box.settings)


def scanned(box: Watched) -> None:
    box.until(lambda: box.row.scanned_ms is not None)


@pytest.fixture
def boxes() -> Iterator[list[Watched]]:
    made: list[Watched] = []
    yield made
    for box in made:
        box.close()


@pytest.mark.parametrize("existing", ["ask", "ignore"])
def test_a_share_let_in_after_the_backup_is_held_until_a_person_decides(
    tmp_path: Path, existing: str, boxes: list[Watched]
) -> None:
    box = Watched(tmp_path, settings_for(tmp_path, existing=existing))
    for n in range(MANY):
        box.drop(f"old{n}.wav")
    box.adopt("ignore")
    scanned(box)
    box.drop("new.wav")
    box.until(lambda: box.queued("new.wav"))
    boxes.append(box := lost(box))
    scanned(box)
    box.drop("newer.wav")
    box.go_on(1.0)
    assert box.jobs == {}, "none of the old ones is started"
    assert set(box.sightings.values()) == {"not-adopted"}
    box.adopt("process")
    box.until(lambda: "newer.wav" in box.jobs and "new.wav" in box.jobs)


def test_where_the_settings_say_process_nobody_is_asked(
    tmp_path: Path, boxes: list[Watched]
) -> None:
    box = Watched(tmp_path, settings_for(tmp_path, existing="process"))
    box.drop("a.wav")
    box.adopt("process")
    box.until(lambda: box.queued("a.wav"))
    boxes.append(box := lost(box))
    box.until(lambda: box.queued("a.wav"))


def test_a_share_the_backup_knows_stays_let_in_and_its_old_files_stay_alone(
    tmp_path: Path, boxes: list[Watched]
) -> None:
    box = Watched(tmp_path, settings_for(tmp_path))
    box.drop("old.wav")
    box.adopt("ignore")
    scanned(box)
    backups.make(box.ledger, datetime.now(UTC))
    box.drop("since.wav")
    box.until(lambda: box.queued("since.wav"))
    boxes.append(box := lost(box))
    box.drop("new.wav")
    box.until(lambda: box.queued("since.wav", "new.wav"))


def test_a_first_start_is_no_restore(tmp_path: Path, boxes: list[Watched]) -> None:
    """A share that carries the marker of another box is taken like any new one."""
    boxes.append(box := Watched(tmp_path, settings_for(tmp_path, existing="ignore")))
    box.drop(".transcribe-id", b"another box's\n")
    box.drop("old.wav")
    box.until(lambda: box.row.adopted_ms is not None)
    assert schema.prepare(box.settings.state_dir) is None


def test_a_queued_job_of_the_backup_goes_on(tmp_path: Path, boxes: list[Watched]) -> None:
    box = Watched(tmp_path, settings_for(tmp_path))
    box.adopt("process")
    box.drop("talk.wav")
    box.until(lambda: box.queued("talk.wav"))
    backups.make(box.ledger, datetime.now(UTC))
    boxes.append(box := lost(box))
    assert box.queued("talk.wav")
    with Ledger(box.settings.state_dir) as ledger:
        (row,) = ledger.rows("SELECT hint_bt FROM job")
    assert row["hint_bt"] is None, "its bell is rung at once"
    assert os.path.exists(os.path.join(box.root, "talk.wav"))
