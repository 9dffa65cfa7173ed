"""Carry frames between decode child and engine until every window has been heard.

The relay holds no sound and no model: it knows which windows are out, gives the slots
back, lets the first windows vote on the language, and sends again what an engine that
died had in hand, one window at a time, so that only a window that kills the engine
alone costs its job a crash.

Not here: turning what was heard into a transcript (assemble).
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from appliance import wire
from appliance.errors import (
    ApplianceError,
    ChildKilled,
    EngineLost,
    EngineUnreachable,
    EngineVersion,
    OverMemory,
    SourceTimeout,
    Stalled,
    named,
)
from appliance.nouns import Detail, Options, Recording, Window
from appliance.nursery import DecodeChild
from appliance.transcribe.account import Account
from appliance.transcribe.sanity import START_SLACK_SECONDS, is_sane

SLOTS: Final = 8  # windows between child and engine; also what bounds the ring's memory
VOTERS: Final = 3  # windows that decide on the language
STALL_SECONDS: Final = 300.0
LEAST_TIMEOUT_SECONDS: Final = 600.0
ENGINE_PATIENCE_SECONDS: Final = 60.0  # for an engine that restarts
KNOCK_SECONDS: Final = 10.0  # for an engine that was never there
WELCOME_SECONDS: Final = 300.0  # for one that loads a large model
_NOT_A_CHILDS: Final = frozenset({"source.changed", "source.missing", "source.export-conflict"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What this attempt is about."""

    name: str
    about: Detail  # job, attempt, share, correlation: for the logs of child and engine
    options: Options
    max_seconds: float
    timeout_factor: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was heard."""

    recording: Recording
    ended: wire.Ended
    welcome: wire.Welcome
    windows: tuple[Window, ...]
    heard: Mapping[tuple[int, str], wire.Heard]  # by window and task
    language: str
    probability: float


@dataclass(slots=True)
class _Out:
    """A window that lies in a slot."""

    window: Window
    slot: int
    sent: bool = False
    answers: dict[str, wire.Heard] = field(default_factory=dict)


class Relay:
    """One attempt's talk with child and engine. Used by one thread."""

    def __init__(self, terms: Terms, child: DecodeChild, engine_socket: str) -> None:
        self._terms = terms
        self._child = child
        self._socket = engine_socket
        self._ring = wire.Ring.create(SLOTS)
        self._engine: wire.Channel | None = None
        self._welcome: wire.Welcome | None = None
        self._out: dict[int, _Out] = {}
        self._windows: list[Window] = []
        self._heard: dict[tuple[int, str], wire.Heard] = {}
        self._language = terms.options.language
        self._probability = 1.0
        self._careful = False  # after the engine died: one window at a time
        self._recording: Recording | None = None
        self._ended: wire.Ended | None = None
        self._moved = self._begun = time.monotonic()
        self._answered = self._moved  # by the engine, while it has something in hand
        self._account = Account(terms.options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._engine:
            self._engine.close()
        self._ring.close()

    def run(
        self,
        source_fd: int,
        *,
        progress: Callable[[float, float | None], None],
        stop: Callable[[], None],
    ) -> Outcome:
        """Talk until everything is heard. Raises ApplianceError, and what `stop` raises."""
        welcome = self._welcome = self._knock(KNOCK_SECONDS, stop)
        if not welcome.multilingual:
            self._language = "en"
        self._begin(source_fd, welcome)
        asked = 0.0
        while not self._all_heard():
            now = time.monotonic()
            if now - asked >= 1.0:
                asked = now
                stop()
                self._in_time(now, stop)
                progress(self._done(), self._total())
            self._turn(stop)
        return self._outcome(welcome)

    # --- the engine's side ----------------------------------------------------------------------

    def _knock(self, patience: float, stop: Callable[[], None]) -> wire.Welcome:
        """Connect and be welcomed, waiting for an engine that is just starting."""
        until = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError, wire.Hung), contextlib.ExitStack() as unless_welcome:
                door = wire.connect(self._socket, patience=patience)
                engine = unless_welcome.enter_context(door)
                welcome = self._greet(engine, stop)
                unless_welcome.pop_all()
                self._engine = engine
                self._account.engine(welcome)
                return welcome
            stop()
            if time.monotonic() > until:
                raise EngineUnreachable
            time.sleep(0.2)

    def _greet(self, engine: wire.Channel, stop: Callable[[], None]) -> wire.Welcome:
        options = self._terms.options
        engine.send(
            wire.Hello(
                version=wire.VERSION,
                model=options.model,
                slots=SLOTS,
                beam=options.beam,
                vocabulary=options.vocabulary,
                initial_prompt=options.initial_prompt,
                about=self._terms.about,
            ),
            [self._ring.fd],
        )
        until = time.monotonic() + WELCOME_SECONDS
        while (got := engine.receive(timeout=1.0)) is None:
            stop()
            if time.monotonic() > until:
                raise EngineUnreachable
        match got[0]:
            case wire.Welcome() as welcome:
                return welcome
            case wire.Fault() as fault:
                raise named(fault.code, fault.detail)
        raise EngineVersion(theirs=0, ours=wire.VERSION)

    def _engine_died(self, stop: Callable[[], None]) -> None:
        """Find the engine again and send what it had in hand; once more alone, it is to blame."""
        sent = [out for out in self._out.values() if out.sent]
        self._account.engine_died(len(sent))
        if self._careful and len(sent) == 1:
            raise EngineLost
        if self._engine:
            self._engine.close()
        self._welcome = self._knock(ENGINE_PATIENCE_SECONDS, stop)
        self._careful = True
        self._moved = self._answered = time.monotonic()
        for out in self._out.values():
            out.sent = False

    def _send_windows(self) -> None:
        """Hand to the engine what it may have now."""
        engine = self._engine
        if engine is None:
            return
        for index in sorted(self._out):
            out = self._out[index]
            if out.sent or (self._careful and any(o.sent for o in self._out.values())):
                continue
            if set(out.answers) == set(self._terms.options.tasks):
                continue  # heard, and waiting for the vote
            if not any(o.sent for o in self._out.values()):
                self._answered = time.monotonic()
            out.sent = True
            self._account.sent(index)
            engine.send(
                wire.Listen(out.window, out.slot, self._terms.options.tasks, self._language)
            )

    # --- one turn -------------------------------------------------------------------------------

    def _turn(self, stop: Callable[[], None]) -> None:
        poll = select.poll()
        poll.register(self._child.channel, select.POLLIN)
        if self._engine:
            poll.register(self._engine, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(1000)}
        try:
            if self._engine and self._engine.fileno() in ready:
                self._from_engine(self._engine)
            self._send_windows()
        except wire.Hung:
            self._engine_died(stop)
        if self._child.channel.fileno() in ready and not self._ended:
            self._from_child()

    def _begin(self, source_fd: int, welcome: wire.Welcome) -> None:
        terms = self._terms
        begin = wire.Begin(
            name=terms.name,
            mels=welcome.mels,
            slots=SLOTS,
            max_seconds=terms.max_seconds,
            language=terms.options.language,
            vad=terms.options.vad,
            about=terms.about,
        )
        try:
            self._child.channel.send(begin, [source_fd, self._ring.fd])
        except wire.Hung:
            raise self._child_died() from None

    def _from_child(self) -> None:
        try:
            got = self._child.channel.receive()
        except wire.Hung:
            raise self._child_died() from None
        except ValueError as error:
            raise ChildKilled(name=self._terms.name, why=f"it talked nonsense: {error}") from error
        if got is None:
            return
        for fd in got[1]:  # a child has nothing to hand to us
            os.close(fd)
        self._moved = time.monotonic()
        match got[0]:
            case wire.Found(recording):
                self._recording = recording
                self._account.found(recording)
            case wire.Ready(window, slot):
                self._ready(window, slot)
            case wire.Ended() as ended:
                self._ended = ended
                self._account.sound(ended)
            case wire.Said(lines):
                self._account.said(lines)
            case wire.Failed(code, detail):
                raise self._as_told(code, detail)

    def _as_told(self, code: str, detail: Detail) -> ApplianceError:
        """The error a child names: about its file, or itself, and nothing else of the house."""
        if (code.startswith("source.") and code not in _NOT_A_CHILDS) or code == "bug":
            return named(code, {**detail, "name": self._terms.name})
        return ChildKilled(name=self._terms.name, why="it named an error that is not its own")

    def _ready(self, window: Window, slot: int) -> None:
        busy = {out.slot for out in self._out.values()}
        if window.index != len(self._windows) or slot in busy or not 0 <= slot < SLOTS:
            raise ChildKilled(name=self._terms.name, why="it named a window out of turn")
        since = self._windows[-1].end if self._windows else -START_SLACK_SECONDS
        if not is_sane(window, since, self._terms.max_seconds):
            raise ChildKilled(name=self._terms.name, why="it named a window that cannot be")
        self._windows.append(window)
        self._out[window.index] = _Out(window, slot)
        self._send_windows()

    def _from_engine(self, engine: wire.Channel) -> None:
        try:
            got = engine.receive()
        except ValueError as error:
            raise EngineLost from error  # it talks nonsense
        if got is None:
            return
        self._moved = self._answered = time.monotonic()
        match got[0]:
            case wire.Heard() as heard:
                self._hear(heard)
            case wire.Fault(_index, code, detail):
                raise named(code, {"name": self._terms.name, **detail})

    def _hear(self, heard: wire.Heard) -> None:
        out = self._out.get(heard.index)
        if out is None:
            return
        out.answers[heard.task] = heard
        if set(out.answers) != set(self._terms.options.tasks):
            return
        out.sent = False
        self._account.heard(heard.index)
        self._vote()
        if self._language is not None:
            self._settle()

    # --- the language ---------------------------------------------------------------------------

    def _vote(self) -> None:
        """Let the first windows say which language it is, each with its own certainty."""
        if self._language is not None:
            return
        voters = [self._out[i] for i in range(min(VOTERS, len(self._windows))) if i in self._out]
        complete = self._ended is not None or len(voters) == VOTERS
        if not complete or not voters or not all(voter.answers for voter in voters):
            return
        votes: dict[str, float] = {}
        for voter in voters:
            said = next(iter(voter.answers.values()))
            votes[said.language] = votes.get(said.language, 0.0) + said.probability
        self._language = max(votes, key=lambda language: votes[language])
        self._probability = votes[self._language] / len(voters)
        self._settle()

    def _settle(self) -> None:
        """Keep what was heard in the right language; the rest is listened to again."""
        tasks = set(self._terms.options.tasks)
        for index in sorted(self._out):
            out = self._out[index]
            if set(out.answers) != tasks:
                continue
            if any(answer.language != self._language for answer in out.answers.values()):
                out.answers.clear()
                continue
            del self._out[index]
            for task, answer in out.answers.items():
                self._heard[index, task] = answer
            with contextlib.suppress(wire.Hung):  # it has ended and needs no slot
                self._child.channel.send(wire.Free(out.slot))

    # --- ends -----------------------------------------------------------------------------------

    def _all_heard(self) -> bool:
        if self._ended is not None:
            self._vote()
        return self._ended is not None and not self._out

    def _done(self) -> float:
        """Seconds of the recording that have been heard without a gap."""
        first_out = min(self._out, default=None)
        if first_out is not None:
            return self._out[first_out].window.start
        return self._windows[-1].end if self._windows else 0.0

    def _total(self) -> float | None:
        """Seconds the file promises, where the promise can be true."""
        declared = self._recording.declared if self._recording else None
        return declared if declared and 0 < declared <= 2 * self._terms.max_seconds else None

    def _in_time(self, now: float, stop: Callable[[], None]) -> None:
        if now - self._answered > STALL_SECONDS and any(out.sent for out in self._out.values()):
            self._engine_died(stop)  # it says nothing: as good as dead, whatever the child says
        if now - self._moved > STALL_SECONDS:
            raise Stalled(name=self._terms.name, seconds=STALL_SECONDS)
        length = min(self._total() or 0.0, self._terms.max_seconds)
        limit = max(LEAST_TIMEOUT_SECONDS, self._terms.timeout_factor * length)
        if now - self._begun > limit:
            raise SourceTimeout(name=self._terms.name, limit_minutes=limit / 60)

    def _child_died(self) -> ChildKilled | OverMemory:
        verdict = self._child.process.wait(timeout=5.0)
        if verdict is not None and verdict.out_of_memory:
            return OverMemory(name=self._terms.name)
        return ChildKilled(name=self._terms.name, why=str(verdict or "it hung up"))

    def _outcome(self, welcome: wire.Welcome) -> Outcome:
        if self._recording is None or self._ended is None:
            raise ChildKilled(name=self._terms.name, why="it ended without a recording")
        self._account.over(self._language or "en", self._probability, self._ended.seconds)
        return Outcome(
            recording=self._recording,
            ended=self._ended,
            welcome=welcome,
            windows=tuple(self._windows),
            heard=self._heard,
            language=self._language or "en",
            probability=self._probability if self._windows else 0.0,
        )
