"""An edited text becomes files again: whole, once, and over nothing that a person wrote."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from appliance import admit, recover, report, revise, tasks
from appliance.box import Box, open_box
from appliance.daemon import Owner
from appliance.errors import EngineUnreachable, ExportConflict, Interrupted
from appliance.nouns import Options, Source
from appliance.porter import errands
from appliance.porter.talk import Errand
from appliance.settings import NodeSettings, Settings, Share
from appliance.states import State, Verdict
from appliance.store import (
    events,
    exports,
    gates,
    jobs,
    queue,
    revisions,
    schema,
    sightings,
    transcripts,
)
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.workloads import WORKLOADS
from tests.export import speech
from tests.witness import CRASHED, Stepwise, die, in_child

FORMATS = ("txt", "srt", "json")
FILES = {"talk.wav", "talk.txt", "talk.srt", "talk.json"}


def settings_of(folder: Path) -> Settings:
    root = folder / "inbox"
    root.mkdir()
    share = Share(name="inbox", root=str(root), require_marker=False)
    return Settings(node=NodeSettings(state_dir=str(folder / "state")), share=(share,))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with open_box(settings_of(tmp_path)) as opened:
        yield opened


def path(box: Box, name: str) -> str:
    return os.path.join(box.settings.share[0].root, name)


def read(box: Box, name: str) -> str:
    with open(path(box, name), encoding="utf-8") as stream:
        return stream.read()


def there(box: Box) -> set[str]:
    return set(os.listdir(box.settings.share[0].root))


def heard(box: Box, name: str = "talk.wav", *, text: str = "Hello berlin") -> Job:
    """A queued job whose recording has been transcribed: what is left is delivering."""
    with open(path(box, name), "wb") as stream:
        stream.write(b"sound")
    look = os.stat(path(box, name))
    source = Source("inbox", os.fsencode(name), look.st_size, look.st_mtime_ns)
    born = jobs.add(box.ledger, source, Options(formats=FORMATS), correlation="c")
    assert born is not None
    job = jobs.claim(box.ledger, born.id, owner=box.owner.id)
    assert job is not None
    transcripts.record(box.ledger, job, speech.spoken(text), asked_sha256="a")
    return jobs.end(box.ledger, job, Verdict(State.QUEUED), Interrupted(), who="tests")


def done(box: Box, name: str = "talk.wav") -> Job:
    job = heard(box, name)
    tasks.perform(job.id, box)
    return now(box, job)


def now(box: Box, job: Job) -> Job:
    return jobs.must(box.ledger, job.id)


def edit(box: Box, job: Job, text: str, on: str = "1.0") -> str:
    return revise.edit(
        box.ledger, job.id, on=on, task="transcribe", first=0, texts=[text], who="ada"
    )


def test_the_files_say_what_the_text_says(box: Box) -> None:
    job = done(box)
    assert (job.state, there(box)) == (State.DONE, FILES)
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    after = now(box, job)
    assert (after.state, after.epoch, after.workload) == (State.DONE, 1, jobs.LINE)
    assert there(box) == FILES
    assert all("Hello Berlin" in read(box, name) for name in FILES - {"talk.wav"})
    (revision,) = revisions.history(box.ledger, job)
    assert revision.exported_ms is not None
    assert {row.state for row in exports.of_job(box.ledger, job.id)} == {"published"}
    became = [event.became for event in events.of_job(box.ledger, job.id)]
    assert became[-4:] == ["done", "queued", "running", "done"]


def test_a_file_that_a_person_changed_is_never_overwritten(box: Box) -> None:
    job = done(box)
    with open(path(box, "talk.srt"), "a", encoding="utf-8") as stream:
        stream.write("my own words")
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    edit(box, job, "Hello Bonn", on="1.1")
    tasks.perform(job.id, box)
    assert there(box) == FILES | {"talk (2).srt"}
    assert "my own words" in read(box, "talk.srt")
    assert "berlin" in read(box, "talk.srt")
    assert all("Bonn" in read(box, name) for name in ("talk (2).srt", "talk.txt", "talk.json"))


def test_a_file_that_a_person_took_away_comes_back_with_the_edit(box: Box) -> None:
    job = done(box)
    os.unlink(path(box, "talk.txt"))
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    assert there(box) == FILES


def test_an_edit_made_while_files_are_written_has_its_turn(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(box)
    edit(box, job, "Hello Berlin")
    told = report.report

    def while_it_runs(*args: Any, **more: Any) -> None:
        monkeypatch.setattr(report, "report", told)
        edit(box, job, "Hello Bonn", on="1.1")
        told(*args, **more)

    monkeypatch.setattr(report, "report", while_it_runs)
    tasks.perform(job.id, box)
    behind = now(box, job)
    assert (behind.state, behind.workload) == (State.QUEUED, jobs.REEXPORT)
    assert [one.exported_ms is None for one in revisions.history(box.ledger, job)] == [True, False]
    tasks.perform(job.id, box)
    assert (now(box, job).state, "Bonn" in read(box, "talk.txt")) == (State.DONE, True)


def test_an_edit_before_anything_was_delivered_needs_no_turn_of_its_own(box: Box) -> None:
    job = heard(box)
    edit(box, job, "Hello Berlin")
    assert now(box, job).workload == jobs.LINE
    tasks.perform(job.id, box)
    assert now(box, job).state is State.DONE
    assert "Berlin" in read(box, "talk.srt")


def test_it_asks_nothing_of_an_engine(box: Box) -> None:
    job = done(box)
    gates.close(box.ledger, EngineUnreachable())
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    assert now(box, job).state is State.DONE
    assert not os.path.exists(box.spool(job.id))


def test_a_share_that_is_away_is_waited_for(box: Box) -> None:
    job = done(box)
    root = box.settings.share[0].root
    edit(box, job, "Hello Berlin")
    os.rename(root, f"{root}.away")
    tasks.perform(job.id, box)
    waiting = now(box, job)
    assert (waiting.state, waiting.workload) == (State.WAITING, jobs.REEXPORT)
    os.rename(f"{root}.away", root)
    recover.reconcile(box.ledger, box.settings, ring=lambda _job: None, pending=0)
    gates.open_again(box.ledger, "share:inbox")
    recover.reconcile(box.ledger, box.settings, ring=lambda _job: None, pending=0)
    tasks.perform(job.id, box)
    assert (now(box, job).state, "Berlin" in read(box, "talk.txt")) == (State.DONE, True)


def test_a_recording_that_is_away_has_its_files_written_when_it_is_back(box: Box) -> None:
    job = done(box)
    edit(box, job, "Hello Berlin")
    os.rename(path(box, "talk.wav"), f"{box.settings.share[0].root}.wav")
    tasks.perform(job.id, box)
    assert now(box, job).state is State.SOURCE_MISSING
    edit(box, job, "Hello Bonn", on="1.1")
    assert now(box, job).state is State.SOURCE_MISSING
    os.rename(f"{box.settings.share[0].root}.wav", path(box, "talk.wav"))
    back = admit.admit(box.ledger, job.source, job.options)
    assert back is not None
    assert (back.id, back.workload) == (job.id, jobs.REEXPORT)
    tasks.perform(job.id, box)
    assert (now(box, job).state, "Bonn" in read(box, "talk.txt")) == (State.DONE, True)


def test_a_job_asked_for_anew_is_transcribed_anew(box: Box) -> None:
    job = done(box)
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    again = jobs.requeue(box.ledger, now(box, job), who="me")
    assert (again.workload, again.epoch, revisions.newest(box.ledger, again)) == (jobs.LINE, 2, 0)


def copied_again(box: Box, options: Options) -> Job:
    """The recording is written over itself, and what is heard in it is recorded anew."""
    os.utime(path(box, "talk.wav"), ns=(10**18, 10**18))
    source = Source("inbox", b"talk.wav", os.path.getsize(path(box, "talk.wav")), 10**18)
    new = admit.admit(box.ledger, source, options)
    assert new is not None
    job = jobs.claim(box.ledger, new.id, owner=box.owner.id)
    assert job is not None
    transcripts.record(box.ledger, job, speech.spoken("Hello berlin"), asked_sha256="a")
    jobs.end(box.ledger, job, Verdict(State.QUEUED), Interrupted(), who="tests")
    tasks.perform(job.id, box)
    return now(box, job)


def test_another_text_of_a_recording_takes_no_correction_away(box: Box) -> None:
    """Another recording under this name, or other options since: it gets files of its own."""
    job = done(box)
    edit(box, job, "Hello Berlin")
    tasks.perform(job.id, box)
    before = read(box, "talk.json")
    assert copied_again(box, job.options).state is State.DONE
    assert "Hello Berlin" in read(box, "talk.txt")
    assert read(box, "talk.json") == before
    assert there(box) == FILES | {"talk (2).txt", "talk (2).srt", "talk (2).json"}


def test_one_that_nobody_corrected_is_replaced(box: Box) -> None:
    job = done(box)
    assert copied_again(box, job.options).state is State.DONE
    assert there(box) == FILES


def test_a_correction_that_waits_for_its_recording_outlives_other_wishes(box: Box) -> None:
    job = done(box)
    sightings.note(box.ledger, job.source, sightings.SETTLED, correlation="c")
    edit(box, job, "Hello Berlin")
    look = os.stat(path(box, "talk.wav"))
    admit.gone(box.ledger, "inbox", b"talk.wav")
    source = Source("inbox", b"talk.wav", look.st_size, look.st_mtime_ns)
    admit.admit(box.ledger, source, Options(formats=FORMATS, language="de"))
    tasks.perform(job.id, box)
    assert now(box, job).state is State.DONE
    assert "Hello Berlin" in read(box, "talk.txt")


def test_one_that_failed_goes_on_where_it_was_when_it_is_retried(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(box)
    edit(box, job, "Hello Berlin")

    def full(_job: Job, _box: Box) -> None:
        raise ExportConflict(name="talk.wav")

    with monkeypatch.context() as patch:
        patch.setitem(WORKLOADS, jobs.REEXPORT, full)
        tasks.perform(job.id, box)
    failed = now(box, job)
    assert (failed.state, failed.workload) == (State.FAILED, jobs.REEXPORT)
    assert "corrections are safe" in read(box, "talk.wav.ERROR.txt")
    assert jobs.requeue(box.ledger, failed, who="me").workload == jobs.REEXPORT
    tasks.perform(job.id, box)
    assert (now(box, job).state, there(box)) == (State.DONE, FILES)


def test_another_edit_is_another_try(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    job = done(box)
    edit(box, job, "Hello Berlin")

    def bug(_job: Job, _box: Box) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setitem(WORKLOADS, jobs.REEXPORT, bug)
        tasks.perform(job.id, box)
    assert now(box, job).state is State.FAILED
    edit(box, job, "Hello Bonn", on="1.1")
    tasks.perform(job.id, box)
    assert (now(box, job).state, "Bonn" in read(box, "talk.txt")) == (State.DONE, True)


def test_a_person_who_waits_for_files_is_not_kept_waiting_by_recordings(box: Box) -> None:
    long_one, *others = (heard(box, f"{n}.wav") for n in range(4))
    tasks.perform(long_one.id, box)
    edit(box, long_one, "Hello Berlin")
    assert queue.queued(box.ledger, short=True, limit=5) == [long_one.id]
    assert queue.queued(box.ledger, short=False, limit=5) == [one.id for one in others]


# --- killed at any moment -------------------------------------------------------------------------


class _Inside:
    """A porter's errands, carried in this process: whoever kills it kills both."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger

    def carry(self, verb: str, job: Job, _share: Share, **_more: object) -> None:
        errand = Errand(verb, job.id, job.attempt)
        errands.carry(self._ledger, self._settings, cast(Any, _Deaf()), errand)


class _Deaf:
    def try_to_send(self, _word: object) -> None:
        pass


@contextlib.contextmanager
def small_box(settings: Settings) -> Iterator[Box]:
    """A box without children."""
    with Ledger(settings.state_dir) as ledger, Owner(settings.run_dir) as owner:
        inside = cast(Any, _Inside(settings, ledger))
        yield Box(settings, ledger, owner, cast(Any, None), inside, threading.Event())


def crash(settings: Settings, job: Job, n: int) -> bool:
    """Write the files anew in a child that dies at its n-th moment; False when it came through."""

    def work() -> None:
        with small_box(settings) as box, Stepwise(n, die).following():
            tasks.perform(job.id, box)

    outcome = in_child(work)
    assert outcome in (0, CRASHED)
    return outcome == CRASHED


@pytest.fixture
def memory() -> Iterator[Path]:
    """In memory where there is such a folder: what matters here dies the same, only faster."""
    where = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - tempfile names it
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


def test_whoever_dies_while_files_are_written_anew_the_next_leaves_one_of_each(
    memory: Path,
) -> None:
    settings = settings_of(memory)
    schema.prepare(settings.state_dir)
    os.makedirs(settings.run_dir, exist_ok=True)
    with small_box(settings) as box:
        job = done(box)
    crashed = True
    n = 1
    while crashed:
        n += 4  # of some four hundred moments; deliver's own tests die at every one of its
        with small_box(settings) as box:
            edit(box, job, f"Hello Berlin{n}", on=revise.opened(box.ledger, job.id).tag)
        crashed = crash(settings, job, n)
        with small_box(settings) as box:
            for _ in range(2):
                recover.reconcile(box.ledger, settings, ring=lambda _job: None, pending=0)
            if now(box, job).state is not State.DONE:
                tasks.perform(job.id, box)
            assert now(box, job).state is State.DONE, f"died at moment {n}"
            assert there(box) == FILES, f"died at moment {n}"
            assert all(f"Berlin{n}" in read(box, one) for one in FILES - {"talk.wav"})
            newest = revisions.history(box.ledger, job)[0]
            assert newest.exported_ms is not None
            assert {row.state for row in exports.of_job(box.ledger, job.id)} == {"published"}
    assert n > 200
