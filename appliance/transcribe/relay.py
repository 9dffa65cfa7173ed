"""Carry frames between decode child and engine until every window has been heard.

The relay holds no sound and no model: it gives slots back, keeps what is settled, and
sends again what an engine that died had in hand, each to be heard alone, so that only a
window that kills the engine alone costs its job a crash.

Not here: which windows are out and heard (tally), turning what was heard into a transcript
(assemble), the engine's door (door).
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from appliance import wire
from appliance.decoders import DecodeChild
from appliance.errors import (
    ApplianceError,
    ChildKilled,
    EngineLost,
    Interrupted,
    NodeIO,
    OverMemory,
    SourceTimeout,
    Stalled,
    WorkerDied,
    named,
)
from appliance.limits import UNWALLED
from appliance.nouns import Detail, Options, Recording, Window
from appliance.transcribe import door
from appliance.transcribe.account import Account
from appliance.transcribe.checkpoint import Checkpoint
from appliance.transcribe.pace import Pace
from appliance.transcribe.sanity import START_SLACK_SECONDS, Patience, is_an_end, is_sane
from appliance.transcribe.tally import Language, Out, Tally

MOST_SLOTS: Final = 128  # what an engine may ask for; pages never written cost nothing
STALL_SECONDS: Final = 300.0
ENGINE_PATIENCE_SECONDS: Final = 60.0  # for an engine that restarts
KNOCK_SECONDS: Final = 10.0  # for an engine that was never there
_DEATHS: Final = 5  # of an engine that says nothing in between: it is the engine's own matter
_NOT_A_CHILDS: Final = frozenset({"source.changed", "source.missing", "source.export-conflict"})

Progress = Callable[[float, float | None, float | None], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What this attempt is about."""

    name: str
    source_sha256: str
    about: Detail  # job, attempt, share, correlation: for the logs of child and engine
    options: Options
    max_seconds: float
    timeout_factor: float
    timeout_least: float  # seconds


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


class Relay:
    """One attempt's talk with child and engine. Used by one thread."""

    def __init__(
        self, terms: Terms, child: DecodeChild, engine_socket: str, checkpoint: Checkpoint
    ) -> None:
        self._terms = terms
        self._child = child
        self._socket = engine_socket
        self._checkpoint = checkpoint
        self._ring = wire.Ring.create(MOST_SLOTS)
        self._slots = 0  # of them that the child may use
        self._engine: wire.Channel | None = None
        self._welcome: wire.Welcome | None = None
        self._tally = Tally(terms.options)
        self._deaths = 0  # of the engine, since it last said something
        self._recording: Recording | None = None
        self._ended: wire.Ended | None = None
        self._moved = self._begun = time.monotonic()
        self._answered = self._moved  # by the engine, while it has something in hand
        self._pace = Pace(self._begun)
        self._account = Account(terms.options)
        self._patience = Patience()

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
        progress: Progress,
        stop: Callable[[], None],
    ) -> Outcome:
        """Talk until everything is heard. Raises ApplianceError, and what `stop` raises."""
        welcome = self._welcome = self._knock(KNOCK_SECONDS, stop)
        if not welcome.multilingual:
            self._tally.speak(Language("en", 1.0))
        self._recall(welcome)
        self._begin(source_fd, welcome)
        asked = 0.0
        while not self._tally.is_over():
            now = time.monotonic()
            self._before_its_deadline(now)
            if now - asked >= 1.0:
                asked = now
                stop()
                self._in_time(now, stop)
                self._show(now, progress)
            self._turn(stop)
        self._checkpoint.flush()
        return self._outcome(welcome)

    def _recall(self, welcome: wire.Welcome) -> None:
        """What attempts before this one have heard need not be heard again."""
        terms = self._terms
        self._checkpoint.open(terms.options, terms.source_sha256, welcome)
        self._account.recalled(self._checkpoint.count)
        voted = self._checkpoint.language
        if voted is not None and self._tally.language is None:
            self._tally.speak(voted)

    def _show(self, now: float, progress: Progress) -> None:
        total = self._total()
        progress(self._tally.seconds(), total, self._pace.left(now, total))

    # --- the engine's side ----------------------------------------------------------------------

    def _knock(self, patience: float, stop: Callable[[], None]) -> wire.Welcome:
        """Connect and be welcomed, waiting for an engine that is just starting."""
        options = self._terms.options
        hello = wire.Hello(
            version=wire.VERSION,
            model=options.model,
            slots=MOST_SLOTS,
            beam=options.beam,
            vocabulary=options.vocabulary,
            initial_prompt=options.initial_prompt,
            about=self._terms.about,
        )
        self._engine, welcome = door.knock(
            self._socket, hello, self._ring.fd, patience=patience, stop=stop
        )
        self._account.engine(welcome)
        return welcome

    def _engine_died(self, stop: Callable[[], None]) -> None:
        """Find the engine again and send what it had in hand; one it died of alone is to blame."""
        sent = self._tally.sent()
        self._account.engine_died(len(sent))
        self._deaths += 1
        if any(out.begun for out in sent) or self._deaths > _DEATHS:
            raise EngineLost
        if self._engine:
            self._engine.close()
        before, self._welcome = self._welcome, self._knock(ENGINE_PATIENCE_SECONDS, stop)
        if before is not None and door.is_another(before, self._welcome):
            raise Interrupted  # a newer model: this recording begins again, and is of one kind
        self._moved = self._answered = time.monotonic()
        for out in sent:
            out.sent, out.suspect = False, True

    def _send_windows(self) -> None:
        """Hand to the engine what it may have now."""
        engine = self._engine
        if engine is None:
            return
        if not self._tally.sent():
            self._answered = time.monotonic()
        tasks, language = self._terms.options.tasks, self._tally.asked
        for out in self._tally.wanting():
            out.sent = True
            self._account.sent(out.window.index)
            engine.send(wire.Listen(out.window, out.slot, tasks, language, alone=out.suspect))

    # --- one turn -------------------------------------------------------------------------------

    def _turn(self, stop: Callable[[], None]) -> None:
        poll = select.poll()
        if not self._ended:  # a child that has ended hangs up, and poll tells that without end
            poll.register(self._child.channel, select.POLLIN)
            if (alarm := self._child.process.alarm) is not None:
                poll.register(alarm, select.POLLPRI)
        if self._engine:
            poll.register(self._engine, select.POLLIN)
        left = self._deadline() - time.monotonic()
        ready = {fd for fd, _ in poll.poll(min(1000.0, max(0.0, left * 1000) + 1))}
        if self._child.process.alarm in ready:
            self._child.process.heed()
        if self._child.channel.fileno() in ready:
            self._from_child()
        try:
            if self._engine and self._engine.fileno() in ready:
                self._from_engine(self._engine)
            self._send_windows()
        except wire.Hung:
            self._engine_died(stop)

    def _begin(self, source_fd: int, welcome: wire.Welcome) -> None:
        terms = self._terms
        self._slots = min(max(1, welcome.slots), MOST_SLOTS)
        begin = wire.Begin(
            name=terms.name,
            mels=welcome.mels,
            slots=self._slots,
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
                if self._recording is not None:
                    raise ChildKilled(name=self._terms.name, why="it found another recording")
                self._recording = recording
                self._account.found(recording)
            case wire.Ready(window, slot):
                self._ready(window, slot)
            case wire.Ended() as ended:
                if not is_an_end(ended, len(self._tally.windows), self._terms.max_seconds):
                    raise ChildKilled(name=self._terms.name, why="it named an end that cannot be")
                self._ended = ended
                self._tally.complete = True
                self._account.sound(ended)
                self._settle()
            case wire.Said(lines):
                if not self._patience.bears(lines):
                    raise ChildKilled(name=self._terms.name, why="it talks without end")
                self._account.said(lines)
            case wire.Failed(code, detail):
                raise self._as_told(code, detail)

    def _as_told(self, code: str, detail: Detail) -> ApplianceError:
        """The error a child names: about its file, or itself, and nothing else of the house."""
        if (code.startswith("source.") and code not in _NOT_A_CHILDS) or code == "bug":
            return named(code, {**detail, "name": self._terms.name})
        return ChildKilled(name=self._terms.name, why="it named an error that is not its own")

    def _ready(self, window: Window, slot: int) -> None:
        tally = self._tally
        busy = {out.slot for out in tally.out.values()}
        if window.index != len(tally.windows) or slot in busy or not 0 <= slot < self._slots:
            raise ChildKilled(name=self._terms.name, why="it named a window out of turn")
        since = tally.windows[-1].end if tally.windows else -START_SLACK_SECONDS
        if not is_sane(window, since, self._terms.max_seconds):
            raise ChildKilled(name=self._terms.name, why="it named a window that cannot be")
        tally.take(window, slot)
        if (known := self._checkpoint.recall(window)) is not None:
            for heard in known:
                tally.answer(heard)
            self._free(tally.settle())
            self._pace.jumped(self._moved, tally.seconds())
        elif window.index == 0:
            self._pace.jumped(self._moved, window.start)

    # --- what was heard ---------------------------------------------------------------------------

    def _from_engine(self, engine: wire.Channel) -> None:
        """Take everything the engine has said: the answers of a turn come together."""
        while (got := _received(engine)) is not None:
            self._moved = self._answered = time.monotonic()
            match got[0]:
                case wire.Begun(index) if index in self._tally.out:
                    self._tally.out[index].begun = True
                case wire.Heard() as heard:
                    self._deaths = 0
                    if (out := self._tally.answer(heard)) is not None:
                        self._account.heard(out.window.index)
                case wire.Fault(_index, code, detail):
                    raise named(code, {"name": self._terms.name, **detail})
        self._settle()

    def _settle(self) -> None:
        had = self._tally.voted
        settled = self._tally.settle()
        self._pace.moved(time.monotonic(), self._tally.seconds())
        if self._tally.voted and not had and self._tally.language:
            self._checkpoint.speak(self._tally.language)
        self._checkpoint.add(settled)
        self._checkpoint.flush()
        self._free(settled)

    def _free(self, settled: Iterable[Out]) -> None:
        for out in settled:
            try:
                self._child.channel.send(wire.Free(out.slot))
            except wire.Deaf as deaf:
                raise ChildKilled(name=self._terms.name, why="it does not read") from deaf
            except wire.Hung:
                pass  # it has ended and needs no slot

    # --- ends -----------------------------------------------------------------------------------

    def _total(self) -> float | None:
        """Seconds the file promises, where the promise can be true."""
        declared = self._recording.declared if self._recording else None
        return declared if declared and 0 < declared <= 2 * self._terms.max_seconds else None

    def _in_time(self, now: float, stop: Callable[[], None]) -> None:
        if now - self._answered > STALL_SECONDS and self._tally.sent():
            self._deaths += _DEATHS // 2  # twice is enough
            self._engine_died(stop)  # it says nothing: as good as dead, whatever the child says
        if now - self._moved > STALL_SECONDS:
            raise Stalled(name=self._terms.name, seconds=STALL_SECONDS)

    def _deadline(self) -> float:
        """When this attempt must have ended, by the monotonic clock."""
        length = min(self._total() or 0.0, self._terms.max_seconds)
        limit = max(self._terms.timeout_least, self._terms.timeout_factor * length)
        return self._begun + limit

    def _before_its_deadline(self, now: float) -> None:
        if now > (deadline := self._deadline()):
            limit = deadline - self._begun
            raise SourceTimeout(name=self._terms.name, limit_minutes=limit / 60)

    def _child_died(self) -> ApplianceError:
        verdict = self._child.process.wait(timeout=5.0)
        if verdict is not None and verdict.orphaned:
            return WorkerDied()  # a part of ours did, and its file is not to blame
        if verdict is not None and verdict.out_of_memory:
            return OverMemory(name=self._terms.name)
        if verdict is not None and verdict.exit_code == UNWALLED:
            why = "a wall around it is missing, and require_isolation wants each"
            return NodeIO(where="the decoder", why=why)
        return ChildKilled(name=self._terms.name, why=str(verdict or "it hung up"))

    def _outcome(self, welcome: wire.Welcome) -> Outcome:
        if self._recording is None or self._ended is None:
            raise ChildKilled(name=self._terms.name, why="it ended without a recording")
        spoken = self._tally.spoken()
        self._account.over(spoken.code, spoken.probability, self._ended.seconds)
        return Outcome(
            recording=self._recording,
            ended=self._ended,
            welcome=welcome,
            windows=tuple(self._tally.windows),
            heard=self._tally.heard,
            language=spoken.code,
            probability=spoken.probability,
        )


def _received(engine: wire.Channel) -> tuple[wire.Message, list[int]] | None:
    """The next word of the engine, if one has come."""
    try:
        return engine.receive(timeout=0)
    except ValueError as error:
        raise EngineLost from error  # it talks nonsense
