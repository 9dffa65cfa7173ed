"""What a box does, one thing at a time in one process: to be killed or failed at any system call.

    python -m tests.faults.steps        reads a line of JSON for each run, answers with two

The product's own functions over a real ledger, bell and share, without the processes
around them: a job performed, a retry, a round of recover, a discovery, a job asked for
anew. Whatever happens to it, `finish` afterwards does what a restarted box would do until
nothing is left to do. `BROKEN` are controls: ways to take a promise of the product away.

Each run is a fork of this process, which has imported everything before: it says its
process number, waits for the file `go` in its folder, does its steps and leaves in
`ended.json` how they ended; then its exit status follows.

Not here: which call is hit (points, errors), whether it did any harm (verdict).
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Final

from appliance import recover, revise, tasks
from appliance.bell import Bell
from appliance.box import Box, open_box
from appliance.errors import ApplianceError, EngineUnreachable, GpuMemory
from appliance.nouns import Transcript
from appliance.settings import Settings, load
from appliance.states import LIVE, State, Verdict
from appliance.store import gates, jobs, partials, schema, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger, Moment, read_clock
from appliance.watch.rounds import Rounds
from tests.faults.box import SHARE, make_settings
from tests.faults.recordings import Dropped, Kind, wav
from tests.faults.worker import decoder_given, give_decoder

line = importlib.import_module("appliance.workloads.transcription")
ledgers = importlib.import_module("appliance.store.ledger")
LATER_SECONDS: Final = 2_000.0  # after every wait there is
_WHILE_SECONDS: Final = 8.0  # a job takes one
_TURNS: Final = 60  # of a box that finishes; it needs about five


def settings_in(where: str) -> Settings:
    """The settings of the box in `where`, wherever it was made."""
    return load(os.path.join(where, "appliance.toml"))


# --- the parts of a box, turned by hand ---------------------------------------------------------


def later(seconds: float) -> Callable[[], Moment]:
    """A ledger's clock that many seconds ahead."""

    def clock() -> Moment:
        now = read_clock()
        ahead = round(seconds * 1000)
        return replace(now, wall_ms=now.wall_ms + ahead, boot_s=now.boot_s + seconds)

    return clock


@contextmanager
def watching(ledger: Ledger, settings: Settings) -> Iterator[Callable[[float], None]]:
    """Lend a step of the share's watch, at a time so many seconds ahead."""
    rounds = Rounds(ledger, settings, settings.share[0], ring=lambda _job: None)
    try:
        yield lambda ahead: (rounds.step(time.monotonic() + ahead), None)[1]
    finally:
        rounds.close()


def round_of_recover(ledger: Ledger, settings: Settings, box: Box | None = None) -> None:
    """What `appliance reconcile` does, and the worker every few seconds."""
    bell = Bell(settings.state_dir)
    try:
        minded = None if box is None else box.minds
        recover.reconcile(
            ledger, settings, ring=bell.ring, pending=bell.unanswered(), minded=minded
        )
    finally:
        bell.close()


def queued(ledger: Ledger) -> list[Job]:
    """Jobs to be had now."""
    return jobs.listing(ledger, [State.QUEUED], newest=False)


def perform_all(box: Box) -> None:
    """What the worker does when the bell rings."""
    for job in queued(box.ledger):
        tasks.perform(job.id, box)


def finish(where: str) -> None:
    """Be a restarted box until no job has anything left to do."""
    settings = settings_in(where)
    with (
        decoder_given(os.path.join(where, "marks")),
        open_box(settings) as box,
        watching(box.ledger, settings) as step,
    ):
        for turn in range(_TURNS):
            ahead = turn * LATER_SECONDS / 10
            box.ledger.clock = later(ahead)
            for tenth in range(10):
                step(ahead + tenth)
            round_of_recover(box.ledger, settings, box)
            perform_all(box)
            if turn > 2 and not jobs.listing(box.ledger, sorted(LIVE)):
                break
        round_of_recover(box.ledger, settings, box)
        box.ledger.checkpoint()


# --- scenarios: what is there before, and what is done ------------------------------------------


def put(where: str, name: str, kind: Kind = Kind.GOOD) -> Dropped:
    """Put a recording into the share of the box in `where`."""
    root = os.path.join(where, SHARE)
    full = os.path.join(root, name)
    with open(full, "wb") as stream:
        stream.write(wav(kind, random.Random(name)))
    return Dropped.at(SHARE, root, name.encode(), kind.ends)


def _found(where: str) -> None:
    """Let the watch find what is there."""
    settings = settings_in(where)
    with Ledger(settings.state_dir) as ledger, watching(ledger, settings) as step:
        for second in range(20):
            step(float(second))


def _one_queued(where: str) -> list[Dropped]:
    dropped = [put(where, "talk.wav")]
    _found(where)
    return dropped


def _one_that_falls(where: str) -> list[Dropped]:
    dropped = [put(where, "talk.wav", Kind.STUMBLES), put(where, "noise.wav", Kind.MUTE)]
    _found(where)
    return dropped


def _one_to_be_found(where: str) -> list[Dropped]:
    return [put(where, "talk.wav"), put(where, "tale.wav")]


def _one_done(where: str) -> list[Dropped]:
    dropped = _one_queued(where)
    finish(where)
    settings = settings_in(where)
    with Ledger(settings.state_dir) as ledger:
        jobs.requeue(ledger, jobs.must(ledger, 1), who="page")
    return dropped


def _one_edited(where: str) -> list[Dropped]:
    """Done, and corrected since: its files are to be written anew."""
    dropped = _one_queued(where)
    finish(where)
    settings = settings_in(where)
    with Ledger(settings.state_dir) as ledger:
        text = revise.opened(ledger, 1)
        task = text.transcripts[0].task
        corrected = ["Corrected by a person."]
        revise.edit(ledger, 1, on=text.tag, task=task, first=0, texts=corrected, who="page")
    return dropped


def _four_left_lying(where: str) -> list[Dropped]:
    """One whose worker died, one whose wait is over, one behind a gate, one nobody rang for."""
    dropped = [put(where, f"{number}.wav") for number in range(4)]
    _found(where)
    settings = settings_in(where)
    with Ledger(settings.state_dir) as ledger:
        for job in queued(ledger)[:3]:
            jobs.claim(ledger, job.id, owner="c0ffee")
        second, third = jobs.must(ledger, 2), jobs.must(ledger, 3)
        jobs.end(ledger, second, Verdict(State.RETRY_WAIT, 0.0), GpuMemory(), who="c0ffee")
        jobs.end(ledger, third, Verdict(State.WAITING), EngineUnreachable(), who="c0ffee")
        gates.close(ledger, EngineUnreachable())
    for left in (settings.state("spool", "1"), os.path.join(settings.run_dir, "owners")):
        os.makedirs(left, exist_ok=True)
    for left in (settings.state("spool", "1", "source"), f"{settings.run_dir}/owners/c0ffee"):
        with open(left, "wb"):
            pass
    return dropped


@contextmanager
def _for_a_while(settings: Settings) -> Iterator[Box]:
    """Lend a box that is told to stop after a while: a disk that stays bad is waited for."""
    tasks._WRITE_AGAIN_SECONDS = 0.1  # type: ignore[misc]
    with open_box(settings) as box:
        stop = threading.Timer(_WHILE_SECONDS, box.stopping.set)
        stop.daemon = True
        stop.start()
        try:
            yield box
        finally:
            stop.cancel()


def _do_jobs(settings: Settings) -> None:
    with _for_a_while(settings) as box:
        perform_all(box)


def _do_retry(settings: Settings) -> None:
    with _for_a_while(settings) as box:
        perform_all(box)
        box.ledger.clock = later(LATER_SECONDS)
        round_of_recover(box.ledger, settings, box)
        perform_all(box)


def _do_reconcile(settings: Settings) -> None:
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        round_of_recover(ledger, settings)
        ledger.checkpoint()


def _do_discover(settings: Settings) -> None:
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger, watching(ledger, settings) as step:
        for second in range(20):
            step(float(second))


Prepare = Callable[[str], list[Dropped]]
SCENARIOS: Final[Mapping[str, tuple[Prepare, Callable[[Settings], None]]]] = {
    "job": (_one_queued, _do_jobs),
    "retry": (_one_that_falls, _do_retry),
    "reconcile": (_four_left_lying, _do_reconcile),
    "discovery": (_one_to_be_found, _do_discover),
    "again": (_one_done, _do_jobs),
    "edited": (_one_edited, _do_jobs),
}


# --- a box for every run ------------------------------------------------------------------------


def prepare(scenario: str, where: str, engine: str) -> list[Dropped]:
    """Make a box in `where`, ready for the scenario; its engine serves at `engine`."""
    os.makedirs(where)
    settings = make_settings(where)
    os.makedirs(settings.run_dir)
    os.symlink(engine, settings.engine_socket)
    with _quiet():
        return SCENARIOS[scenario][0](where)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what children log out of the table."""
    with open(os.devnull, "wb") as nothing:
        kept = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def copy(model: str, where: str) -> None:
    """Make the same box once more in `where`, times and all."""
    shutil.copytree(model, where, symlinks=True)
    file = os.path.join(where, "appliance.toml")
    with open(file, encoding="utf-8") as stream:
        told = stream.read().replace(model, where)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(told)


def _never_recorded() -> None:
    """Nothing is found in the ledger: every attempt transcribes anew, and records that."""
    record = transcripts.record

    def replace_it(ledger: Ledger, job: Job, transcript: Transcript, *, asked_sha256: str) -> None:
        with ledger.writing() as db:
            db.execute("DELETE FROM transcript WHERE job = ?", [job.id])
            record(ledger, job, transcript, asked_sha256=asked_sha256)

    setattr(line, "_found_again", lambda *_: None)  # noqa: B010
    setattr(partials, "made_by", lambda *_: {})  # noqa: B010
    setattr(transcripts, "of_job", lambda *_: None)  # noqa: B010
    setattr(transcripts, "record", replace_it)  # noqa: B010


def _nameless() -> None:
    """What SQLite says goes up as it is."""
    setattr(ledgers, "named_errors", lambda _folder, **_: nullcontext())  # noqa: B010


BROKEN: Final[Mapping[str, Callable[[], None]]] = {
    "": lambda: None,
    "twice": _never_recorded,
    "nameless": _nameless,
}


def do(scenario: str, where: str, *, broken: str = "") -> Mapping[str, str]:
    """Do the scenario's steps and say how that ended, as the command's own last line would."""
    give_decoder(os.path.join(where, "marks"))
    BROKEN[broken]()
    ended = {"ended": "well"}
    try:
        finish(where) if scenario == "finish" else SCENARIOS[scenario][1](settings_in(where))
    except ApplianceError as error:
        ended = {"ended": "named", "code": error.code}
    except Exception:  # noqa: BLE001 - this is what must never happen
        ended = {"ended": "untyped", "traceback": traceback.format_exc()}
    return ended


def _run(request: Mapping[str, str]) -> None:
    """In the fork: wait until whoever wants to hit us is ready.

    How it ended is told through a file that was opened before, by a call that nobody hits.
    """
    told = os.path.join(request["where"], "ended.json")
    fd = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    while not os.path.exists(os.path.join(request["where"], "go")):
        time.sleep(0.002)
    ended = do(request["scenario"], request["where"], broken=request["broken"])
    os.writev(fd, [json.dumps(ended).encode()])


def serve() -> None:
    """Run what is asked for, a fork for each, until nobody asks any more."""
    for asked in sys.stdin:
        request = json.loads(asked)
        pid = os.fork()
        if pid == 0:
            try:
                _run(request)
            finally:
                os._exit(0)
        print(pid, flush=True)  # noqa: T201 - the answer
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()
