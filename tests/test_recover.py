"""Jobs that nobody else looks after: dead owners, waits that are over, gates, lost bells."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import daemon, recover, stage, wire
from appliance.errors import (
    DiskFull,
    EngineLost,
    EngineUnreachable,
    LedgerBusy,
    ModelMissing,
    NodeIO,
    ShareOffline,
    SpoolFull,
    WorkerDied,
)
from appliance.nouns import Options, Source
from appliance.settings import NodeSettings, Profile, Settings
from appliance.states import State, Verdict, after
from appliance.store import gates, jobs, schema
from appliance.store import ledger as ledger_module
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

SOURCE = Source("inbox", b"talk.wav", 10, 5)


class Site:
    """A ledger, its settings, and the bells that were rung."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(node=NodeSettings(state_dir=str(folder)))
        schema.prepare(str(folder))
        os.makedirs(self.settings.run_dir)
        self.ledger = Ledger(str(folder))
        self.rung: list[int] = []

    def round(self, *, pending: int = 0) -> None:
        """One round of reconcile."""
        recover.reconcile(self.ledger, self.settings, ring=self.rung.append, pending=pending)

    def claimed(self, owner: str, source: Source = SOURCE, **options: object) -> Job:
        """A job somebody has claimed."""
        asked = Options(**options)  # type: ignore[arg-type]
        born = jobs.add(self.ledger, source, asked, correlation="c")
        assert born is not None
        job = jobs.claim(self.ledger, born.id, owner=owner)
        assert job is not None
        return job

    def state(self, job: Job) -> State:
        """Where the job is now."""
        return jobs.must(self.ledger, job.id).state


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.ledger:
        yield made


def test_a_job_whose_worker_lives_is_left_alone(site: Site) -> None:
    with daemon.Owner(site.settings.run_dir) as owner:
        job = site.claimed(owner.id)
        site.round()
        assert site.state(job) is State.RUNNING


def test_a_job_whose_worker_died_is_taken_back_and_costs_nothing_but_a_loss(site: Site) -> None:
    job = site.claimed("an owner that never was")
    site.round()
    back = jobs.must(site.ledger, job.id)
    assert (back.losses, back.errors, back.crashes) == (1, 0, 0)
    assert back.state is State.QUEUED, "the first time it goes on at once"
    assert site.rung == [job.id]


def test_a_job_whose_worker_died_again_waits_a_little() -> None:
    ended = after(WorkerDied(), spent=1, jitter=lambda _low, high: high)
    assert ended == Verdict(State.RETRY_WAIT, 10.0)
    assert after(WorkerDied(), spent=4, jitter=lambda low, _high: low).state is State.DEAD


def lost(site: Site, job: Job, times: int) -> Job:
    """A job that has lost its worker so often, and runs under one that died."""
    with site.ledger.writing() as db:
        db.execute("UPDATE job SET losses = ? WHERE id = ?", [times, job.id])
    return jobs.must(site.ledger, job.id)


def test_one_that_lost_its_worker_five_times_is_left_to_whoever_can_tell(site: Site) -> None:
    job = lost(site, site.claimed("an owner that never was"), 4)
    site.round()
    back = jobs.must(site.ledger, job.id)
    assert (back.state, back.losses) == (State.QUEUED, 5)


def test_one_whose_end_nobody_lives_to_tell_ends_all_the_same(site: Site) -> None:
    job = lost(site, site.claimed("an owner that never was"), 9)
    site.round()
    assert site.state(job) is State.DEAD


def test_an_owner_of_another_boot_is_dead_even_if_its_file_is_locked(site: Site) -> None:
    with daemon.Owner(site.settings.run_dir) as owner:
        job = site.claimed(owner.id)
        with site.ledger.writing() as db:
            db.execute("UPDATE job SET boot_id = 'another boot' WHERE id = ?", [job.id])
        site.round()
        assert site.state(job) is State.QUEUED


def test_a_wait_that_is_over_ends_and_the_bell_is_rung(site: Site) -> None:
    job = site.claimed("me")
    jobs.end(site.ledger, job, Verdict(State.RETRY_WAIT, delay=0), EngineLost(), who="me")
    site.round()
    assert site.state(job) is State.QUEUED
    assert site.rung == [job.id]
    site.round()
    assert site.rung == [job.id], "it was heard, as far as we know"


def test_no_more_bells_than_the_queue_may_hold(site: Site) -> None:
    for number in range(80):
        jobs.add(site.ledger, replace(SOURCE, path=b"%d.wav" % number), Options(), correlation="c")
    site.round(pending=recover.HINTS)
    assert site.rung == []
    site.round(pending=60)
    assert len(site.rung) == recover.HINTS - 60


def test_a_gate_opens_when_what_closed_it_is_well_and_its_jobs_go_on(site: Site) -> None:
    models = Path(site.settings.model_dir)
    profiles = {"default": Profile(model="large")}
    site.settings = site.settings.model_copy(update={"profile": profiles})
    job = site.claimed("me", model="large")
    error = ModelMissing(model="large", where=str(models))
    jobs.end(site.ledger, job, Verdict(State.WAITING), error, who="me")
    site.round()
    assert site.state(job) is State.WAITING
    (models / "large").mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (models / "large" / name).write_bytes(b"{}")
    site.round()
    assert site.state(job) is State.QUEUED
    assert list(gates.closed(site.ledger)) == []


def test_another_model_in_the_profile_sets_its_jobs_free(site: Site) -> None:
    job = site.claimed("me", model="large")
    error = ModelMissing(model="large", where="/nowhere")
    jobs.end(site.ledger, job, Verdict(State.WAITING), error, who="me")
    profiles = {"default": Profile(model="small")}
    site.settings = site.settings.model_copy(update={"profile": profiles})
    site.round()
    freed = jobs.must(site.ledger, job.id)
    assert (freed.state, freed.options.model, freed.epoch) == (State.QUEUED, "small", 2)
    site.round()
    assert list(gates.closed(site.ledger)) == []


def test_a_full_disk_holds_everything_until_there_is_room(site: Site) -> None:
    gates.close(site.ledger, DiskFull(where="/", free_gb=0.0))
    born = jobs.add(site.ledger, SOURCE, Options(), correlation="c")
    assert born is not None
    assert jobs.claim(site.ledger, born.id, owner="me") is None
    assert site.state(born) is State.WAITING
    site.round()  # there is room on this disk
    assert site.state(born) is State.QUEUED


def test_a_full_spool_opens_as_soon_as_the_one_that_waits_fits(site: Site) -> None:
    node = NodeSettings(state_dir=site.settings.state_dir, spool_gb=0.000_001)  # 1000 bytes
    site.settings = site.settings.model_copy(update={"node": node})
    other = site.claimed("me", replace(SOURCE, path=b"other.wav"))
    copy = Path(site.settings.state("spool", str(other.id), "source"))
    copy.parent.mkdir(parents=True)
    copy.write_bytes(bytes(900))
    with daemon.Owner(site.settings.run_dir) as owner:
        with site.ledger.writing() as db:
            db.execute("UPDATE job SET owner = ? WHERE id = ?", [owner.id, other.id])
        gates.close(site.ledger, SpoolFull(name="talk.wav", size=500, free=100))
        site.round()
        assert [gate.name for gate in gates.closed(site.ledger)] == ["spool"]
        copy.write_bytes(bytes(500))
        site.round()
        assert list(gates.closed(site.ledger)) == []


def test_a_spool_that_closed_in_the_future_is_tried_all_the_same(site: Site) -> None:
    os.makedirs(site.settings.state("spool"))
    job = site.claimed("me")
    copy = Path(site.settings.state("spool", str(job.id), "source"))
    with daemon.Owner(site.settings.run_dir) as owner:
        with site.ledger.writing() as db:
            db.execute("UPDATE job SET owner = ?", [owner.id])
        copy.parent.mkdir()
        copy.write_bytes(bytes(900))
        gates.close(site.ledger, SpoolFull(name="talk.wav"))
        with site.ledger.writing() as db:  # the wall clock has been set back by ten years since
            db.execute("UPDATE gate SET since_ms = since_ms + 315360000000")
        site.round()
        assert list(gates.closed(site.ledger)) == []


def test_the_gate_of_a_share_is_its_watchs_business(site: Site) -> None:
    gates.close(site.ledger, ShareOffline(share="inbox"))
    site.round()
    assert [gate.name for gate in gates.closed(site.ledger)] == ["share:inbox"]


def test_no_engine_is_a_gate_that_an_engine_opens(site: Site) -> None:
    gates.close(site.ledger, EngineUnreachable())
    site.round()
    assert [gate.name for gate in gates.closed(site.ledger)] == ["engine"]
    with wire.listen(site.settings.engine_socket):
        site.round()
    assert list(gates.closed(site.ledger)) == []


def test_a_copy_nobody_reads_leaves_the_spool(site: Site) -> None:
    with daemon.Owner(site.settings.run_dir) as owner:
        job = site.claimed(owner.id)
        for number in (job.id, 77):
            os.makedirs(site.settings.state("spool", str(number)))
        site.round()
        assert os.listdir(site.settings.state("spool")) == [str(job.id)]


def test_nobody_can_claim_a_job_while_its_old_copy_is_removed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.add(site.ledger, SOURCE, Options(), correlation="c")
    assert job is not None
    os.makedirs(site.settings.state("spool", str(job.id)))
    monkeypatch.setattr(ledger_module, "PATIENCE_SECONDS", 0.1)
    freed: list[int] = []

    def free(_spool: str, number: int) -> None:
        with Ledger(site.ledger.folder) as other, pytest.raises(LedgerBusy):
            jobs.claim(other, number, owner="somebody else")
        freed.append(number)

    monkeypatch.setattr(stage, "free", free)
    site.round()
    assert freed == [job.id]


def test_a_dead_owners_files_are_swept(site: Site) -> None:
    owners = Path(site.settings.run_dir) / "owners"
    with daemon.Owner(site.settings.run_dir) as owner:
        owner.progress(1, done=1.0)
        assert daemon.progress_board(site.settings.run_dir) == {1: {"done": 1.0}}
        (owners / "dead").write_text("")
        (owners / "dead.json").write_text('{"2": {}}')
        assert not daemon.alive(site.settings.run_dir, "dead")
        assert daemon.alive(site.settings.run_dir, owner.id)
    assert list(owners.iterdir()) == []


def test_an_owner_that_died_idle_leaves_nothing(site: Site) -> None:
    owners = os.path.join(site.settings.run_dir, "owners")
    with daemon.Owner(site.settings.run_dir) as living:
        for name in ("c0ffee", "c0ffee.json", "c0ffee.json.new", "f00d.json"):
            with open(os.path.join(owners, name), "w", encoding="ascii"):
                pass
        living.progress(1, stage="stage")
        site.round()
        assert sorted(os.listdir(owners)) == [living.id, f"{living.id}.json"]
        assert daemon.alive(site.settings.run_dir, living.id)
    assert not os.listdir(owners)


def test_a_round_that_meets_a_bad_disk_names_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(daemon, "forget_the_dead", refuse)
    with pytest.raises(NodeIO):
        site.round()
