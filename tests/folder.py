"""A share in a temporary folder, and a ledger beside it: what the delivering end works on.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from appliance.deliver import deliver
from appliance.errors import ApplianceError, WorkerDied
from appliance.nouns import Export, Options, Source
from appliance.settings import Share
from appliance.states import State, Verdict
from appliance.store import jobs, schema
from appliance.store.exports import Published
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

SOUND = b"RIFF, as far as anybody here cares"


def well() -> None:
    """The share is the one we know."""


def export(suffix: str, content: bytes) -> Export:
    """An export whose format is its last suffix."""
    return Export(suffix.rpartition(".")[2], suffix, content)


def trio(mark: bytes = b"one") -> list[Export]:
    """Three exports, the commit mark first, so that order is deliver's doing."""
    return [export(suffix, mark + suffix.encode()) for suffix in (".json", ".srt", ".en.srt")]


@dataclass
class Folder:
    """One share with its ledger."""

    root: str
    state: str
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        os.makedirs(self.root, exist_ok=True)
        schema.prepare(self.state)
        self.ledger = Ledger(self.state)

    @property
    def share(self) -> Share:
        return Share(name="talks", root=self.root)

    def full(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), path)

    def write(self, path: bytes, content: bytes) -> None:
        os.makedirs(os.path.dirname(self.full(path)), exist_ok=True)
        with open(self.full(path), "wb") as stream:
            stream.write(content)

    def read(self, path: bytes) -> bytes:
        with open(self.full(path), "rb") as stream:
            return stream.read()

    def drop(self, path: bytes, content: bytes = SOUND) -> Job:
        """Put a recording there and claim its job."""
        self.write(path, content)
        seen = os.stat(self.full(path))
        source = Source("talks", path, seen.st_size, seen.st_mtime_ns)
        born = jobs.add(self.ledger, source, Options(), correlation="c0ffee")
        assert born is not None
        return self.claim(born)

    def claim(self, job: Job) -> Job:
        claimed = jobs.claim(self.ledger, job.id, owner="tests")
        assert claimed is not None
        return claimed

    def again(self, job: Job) -> Job:
        """The worker died: the job under its next attempt."""
        now = jobs.must(self.ledger, job.id)
        if now.state is State.RUNNING:
            verdict = Verdict(State.QUEUED)
            now = jobs.end(self.ledger, now, verdict, WorkerDied(), who="tests")
        elif now.state is not State.QUEUED:
            now = jobs.requeue(self.ledger, now, who="tests")
        return self.claim(now)

    def fail(self, job: Job, error: ApplianceError) -> Job:
        """The job ends here."""
        return jobs.end(self.ledger, job, Verdict(State.FAILED), error, who="tests")

    def deliver(
        self, job: Job, exports: list[Export], guard: Callable[[], None] = well
    ) -> list[Published]:
        return deliver(self.ledger, self.root, job, exports, guard=guard)

    def contents(self, folder: bytes = b"") -> Mapping[bytes, bytes]:
        """Every file in a folder, hidden ones too; what is not a file as what it is."""
        found = {}
        for name in os.listdir(self.full(folder)):
            path = os.path.join(folder, name)
            plain = os.path.isfile(self.full(path)) and not os.path.islink(self.full(path))
            found[name] = self.read(path) if plain else b"(not a file)"
        return found

    def exports(self, folder: bytes = b"") -> Mapping[bytes, bytes]:
        """What lies in a folder besides the recordings."""
        every = self.contents(folder)
        return {name: content for name, content in every.items() if content != SOUND}


@contextlib.contextmanager
def lent() -> Iterator[Folder]:
    """In memory where there is such a folder: what matters here dies the same, only faster."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - tempfile names it
    with tempfile.TemporaryDirectory(dir=memory) as place:
        made = Folder(os.path.join(place, "share"), os.path.join(place, "state"))
        try:
            yield made
        finally:
            made.ledger.close()
