"""What a lost ledger has forgotten is found again beside its recording, and nothing else is."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from appliance import export, regain
from appliance.deliver import deliver
from appliance.errors import ShareOffline
from appliance.export.json import END_BYTES
from appliance.nouns import Notice, Options, Provenance, Segment, Source, Transcript, Word, display
from appliance.states import State
from appliance.store import exports, jobs, restores, schema, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.values import to_plain
from tests.folder import Folder, well

OPTIONS = Options(language="de", vocabulary=("Käse",))
DAY_MS = 86_400_000


def spoken(job: Job, task: str = "transcribe") -> Transcript:
    words = (Word(0.5, 1.0, " Hallo", 0.9), Word(1.0, 1.5, " Welt.", 0.25))
    segment = Segment(
        0, 0, 0.5, 1.5, f" Hallo Welt. {task}", (5, 6), 0.0, -0.25, 1.5, 0.0625, words
    )
    return Transcript(
        task=task,
        language="de",
        language_probability=0.5,
        duration=2.0,
        model="large",
        segments=(segment,),
        warnings=(Notice("warning.low-confidence", {"percent": 50}),),
        provenance=Provenance(
            appliance="1",
            engine="an engine",
            model="large",
            model_sha256="ab" * 32,
            device="cpu",
            compute_type="int8",
            options=to_plain(job.options),
            source_name=display(job.source.name),
            source_sha256="cd" * 32,
            source_size=job.source.size,
            source_mtime_ns=job.source.mtime_ns,
            correlation=job.correlation,
        ),
    )


@dataclasses.dataclass
class Lost:
    """A share with finished work on it, and the ledger that did it, which can be lost."""

    share: Folder

    def finish(self, path: bytes = b"a/talk.mp4", options: Options = OPTIONS) -> Job:
        """Do a job as the line does it."""
        ledger = self.share.ledger
        job = self.claimed(path, options)
        made = [spoken(job, task) for task in options.tasks]
        for one in made:
            transcripts.record(ledger, job, one, asked_sha256=transcripts.asked(options, "ab" * 32))
        recorded = transcripts.of_job(ledger, job)
        assert recorded is not None
        rendered = [one for each in recorded for one in export.render_all(each, options)]
        deliver(ledger, self.share.root, job, rendered)
        return jobs.finish(ledger, job, made[0].warnings, rss_peak=None)

    def claimed(self, path: bytes = b"a/talk.mp4", options: Options = OPTIONS) -> Job:
        """A job for the file at `path`, as it lies there."""
        if not os.path.exists(self.share.full(path)):
            self.share.write(path, b"sound of " + path)
        seen = os.stat(self.share.full(path))
        source = Source("talks", path, seen.st_size, seen.st_mtime_ns)
        born = jobs.add(self.share.ledger, source, options, correlation="c0ffee")
        assert born is not None
        return self.share.claim(born)

    def lose(self, *, note: bool = True) -> None:
        """A new ledger, which knows that it is not the first."""
        self.share.ledger.close()
        shutil.rmtree(self.share.state)
        schema.prepare(self.share.state)
        self.share.ledger = Ledger(self.share.state)
        if note:
            restores.note(self.share.ledger, backup=None, why="a test", quarantine=None)

    def regain(self, job: Job) -> bool:
        return regain.regain(self.share.ledger, self.share.root, job, guard=well)

    def rows(self, job: Job) -> Mapping[bytes, str]:
        found = exports.of_job(self.share.ledger, job.id)
        return {row.path: row.sha256 for row in found if row.state == "published"}


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Lost]:
    folder = Folder(str(tmp_path / "share"), str(tmp_path / "state"))
    made = Lost(folder)
    yield made
    made.share.ledger.close()


TASKS = [dataclasses.replace(OPTIONS, task=task) for task in ("transcribe", "translate", "both")]


@pytest.mark.parametrize("options", TASKS, ids=lambda one: str(one.task))
@pytest.mark.parametrize("path", [b"a/talk.mp4", b"caf\xe9 (1).wav", b"n" * 240 + b".wav"])
def test_finished_work_is_found_again_to_the_byte(
    lost: Lost, options: Options, path: bytes
) -> None:
    before = lost.finish(path, options)
    recorded = transcripts.of_job(lost.share.ledger, before)
    rows = lost.rows(before)
    files = lost.share.contents(os.path.dirname(path))
    lost.lose()
    job = lost.claimed(path, Options())  # asked for otherwise by now
    assert lost.regain(job)
    job = jobs.must(lost.share.ledger, job.id)
    assert (job.options, job.sha256) == (options, "cd" * 32)
    assert transcripts.of_job(lost.share.ledger, job) == recorded
    assert lost.rows(job) == rows
    assert transcripts.was_regained(lost.share.ledger, job)
    assert lost.share.contents(os.path.dirname(path)) == files, "nothing was written"


def test_finding_it_twice_is_finding_it_once(lost: Lost) -> None:
    lost.finish()
    lost.lose()
    job = lost.claimed()
    assert lost.regain(job)
    assert lost.regain(jobs.must(lost.share.ledger, job.id)), "killed before its job was done"
    done = jobs.finish(lost.share.ledger, jobs.must(lost.share.ledger, job.id), [], rss_peak=None)
    again = lost.share.claim(jobs.requeue(lost.share.ledger, done, who="me"))
    assert not lost.regain(again), "this ledger has seen it done: a person asks for more"


def test_a_twin_keeps_its_own(lost: Lost) -> None:
    lost.finish(b"talk.mp4")
    lost.share.write(b"talk.mp3", b"another sound altogether")
    lost.finish(b"talk.mp3")
    lost.lose()
    for path, named in ((b"talk.mp3", b"talk.mp3.srt"), (b"talk.mp4", b"talk.srt")):
        job = lost.claimed(path)
        assert lost.regain(job)
        assert named in lost.rows(jobs.must(lost.share.ledger, job.id))


def test_what_a_person_changed_or_removed_is_theirs(lost: Lost) -> None:
    lost.finish(b"talk.mp4")
    lost.share.write(b"talk.txt", b"corrected by hand")
    os.unlink(lost.share.full(b"talk.srt"))
    lost.lose()
    job = lost.claimed(b"talk.mp4")
    assert lost.regain(job)
    rows = lost.rows(jobs.must(lost.share.ledger, job.id))
    assert sorted(rows) == [b"talk.docx", b"talk.json", b"talk.md", b"talk.vtt"]
    assert lost.share.read(b"talk.txt") == b"corrected by hand"
    assert not os.path.exists(lost.share.full(b"talk.srt"))


def edited(lost: Lost) -> None:
    content = lost.share.read(b"a/talk.json")
    assert b"Hallo" in content
    lost.share.write(b"a/talk.json", content.replace(b"Hallo", b"Hollo"))


def touched_recording(lost: Lost) -> None:
    os.utime(lost.share.full(b"a/talk.mp4"), ns=(5, 5))


def longer_recording(lost: Lost) -> None:
    lost.share.write(b"a/talk.mp4", b"another sound")


def written_since(lost: Lost) -> None:
    os.utime(lost.share.full(b"a/talk.json"), (2**31, 2**31))


def removed(lost: Lost) -> None:
    os.unlink(lost.share.full(b"a/talk.json"))


def a_link(lost: Lost) -> None:
    os.rename(lost.share.full(b"a/talk.json"), lost.share.full(b"elsewhere"))
    os.symlink(b"../elsewhere", lost.share.full(b"a/talk.json"))


def a_pipe(lost: Lost) -> None:
    removed(lost)
    os.mkfifo(lost.share.full(b"a/talk.json"))


def too_large(lost: Lost) -> None:
    os.truncate(lost.share.full(b"a/talk.json"), regain.MOST_BYTES + 1)


def of_another(lost: Lost) -> None:
    lost.finish(b"a/other.mp4")
    os.rename(lost.share.full(b"a/other.json"), lost.share.full(b"a/talk.json"))


def hostile_options(lost: Lost) -> None:
    content = lost.share.read(b"a/talk.json")
    body = content[:-END_BYTES].replace(b'"beam":5', b'"beam":5000000')
    assert body != content[:-END_BYTES]
    seal = b',"sha256":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()
    lost.share.write(b"a/talk.json", body + seal)


def unreadable(lost: Lost) -> None:
    lost.share.write(b"a/talk.json", b"\x00" * 5000)


@pytest.mark.parametrize(
    "change",
    [
        edited,
        touched_recording,
        longer_recording,
        written_since,
        removed,
        a_link,
        a_pipe,
        too_large,
        of_another,
        hostile_options,
        unreadable,
    ],
)
def test_nothing_else_is_taken_for_our_own(lost: Lost, change: Callable[[Lost], None]) -> None:
    lost.finish()
    change(lost)
    lost.lose()
    job = lost.claimed()
    assert not lost.regain(job)
    assert transcripts.of_job(lost.share.ledger, job) is None
    assert not lost.rows(job)


def test_one_of_two_transcripts_is_not_enough(lost: Lost) -> None:
    options = dataclasses.replace(OPTIONS, task="both")
    lost.finish(b"talk.mp4", options)
    os.unlink(lost.share.full(b"talk.en.json"))
    lost.lose()
    assert not lost.regain(lost.claimed(b"talk.mp4", options))


def test_a_ledger_that_was_never_restored_looks_at_nothing(lost: Lost) -> None:
    lost.finish()
    lost.lose(note=False)
    assert not lost.regain(lost.claimed())


def test_a_regained_transcript_is_reused_for_its_own_job_alone(lost: Lost) -> None:
    """Who may write to one share could have forged it: it must not become another's text."""
    lost.finish()
    lost.lose()
    job = lost.claimed()
    assert lost.regain(job)
    other = lost.claimed(b"other.mp4", OPTIONS)
    facts = {
        "source_sha256": "cd" * 32,
        "asked_sha256": transcripts.asked(OPTIONS, "ab" * 32),
        "task": "transcribe",
    }
    ledger = lost.share.ledger
    assert transcripts.same(ledger, other, **facts) is None
    own = transcripts.same(ledger, job, **facts)
    assert own is not None
    done = jobs.finish(ledger, jobs.must(ledger, job.id), [], rss_peak=None)
    again = lost.share.claim(jobs.requeue(ledger, done, who="me"))
    transcripts.record(ledger, again, own, asked_sha256=facts["asked_sha256"])
    assert transcripts.same(ledger, other, **facts) is None, "nor by way of its next epoch"
    assert not transcripts.was_regained(ledger, again), "which is delivered as usual"


def test_a_share_that_is_away_is_asked_about_later(lost: Lost) -> None:
    lost.finish()
    lost.lose()

    def away() -> None:
        raise ShareOffline(share="talks")

    with pytest.raises(ShareOffline):
        regain.regain(lost.share.ledger, lost.share.root, lost.claimed(), guard=away)


def test_a_job_that_failed_before_and_was_done_since_is_found_too(lost: Lost) -> None:
    lost.finish()
    lost.lose()
    job = lost.claimed()
    assert job.state is State.RUNNING
    again = lost.share.again(job)
    assert again.attempt == 2
    assert lost.regain(again)
