"""The box of one process: settings, ledger, owner, decoders, porters; built once, handed down.

The composition root. Nothing below reaches for settings or the ledger by itself.

Not here: what a process does with it (tasks, workloads).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.daemon import Owner, alive
from appliance.decoders import NOWHERE, Decoders
from appliance.errors import on_the_box
from appliance.limits import Limits, Place
from appliance.porter import SILENCE_SECONDS, Porters
from appliance.settings import Settings
from appliance.store import schema
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Box:
    """Everything a worker works with."""

    settings: Settings
    ledger: Ledger
    owner: Owner
    decoders: Decoders
    porters: Porters
    stopping: threading.Event = field(default_factory=threading.Event)  # end in good order
    at_work: list[int] = field(default_factory=list)  # the job of each thread that has one
    signs: dict[int, float] = field(default_factory=dict)  # when each of them last moved

    def minds(self, job: Job) -> bool:
        """Tell whether somebody alive is at this running job: a thread of ours, or another."""
        if job.owner == self.owner.id:
            return job.id in self.at_work
        return job.owner is not None and alive(self.settings.run_dir, job.owner)

    def sign(self, job_id: int) -> None:
        """Note that the thread at this job is not stuck."""
        self.signs[job_id] = time.monotonic()

    def spool(self, job_id: int) -> str:
        """The folder of one job's own copy of its recording."""
        return self.settings.state("spool", str(job_id))


@contextlib.contextmanager
def open_box(
    settings: Settings, *, silence: float = SILENCE_SECONDS, place: Place = NOWHERE
) -> Iterator[Box]:
    """Build the box of a worker; take it apart again at the end. Raises node.*.

    `silence` is how many seconds nothing may move at a share; `place` is where jobs have
    groups of their own.
    """
    schema.prepare(settings.state_dir)
    with on_the_box(settings.state_dir):
        for folder in (settings.run_dir, settings.state("spool")):
            os.makedirs(folder, mode=0o770, exist_ok=True)
    highest = Limits(
        memory_mb=settings.most_memory_mb, every_wall=settings.worker.require_isolation
    )
    with (
        Ledger(settings.state_dir) as ledger,
        Owner(settings.run_dir) as owner,
        Decoders(highest, place=place) as decoders,
        Porters(settings, silence=silence) as porters,
    ):
        yield Box(settings, ledger, owner, decoders, porters)
