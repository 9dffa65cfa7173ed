"""What goes when its time is over, and what never does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance import daemon, deliver, logbook, receive, retention
from appliance.errors import AlreadyRunning, ClockLeapt, ShareOffline, SourceUnreadable
from appliance.health import checks
from appliance.health.finding import Finding, Level
from appliance.nouns import UPLOADS, Options, Source
from appliance.receive import arriving
from appliance.settings import Settings
from appliance.states import State, Verdict
from appliance.store import (
    alerts,
    events,
    gates,
    housekeeping,
    jobs,
    outbox,
    schema,
    search,
    shares,
    sightings,
    transcripts,
    uploads,
)
from appliance.store.alerts import Alert, Phase
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment, read_clock
from appliance.store.uploads import Upload
from tests.export import speech

DAY = 86_400
MARK = "the-share-we-mean"


@dataclass
class Kept:
    """A box whose clock we hold."""

    settings: Settings
    ledger: Ledger
    days: list[float]

    def later(self, days: float) -> None:
        self.days[0] += days

    def sweep(self, *, preview: bool = False) -> dict[str, int]:
        """Go through the rules; how many each found, silent ones left out."""
        gone = retention.sweep(self.ledger, self.settings, preview=preview)
        assert not [one.trouble for one in gone if one.trouble and "share" not in one.rule]
        return {one.rule: one.files for one in gone if one.files}

    @property
    def root(self) -> Path:
        return Path(self.settings.share[0].root)

    def state(self, *parts: str) -> Path:
        """A file of the box; its folder is made."""
        path = Path(self.settings.state(*parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def job(self, path: bytes, *, ended: bool = True) -> Job:
        """A job at its first attempt."""
        born = jobs.add(self.ledger, Source("s", path, 1, 1), Options(), correlation="c")
        assert born is not None
        job = jobs.claim(self.ledger, born.id, owner="w")
        assert job is not None
        if not ended:
            return job
        error = SourceUnreadable(name="talk")
        return jobs.end(self.ledger, job, Verdict(State.FAILED), error, who="w")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    root = tmp_path / "share"
    root.mkdir()
    (root / ".transcribe-id").write_text(MARK)
    state = str(tmp_path / "state")
    settings = Settings.model_validate(
        {"node": {"state_dir": state}, "share": [{"name": "s", "root": str(root)}]}
    )
    schema.prepare(state)
    days = [0.0]

    def clock() -> Moment:
        now = read_clock()
        return replace(now, wall_ms=now.wall_ms + round(days[0] * DAY * 1000))

    with Ledger(state, clock=clock) as ledger:
        shares.adopt(ledger, "s", marker=MARK, existing="process")
        shares.seen(ledger, "s", state="online")
        yield Kept(settings, ledger, days)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- on the box ---------------------------------------------------------------------------------

FILES = {  # a file of the box, the rule that takes it, the days it stays
    "logs/7/1.jsonl": ("logs", 90),
    "uploads/7/talk.wav": ("uploads", 30),
    "quarantine/2026/ledger.db": ("quarantine", 30),
    "models/.large@0123456789ab.part/model.bin": ("partials", 1),
    "backups/.ledger-1.db": ("partials", 1),
    "backups/ledger.db.part": ("partials", 1),
    "backups/ledger-2026-01-01T00-00-00Z.db.new": ("partials", 1),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_goes_when_its_days_are_over_and_not_before(kept: Kept, name: str) -> None:
    rule, days = FILES[name]
    file = kept.state(name)
    file.write_bytes(b"1234567")
    kept.later(days - 0.1)
    assert kept.sweep() == {}
    kept.later(0.2)
    before = everything(file.parents[0])
    assert kept.sweep(preview=True) == {rule: 1}
    assert everything(file.parents[0]) == before
    assert kept.sweep() == {rule: 1}
    assert not file.exists()
    assert housekeeping.last(kept.ledger, rule) is not None


@pytest.mark.parametrize(
    "name",
    [
        "ledger.db",
        "huey.db",
        "reserve",
        "migrate.lock",
        "backups/ledger-2026-01-01T00-00-00Z.db",
        "backups/2026/ledger.db",
        "models/large@0123456789ab/model.bin",
        "models/.transcribe",
        "logs/7/notes.txt",
        "logs/readme",
        "spool/mine/source",
        "run/owners/somebody",
    ],
)
def test_what_no_rule_names_stays_for_ever(kept: Kept, name: str) -> None:
    file = kept.state(name)
    if not file.exists():
        file.write_bytes(b"1")
    kept.later(4_000)
    kept.sweep()
    assert file.exists()


def test_a_link_goes_and_what_it_points_to_stays(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "talk.wav").write_bytes(b"1")
    for name in ("uploads/link", "spool/98", "models/.x@ab.part", "backups/.linked"):
        kept.state(name).symlink_to(tmp_path / "precious")
    kept.later(4_000)
    kept.sweep()
    assert (tmp_path / "precious" / "talk.wav").exists()


def test_the_folder_of_a_jobs_logs_goes_with_its_last_log(kept: Kept) -> None:
    logs = kept.settings.state("logs")
    for attempt in (1, 2):
        with logbook.kept(logs, 7, attempt):
            logbook.note("claimed")
    kept.later(91)
    assert kept.sweep() == {"logs": 2}
    assert os.listdir(logs) == []


def test_events_of_ended_jobs_go_in_batches_and_those_of_living_ones_stay(kept: Kept) -> None:
    old, alive = kept.job(b"old.wav"), kept.job(b"alive.wav", ended=False)
    kept.later(366)
    young = kept.job(b"young.wav")
    assert kept.sweep(preview=True)["events"] == len(list(events.of_job(kept.ledger, old.id)))
    assert events.expire(
        kept.ledger, before_ms=kept.ledger.clock().wall_ms - 365 * DAY * 1000, batch=1
    )
    assert list(events.of_job(kept.ledger, old.id)) == []
    assert len(list(events.of_job(kept.ledger, alive.id))) == 3
    assert len(list(events.of_job(kept.ledger, young.id))) == 4
    assert "events" not in kept.sweep()
    assert jobs.get(kept.ledger, old.id) is not None


def test_a_file_that_came_lately_is_young_however_old_it_says_it_is(kept: Kept) -> None:
    file = kept.state("uploads", "talk.wav")
    file.write_bytes(b"1")
    os.utime(file, (0, 0))
    assert kept.sweep() == {}


def test_a_file_that_is_gone_for_long_is_forgotten_and_no_other(kept: Kept) -> None:
    for state in (sightings.GONE, sightings.IGNORED, sightings.SETTLED, sightings.RECEIVING):
        source = Source("s", state.encode(), 1, 1)
        sightings.note(kept.ledger, source, state, correlation="c", why="old-file")
    kept.later(89)
    assert kept.sweep() == {}
    kept.later(2)
    assert kept.sweep() == {"sightings": 1}
    left = {seen.state for seen in sightings.of_share(kept.ledger, "s")}
    assert left == {sightings.IGNORED, sightings.SETTLED, sightings.RECEIVING}


# --- on a share ---------------------------------------------------------------------------------


def littered(kept: Kept) -> tuple[Job, Path]:
    """A share with a hidden file of ours that a job which has ended left behind."""
    (kept.root / "monday").mkdir(exist_ok=True)
    job = kept.job(b"monday/talk.wav")
    litter = kept.root / "monday" / f".~appliance-{job.id}.1.srt"
    litter.write_bytes(b"half a")
    return job, litter


def test_a_hidden_file_of_a_job_that_ended_goes_and_nothing_else_on_the_share(kept: Kept) -> None:
    job, litter = littered(kept)
    running = kept.job(b"monday/running.wav", ended=False)
    stay = {
        "talk.wav",
        "talk.srt",
        f".~appliance-{job.id}.2.srt",  # of an attempt that is still to come
        f".~appliance-{running.id}.1.srt",  # somebody is at it
        ".~appliance-999.1.srt",  # nobody knows this job
        f".~appliance-{job.id}.srt",
        ".~lock.talk#",
    }
    for name in stay:
        (kept.root / "monday" / name).write_bytes(b"somebody's")
    (kept.root / "monday" / f".~appliance-{job.id}.0.d").mkdir()
    (kept.root / f".~appliance-{job.id}.1.srt").write_bytes(b"another folder's")
    before = everything(kept.root)
    assert kept.sweep(preview=True) == {"share s": 1}
    assert everything(kept.root) == before
    assert kept.sweep() == {"share s": 1}
    assert everything(kept.root) == before - {str(litter.relative_to(kept.root))}


@pytest.mark.parametrize("trouble", ["wrong marker", "no marker", "offline", "gate"])
def test_a_share_that_is_not_well_is_left_alone(kept: Kept, trouble: str) -> None:
    _, litter = littered(kept)
    if trouble == "wrong marker":
        (kept.root / ".transcribe-id").write_text("another")
    elif trouble == "no marker":
        (kept.root / ".transcribe-id").unlink()
    elif trouble == "offline":
        shares.seen(kept.ledger, "s", state="offline")
    else:
        gates.close(kept.ledger, ShareOffline(share="s"))
    assert kept.sweep() == {}
    assert litter.exists()


def test_a_share_that_goes_wrong_while_we_look_loses_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, litter = littered(kept)
    find = deliver.hidden

    def swapped(root: str, folder: bytes) -> object:
        found = find(root, folder)
        (kept.root / ".transcribe-id").write_text("another")
        return found

    monkeypatch.setattr(deliver, "hidden", swapped)
    assert kept.sweep() == {}
    assert litter.exists()


def test_a_folder_is_looked_at_again_only_when_something_happened_there(kept: Kept) -> None:
    job, litter = littered(kept)
    assert kept.sweep() == {"share s": 1}
    kept.later(2)
    assert kept.sweep() == {}
    litter.write_bytes(b"half a")
    kept.later(2)
    assert kept.sweep() == {}  # nobody was there since
    jobs.requeue(kept.ledger, job, who="t")
    again = jobs.claim(kept.ledger, job.id, owner="w")
    assert again is not None
    jobs.end(kept.ledger, again, Verdict(State.FAILED), SourceUnreadable(), who="w")
    assert kept.sweep() == {"share s": 1}


def old_log(kept: Kept) -> Path:
    log = kept.state("logs", "1", "1.jsonl")
    log.write_text("{}\n")
    return log


@pytest.mark.parametrize("days", [3_650, 61, -3_650])
def test_a_clock_that_has_leapt_makes_nothing_old(kept: Kept, days: float) -> None:
    kept.sweep()
    log = old_log(kept)
    kept.later(days)
    with pytest.raises(ClockLeapt):
        kept.sweep()
    (said,) = checks.upkeep(kept.ledger, kept.settings)
    assert (said.level, said.error) == (Level.WARN, ClockLeapt.code)
    assert log.exists()
    kept.later(-days + 1)  # it is set right
    kept.sweep()
    assert log.exists()


def test_a_box_that_was_off_for_months_goes_on_after_a_week(kept: Kept) -> None:
    kept.sweep()
    log = old_log(kept)
    kept.later(200)
    for _ in range(7):
        with pytest.raises(ClockLeapt):
            kept.sweep()
        assert log.exists()
        kept.later(1)
    kept.sweep()
    assert not log.exists()


def test_a_clock_that_leaps_about_is_never_believed(kept: Kept) -> None:
    kept.sweep()
    for days in (3_650, 100, -3_650, 3_650, 5, 365):
        kept.later(days)
        with contextlib.suppress(ClockLeapt):
            kept.sweep()
            raise AssertionError(days)


def test_a_person_may_say_that_the_clock_is_right(kept: Kept) -> None:
    kept.sweep()
    log = old_log(kept)
    kept.later(200)
    retention.sweep(kept.ledger, kept.settings, clock_is_right=True)
    assert not log.exists()
    kept.later(1)
    kept.sweep()


def test_a_run_under_a_clock_of_the_future_does_not_last(kept: Kept) -> None:
    """The box had followed such a clock before, or a person has said that it is right."""
    kept.later(3_650)
    kept.sweep()
    kept.later(-3_650)
    for _ in range(7):
        with pytest.raises(ClockLeapt):
            kept.sweep()
        kept.later(1)
    kept.sweep()
    kept.later(1)
    kept.sweep()


def test_a_sweep_of_the_future_hides_nothing_from_one_of_today(kept: Kept) -> None:
    kept.later(3650)
    kept.sweep()
    kept.later(-3650)  # somebody set the clock right
    littered(kept)
    gone = retention.sweep(kept.ledger, kept.settings, clock_is_right=True)
    assert {one.rule: one.files for one in gone if one.files} == {"share s": 1}


def test_messages_go_when_they_are_old_and_so_do_alerts_that_are_over(kept: Kept) -> None:
    now = kept.ledger.clock()
    live = Alert(
        *("engine", "engine", 2, "No engine answers.", "Start it.", None, Phase.OPEN),
        *(now.wall_ms, now.boot_s, now.boot_id),
    )
    over = replace(live, name="disk", phase=Phase.CLOSED, closed_ms=now.wall_ms)
    alerts.keep(kept.ledger, [live, over])
    outbox.put(kept.ledger, outbox.letters(["desk"], {"kind": "test"}, now.wall_ms))
    kept.later(364)
    assert kept.sweep() == {}
    kept.later(2)
    assert kept.sweep() == {"messages": 2}
    assert alerts.live(kept.ledger) == [live]
    assert not list(alerts.closed(kept.ledger, limit=9))
    assert not outbox.due(kept.ledger, "desk")


# --- the run itself -----------------------------------------------------------------------------


def test_a_preview_leaves_no_trace_and_a_run_is_remembered(kept: Kept) -> None:
    kept.sweep(preview=True)
    assert housekeeping.last(kept.ledger) is None
    kept.sweep()
    assert housekeeping.last(kept.ledger) == pytest.approx(kept.ledger.clock().wall_ms, abs=60_000)


def test_check_says_when_nothing_was_tidied_up_for_days(kept: Kept) -> None:
    def told() -> Finding:
        return next(checks.upkeep(kept.ledger, kept.settings))

    kept.job(b"talk.wav")
    kept.later(1)
    assert told().level is Level.OK
    kept.later(2)
    assert told().level is Level.WARN
    kept.sweep()
    assert told().level is Level.OK
    assert "0 hours ago" in told().text
    kept.later(3)
    assert told().level is Level.WARN


def test_two_runs_at_once_are_one_too_many(kept: Kept) -> None:
    with (
        daemon.only_one(kept.settings.state_dir, "retention"),
        pytest.raises(AlreadyRunning),
    ):
        kept.sweep()


def test_every_deletion_is_a_line_in_the_log(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    kept.state("uploads", "talk.wav").write_bytes(b"1234567")
    kept.later(31)
    kept.sweep()
    (line,) = [one for one in caplog.records if one.message == "removed"]
    assert (line.__dict__["rule"], line.__dict__["bytes"]) == ("uploads", 7)


def test_one_file_that_cannot_be_removed_keeps_no_other(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        kept.state("uploads", name).write_bytes(b"1")
    kept.later(31)
    unlink = os.unlink

    def stubborn(path: str, **more: int) -> None:
        if str(path).endswith("/a"):
            raise PermissionError(1, "not permitted")
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", stubborn)
    assert kept.sweep() == {"uploads": 1}


# --- what was sent to the box -------------------------------------------------------------------


def sent(kept: Kept, *, kind: str = uploads.KEPT, half: bool = False) -> Upload:
    """A recording that somebody sent, done; or half of one."""
    options = Options(formats=("txt",))
    wish = receive.Wish("user:anna", b"talk.wav", options, kind)
    upload = receive.begin(kept.ledger, kept.settings, wish, size=10)
    receive.append(kept.ledger, kept.settings, upload, 0, [b"12345" if half else b"1234567890"])
    if half:
        return upload
    job = receive.job_of(kept.ledger, upload)
    assert job is not None
    running = jobs.claim(kept.ledger, job.id, owner="w")
    assert running is not None
    said = speech.transcript(speech.segment(" budget", 0.0, 1.0))
    transcripts.record(kept.ledger, running, said, asked_sha256="x")
    beside = os.fsdecode(os.path.splitext(receive.place(kept.settings, upload))[0]) + ".txt"
    Path(beside).write_text("budget")
    jobs.finish(kept.ledger, running, [], rss_peak=None)
    return upload


@pytest.mark.parametrize(("kind", "days"), [(uploads.KEPT, 30), (uploads.ANSWERED, 1)])
def test_a_recording_that_was_sent_goes_with_its_files_when_its_days_are_over(
    kept: Kept, kind: str, days: int
) -> None:
    upload = sent(kept, kind=kind)
    folder = Path(os.fsdecode(receive.place(kept.settings, upload))).parent
    job = receive.job_of(kept.ledger, upload)
    assert job is not None
    kept.later(days - 0.1)
    kept.sweep()
    assert folder.exists()
    kept.later(0.2)
    assert kept.sweep(preview=True)["uploads"] == 2
    assert folder.exists()
    assert kept.sweep()["uploads"] == 2
    assert not folder.parent.exists()
    assert uploads.get(kept.ledger, upload.id) is None
    seen = sightings.get(kept.ledger, UPLOADS, upload.path)
    assert seen is not None
    assert seen.state == sightings.GONE
    kept_text = kind == uploads.KEPT
    assert (transcripts.of_job(kept.ledger, job) is not None) == kept_text
    assert bool(search.find(kept.ledger, "budget")) == kept_text
    assert jobs.must(kept.ledger, job.id).state is State.DONE
    assert "uploads" not in kept.sweep()


def test_what_is_in_hand_or_was_worked_on_since_stays(kept: Kept) -> None:
    upload = sent(kept)
    job = receive.job_of(kept.ledger, upload)
    assert job is not None
    kept.later(25)
    jobs.requeue(kept.ledger, job, who="anna")
    kept.later(10)
    assert "uploads" not in kept.sweep()
    running = jobs.claim(kept.ledger, job.id, owner="w")
    assert running is not None
    jobs.finish(kept.ledger, running, [], rss_peak=None)
    kept.later(29)
    assert "uploads" not in kept.sweep()
    kept.later(2)
    assert "uploads" in kept.sweep()


def test_half_an_upload_is_forgotten_after_a_day(kept: Kept) -> None:
    upload = sent(kept, half=True)
    stray = Path(receive.incoming(kept.settings, "0" * 32))
    stray.write_bytes(b"of a process that died")
    kept.later(0.9)
    assert "unfinished uploads" not in kept.sweep()
    kept.later(0.2)
    with arriving.opened(receive.incoming(kept.settings, upload.id), keep_free=0):
        kept.sweep()
        assert uploads.get(kept.ledger, upload.id) is not None, "somebody is sending to it"
    assert not stray.exists()
    kept.sweep()
    assert uploads.get(kept.ledger, upload.id) is None
    assert os.listdir(receive.incoming(kept.settings)) == []


def test_an_upload_that_was_whole_when_its_sender_left_becomes_a_job(kept: Kept) -> None:
    wish = receive.Wish("user:anna", b"talk.wav", Options())
    upload = receive.begin(kept.ledger, kept.settings, wish, size=5)
    with arriving.opened(receive.incoming(kept.settings, upload.id), keep_free=0) as file:
        file.write(b"12345")
    kept.later(2)
    kept.sweep()
    job = receive.job_of(kept.ledger, upload)
    assert job is not None
    assert job.state is State.QUEUED
