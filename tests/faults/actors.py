"""Threads that stand still before whatever another process could see, until they are told to go.

An actor runs the product's own code, a worker's `perform` or a round of recover, in a
thread of its own. It pauses before each transaction, each look whether it still has its
job, and each step that changes a folder. So a test decides who goes next, one step at a
time: two that race, one that comes back after everybody took it for dead. An actor that
is never told to go again is a process that was killed there: nothing of it is undone.

Not here: what they do, and what is to be found afterwards (model).
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

from appliance import stage
from appliance.deliver import place
from appliance.store import jobs
from appliance.store.ledger import Ledger

line: Any = importlib.import_module("appliance.workloads.transcription")  # not its function

_PATIENCE: Final = 60.0  # seconds; one that needs longer hangs
_here = threading.local()


class Unwound(BaseException):
    """The test is over: leave the product's code by whatever way there is."""


class Actor:
    """Somebody at work, paused until told to go."""

    def __init__(self, owner: str, work: Callable[[], None]) -> None:
        """`owner` is the process this thread stands for."""
        self.owner = owner
        self.claimed: jobs.Job | None = None
        self.before = ""  # which of the named steps it stands before
        self.over = False
        self.failed: BaseException | None = None
        self._work = work
        self._unwinding = False
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()

    def _run(self) -> None:
        _here.actor = self
        try:
            self.pause()
            self._work()
        except Unwound:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
            self.failed = error
        finally:
            self.over = True
            self._stands.release()

    def _wait(self) -> None:
        if not self._stands.acquire(timeout=_PATIENCE):
            raise AssertionError("an actor hangs")

    def pause(self, before: str = "") -> None:
        """Stand still; called in the actor's own thread."""
        if self._unwinding:
            raise Unwound
        self.before = before
        self._stands.release()
        self._go.acquire()
        if self._unwinding:
            raise Unwound

    def go(self, steps: int = 1) -> None:
        """Let it go on to its next pause, so many times or until it is over."""
        for _ in range(steps):
            if self.over:
                break
            self._go.release()
            self._wait()
        if self.failed is not None:
            raise self.failed

    def go_to(self, before: str) -> None:
        """Let it go on until it stands before a step of that name, or is over."""
        self.go()
        while not self.over and self.before != before:
            self.go()

    def finish(self) -> None:
        """Let it go on to its end."""
        self.go(10_000)
        if not self.over:
            raise AssertionError("an actor comes to no end")

    def unwind(self) -> None:
        """Take it off its thread; what it does on the way out is nobody's concern any more."""
        self._unwinding = True
        while not self.over:
            self._go.release()
            self._wait()
        self._thread.join()


def pause(before: str = "") -> None:
    """Stand still, if this thread is an actor's."""
    actor = getattr(_here, "actor", None)
    if actor is not None:
        actor.pause(before)


# Where an actor stands still. A transaction, and a look at a file followed by a rename, are
# one step: nothing of another process comes between, or it is the rename that notices.
_STEPS: Final[tuple[tuple[Any, str], ...]] = (
    (place, "write"),
    (place, "put"),
    (place, "remove"),
    (stage, "_copy"),
    (line, "_made"),
)


@contextlib.contextmanager
def pausing() -> Iterator[None]:
    """Have every actor stand still where it matters, for as long as this lasts."""
    writing, asked = Ledger.writing, jobs.cancel_asked

    @contextlib.contextmanager
    def paused_writing(ledger: Ledger) -> Iterator[Any]:
        if not ledger._mine().depth:
            pause()
        with writing(ledger) as db:
            yield db

    def paused_asking(ledger: Ledger, job: jobs.Job) -> jobs.Asked:
        if not ledger._mine().depth:
            pause()
        return asked(ledger, job)

    claim = jobs.claim

    def noted_claim(ledger: Ledger, job_id: int, *, owner: str) -> jobs.Job | None:
        job = claim(ledger, job_id, owner=owner)
        _here.actor.claimed = job
        return job

    with contextlib.ExitStack() as undo:
        undo.enter_context(mock.patch.object(jobs, "claim", noted_claim))
        undo.enter_context(mock.patch.object(Ledger, "writing", paused_writing))
        undo.enter_context(mock.patch.object(jobs, "cancel_asked", paused_asking))
        for module, name in _STEPS:
            step = _paused(name, getattr(module, name))
            undo.enter_context(mock.patch.object(module, name, step))
        yield


def _paused(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def paused(*args: Any, **options: Any) -> Any:
        pause(name)
        return step(*args, **options)

    return paused
