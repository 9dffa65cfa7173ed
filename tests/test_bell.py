"""The doorbell is worth nothing: lost, doubled, or forged, the job's row decides."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import pytest

from appliance.bell import Bell
from appliance.errors import NodeIO


def drained(bell: Bell) -> list[int]:
    """Answer every ring that lies in the queue."""
    heard: list[int] = []
    bell.answer = heard.append
    while (task := bell.huey.dequeue()) is not None:
        bell.huey.execute(task)
    return heard


def test_a_ring_in_one_process_is_heard_in_another(tmp_path: Path) -> None:
    ringing, answering = Bell(str(tmp_path)), Bell(str(tmp_path))
    ringing.ring(7)
    ringing.ring(8, priority=5)
    assert answering.unanswered() == 2
    assert drained(answering) == [8, 7], "the urgent one first"
    ringing.close()
    answering.close()


def test_what_lies_in_the_queue_is_json_and_never_runs(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    bell.ring(7)
    database = sqlite3.connect(tmp_path / "huey.db")
    message = json.loads(database.execute("SELECT data FROM task").fetchone()[0])
    assert message[-1] == [7]

    class Trap:
        """What pickle would run."""

        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "sprung"), "w"))  # type: ignore[return-value]

    database.execute("DELETE FROM task")
    database.execute(
        "INSERT INTO task (queue, data, priority) VALUES ('appliance', ?, 0)",
        [pickle.dumps(Trap())],
    )
    database.commit()
    database.close()
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
        bell.huey.dequeue()
    assert not (tmp_path / "sprung").exists()
    bell.close()


def test_ringing_a_locked_bell_is_not_an_error(tmp_path: Path) -> None:
    bell = Bell(str(tmp_path))
    bell.huey.storage._timeout = 0.1
    bell.close()
    other = sqlite3.connect(tmp_path / "huey.db")
    other.execute("BEGIN EXCLUSIVE")
    bell.ring(7)
    other.rollback()
    other.close()
    bell.close()


def test_a_queue_that_cannot_be_opened_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "huey.db").mkdir()
    with pytest.raises(NodeIO):
        Bell(str(tmp_path))


def test_a_queue_that_cannot_be_read_is_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwell() -> int:
        raise sqlite3.OperationalError("disk I/O error")

    bell = Bell(str(tmp_path))
    monkeypatch.setattr(bell.huey, "pending_count", unwell)
    with pytest.raises(NodeIO):
        bell.unanswered()
    bell.close()
