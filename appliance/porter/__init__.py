"""Everything a worker has done at a share, in children that can be killed.

In: an attempt at a job and a verb (stage, deliver, note). Out: its result, or the named
error it ended with. A call into a file server that has stopped answering never returns,
and only the death of its process ends it: so no thread of the worker ever makes one. A
child that gives no sign of getting on for half a minute is killed, its share is offline,
and the thread is free.

Each errand under way has a child of its own, so no job waits for another's long copy; a
child is forked by a template that has all loaded, and kept for the next errand. While the
kernel has not let go of a killed child, no errand is begun at the same mount: what it had
asked for may still happen there, and must not happen after its successor's work.

The pages have porters, too: what somebody listens to is read out by one, and whether a share
answers is found out by one.

Not here: what an errand does (errands, reading), how the two talk (talk), opening the gate
of a share (watch).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Self

from appliance import daemon, journal, links
from appliance.errors import ApplianceError, NodeIO, ShareOffline, WorkerDied, named
from appliance.limits import Child, Forked, Limits, Nursery
from appliance.nouns import Staged, display
from appliance.porter.talk import (
    Carried,
    Errand,
    HungUp,
    Looking,
    Moved,
    Reading,
    Refused,
    Talk,
)
from appliance.settings import Settings, Share
from appliance.store.jobs import Job

SILENCE_SECONDS: Final = 30.0  # at a share; then its file server does not answer
SLOW_SECONDS: Final = 60.0  # 5 GB come in that from a server of an office
ONSET_SECONDS: Final = 300.0  # before it is at the share: starting, reading the ledger, rendering
_TURN_SECONDS: Final = 1.0
_LEAVE_SECONDS: Final = 5.0  # for a killed child to be gone, when nothing holds it

Stop = Callable[[], None]  # asked about once a second; raises to end the errand


class Porter:
    """One child, and the line to it."""

    def __init__(self, process: Forked, talk: Talk) -> None:
        self.process = process
        self.talk = talk

    def kill(self) -> None:
        """Kill it. In a call to a file server that hangs, the kernel lets go of it when it can."""
        self.talk.close()
        self.process.kill()

    def is_gone(self, patience: float) -> bool:
        """Tell whether it has ended, at the latest after `patience` seconds; reap it."""
        return self.process.wait(timeout=patience) is not None


class Porters:
    """The porters of one worker. Usable from any thread; closing it kills them."""

    def __init__(
        self,
        settings: Settings,
        *,
        silence: float = SILENCE_SECONDS,
        argv: Sequence[str] | None = None,
    ) -> None:
        """`silence` in seconds; `argv` is another template, for tests."""
        # In ASCII: a file named by hand may lie in a folder whose name is not UTF-8.
        self._told = json.dumps(settings.model_dump()).encode("ascii")
        self._silence = silence
        self._argv = argv or [sys.executable, "-P", "-m", __name__]
        self._idle: list[Porter] = []
        self._killed: list[tuple[int, Porter]] = []  # with the mount each was at
        self._guard = threading.Lock()  # over both
        self._fetched: dict[int, tuple[str, float]] = {}  # what is being copied: share, since when
        self._nursery = Nursery("porter", self._begin, Limits())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def get_ready(self) -> None:
        """Have a porter wait for the first errand. Raises NodeIO."""
        porter = self._take()
        with self._guard:
            self._idle.append(porter)

    def stage(self, job: Job, share: Share, *, stop: Stop) -> Staged:
        """Copy the recording of a job into the spool. Raises as `stage.stage`, and `stop`."""
        self._fetched[job.id] = (share.name, time.monotonic())
        try:
            staged = self.carry("stage", job, share, stop=stop)
        finally:
            self._fetched.pop(job.id, None)  # an attempt that is over may be at the same job
        if staged is None:
            raise NodeIO(where=share.root, why="a porter came back with empty hands")
        return staged

    def slow(self, seconds: float = SLOW_SECONDS) -> dict[int, str]:
        """The jobs whose recordings are being copied for so long already, and their shares."""
        until = time.monotonic() - seconds
        return {job: share for job, (share, since) in self._fetched.copy().items() if since < until}

    def carry(
        self,
        verb: str,
        job: Job,
        share: Share,
        error: ApplianceError | None = None,
        *,
        stop: Stop,
    ) -> Staged | None:
        """Have one of `errands.VERBS` done for an attempt at a job; `error` is a note's.

        `stop` is asked about once a second and raises to end the errand. Raises the named
        error it ended with, what `stop` raises, and ShareOffline when nothing moves at the
        share or a killed porter still hangs there, NodeIO when no porter can be started,
        WorkerDied when one died by itself.
        """
        code, detail = (None, {}) if error is None else (error.code, error.detail)
        mount = links.mount_id(share.root)
        if self.hangs_at(mount):
            raise ShareOffline(share=share.name)
        with self._lent(share, mount) as porter:
            try:
                about = journal.carried()
                porter.talk.send(Errand(verb, job.id, job.attempt, code, detail, about))
                answer = self._answer(porter, share, stop)
            except HungUp:
                raise WorkerDied from None
            if isinstance(answer, Refused) and answer.code == NodeIO.code:
                # Its hold on the ledger may be what is broken: it is not sent again.
                raise named(answer.code, answer.detail)
        if isinstance(answer, Refused):
            raise named(answer.code, {"name": display(job.source.name), **answer.detail})
        return answer.staged

    def read(self, job: Job, share: Share, first: int, until: int) -> Generator[bytes]:
        """The bytes [first, until) of a job's recording, piece by piece, as they are asked for.

        Whoever stops asking closes it, which kills the porter. Raises, before the first piece
        or later, what `stage.opened` raises, ShareOffline and NodeIO as `carry` does.
        """
        with self._met(share) as porter:
            porter.talk.send(Reading(job.id, first, until))
            while isinstance(word := self._heard(porter, share), bytes):
                yield word
        if isinstance(word, Refused):
            raise named(word.code, {"name": display(job.source.name), **word.detail})

    def look(self, share: Share) -> None:
        """Look at a share now. Raises share.*, and NodeIO as `carry` does."""
        with self._met(share) as porter:
            porter.talk.send(Looking(share.name))
            word = self._heard(porter, share)
        if isinstance(word, Refused):
            raise named(word.code, word.detail)

    @contextlib.contextmanager
    def _met(self, share: Share) -> Iterator[Porter]:
        """Lend a porter for somebody who waits for it. Raises ShareOffline, NodeIO."""
        mount = links.mount_id(share.root)
        if self.hangs_at(mount):
            raise ShareOffline(share=share.name)
        try:
            with self._lent(share, mount) as porter:
                yield porter
        except HungUp:
            raise NodeIO(where=share.root, why="a porter died") from None

    def _heard(self, porter: Porter, share: Share) -> Carried | Refused | bytes:
        """What a porter hands over next. Raises ShareOffline, HungUp."""
        while True:
            word = porter.talk.receive(self._silence)
            if word is None:
                raise ShareOffline(share=share.name)
            if isinstance(word, Carried | Refused | bytes):
                return word

    def _answer(self, porter: Porter, share: Share, stop: Stop) -> Carried | Refused:
        """Hear a porter out, as long as it gives signs of getting on."""
        heard, patience = time.monotonic(), ONSET_SECONDS
        while True:
            word = porter.talk.receive(min(self._silence, _TURN_SECONDS))
            if isinstance(word, Carried | Refused):
                return word
            now = time.monotonic()
            if isinstance(word, Moved):
                heard, patience = now, self._silence
            elif now - heard > patience:
                raise self._silent(share, patience)
            stop()

    def _silent(self, share: Share, patience: float) -> ApplianceError:
        if patience == self._silence:
            return ShareOffline(share=share.name)
        return NodeIO(where=share.root, why="a porter did not set out")

    # --- the children ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _lent(self, share: Share, mount: int) -> Iterator[Porter]:
        """Lend a porter for one errand; one whose errand ended badly is killed."""
        with contextlib.ExitStack() as unless_well:
            porter = self._take()
            unless_well.callback(self._bury, porter, share, mount)
            yield porter
            unless_well.pop_all()
            with self._guard:
                self._idle.append(porter)

    def _bury(self, porter: Porter, share: Share, mount: int) -> None:
        porter.kill()
        with self._guard:
            self._killed.append((links.came_upon(share.root, mount), porter))

    def _take(self) -> Porter:
        while (porter := self._kept()) is not None:
            if not porter.is_gone(0):
                return porter
            porter.talk.close()
        talk, theirs = Talk.pair()
        with contextlib.ExitStack() as unless_born, theirs:
            unless_born.callback(talk.close)
            porter = Porter(self._nursery.born(theirs.fileno()), talk)
            unless_born.pop_all()
        return porter

    def _kept(self) -> Porter | None:
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _begin(self, fd: int) -> Child:
        """Start a template, with every right that the worker has."""
        with daemon.in_memory(self._told) as told:
            process = subprocess.Popen(
                [*self._argv, str(told), str(os.getpid()), str(fd)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[told, fd],
                start_new_session=True,
            )
        return Child(process, Limits())

    def hangs_at(self, mount: int) -> bool:
        """Whether a killed porter has not left this mount, and does not within a moment."""
        until = time.monotonic() + _LEAVE_SECONDS
        with self._guard:
            hanging = [porter for at, porter in self._killed if at == mount]
        for porter in hanging:  # not under the lock: errands at other shares do not wait for this
            porter.process.has_ended(max(until - time.monotonic(), 0))
        with self._guard:
            self._killed = [(at, porter) for at, porter in self._killed if not porter.is_gone(0)]
            return any(at == mount for at, _ in self._killed)

    def close(self) -> None:
        """Kill every porter; one that hangs in a call is left to the kernel."""
        until = time.monotonic() + _LEAVE_SECONDS
        for porter in self._idle:
            porter.kill()
        for porter in (*self._idle, *(porter for _, porter in self._killed)):
            porter.is_gone(max(until - time.monotonic(), 0))
        self._nursery.close()
