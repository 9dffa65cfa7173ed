"""Backups of the ledger: whole or not there, thinned out by their names alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import NodeIO
from appliance.nouns import Options, Source
from appliance.store import backups, jobs, schema
from appliance.store.backups import is_sound, listed, name_at, superfluous
from appliance.store.ledger import Ledger

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    schema.prepare(str(tmp_path))
    with Ledger(str(tmp_path)) as opened:
        yield opened


def born(ledger: Ledger, number: int) -> None:
    jobs.add(ledger, Source("s", b"%d.wav" % number, 1, 1), Options(), correlation="c")


def hours(*back: float) -> list[str]:
    return [name_at(NOW - timedelta(hours=hour)) for hour in back]


# --- thinning out -------------------------------------------------------------------------------


def test_the_newest_of_each_hour_day_and_week_stays() -> None:
    every_ten_minutes = hours(*(minute / 60 for minute in range(0, 60 * 24 * 60, 10)))
    stays = sorted(set(every_ten_minutes) - set(superfluous(every_ten_minutes, NOW)), reverse=True)
    of_hours = {name[:20] for name in stays}
    assert stays[0] == name_at(NOW)
    assert len([name for name in stays if name > name_at(NOW - timedelta(hours=24))]) == 24
    assert len(of_hours) == len(stays), "never two of one hour"
    assert len(stays) <= 24 + 7 + 4
    assert backups.time_of(stays[-1]) == datetime(2026, 11, 1, 23, 50, tzinfo=UTC), "four weeks"


def test_a_box_that_was_off_for_a_year_keeps_its_old_ones() -> None:
    old = hours(*(365 * 24 + hour for hour in range(10)))
    assert superfluous([*old, name_at(NOW)], NOW) == []


def test_what_a_wrong_clock_named_neither_lasts_nor_pushes_others_out() -> None:
    future = hours(*(-1000 - hour for hour in range(100)))
    past = hours(*range(24))
    gone = superfluous([*future, *past], NOW)
    assert not set(gone) & set(past)
    assert len(set(future) - set(gone)) <= 35


def test_no_other_file_is_ever_named() -> None:
    others = ["ledger.db", "ledger-2026.db", "copy-failed.txt", "ledger-2026-99-99T00-00-00Z.db"]
    assert superfluous([*others, *hours(*range(500))], NOW)
    assert not set(others) & set(superfluous([*others, *hours(*range(500))], NOW))


@given(moments=st.lists(MOMENTS, max_size=80))
def test_thinning_out_twice_is_thinning_out_once_and_the_newest_stays(
    moments: list[datetime],
) -> None:
    names = {name_at(moment) for moment in moments}
    stays = names - set(superfluous(names, NOW))
    assert superfluous(stays, NOW) == []
    assert len(stays) <= 2 * (24 + 7 + 4)
    if trusted := [name for name in names if name <= name_at(NOW + timedelta(hours=1))]:
        assert max(trusted) in stays


# --- making one ---------------------------------------------------------------------------------


def test_a_backup_holds_what_was_committed_and_reads_back(ledger: Ledger) -> None:
    born(ledger, 1)
    made = backups.make(ledger, NOW)
    born(ledger, 2)
    assert is_sound(made.path)
    assert [one.name for one in listed(os.path.dirname(made.path), NOW)] == [made.name]
    copy = os.path.join(ledger.folder, "copy")
    os.mkdir(copy)
    os.rename(made.path, os.path.join(copy, "ledger.db"))
    with Ledger(copy) as other:
        assert [job.source.path for job in jobs.listing(other)] == [b"1.wav"]


def test_a_backup_is_made_while_others_write(ledger: Ledger) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            born(ledger, number := number + 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [backups.make(ledger, NOW + timedelta(seconds=n)) for n in range(5)]
    finally:
        stop.set()
        writer.join()
    assert all(is_sound(one.path) for one in made if os.path.exists(one.path))
    assert os.path.exists(made[-1].path)


def test_what_does_not_read_back_gets_no_name(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "is_sound", lambda _file: False)
    with pytest.raises(NodeIO):
        backups.make(ledger, NOW)
    assert os.listdir(os.path.join(ledger.folder, backups.FOLDER)) == [".lock"]


def test_what_a_killed_backup_left_is_swept(ledger: Ledger) -> None:
    left = os.path.join(ledger.folder, backups.FOLDER, name_at(NOW) + ".new")
    Path(left).write_bytes(b"half")
    backups.make(ledger, NOW)
    assert not os.path.exists(left)


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1000])
def test_a_damaged_backup_is_not_sound(ledger: Ledger, damage: bytes) -> None:
    made = backups.make(ledger, NOW)
    Path(made.path).write_bytes(damage)
    assert not is_sound(made.path)


def test_a_backup_from_tomorrow_is_trusted_last(tmp_path: Path) -> None:
    for name in (*hours(1, 2), name_at(NOW + timedelta(days=900))):
        (tmp_path / name).write_bytes(b"")
    assert [one.name for one in listed(str(tmp_path), NOW)][:2] == hours(1, 2)


# --- a second copy ------------------------------------------------------------------------------


def test_a_second_copy_is_the_same_and_thinned_out_too(ledger: Ledger, tmp_path: Path) -> None:
    to = tmp_path / "nas"
    to.mkdir()
    for back in (1.25, 1.0):
        made = backups.make(ledger, NOW - timedelta(hours=back))
        assert backups.copy(made, str(to), NOW) is None
    ours = to / backups.this_box()
    assert [one.name for one in ours.iterdir()] == hours(1.0)
    assert (ours / made.name).read_bytes() == Path(made.path).read_bytes()
    assert backups.copy_failure(ledger.folder) is None


def test_boxes_with_one_folder_for_copies_leave_each_others_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Made in the same hour, of which one alone would keep but one."""
    to = tmp_path / "nas"
    to.mkdir()
    for back, box in ((1.25, "court"), (1.0, "office")):
        made = backups.make(ledger, NOW - timedelta(hours=back))
        assert backups.copy(made, str(to), NOW, box=box) is None
    assert [one.name for one in (to / "court").iterdir()] == hours(1.25)
    assert [one.name for one in (to / "office").iterdir()] == hours(1.0)


def test_a_copy_that_fails_is_remembered_until_one_succeeds(ledger: Ledger, tmp_path: Path) -> None:
    made = backups.make(ledger, NOW)
    to = tmp_path / "nas"
    why = backups.copy(made, str(to), NOW)
    assert why is not None
    assert not to.exists(), "a mount that is away is no folder to make"
    assert why in (backups.copy_failure(ledger.folder) or "")
    to.mkdir()
    assert backups.copy(made, str(to), NOW) is None
    assert backups.copy_failure(ledger.folder) is None
