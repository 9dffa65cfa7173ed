"""A recording that is sent becomes one job, whatever dies in between and whoever finds it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import moves, receive
from appliance.errors import (
    DiskFull,
    LedgerBusy,
    NodeIO,
    NoSuchUpload,
    OverQuota,
    UploadArrived,
    UploadRefused,
)
from appliance.nouns import UPLOADS, Options, Source, mtime_ns_of
from appliance.receive import Wish, arriving
from appliance.settings import Settings
from appliance.states import State
from appliance.store import jobs, schema, uploads
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment
from appliance.store.uploads import Upload
from appliance.watch.rounds import Rounds

SOUND = bytes(range(256)) * 100
ASKED = Options(language="de", formats=("txt",))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"node": {"state_dir": str(tmp_path / "state")}})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as opened:
        yield opened


def wish(**more: str) -> Wish:
    return Wish("user:anna", b"talk.wav", ASKED, **more)


def arrived_but_for_the_last_step(ledger: Ledger, settings: Settings) -> Upload:
    """As a process leaves it that dies between the rename and the commit."""
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    with arriving.opened(receive.incoming(settings, upload.id), keep_free=0) as file:
        file.write(SOUND)
    target = receive.place(settings, upload)
    os.makedirs(os.path.dirname(target))
    os.rename(os.fsencode(receive.incoming(settings, upload.id)), target)
    return upload


def only_job(ledger: Ledger) -> Job:
    (job,) = jobs.listing(ledger)
    return job


def test_it_is_admitted_as_its_sender_asked(ledger: Ledger, settings: Settings) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    assert receive.append(ledger, settings, upload, 0, [SOUND[:100], SOUND[100:]]) == len(SOUND)
    job = only_job(ledger)
    assert (job.options, job.submitter, job.state) == (ASKED, "user:anna", State.QUEUED)
    assert job.source.path == upload.path
    with pytest.raises(UploadArrived):
        receive.append(ledger, settings, upload, 0, [b"more"])


def test_who_asks_next_finishes_what_a_dead_process_began(
    ledger: Ledger, settings: Settings
) -> None:
    upload = arrived_but_for_the_last_step(ledger, settings)
    assert receive.offset(ledger, settings, upload) == len(SOUND)
    assert (only_job(ledger).options, only_job(ledger).submitter) == (ASKED, "user:anna")
    assert receive.offset(ledger, settings, upload) == len(SOUND)
    assert len(jobs.listing(ledger)) == 1


def test_the_watch_that_finds_it_first_knows_what_was_asked(
    ledger: Ledger, settings: Settings
) -> None:
    upload = arrived_but_for_the_last_step(ledger, settings)
    share = settings.share_named(UPLOADS)
    assert share is not None
    rounds = Rounds(ledger, settings, share, ring=lambda _job: None)
    try:
        for second in range(0, 60, 2):
            rounds.step(float(second))
            if jobs.listing(ledger):
                break
    finally:
        rounds.close()
    job = only_job(ledger)
    assert (job.options, job.submitter) == (ASKED, "user:anna")
    assert receive.offset(ledger, settings, upload) == len(SOUND)
    there = uploads.get(ledger, upload.id)
    assert there is not None
    assert there.arrived_ms is not None
    assert len(jobs.listing(ledger)) == 1


def test_a_file_that_is_whole_and_still_under_its_id_is_finished(
    ledger: Ledger, settings: Settings
) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    with arriving.opened(receive.incoming(settings, upload.id), keep_free=0) as file:
        file.write(SOUND)
    assert receive.offset(ledger, settings, upload) == len(SOUND)
    assert only_job(ledger).source.size == len(SOUND)


def test_while_the_ledger_takes_nothing_the_file_stays_and_is_finished_later(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    monkeypatch.setattr("appliance.store.ledger.PATIENCE_SECONDS", 0.05)

    def busy(*_: object) -> None:
        raise LedgerBusy(seconds=0.05)

    with monkeypatch.context() as locked:
        locked.setattr(Ledger, "insist", busy)
        with pytest.raises(LedgerBusy):
            receive.append(ledger, settings, upload, 0, [SOUND])
    assert jobs.listing(ledger) == []
    assert receive.offset(ledger, settings, upload) == len(SOUND)
    assert only_job(ledger).state is State.QUEUED


def test_a_disk_that_fills_up_keeps_what_was_there(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    write = os.write
    room = 5000

    def full(fd: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        room -= min(room, len(data))
        return write(fd, data[:5000])

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(DiskFull):
            receive.append(ledger, settings, upload, 0, [SOUND])
    assert receive.offset(ledger, settings, upload) == 5000
    assert receive.append(ledger, settings, upload, 5000, [SOUND[5000:]]) == len(SOUND)
    with open(receive.place(settings, upload), "rb") as stream:
        assert stream.read() == SOUND


def test_what_was_not_kept_is_gone(ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(UploadRefused), receive.Whole(ledger, settings) as file:
        file.keep(wish())
    with receive.Whole(ledger, settings) as file:
        file.write(SOUND)
    assert os.listdir(receive.incoming(settings)) == []
    assert jobs.listing(ledger) == []


# --- a line, a process or the power that breaks off ---------------------------------------------


def test_after_a_power_cut_no_length_is_believed_that_was_not_waited_for(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "STEP", 4096)
    safe: list[int] = []  # bytes that are on the disk for sure, turn after turn
    real = os.fdatasync

    def waited_for(fd: int) -> None:
        real(fd)
        safe.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fdatasync", waited_for)
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    receive.append(ledger, settings, upload, 0, [SOUND[:5_000]])
    receive.append(ledger, settings, upload, 5_000, [SOUND[5_000:9_000]])
    assert receive.offset(ledger, settings, upload) == 9_000
    with Ledger(settings.state_dir, clock=lambda: next_start(ledger)) as anew:
        at = receive.offset(anew, settings, upload)
        assert at == 8192
        assert max(safe) >= at
        assert receive.offset(anew, settings, upload) == at
        receive.append(anew, settings, upload, at, [SOUND[at:]])
    with open(receive.place(settings, upload), "rb") as stream:
        assert stream.read() == SOUND


def next_start(ledger: Ledger) -> Moment:
    return replace(ledger.clock(), boot_id="another")


def test_a_recording_that_was_whole_when_the_power_went_is_sent_again_from_what_is_sure(
    ledger: Ledger, settings: Settings
) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    with arriving.opened(receive.incoming(settings, upload.id), keep_free=0) as file:
        file.write(SOUND)
    with Ledger(settings.state_dir, clock=lambda: next_start(ledger)) as anew:
        assert receive.offset(anew, settings, upload) == 0
    assert jobs.listing(ledger) == []


@pytest.mark.parametrize("left", [None, SOUND[:100]], ids=["none", "some"])
def test_a_request_whose_process_died_is_done_when_it_comes_again(
    ledger: Ledger, settings: Settings, left: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was on the disk, its bytes were not, or not all."""
    with monkeypatch.context() as patch:
        patch.setattr(receive, "finish", lambda *_all: None)
        with receive.Whole(ledger, settings) as file:
            file.write(SOUND)
            lost = file.keep(wish(key="k"))
    if left is not None:
        with open(receive.incoming(settings, lost.id), "wb") as stream:
            stream.write(left)
    with receive.Whole(ledger, settings) as file:
        file.write(SOUND)
        again = file.keep(wish(key="k"))
    assert again.id == lost.id
    assert only_job(ledger).source.size == len(SOUND)
    with open(receive.place(settings, again), "rb") as stream:
        assert stream.read() == SOUND
    assert os.listdir(receive.incoming(settings)) == []


def test_a_request_that_failed_in_its_last_step_leaves_nothing_in_its_own_way(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(arriving, "sync", broken)
    with contextlib.suppress(NodeIO), receive.Whole(ledger, settings) as file:
        file.write(SOUND)
        file.keep(wish())
    assert jobs.listing(ledger) == []
    assert list(uploads.all_(ledger)) == []
    assert uploads.held(ledger, "user:anna").bytes == 0


def test_an_upload_that_lost_its_file_begins_anew_under_its_key(
    ledger: Ledger, settings: Settings
) -> None:
    upload = receive.begin(ledger, settings, wish(key="k"), size=len(SOUND))
    os.unlink(receive.incoming(settings, upload.id))
    again = receive.begin(ledger, settings, wish(key="k"), size=len(SOUND))
    assert again.id == upload.id
    assert receive.offset(ledger, settings, again) == 0
    assert receive.append(ledger, settings, again, 0, [SOUND]) == len(SOUND)
    assert only_job(ledger).source.size == len(SOUND)


def test_what_its_sender_gave_up_is_admitted_by_nobody(ledger: Ledger, settings: Settings) -> None:
    upload = receive.begin(ledger, settings, wish(), size=len(SOUND))
    with arriving.opened(receive.incoming(settings, upload.id), keep_free=0) as file:
        file.write(SOUND)
    uploads.forget(ledger, upload.id)
    with pytest.raises(NoSuchUpload):
        receive.offset(ledger, settings, upload)
    assert jobs.listing(ledger) == []


def test_too_many_unfinished_ones_are_refused(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "MOST_UNFINISHED", 2)
    for _ in range(2):
        receive.begin(ledger, settings, wish(), size=10)
    with pytest.raises(UploadRefused):
        receive.begin(ledger, settings, wish(), size=10)
    receive.begin(ledger, settings, replace(wish(), who="user:bo"), size=10)


def test_what_was_announced_counts_before_it_is_here(ledger: Ledger, settings: Settings) -> None:
    little = settings.model_copy(
        update={"uploads": settings.uploads.model_copy(update={"per_person_gb": 1e-6})}
    )
    receive.begin(ledger, little, wish(), size=600)
    with pytest.raises(OverQuota):
        receive.begin(ledger, little, wish(), size=600)


def test_a_form_that_would_be_too_much_is_refused_before_a_byte_is_taken(
    ledger: Ledger, settings: Settings
) -> None:
    little = settings.model_copy(
        update={"uploads": settings.uploads.model_copy(update={"per_person_gb": 0.01})}
    )
    receive.begin(ledger, little, wish(), size=9_000_000)
    with pytest.raises(OverQuota):
        receive.Whole(ledger, little, who="user:anna", announced=5_000_000)
    assert os.listdir(receive.incoming(little)) == [one.id for one in uploads.unfinished(ledger)]


def test_many_that_begin_at_once_have_no_more_than_one_who_does(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was let in has not been written down yet when the next is looked at."""
    little = settings.model_copy(
        update={"uploads": settings.uploads.model_copy(update={"per_person_gb": 1e-6})}
    )
    row = receive._row

    def slow(*facts: object, **more: object) -> Upload:
        made = row(*facts, **more)  # type: ignore[arg-type]
        if not inside:
            inside.append(True)
            receive.begin(ledger, little, wish(), size=600)
        return made

    inside: list[bool] = []
    monkeypatch.setattr(receive, "_row", slow)
    with pytest.raises(OverQuota):
        receive.begin(ledger, little, wish(), size=600)
    assert len(os.listdir(receive.incoming(little))) == 1


# --- answers ------------------------------------------------------------------------------------


def answered(ledger: Ledger, settings: Settings, who: str = "key:a") -> Upload:
    with receive.Whole(ledger, settings) as file:
        file.write(SOUND)
        return file.keep(Wish(who, b"recording.wav", Options(formats=()), uploads.ANSWERED))


def test_the_same_question_again_waits_for_the_same_job(ledger: Ledger, settings: Settings) -> None:
    first, second = answered(ledger, settings), answered(ledger, settings)
    assert first.id == second.id
    assert answered(ledger, settings, "key:b").id != first.id
    assert [job.priority for job in jobs.listing(ledger)] == [2, 2]


def test_a_question_that_failed_is_asked_anew(ledger: Ledger, settings: Settings) -> None:
    first = answered(ledger, settings)
    job = receive.job_of(ledger, first)
    assert job is not None
    jobs.cancel(ledger, job, who="tests")
    second = answered(ledger, settings)
    again = receive.job_of(ledger, second)
    assert again is not None
    assert (again.id != job.id, again.state) == (True, State.QUEUED)


def test_a_question_whose_job_was_forgotten_is_asked_anew(
    ledger: Ledger, settings: Settings
) -> None:
    first = answered(ledger, settings)
    moves.forget(ledger, moves.cancel(ledger, only_job(ledger), who="user:bo"))
    again = answered(ledger, settings)
    assert again.id != first.id
    assert only_job(ledger).state is State.QUEUED


def test_a_recording_that_is_asked_for_again_in_its_last_moment_stays(
    ledger: Ledger, settings: Settings
) -> None:
    upload = answered(ledger, settings)
    ended = moves.cancel(ledger, only_job(ledger), who="user:bo")  # retention has seen this
    moves.retry(ledger, ended, who="user:bo")
    with pytest.raises(OSError, match="busy"):
        receive.forget(ledger, settings, upload)
    assert os.path.exists(receive.place(settings, upload))
    assert only_job(ledger).state is State.QUEUED


def test_a_file_of_no_upload_is_asked_for_as_the_profile_says(
    ledger: Ledger, settings: Settings
) -> None:
    receive.prepare(ledger, settings)
    file = settings.state(UPLOADS, "put-there-by-hand.wav")
    with open(file, "wb") as stream:
        stream.write(SOUND)
    seen = os.stat(file)
    source = Source(UPLOADS, b"put-there-by-hand.wav", seen.st_size, mtime_ns_of(seen))
    assert uploads.of_source(ledger, source) is None
    assert uploads.of_source(ledger, replace(source, share="elsewhere")) is None
    with pytest.raises(NoSuchUpload):
        receive.mine(ledger, "put-there-by-hand.wav", "user:anna")


def test_a_disk_that_is_really_full_takes_the_rest_when_there_is_room_again(
    ledger: Ledger, settings: Settings
) -> None:
    """A file system of two megabytes under the uploads, as root alone may mount one."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    roomy = settings.model_copy(
        update={"disk": settings.disk.model_copy(update={"stop_below_gb": 0.0})}
    )
    folder = settings.state(UPLOADS)
    os.makedirs(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        receive.prepare(ledger, roomy)
        with open(os.path.join(folder, ".in-the-way"), "wb") as stream:
            stream.write(bytes(1_500_000))
        with pytest.raises(DiskFull):
            receive.begin(ledger, roomy, wish(), size=1_000_000)
        os.truncate(os.path.join(folder, ".in-the-way"), 500_000)
        upload = receive.begin(ledger, roomy, wish(), size=1_000_000)
        with open(os.path.join(folder, ".in-the-way"), "ab") as stream:
            stream.write(bytes(1_000_000))
        sound = os.urandom(1_000_000)
        with pytest.raises(DiskFull):
            receive.append(ledger, roomy, upload, 0, [sound[:300_000], sound[300_000:]])
        at = receive.offset(ledger, roomy, upload)
        assert 0 < at < 1_000_000
        assert jobs.listing(ledger) == []
        os.unlink(os.path.join(folder, ".in-the-way"))
        assert receive.append(ledger, roomy, upload, at, [sound[at:]]) == 1_000_000
        with open(receive.place(roomy, upload), "rb") as stream:
            assert stream.read() == sound
    finally:
        subprocess.run(["umount", folder], check=True)
