"""Every gate with the real cause: jobs wait, pay nothing, are told about, and go on in time."""

from __future__ import annotations

import html
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance import weights
from appliance.health.checks import look
from appliance.health.finding import Level, named
from appliance.states import Stage, State
from appliance.store import gates
from appliance.store.jobs import Job
from appliance.watch import adopt
from tests import signed_in
from tests.faults.mounted import disk, full, may_mount, run, unmount
from tests.line import sounds
from tests.line.running import FORMATS, SAMPLES, Running
from web import create_app, db

pytestmark = [may_mount, pytest.mark.line]
RESUME = 15.0  # seconds after the cause has ended
SAMPLE = os.path.join(SAMPLES, "welcome-english.wav")
SETTINGS = """quiet_seconds = 0.5
[[share]]
name = 'lectures'
root = '{lectures}'
existing = 'process'
quiet_seconds = 0.5
profile = 'lectures'
[profile.lectures]
model = 'another'
[disk]
stop_below_gb = 0.002
warn_below_gb = 0.003
reserve_mb = 0
"""


class Disks(Running):
    """An appliance whose state, spool and share lie on small disks of their own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.state = stack.enter_context(disk(folder / "state", mb=256))
        self.spool = stack.enter_context(disk(folder / "state" / "spool", mb=48))
        self.bare = folder / "inbox"
        self.bare.mkdir()
        run("chattr", "+i", str(self.bare))  # as a site should: nothing lands below the mount
        stack.callback(run, "chattr", "-i", str(self.bare))
        self.share = stack.enter_context(disk(self.bare, mb=48))
        lectures = folder / "lectures"
        lectures.mkdir()
        super().__init__(str(folder), more_settings=SETTINGS.format(lectures=lectures))
        self.lectures = lectures
        adopt(self.ledger, self.settings.share[1], existing="process")
        self._app = create_app(self.settings)
        stack.callback(db.close, self._app)
        self._asking = signed_in.client(self._app, self.ledger)

    def front_page(self) -> str:
        """What a person sees who opens the page."""
        return html.unescape(self._asking.get("/").text)

    def recording(self, name: str, seconds: float) -> bytes:
        """Put a recording into the share: one of its own length, or its text is known by now."""
        sounds.write(self.path(name), sounds.long(seconds))
        return os.fsencode(name)

    def in_the_middle(self, path: bytes) -> None:
        """Wait until it is staged, and far from being delivered."""

        def staged() -> bool:
            job = self.job(path)
            return job is not None and job.stage is Stage.TRANSCRIBE

        self.until(staged, "in the middle")

    def waits(self, path: bytes, gate: str, code: str) -> Job:
        """See that it waits for this gate, has paid nothing, and that people are told."""

        def shut() -> bool:
            job = self.job(path)
            closed = [(one.name, one.error.code) for one in gates.closed(self.ledger)]
            return job is not None and job.state is State.WAITING and closed == [(gate, code)]

        self.until(shut, f"{path!r} waits for {gate}")
        [closed] = gates.closed(self.ledger)
        found = {one.name: one for one in look(self.ledger, self.settings).findings}
        told = found[gate.replace(":", " ")]
        sentence = named("", closed.error).text  # without the recording's name
        assert (told.text, told.level) == (sentence, Level.FAIL)
        page = self.front_page()
        for words in (sentence, closed.error.next_step):
            assert words.partition("`")[0] in page
        return self.unpaid(path)

    def unpaid(self, path: bytes) -> Job:
        """See that it has paid for nothing."""
        job = self.job(path)
        assert job is not None
        assert (job.errors, job.crashes, job.losses) == (0, 0, 0), job
        return job

    def goes_on(self, path: bytes, since: float) -> None:
        """See that it goes on in time and comes to its end, whole and once."""
        before = self.job(path)
        assert before is not None

        def moved() -> bool:
            job = self.job(path)
            return job is not None and job.state in (State.QUEUED, State.RUNNING, State.DONE)

        self.until(moved, f"{path!r} goes on")
        assert time.monotonic() - since < RESUME
        assert self.ended(path).state is State.DONE
        self.unpaid(path)
        assert list(gates.closed(self.ledger)) == []


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    with ExitStack() as stack:
        made = Disks(tmp_path_factory.mktemp("box"), stack)
        with made:
            yield made


@pytest.fixture(autouse=True)
def _a_share_of_its_own(box: Disks) -> Iterator[None]:
    """Each test leaves its share empty: the disks are small."""
    yield
    for name in set(os.listdir(box.share)) - {".transcribe-id", "lost+found"}:
        os.unlink(box.share / name)


def texts(stem: str) -> set[str]:
    return {f"{stem}.{suffix}" for suffix in FORMATS}


def test_a_share_that_is_full(box: Disks) -> None:
    path = box.recording("full.wav", 60)
    box.in_the_middle(path)
    with full(box.share):
        box.waits(path, "share:inbox", "share.full")
    box.goes_on(path, time.monotonic())
    assert texts("full") < set(os.listdir(box.share))


def test_a_share_that_is_read_only(box: Disks) -> None:
    path = box.recording("locked.wav", 61)
    box.in_the_middle(path)
    run("mount", "-o", "remount,ro", str(box.share))
    try:
        box.waits(path, "share:inbox", "share.read-only")
    finally:
        run("mount", "-o", "remount,rw", str(box.share))
    box.goes_on(path, time.monotonic())
    assert texts("locked") < set(os.listdir(box.share))


def test_a_share_that_is_away(box: Disks) -> None:
    path = box.recording("away.wav", 62)
    box.in_the_middle(path)
    unmount(box.share)
    try:
        box.waits(path, "share:inbox", "share.offline")
        assert os.listdir(box.bare) == []
    finally:
        run("mount", "-o", "loop", f"{box.share}.ext4", str(box.share))
    box.goes_on(path, time.monotonic())
    assert texts("away") < set(os.listdir(box.share))


def test_a_spool_without_room(box: Disks) -> None:
    with full(box.spool):
        path = box.drop(SAMPLE, "spool.wav")
        box.waits(path, "disk", "node.disk-full")
        told = {one.name: one for one in look(box.ledger, box.settings).findings}["disk"]
        assert (told.level, str(box.spool) in told.text) == (Level.FAIL, True)
    box.goes_on(path, time.monotonic())


def test_a_state_disk_that_is_full(box: Disks) -> None:
    """Not even the ledger can be written: nothing moves, and nothing is charged for that.

    The reserve would let the job end all the same (tests/test_reserve.py): here is none.
    """
    path = box.recording("state.wav", 63)
    box.in_the_middle(path)
    with full(box.state):
        time.sleep(12)
        job = box.unpaid(path)
        assert job.state in (State.RUNNING, State.WAITING)
        told = {one.name: one for one in look(box.ledger, box.settings).findings}["disk"]
        assert told.level is Level.FAIL
        assert "The disk of the box is full" in box.front_page()
    since = time.monotonic()
    box.until(written_since(box, path, job), "something is written again")
    assert time.monotonic() - since < RESUME
    assert box.ended(path).state is State.DONE
    box.unpaid(path)


def written_since(box: Disks, path: bytes, before: Job) -> Callable[[], bool]:
    return lambda: (job := box.job(path)) is not None and job.updated_ms > before.updated_ms


def test_a_model_that_is_not_there(box: Disks) -> None:
    shutil.copy(SAMPLE, box.lectures / "talk.wav")
    box.until(lambda: [one.name for one in gates.closed(box.ledger)] == ["model:another"], "gate")
    other = box.drop(SAMPLE, "other.wav")
    assert box.ended(other).state is State.DONE, "a recording for another model goes on"
    told = {one.name: one for one in look(box.ledger, box.settings).findings}["model another"]
    assert "appliance model pull another" in told.remedy
    assert "The model another is not on this box" in box.front_page()
    models = Path(box.settings.model_dir)
    shutil.copytree(weights.BUNDLED, models / "new")
    os.rename(models / "new", models / "another")
    since = time.monotonic()
    box.until(lambda: not list(gates.closed(box.ledger)), "the gate is open")
    assert time.monotonic() - since < RESUME
    box.until(lambda: texts("talk") < set(os.listdir(box.lectures)), "its texts are there")
