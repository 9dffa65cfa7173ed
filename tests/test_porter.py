"""Porters: what touches a share is done by a child that can be killed."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import links
from appliance.errors import (
    ApplianceError,
    Cancelled,
    Fenced,
    NodeIO,
    ShareOffline,
    SourceChanged,
    SourceEmpty,
    WorkerDied,
)
from appliance.nouns import Options, Source
from appliance.porter import Porters
from appliance.settings import Settings
from appliance.store import exports, jobs, schema, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.export import speech

HOUSE = Path(__file__).parent.parent


class Site:
    """A share with a recording, its claimed job, and porters to send."""

    def __init__(self, folder: Path, *, state: Path | None = None) -> None:
        self.root = folder / "share"
        self.root.mkdir()
        facts = {"name": "s", "root": str(self.root), "require_marker": False}
        self.settings = Settings.model_validate(
            {"node": {"state_dir": str(state or folder / "state")}, "share": [facts]}
        )
        self.share = self.settings.share[0]
        schema.prepare(self.settings.state_dir)
        self.ledger = Ledger(self.settings.state_dir)

    def job(self, name: str = "talk.wav", content: bytes = b"sound") -> Job:
        """A recording and its job, claimed."""
        (self.root / name).write_bytes(content)
        look = os.stat(self.root / name)
        source = Source("s", os.fsencode(name), look.st_size, look.st_mtime_ns)
        born = jobs.add(self.ledger, source, Options(formats=("txt",)), correlation="c")
        assert born is not None
        job = jobs.claim(self.ledger, born.id, owner="tests")
        assert job is not None
        return job


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.ledger:
        yield made


def go_on() -> None:
    """Nobody stops it."""


def children() -> set[int]:
    """The porters of this process that live; their template is not one."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            parent = parent_of(int(pid))
        except OSError:
            continue
        if b"appliance.porter" in command:
            parents[int(pid)] = parent
    templates = {pid for pid, parent in parents.items() if parent == os.getpid()}
    return {pid for pid, parent in parents.items() if parent in templates}


def parent_of(pid: int) -> int:
    """Who started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill(pid: int, *, until_gone: int) -> None:
    """Kill a process, and wait until it, or one that dies with it, has ended."""
    pidfd = os.pidfd_open(until_gone)
    os.kill(pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_a_recording_is_copied_by_a_child_and_the_child_is_kept(site: Site) -> None:
    with Porters(site.settings) as porters:
        staged = porters.stage(site.job(), site.share, stop=go_on)
        assert staged.sha256 == hashlib.sha256(b"sound").hexdigest()
        assert Path(staged.file).read_bytes() == b"sound"
        kept = children()
        assert len(kept) == 1
        porters.stage(site.job("more.wav"), site.share, stop=go_on)
        assert children() == kept
    assert children() == set()


def test_a_share_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    made = Site(folder, state=tmp_path / "state")
    with made.ledger, Porters(made.settings) as porters:
        assert porters.stage(made.job(), made.share, stop=go_on).size == 5


def test_exports_are_made_where_they_are_delivered(site: Site) -> None:
    job = site.job()
    transcripts.record(site.ledger, job, speech.spoken("Hello."), asked_sha256="a")
    with Porters(site.settings) as porters:
        porters.carry("deliver", job, site.share, stop=go_on)
    assert b"Hello." in (site.root / "talk.txt").read_bytes()
    assert [one.state for one in exports.of_job(site.ledger, job.id)] == ["published"]


def test_a_note_is_put_and_taken_back(site: Site) -> None:
    job = site.job()
    with Porters(site.settings) as porters:
        porters.carry("note", job, site.share, SourceEmpty(name="talk.wav"), stop=go_on)
        note = site.root / "talk.wav.ERROR.txt"
        assert "source.empty" in note.read_text("utf-8")
        porters.carry("note", job, site.share, stop=go_on)
        assert not note.exists()


def test_what_the_share_answers_is_told_and_the_child_goes_on(site: Site) -> None:
    job = site.job()
    with Porters(site.settings) as porters:
        (site.root / "talk.wav").write_bytes(b"another sound")
        with pytest.raises(SourceChanged) as caught:
            porters.stage(job, site.share, stop=go_on)
        assert "talk.wav" in caught.value.sentence
        assert len(children()) == 1


def test_an_attempt_that_is_over_touches_nothing(site: Site) -> None:
    job = site.job()
    transcripts.record(site.ledger, job, speech.spoken("Hello."), asked_sha256="a")
    late = replace(job, attempt=job.attempt - 1)
    with Porters(site.settings) as porters:
        for verb in ("stage", "deliver", "note"):
            with pytest.raises(Fenced):
                porters.carry(verb, late, site.share, stop=go_on)
    assert os.listdir(site.root) == ["talk.wav"]
    assert not os.path.exists(site.settings.state("spool"))


PORTER = """
import socket, sys, time
from appliance import limits
from appliance.porter.talk import Moved, Talk
def work(fd):
    talk = Talk(socket.socket(fileno=fd))
    talk.receive()
    talk.send(Moved())
    {}
    return 0
limits.serve(socket.socket(fileno=int(sys.argv[-1])), work)
"""


def odd(program: str) -> list[str]:
    return [sys.executable, "-c", PORTER.format(program)]


def test_a_share_where_nothing_moves_is_offline_and_the_child_is_killed(site: Site) -> None:
    argv = odd("time.sleep(100)")
    with Porters(site.settings, silence=0.5, argv=argv) as porters:
        began = time.monotonic()
        with pytest.raises(ShareOffline):
            porters.stage(site.job(), site.share, stop=go_on)
        assert time.monotonic() - began < 10
        assert not porters.hangs_at(links.mount_id(site.share.root))


def test_one_that_gets_on_slowly_is_left_alone(site: Site) -> None:
    argv = odd(
        "[(time.sleep(0.2), talk.send(Moved())) for _ in range(10)];"
        "from appliance.nouns import Staged; from appliance.porter.talk import Carried;"
        "talk.send(Carried(Staged('f', 's', 5)))"
    )
    with Porters(site.settings, silence=1.0, argv=argv) as porters:
        assert porters.stage(site.job(), site.share, stop=go_on).size == 5


def test_one_whose_own_disk_fails_is_not_sent_again(site: Site) -> None:
    """Its hold on the ledger may be what is broken; the next has one of its own."""
    argv = odd(
        "from appliance.porter.talk import Refused; import os;"
        "[(talk.send(Refused('node.io', {'where': 'x', 'why': str(os.getpid())})), talk.receive())"
        " for _ in range(9)]"
    )
    seen = set()
    with Porters(site.settings, argv=argv) as porters:
        for number in range(2):
            with pytest.raises(NodeIO) as told:
                porters.stage(site.job(f"{number}.wav"), site.share, stop=go_on)
            seen.add(told.value.detail["why"])
        assert not porters.hangs_at(links.mount_id(site.share.root))
    assert len(seen) == 2


def test_what_is_long_in_coming_is_known(site: Site) -> None:
    argv = odd("time.sleep(100)")
    with Porters(site.settings, argv=argv) as porters:
        job = site.job()
        seen: list[dict[int, str]] = []

        def look() -> None:
            seen.append(porters.slow(0.0))
            assert porters.slow() == {}
            raise Cancelled

        with pytest.raises(Cancelled):
            porters.stage(job, site.share, stop=look)
        assert seen == [{job.id: "s"}]
        assert porters.slow(0.0) == {}


class Hanging:
    """A killed porter that the kernel does not let go of: no server of ours hangs for a test."""

    def __init__(self) -> None:
        self.process = self
        self.asked = threading.Event()
        self.leave = threading.Event()

    def has_ended(self, timeout: float) -> bool:
        self.asked.set()
        return self.leave.wait(timeout)

    def is_gone(self, patience: float) -> bool:
        return self.leave.wait(patience)


def test_one_that_hangs_at_a_share_keeps_no_other_share_waiting(site: Site) -> None:
    hanging = Hanging()
    with Porters(site.settings) as porters, ThreadPoolExecutor(1) as beside:
        porters._killed.append((1, hanging))  # type: ignore[arg-type]
        asking = beside.submit(porters.hangs_at, 1)
        assert hanging.asked.wait(10)
        assert not porters.hangs_at(2)
        assert porters._guard.acquire(blocking=False)
        porters._guard.release()
        assert not asking.done()
        hanging.leave.set()
        assert asking.result(10) is False


def test_whoever_stops_an_errand_need_not_wait_for_its_file_server(site: Site) -> None:
    def cancel() -> None:
        raise Cancelled

    with Porters(site.settings, argv=odd("time.sleep(100)")) as porters:
        began = time.monotonic()
        with pytest.raises(Cancelled):
            porters.stage(site.job(), site.share, stop=cancel)
        assert time.monotonic() - began < 10
    assert children() == set()


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (odd("sys.exit(3)"), WorkerDied),
        (odd("import os; os.kill(os.getpid(), 9)"), WorkerDied),
        (["/nowhere/python"], NodeIO),
    ],
)
def test_a_porter_that_fails_is_a_named_error(
    site: Site, argv: list[str], error: type[ApplianceError]
) -> None:
    with Porters(site.settings, argv=argv) as porters, pytest.raises(error):
        porters.stage(site.job(), site.share, stop=go_on)


def test_one_that_dies_between_two_errands_is_replaced(site: Site) -> None:
    with Porters(site.settings) as porters:
        porters.stage(site.job(), site.share, stop=go_on)
        [porter] = children()
        kill(porter, until_gone=porter)
        porters.stage(site.job("more.wav"), site.share, stop=go_on)


def test_a_template_that_dies_takes_its_porters_along_and_is_replaced(site: Site) -> None:
    with Porters(site.settings) as porters:
        porters.stage(site.job(), site.share, stop=go_on)
        [porter] = children()
        kill(parent_of(porter), until_gone=porter)
        porters.stage(site.job("more.wav"), site.share, stop=go_on)


def test_errands_that_all_find_their_template_dead_are_all_done(site: Site) -> None:
    several = [site.job(f"{number}.wav") for number in range(6)]
    with Porters(site.settings) as porters:
        porters.stage(site.job(), site.share, stop=go_on)
        [porter] = children()
        kill(parent_of(porter), until_gone=porter)
        with ThreadPoolExecutor(len(several)) as at_once:
            done = list(at_once.map(lambda job: porters.stage(job, site.share, **STOP), several))
    assert [staged.size for staged in done] == [5] * len(several)


def test_a_template_may_fail_to_start_once(site: Site, tmp_path: Path) -> None:
    """Killed by hand, or by a box that was out of memory: no job pays for it."""
    begun = tmp_path / "begun"
    twice = f"""
import os, sys
from appliance.porter import __main__ as porter
if not os.path.exists({str(begun)!r}):
    open({str(begun)!r}, "w").close()
    sys.exit(3)
sys.exit(porter.main(sys.argv[1:]))
"""
    with Porters(site.settings, argv=[sys.executable, "-c", twice]) as porters:
        assert porters.stage(site.job(), site.share, stop=go_on).size == 5
    assert begun.exists()


def test_two_errands_do_not_wait_for_each_other(site: Site) -> None:
    """The first is stopped in the middle; the second comes home all the same."""
    with Porters(site.settings) as porters:
        large = site.job("large.wav", bytes(150 << 20))
        part = site.settings.state("spool", str(large.id), "source.part")
        first = threading.Thread(target=porters.stage, args=(large, site.share), kwargs=STOP)
        first.start()
        while not os.path.exists(part):
            time.sleep(0.001)
        [busy] = children()
        os.kill(busy, signal.SIGSTOP)
        porters.stage(site.job("small.wav"), site.share, stop=go_on)
        assert first.is_alive()
        assert len(children()) == 2
        os.kill(busy, signal.SIGCONT)
        first.join()


def test_the_first_errand_has_a_porter_that_waits(site: Site) -> None:
    with Porters(site.settings) as porters:
        porters.get_ready()
        waiting = children()
        porters.stage(site.job("first.wav"), site.share, stop=go_on)
        assert children() == waiting
        assert len(waiting) == 1


STOP = {"stop": go_on}
WORKER = """
import sys, time
from appliance.porter import Porters
from appliance.settings import Settings
porters = Porters(Settings.model_validate_json(sys.stdin.read()))
print([porters._take().process.pid], flush=True)
time.sleep(100)
"""


def test_porters_die_with_their_worker(site: Site) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=HOUSE,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    with worker.stdin, worker.stdout:
        worker.stdin.write(json.dumps(site.settings.model_dump()))
        worker.stdin.close()
        pid = int(worker.stdout.readline().strip("[]\n"))
        worker.kill()
        worker.wait()
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}")
