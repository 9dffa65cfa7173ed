"""A file server that hangs: its own recordings wait and pay nothing, all others go on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.health.checks import look
from appliance.states import Stage, State
from appliance.store import attempts, gates, jobs
from appliance.store.jobs import Job
from appliance.supervise import Process
from appliance.watch import adopt
from tests.faults.mounted import FileServer, file_server, may_mount, unmount
from tests.line import sounds
from tests.line.running import FORMATS, SAMPLES, Running

pytestmark = [may_mount, pytest.mark.line]
SILENCE = 3.0  # seconds, instead of thirty
RESUME = 15.0  # seconds after the server answers again
SAMPLE = os.path.join(SAMPLES, "welcome-english.wav")
PROGRAMS = {
    "worker": "tasks.work(load(sys.argv[1]), silence=float(sys.argv[2]))",
    "watch": "watch(load(sys.argv[1]), deadline=float(sys.argv[2]))",
}
PROGRAM = """
import sys
from appliance import journal, tasks
from appliance.settings import load
from appliance.watch import watch
journal.to_stderr(sys.argv[3])
"""


class Hurried(Running):
    """An appliance with little patience, over the local share `inbox` and the share `nas`."""

    def __init__(self, folder: Path) -> None:
        self.nas = folder / "nas"
        quiet = "quiet_seconds = 0.5\n"
        share = f"[[share]]\nname = 'nas'\nroot = '{self.nas}'\nexisting = 'process'\n"
        super().__init__(str(folder), more_settings=f"{quiet}{share}{quiet}[worker]\ncount = 2\n")
        adopt(self.ledger, self.settings.share[1], existing="process")
        for at, process in enumerate(self._processes):
            if process.name in PROGRAMS:
                told = [PROGRAM + PROGRAMS[process.name], self.file, str(SILENCE), process.name]
                self._processes[at] = Process(process.name, [sys.executable, "-c", *told], {})

    def of_nas(self, name: str) -> Job | None:
        """The newest job of a recording on the NAS."""
        return next(jobs.at(self.ledger, "nas", os.fsencode(name)), None)

    def is_nas(self, name: str, *states: State) -> bool:
        """Whether that job is in one of these states."""
        job = self.of_nas(name)
        return job is not None and job.state in states

    def must_nas(self, name: str) -> Job:
        """That job, for sure."""
        job = self.of_nas(name)
        assert job is not None
        return job

    def shut(self) -> bool:
        """Whether the gate of the NAS is closed because it does not answer."""
        return [(gate.name, gate.error.code) for gate in gates.closed(self.ledger)] == [
            ("share:nas", "share.offline")
        ]

    def waits(self, *names: str) -> None:
        """See that these wait behind the gate, have paid nothing, and are told about."""
        for name in names:
            self.until(lambda name=name: self.is_nas(name, State.WAITING), f"{name} waits")  # type: ignore[misc]
        self.until(self.shut, "the gate is closed")
        self.unpaid(*names)
        told = {one.name: one for one in look(self.ledger, self.settings).findings}
        assert "nas does not answer" in told["share nas"].text
        assert "Check the file server" in told["share nas"].remedy

    def unpaid(self, *names: str) -> None:
        """See that these have paid for nothing."""
        for name in names:
            job = self.must_nas(name)
            assert (job.errors, job.crashes, job.losses) == (0, 0, 0), job

    def comes_back(self, *names: str) -> None:
        """See that these go on in time and come to their end, whole and once."""
        began = time.monotonic()
        going = (State.QUEUED, State.RUNNING, State.DONE)
        for name in names:
            self.until(lambda name=name: self.is_nas(name, *going), f"{name} goes on")  # type: ignore[misc]
        assert time.monotonic() - began < RESUME
        for name in names:
            self.until(lambda name=name: self.is_nas(name, State.DONE), f"{name} is done")  # type: ignore[misc]
        self.unpaid(*names)
        stems = [os.path.splitext(name)[0] for name in names]
        texts = {f"{stem}.{suffix}" for stem in stems for suffix in FORMATS}
        assert set(os.listdir(self.nas)) == {".transcribe-id", *names, *texts}

    def pid(self, name: str) -> int:
        """The number of a process of the appliance."""
        process = next(one for one in self._processes if one.name == name)
        self.until(lambda: process.popen is not None, f"{name} is started")
        return process.popen.pid if process.popen else 0


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[FileServer]:
    with file_server(tmp_path / "disk", tmp_path / "nas") as server:
        yield server


@pytest.fixture
def slow_nas(tmp_path: Path) -> Iterator[FileServer]:
    """Reads a recording of one minute in ten seconds."""
    with file_server(tmp_path / "disk", tmp_path / "nas", rate="200k") as server:
        yield server


@pytest.fixture
def box(tmp_path: Path) -> Hurried:
    return Hurried(tmp_path)


def drop(box: Hurried, name: str, seconds: float) -> None:
    """Copy a recording onto the NAS."""
    sounds.write(str(box.nas / name), sounds.long(seconds))


def in_the_middle(box: Hurried, name: str) -> None:
    """Wait until some of the recording lies in the spool and some does not."""

    def half() -> bool:
        job = box.of_nas(name)
        part = box.settings.state("spool", str(job.id if job else 0), "source.part")
        return os.path.exists(part) and os.path.getsize(part) > 0

    box.until(half, "half of it is staged")


def test_more_recordings_than_threads_wait_and_others_go_on(nas: FileServer, box: Hurried) -> None:
    names = ["a.wav", "b.wav", "c.wav"]
    with box:
        os.kill(box.pid("worker"), signal.SIGSTOP)
        for name in names:
            drop(box, name, 20)
        for name in names:
            box.until(lambda name=name: box.is_nas(name, State.QUEUED), f"{name} is queued")  # type: ignore[misc]
        nas.hang()
        os.kill(box.pid("worker"), signal.SIGCONT)
        box.waits(*names)
        good = box.drop(SAMPLE, "good.wav")
        assert box.ended(good).state is State.DONE
        assert box.shut()
        nas.go_on()
        box.comes_back(*names)


def test_a_server_that_hangs_in_the_middle_of_a_copy(slow_nas: FileServer, box: Hurried) -> None:
    with box:
        drop(box, "talk.wav", 60)
        in_the_middle(box, "talk.wav")
        slow_nas.hang()
        box.waits("talk.wav")
        assert box.ended(box.drop(SAMPLE, "good.wav")).state is State.DONE
        slow_nas.go_on()
        box.comes_back("talk.wav")


def test_a_new_mount_goes_on_although_the_old_server_still_hangs(
    slow_nas: FileServer, box: Hurried, tmp_path: Path
) -> None:
    with box:
        drop(box, "talk.wav", 60)
        in_the_middle(box, "talk.wav")
        slow_nas.hang()
        box.waits("talk.wav")
        unmount(box.nas)
        with file_server(tmp_path / "disk", box.nas):
            box.comes_back("talk.wav")


def test_a_server_that_hangs_before_the_delivery(nas: FileServer, box: Hurried) -> None:
    with box:
        drop(box, "talk.wav", 60)

        def staged() -> bool:
            job = box.of_nas("talk.wav")
            return job is not None and job.stage is Stage.TRANSCRIBE

        box.until(staged, "in the middle")
        nas.hang()
        box.waits("talk.wav")
        nas.go_on()
        box.comes_back("talk.wav")
        job = box.must_nas("talk.wav")
        heard = [one.rss_peak for one in attempts.of_job(box.ledger, job.id)]
        assert heard[-1] is None, "what is recorded is never computed twice"


def test_a_copy_that_takes_long_can_be_cancelled(slow_nas: FileServer, box: Hurried) -> None:
    assert slow_nas.where == box.nas
    with box:
        drop(box, "talk.wav", 60)
        in_the_middle(box, "talk.wav")
        jobs.cancel(box.ledger, box.must_nas("talk.wav"), who="test")
        box.until(lambda: box.is_nas("talk.wav", State.CANCELLED), "it is cancelled", seconds=5)
        box.until(lambda: not os.listdir(box.settings.state("spool")), "the spool is empty")


def test_a_worker_is_stopped_while_a_server_hangs(slow_nas: FileServer, box: Hurried) -> None:
    with box:
        drop(box, "talk.wav", 60)
        in_the_middle(box, "talk.wav")
        slow_nas.hang()
        old = box.pid("worker")
        box.kill("worker", signal.SIGTERM)
        box.until(lambda: not os.path.exists(f"/proc/{old}"), "it has ended", seconds=30)
        box.unpaid("talk.wav")
        slow_nas.go_on()
        box.until(lambda: box.is_nas("talk.wav", State.DONE), "it is done", seconds=90)
        box.unpaid("talk.wav")
