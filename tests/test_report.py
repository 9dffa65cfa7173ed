"""Whoever looks into the folder learns how it ended; whoever reads the journal learns no text."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator

import pytest

from appliance import report as reporting
from appliance.deliver import Guard
from appliance.errors import (
    CATALOGUE,
    ApplianceError,
    Bug,
    EngineLost,
    ExportConflict,
    Fenced,
    NodeIO,
    NotRegular,
    ShareOffline,
    SourceEmpty,
    SourceMissing,
    TooLong,
)
from appliance.report import NOTE_SUFFIX, error_note, shown
from appliance.settings import Share
from appliance.states import State
from appliance.store import exports as table
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.folder import Folder, export, lent, well
from tests.witness import CRASHED, Stepwise, die, in_child, watching

NOTE = b"talk.mp4.ERROR.txt"
EMPTY = SourceEmpty(name="talk.mp4")


def report(
    ledger: Ledger,
    share: Share,
    job: Job,
    error: ApplianceError | None = None,
    *,
    became: State | None = None,
    guard: Guard = well,
) -> None:
    """What the worker does, with the note written in this process."""
    state = became or (State.DONE if error is None else job.state)

    def note() -> None:
        if reporting.is_note_due(ledger, share, job, error, state):
            reporting.note(ledger, share, job, error, guard=guard)

    reporting.report(job, error, became=became, note=note)


@pytest.fixture
def share() -> Iterator[Folder]:
    with lent() as folder:
        yield folder


def failed(share: Folder, job: Job, error: ApplianceError = EMPTY) -> None:
    report(share.ledger, share.share, job, error, became=State.FAILED)


def done(share: Folder, job: Job) -> None:
    report(share.ledger, share.share, job)


# --- when there is a note -----------------------------------------------------------------------


def test_a_failure_leaves_a_note_and_success_takes_it_back(share: Folder) -> None:
    job = share.drop(b"monday/talk.mp4")
    failed(share, job)
    assert list(share.exports(b"monday")) == [NOTE]
    row = table.of_source(share.ledger, "talks", b"monday/talk.mp4", NOTE_SUFFIX)
    assert row is not None
    assert (row.path, row.format, row.state) == (b"monday/" + NOTE, "error", "published")
    done(share, share.again(job))
    assert share.exports(b"monday") == {}
    assert table.of_source(share.ledger, "talks", b"monday/talk.mp4", NOTE_SUFFIX) is None


def test_a_note_carries_the_whole_name_even_without_a_twin(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    share.deliver(share.again(job), [export(".txt", b"hello")])
    assert set(share.exports()) == {NOTE, b"talk.txt"}


def test_the_note_of_a_very_long_name_is_cut_like_any_other(share: Folder) -> None:
    failed(share, share.drop(b"n" * 251 + b".mp4"))
    [name] = share.exports()
    assert len(name) == 255
    assert name.endswith(b".ERROR.txt")


def test_telling_it_twice_is_telling_it_once(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    before = os.stat(share.full(NOTE)).st_ino
    failed(share, share.again(job))
    assert os.stat(share.full(NOTE)).st_ino == before


def test_another_failure_is_told_in_the_same_note(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    failed(share, share.again(job), TooLong(name="talk.mp4", limit_hours=12.0))
    assert list(share.exports()) == [NOTE]
    assert b"source.too-long" in share.read(NOTE)


@pytest.mark.parametrize("state", sorted(set(State) - {State.FAILED, State.DEAD}))
def test_what_is_not_over_leaves_no_note(share: Folder, state: State) -> None:
    job = share.drop(b"talk.mp4")
    report(share.ledger, share.share, job, EngineLost(), became=state)
    assert share.exports() == {}


def test_a_dead_job_leaves_a_note(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    report(share.ledger, share.share, job, EngineLost(), became=State.DEAD)
    assert b"node.engine-lost" in share.read(NOTE)


@pytest.mark.parametrize("error", [ShareOffline(share="talks"), NotRegular(name="x", what="y")])
def test_what_nobody_in_the_folder_can_mend_leaves_no_note(
    share: Folder, error: ApplianceError
) -> None:
    failed(share, share.drop(b"talk.mp4"), error)
    assert share.exports() == {}


def test_a_share_that_wants_no_notes_gets_none(share: Folder) -> None:
    silent = share.share.model_copy(update={"error_files": False})
    report(share.ledger, silent, share.drop(b"talk.mp4"), EMPTY, became=State.FAILED)
    assert share.exports() == {}


def test_an_ended_job_speaks_for_itself(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed_job = share.fail(job, EMPTY)
    report(share.ledger, share.share, failed_job, EMPTY)
    assert list(share.exports()) == [NOTE]


# --- when the note goes -------------------------------------------------------------------------


def test_a_note_that_a_person_wrote_in_stays(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    share.write(NOTE, b"Anna: I asked them to record it again")
    done(share, share.again(job))
    assert share.exports() == {NOTE: b"Anna: I asked them to record it again"}
    assert table.at(share.ledger, "talks", NOTE) is None  # it is Anna's now


def test_a_note_that_somebody_deleted_is_forgotten(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    os.unlink(share.full(NOTE))
    done(share, share.again(job))
    assert share.exports() == {}
    assert table.at(share.ledger, "talks", NOTE) is None


def test_a_strangers_file_of_that_name_stays(share: Folder) -> None:
    share.write(NOTE, b"a stranger's")
    job = share.drop(b"talk.mp4")
    failed(share, job)
    done(share, share.again(job))
    assert share.exports() == {NOTE: b"a stranger's"}


def test_the_note_of_the_broken_copy_goes_when_the_good_one_is_done(share: Folder) -> None:
    failed(share, share.drop(b"talk.mp4", b""))
    done(share, share.drop(b"talk.mp4"))
    assert share.exports() == {}


# --- when telling is not possible ---------------------------------------------------------------


@pytest.mark.parametrize("code", ["share.offline", "share.wrong-marker"])
def test_a_share_that_is_not_well_is_waited_for(share: Folder, code: str) -> None:
    def guard() -> None:
        raise CATALOGUE[code](share="talks", root=share.root)

    job = share.drop(b"talk.mp4")
    with pytest.raises(CATALOGUE[code]):
        report(share.ledger, share.share, job, EMPTY, became=State.FAILED, guard=guard)
    with pytest.raises(CATALOGUE[code]):
        report(share.ledger, share.share, noted(share, job), guard=guard)


def test_a_box_that_is_not_well_tries_again_to_leave_a_note_but_not_to_take_one_back(
    share: Folder,
) -> None:
    def guard() -> None:
        raise NodeIO(where=share.root, why="a bad disk")

    job = share.drop(b"talk.mp4")
    with pytest.raises(NodeIO):
        report(share.ledger, share.share, job, EMPTY, became=State.FAILED, guard=guard)
    report(share.ledger, share.share, noted(share, job), guard=guard)
    assert list(share.exports()) == [NOTE]


def noted(share: Folder, job: Job) -> Job:
    """The job, with a note that it left when it failed before."""
    failed(share, job)
    return share.again(job)


@pytest.mark.parametrize("code", ["source.name-too-long", "source.export-conflict"])
def test_a_note_that_finds_no_place_costs_no_job_its_end(
    share: Folder, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    def guard() -> None:
        raise CATALOGUE[code](share="talks", root=share.root)

    job = share.drop(b"talk.mp4")
    report(share.ledger, share.share, job, EMPTY, became=State.FAILED, guard=guard)
    assert share.exports() == {}
    assert [record.code for record in caplog.records] == ["source.empty", code]  # type: ignore[attr-defined]


def test_a_recording_that_is_gone_leaves_no_note_behind(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    os.unlink(share.full(b"talk.mp4"))
    failed(share, job, SourceMissing(name="talk.mp4"))
    failed(share, job)
    assert share.exports() == {}


def test_a_late_attempt_tells_nothing(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.again(job)
    with pytest.raises(Fenced):
        failed(share, job)
    assert share.exports() == {}


def test_a_late_attempt_takes_nothing_back(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    failed(share, job)
    share.again(job)
    with pytest.raises(Fenced):
        done(share, job)
    assert list(share.exports()) == [NOTE]


def test_taking_a_note_back_may_die_at_any_moment(share: Folder) -> None:
    for n in itertools.count(1):
        path = b"%d/talk.mp4" % n
        job = share.drop(path)
        failed(share, job)
        job = share.again(job)

        def work(n: int = n, job: Job = job) -> None:
            with Ledger(share.state) as ledger, Stepwise(n, die).following():
                report(ledger, share.share, job)

        outcome = in_child(work)
        done(share, share.again(job))
        assert share.exports(b"%d" % n) == {}, f"died at moment {n}"
        assert not list(table.of_job(share.ledger, job.id))
        if outcome != CRASHED:
            break
    assert outcome == 0
    assert n > 10


def test_nobody_touches_the_recording(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with watching(share.full(b"talk.mp4")) as touched:
        failed(share, job)
        done(share, share.again(job))
        assert not touched()


# --- what it says -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code, error in CATALOGUE.items() if error.note])
def test_every_note_says_what_happened_and_what_to_do(share: Folder, code: str) -> None:
    facts = {"limit_hours": 12.0, "limit_minutes": 10.0, "seconds": 1.0, "declared": 2.0}
    error = CATALOGUE[code](name="talk.mp4", free_gb=1.0, **facts)
    text = error_note(error, share.drop(b"talk.mp4")).decode()
    for part in ("talk.mp4", error.sentence, error.next_step, code, "Job 1,", "delete this note"):
        assert part in text
    assert text.count("\n") == text.count("\r\n") > 10
    assert max(map(len, text.splitlines())) < 200


def test_a_note_without_facts_still_names_its_file(share: Folder) -> None:
    assert "worked on talk.mp4." in error_note(Bug(), share.drop(b"talk.mp4")).decode()


def test_the_same_failure_is_told_in_the_same_bytes(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    assert error_note(EMPTY, job) == error_note(EMPTY, share.again(job))


def test_a_hostile_name_cannot_write_lines_of_its_own(share: Folder) -> None:
    name = "talk\r\n\x1b[2Jcall 555\u2028\u202e4pm.exe.mp4"
    job = share.drop(name.encode())
    plain = error_note(SourceEmpty(name="talk.mp4"), share.drop(b"talk.mp4")).decode()
    note = error_note(SourceEmpty(name=name), job).decode()
    assert len(note.splitlines()) == len(plain.splitlines())
    assert not set(note) & set("\x1b\u2028\u202e")
    assert "talk␍␊␛[2Jcall 555\\u2028\\u202e4pm.exe.mp4" in note


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("talk.mp4", "talk.mp4"),
        ("Besprechung Übung.mp4", "Besprechung Übung.mp4"),
        ("a\x00b\x7f\x85", "a␀b␡\\u0085"),
        ("\u2069\u202eevil", "\\u2069\\u202eevil"),
        ("הרצאה.mp4", "\u2068הרצאה.mp4\u2069"),
        ("می\u200cم", "\u2068می\u200cم\u2069"),
    ],
)
def test_a_name_is_spelt_so_that_it_disturbs_nothing(text: str, spelt: str) -> None:
    assert shown(text) == spelt


# --- the journal --------------------------------------------------------------------------------


def test_the_journal_can_follow_a_job_by_its_fields(
    share: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job = share.drop(b"talk.mp4")
    failed(share, job)
    done(share, job)
    for record, code, state in zip(
        caplog.records, ["source.empty", None], ["failed", "done"], strict=True
    ):
        fields = record.__dict__
        assert (fields["job"], fields["share"]) == (job.id, "talks")
        assert (fields["code"], fields["state"]) == (code, state)
        assert fields["correlation"] == "c0ffee"
        assert "talk.mp4" not in record.getMessage()


def test_a_conflict_is_told_too(share: Folder) -> None:
    failed(share, share.drop(b"talk.mp4"), ExportConflict(name="talk.mp4"))
    assert "no free name left" in share.read(NOTE).decode()
