"""A job's group: over a folder that looks like one, and over a real one without controllers."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import wire
from appliance.decoders import Decoders
from appliance.errors import DecoderUnreachable, NodeIO
from appliance.limits import Limits, Mode, Place, cgroup, choose
from appliance.limits.cgroup import Counts, Group
from appliance.limits.sampling import Sampler
from appliance.nouns import Usage

JOB = Limits(memory_mb=300, cpus=0.5, tasks=20)
KERNELS = {
    "cgroup.kill": "",
    "cgroup.events": "populated 0\nfrozen 0\n",
    "cgroup.procs": "",
    "memory.peak": "104857600\n",
    "memory.events": "low 0\nhigh 3\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\nnr_throttled 7\nthrottled_usec 1250000\n",
    "pids.events": "max 4\n",
}


@pytest.fixture
def looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a delegated group: what is made below it has the kernel's files.

    What the kernel would do with what is written there, it does not do.
    """
    make, remove = os.mkdir, os.rmdir

    def filled(folder: str) -> None:
        make(folder)
        for name, text in KERNELS.items():
            Path(folder, name).write_text(text)

    def emptied(folder: str) -> None:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        remove(folder)

    monkeypatch.setattr(os, "mkdir", filled)
    monkeypatch.setattr(os, "rmdir", emptied)
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return tmp_path


def test_what_a_job_may_use_is_written_into_its_group(looks_like: Path) -> None:
    group = Place(str(looks_like), frozenset(cgroup.CONTROLLERS)).make("7-2", JOB)
    assert group is not None
    said = {file.name: file.read_text() for file in (looks_like / "job-7-2").iterdir()}
    assert (
        said.items()
        >= {
            "memory.max": str(300 << 20),
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "cpu.max": "50000 100000",
            "pids.max": "20",
        }.items()
    )


def test_who_is_to_die_does_not_wait_for_a_processor(looks_like: Path) -> None:
    group = Place(str(looks_like), frozenset(cgroup.CONTROLLERS)).make("7-2", JOB)
    assert group is not None
    group.kill()
    said = [(looks_like / "job-7-2" / file).read_text() for file in ("cpu.max", "cgroup.kill")]
    assert said == ["max", "1"]


def test_only_what_has_a_controller_is_written(looks_like: Path) -> None:
    place = Place(str(looks_like), frozenset({"pids"}))
    assert place.mode is Mode.PARTIAL
    assert place.make("7-2", JOB) is not None
    there = {file.name for file in (looks_like / "job-7-2").iterdir()} - KERNELS.keys()
    assert there == {"pids.max"}


def test_what_the_kernel_counted_is_read(looks_like: Path) -> None:
    group = Place(str(looks_like)).make("7-2", JOB)
    assert group is not None
    assert group.counts() == Counts(104_857_600, 2.5, 1.25, oom_kills=2, refused_tasks=4)


def test_a_kernel_that_counts_less_says_less(tmp_path: Path) -> None:
    assert Group(str(tmp_path)).counts() == Counts()


def test_a_want_of_memory_around_it_is_not_its_own(looks_like: Path) -> None:
    group = Place(str(looks_like)).make("7-2", JOB)
    assert group is not None
    (looks_like / "job-7-2" / "memory.events").write_text("max 0\noom 0\noom_kill 1\n")
    assert group.counts().oom_kills == 0


def test_a_job_does_not_go_on_without_the_group_that_jobs_have_here(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = Place(str(tmp_path / "file"))
    with (
        Decoders(Limits(), place=nowhere, argv=template("")) as decoders,
        pytest.raises(NodeIO, match="group of a job"),
        decoders.take(name="7-1"),
    ):
        pytest.fail("it was lent")


def test_what_the_kernel_ends_for_its_memory_does_not_wait_for_a_processor(
    looks_like: Path,
) -> None:
    place = Place(str(looks_like), frozenset(cgroup.CONTROLLERS))
    with (
        Decoders(Limits(), place=place, argv=template("")) as decoders,
        decoders.take(JOB, name="7-1") as child,
    ):
        alarm, events = child.process.alarm, looks_like / "job-7-1" / "memory.events"
        assert alarm is not None
        for well in ("max 12\noom 0\noom_kill 0\n", "max 12\noom 0\noom_kill 1\n"):
            events.write_text(well)
            child.process.heed()
            assert (looks_like / "job-7-1" / "cpu.max").read_text() == "50000 100000"
        events.write_text("max 12\noom 1\noom_kill 1\n")
        child.process.heed()
        assert (looks_like / "job-7-1" / "cpu.max").read_text() == "max"
    assert child.process.alarm is None
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(alarm)


def test_what_a_worker_left_behind_is_cleared_away(looks_like: Path) -> None:
    for name in ("job-1-1", "job-2-1", "supervisor"):
        os.mkdir(str(looks_like / name))
    found = choose(str(looks_like))
    assert sorted(one.name for one in looks_like.iterdir() if one.is_dir()) == ["supervisor"]
    assert found.folder == str(looks_like)


def test_without_a_delegated_group_each_process_has_its_own_limits(tmp_path: Path) -> None:
    assert choose(None) == Place()
    assert choose(str(tmp_path / "not" / "there")).mode is Mode.RLIMIT
    assert not list(tmp_path.iterdir())


# --- real groups --------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[Place]:
    """Groups of the real kernel, with the controllers that it has for us: often none."""
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounted = next((one[4] for one in fields if one[one.index("-") + 1] == "cgroup2"), None)
    if mounted is None or os.geteuid() or not os.access(mounted, os.W_OK):
        pytest.skip("no cgroup v2 here that a test may write to")
    made = Path(mounted) / f"appliance-limits-{os.getpid()}"
    made.mkdir()
    found = choose(str(made))
    if found.folder is None:
        pytest.skip("this kernel cannot end a group")
    yield found
    for below in (*made.iterdir(), made):
        if below.is_dir():
            below.rmdir()


FORKS = """
import os, signal, socket, sys, time
from appliance import limits
def work(fd):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=fd) as talk:
        talk.recv(10)  # told what to do: by now it is in its group
        {deed}
        talk.send(b'done')
    time.sleep(60)
with socket.socket(fileno=int(sys.argv[1])) as control:
    sys.exit(limits.serve(control, work))
"""
FLEES = """
        if not os.fork():
            os.setsid()
            if os.fork():
                os._exit(0)
            talk.send(str(os.getpid()).encode())
            time.sleep(60)
        time.sleep(1)
"""
EATS = """
        import mmap
        held = mmap.mmap(-1, 400 << 20)  # shared: RLIMIT_DATA does not count it
        for at in range(0, 400 << 20, 4 << 20):
            held.seek(at)
            held.write(bytes(4 << 20))
            time.sleep(0.005)
"""


def template(deed: str) -> list[str]:
    return [sys.executable, "-c", FORKS.format(deed=deed.strip())]


def test_whoever_flees_from_its_child_ends_with_the_group(place: Place) -> None:
    heard: list[Usage] = []
    with (
        Decoders(Limits(), place=place, argv=template(FLEES)) as decoders,
        decoders.take(name="7-1", used=heard.append) as child,
    ):
        assert place.folder is not None
        assert int(Path(place.folder, "job-7-1", "cgroup.procs").read_text()) == child.process.pid
        fled = int(told(child.channel))
    assert_gone(fled)
    assert not Path(place.folder, "job-7-1").exists()
    assert heard[0].wall_seconds > 0


@pytest.mark.parametrize("held", ["group", "alone"])
def test_memory_that_no_controller_holds_is_looked_at(
    held: str, request: pytest.FixtureRequest
) -> None:
    where = request.getfixturevalue("place") if held == "group" else Place()
    if "memory" in where.controllers:
        pytest.skip("the kernel holds memory here")
    heard: list[Usage] = []
    small = Limits(memory_mb=150)
    with (
        Decoders(Limits(), place=where, argv=template(EATS)) as decoders,
        decoders.take(small, name="8-1", used=heard.append) as child,
    ):
        child.channel.send(wire.Free(0))
        ended = child.process.wait(20)
    assert ended is not None
    assert ended.out_of_memory
    assert 150 << 20 < (heard[0].memory_peak or 0) < 400 << 20


def test_nobody_waits_for_the_first_fork_of_a_template(tmp_path: Path) -> None:
    told = tmp_path / "forks"
    count = f"os.register_at_fork(after_in_parent=lambda: open({str(told)!r}, 'a').write('.'))"
    argv = [
        sys.executable,
        "-c",
        FORKS.format(deed="pass").replace("def work", f"{count}\ndef work"),
    ]
    with Decoders(Limits(), argv=argv) as decoders:
        eventually(lambda: told.exists() and told.read_text() == ".")
        with decoders.take():
            eventually(lambda: told.read_text() == "..")


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("os.fork = lambda: (_ for _ in ()).throw(BlockingIOError())", "it does not fork"),
        ("os.wait4 = lambda *_: os._exit(3)", "did not end well"),
    ],
)
def test_a_template_that_cannot_fork_is_not_started_without_end(
    tmp_path: Path, deed: str, why: str
) -> None:
    told = tmp_path / "starts"
    count = f"open({str(told)!r}, 'a').write('.')"
    program = FORKS.format(deed="pass").replace("def work", f"{count}\n{deed}\ndef work")
    with (
        Decoders(Limits(), argv=[sys.executable, "-c", program]) as decoders,
        pytest.raises(DecoderUnreachable, match=why),
        decoders.take(),
    ):
        pytest.fail("it was lent")
    assert len(told.read_text()) < 6


def test_a_child_that_stays_small_is_left_alone() -> None:
    looked: list[str] = []
    sampler = Sampler()
    try:
        one = sampler.watch(lambda: [os.getpid()], 64 << 20, lambda: looked.append("over"))
        time.sleep(0.6)
        peak, over = one.end()
    finally:
        sampler.close()
    assert (looked, over) == ([], False)
    assert peak < 64 << 20


def told(channel: wire.Channel) -> bytes:
    """What the other end says, outside of the protocol."""
    channel.send(wire.Free(0))
    with socket.socket(fileno=os.dup(channel.fileno())) as line:
        line.settimeout(20)
        return line.recv(20)


def assert_gone(pid: int) -> None:
    eventually(lambda: not os.path.exists(f"/proc/{pid}") or stat(pid) == "Z")


def stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def eventually(question: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not question():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)
