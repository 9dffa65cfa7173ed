"""The judge notices what he must: every kind of harm, planted on purpose in a box that is well."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.states import State
from tests.faults import steps, verdict
from tests.faults.box import SHARE
from tests.faults.recordings import Dropped


@dataclass
class Scene:
    """A box where all is done, and what was dropped into it."""

    where: str
    dropped: list[Dropped]

    @property
    def state(self) -> str:
        return os.path.join(self.where, "state")

    def file(self, name: str) -> str:
        return os.path.join(self.where, SHARE, name)

    def write(self, name: str, content: bytes = b"x") -> None:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as stream:
            stream.write(content)

    def sql(self, *statements: str) -> None:
        """Do what no way through the product does."""
        with closing(sqlite3.connect(os.path.join(self.state, "ledger.db"))) as ledger:
            for (trigger,) in ledger.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                ledger.execute(f"DROP TRIGGER {trigger}")
            for statement in statements:
                ledger.execute(statement)
            ledger.commit()

    def verdict(self, seen: verdict.Contents | None = None) -> list[str]:
        roots = {SHARE: os.path.join(self.where, SHARE)}
        return verdict.judge(self.state, roots, self.dropped, seen=seen)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One recording done, one that failed."""
    where = str(tmp_path_factory.mktemp("verdict"))
    marks, socket = os.path.join(where, "marks"), os.path.join(where, "engine.sock")
    os.mkdir(marks)
    engine = subprocess.Popen([sys.executable, "-m", "tests.faults.engine", marks, socket])
    try:
        while not os.path.exists(socket):
            time.sleep(0.02)
        box = os.path.join(where, "box")
        dropped = steps.prepare("retry", box, socket)
        steps.finish(box)
        yield Scene(box, dropped)
    finally:
        engine.kill()
        engine.wait()


@pytest.fixture
def scene(done: Scene, tmp_path: Path) -> Scene:
    where = str(tmp_path / "box")
    shutil.copytree(done.where, where, symlinks=True)
    return Scene(where, list(done.dropped))


def test_a_box_that_is_well_is_told_so(scene: Scene) -> None:
    assert scene.verdict() == []
    assert sorted(os.listdir(scene.file(""))) == [
        *(".transcribe-id", "noise.wav", "noise.wav.ERROR.txt"),
        *("talk.json", "talk.srt", "talk.txt", "talk.wav"),
    ]


def _one_byte_less(scene: Scene) -> None:
    with open(scene.file("talk.txt"), "r+b") as stream:
        stream.truncate(os.path.getsize(scene.file("talk.txt")) - 1)


def _other_bytes_same_looks(scene: Scene) -> None:
    before = os.stat(scene.file("talk.wav"))
    with open(scene.file("talk.wav"), "r+b") as stream:
        stream.seek(100)
        stream.write(bytes([255 - stream.read(1)[0]]))
    os.utime(scene.file("talk.wav"), ns=(before.st_atime_ns, before.st_mtime_ns))


def _another_file(scene: Scene) -> None:
    scene.dropped.append(replace(scene.dropped[0], path=b"third.wav"))
    shutil.copy2(scene.file("talk.wav"), scene.file("third.wav"))


def _of_other_bytes(scene: Scene) -> None:
    scene.dropped[0] = replace(scene.dropped[0], sha256="0" * 64)


def _expected_to_fail(scene: Scene) -> None:
    scene.dropped[0] = replace(scene.dropped[0], ends=State.FAILED)


def _broken_queue(scene: Scene) -> None:
    with closing(sqlite3.connect(os.path.join(scene.state, "huey.db"))) as queue:
        queue.execute("PRAGMA journal_mode = DELETE")
    with open(os.path.join(scene.state, "huey.db"), "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 4096)


def _corrected(scene: Scene, changes: str, exported: str) -> None:
    """A revision that removes nothing or something, and whether the files are said to hold it."""
    body = zlib.compress(changes.encode()).hex()
    columns = "job, epoch, n, kind, body, who, at_ms, exported_ms"
    values = f"id, epoch, 1, 'edit', x'{body}', 'me', 0, {exported}"
    done = "FROM job WHERE state = 'done'"
    scene.sql(f"INSERT INTO revision ({columns}) SELECT {values} {done}")


_NO_FIRST = '[{"task": "transcribe", "first": 0, "count": 1, "segments": []}]'

HARM: dict[str, tuple[Callable[[Scene], object], str]] = {
    "an export is gone": (lambda s: os.unlink(s.file("talk.srt")), "lost"),
    "an export is cut": (_one_byte_less, "torn"),
    "a file nobody can explain": (lambda s: s.write(s.file("talk (2).txt")), "stray"),
    "half an export": (lambda s: s.write(s.file(".~appliance-1.2.txt")), "stray"),
    "a note beside what is done": (lambda s: s.write(s.file("talk.wav.ERROR.txt")), "stray"),
    "no note beside what failed": (lambda s: os.unlink(s.file("noise.wav.ERROR.txt")), "lost"),
    "a copy in the spool": (lambda s: s.write(f"{s.state}/spool/1/source"), "stray"),
    "an owner that is dead": (lambda s: s.write(f"{s.state}/run/owners/c0ffee"), "stray"),
    "a recording is gone": (lambda s: os.unlink(s.file("talk.wav")), "touched"),
    "a recording was touched": (lambda s: os.utime(s.file("talk.wav")), "touched"),
    "a recording has another mode": (lambda s: os.chmod(s.file("talk.wav"), 0o600), "touched"),
    "a recording has other bytes": (_other_bytes_same_looks, "touched"),
    "a recording without a job": (_another_file, "lost"),
    "the text of another recording": (_of_other_bytes, "mixed"),
    "a job that ended otherwise": (_expected_to_fail, "lost"),
    "a job that never ended": (
        lambda s: s.sql("UPDATE job SET state = 'running' WHERE state = 'done'"),
        "lost",
    ),
    "a bug": (lambda s: s.sql("UPDATE job SET code = 'bug' WHERE state = 'failed'"), "lost"),
    "done twice": (
        lambda s: s.sql(
            "INSERT INTO event (job, epoch, attempt, was, became, who, at_ms)"
            " SELECT job, epoch, attempt, was, became, who, at_ms FROM event WHERE became = 'done'"
        ),
        "duplicate",
    ),
    "two jobs for one file": (
        lambda s: s.sql(
            "CREATE TABLE twin AS SELECT * FROM job WHERE path = CAST('talk.wav' AS BLOB)",
            "DROP TABLE job",
            "CREATE TABLE job AS SELECT * FROM twin UNION ALL SELECT * FROM twin",
        ),
        "duplicate",
    ),
    "an export under another name": (
        lambda s: s.sql(
            "UPDATE export SET path = CAST('talk (2).txt' AS BLOB) WHERE suffix = '.txt'"
        ),
        "duplicate",
    ),
    "an export the ledger has not finished": (
        lambda s: s.sql("UPDATE export SET state = 'intended' WHERE suffix = '.txt'"),
        "torn",
    ),
    "a transcript that is gone": (lambda s: s.sql("DELETE FROM transcript"), "lost"),
    "a correction in no file": (lambda s: _corrected(s, "[]", "NULL"), "lost"),
    "files without a correction": (lambda s: _corrected(s, _NO_FIRST, "1"), "torn"),
    "a queue that is damaged": (_broken_queue, "damaged"),
}


@pytest.mark.parametrize("name", HARM)
def test_every_harm_is_noticed_by_its_name(scene: Scene, name: str) -> None:
    harm, kind = HARM[name]
    harm(scene)
    assert {one.partition(":")[0] for one in scene.verdict()} >= {kind}


def test_two_contents_under_one_name_are_one_too_many(scene: Scene) -> None:
    path = (SHARE, b"talk.txt")
    assert scene.verdict(seen={path: {"one"}}) == []
    found = scene.verdict(seen={path: {"one", "two"}})
    assert [one.partition(":")[0] for one in found] == ["duplicate"]
