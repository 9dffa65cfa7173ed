"""The engine's door: one connection per attempt of a job, a thread each that only reads.

In: Hello with a ring, then Listen per window. Out: Welcome, then Heard per window and
task, or Fault. A connection that hangs up has cancelled everything it asked for.

Not here: the order in which windows are heard (waiting, batcher).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance import journal, wire
from appliance.engine import model as engine_model
from appliance.engine.batcher import Batcher, Call
from appliance.engine.hearing import Answer, Ask, Hearing, Listener, frames_for
from appliance.engine.waiting import EXPRESS_WINDOWS, Window
from appliance.errors import ApplianceError, EngineVersion
from appliance.nouns import MEL_FRAMES, WINDOW_SECONDS

log = logging.getLogger("appliance.engine")
_SEND_PATIENCE_SECONDS: Final = 10
_SIGN_SECONDS: Final = 30.0  # a worker gives an engine up after 300
_SLOTS: Final = 8  # windows that a job may have in our hands, at least


@dataclass(frozen=True, slots=True)
class House:
    """What holds for everybody who is let in."""

    batcher: Batcher
    batch: int  # windows a turn at most
    wanted_gpu: bool = False  # the settings ask for one
    shorten: bool = False  # short windows are heard with a shorter input

    @property
    def slots(self) -> int:
        """Windows that a job may have in our hands: a batch for each lane, and one lies ready.

        Without that one, a lane would go on with whatever window comes first, alone.
        """
        return max(_SLOTS, self.batch * (self.batcher.lanes + 1))


class Connection:
    """One attempt of one job."""

    def __init__(self, sock: socket.socket, house: House) -> None:
        sock.settimeout(None)
        self._channel = wire.Channel(sock)
        self._house = house
        self._prompt_length = 0
        self._sending = threading.Lock()
        self._hello: wire.Hello | None = None
        self._ring: wire.Ring | None = None
        self._mels = 0
        self._alive = True
        self._began = time.monotonic()
        self._windows = 0
        self._owed: set[int] = set()  # windows that are not answered

    def serve(self) -> None:
        """Read frames until the worker hangs up. Runs in a thread of its own."""
        with contextlib.ExitStack() as told:
            self._serve(told)

    def _serve(self, told: contextlib.ExitStack) -> None:
        try:
            while True:
                got = self._channel.receive()
                if got is not None:
                    self._take(*got, told)
        except wire.Hung:
            self._log_end()
        except ValueError as error:
            log.warning("hung up on a worker that talks nonsense: %s", error)
        finally:
            self._alive = False
            self._house.batcher.over(self._windows)
            with self._sending:
                self._channel.close()
            if self._ring is not None:
                self._ring.close()

    def _log_end(self) -> None:
        if self._hello is not None:
            seconds = round(time.monotonic() - self._began, 3)
            log.info("hung up", extra={"windows": self._windows, "seconds": seconds})

    def _take(self, message: wire.Message, fds: list[int], told: contextlib.ExitStack) -> None:
        match message:
            case wire.Hello() if len(fds) == 1 and self._hello is None:
                told.enter_context(journal.about(**message.about))
                self._greet(message, fds[0])
            case wire.Listen() if self._hello and self._ring and not fds:
                self._listen(message, self._hello, self._ring)
            case _:
                for fd in fds:
                    os.close(fd)
                raise ValueError(f"{message.kind} out of turn")

    def _greet(self, hello: wire.Hello, ring_fd: int) -> None:
        self._ring = wire.Ring(ring_fd, hello.slots)
        if hello.version != wire.VERSION:
            self._fault(-1, EngineVersion(theirs=wire.VERSION, ours=hello.version))
            return
        self._hello = hello
        log.info("listening", extra={"model": hello.model})
        self._house.batcher.call(Call(hello.model, self._welcome))

    def _welcome(self, model: Listener | ApplianceError) -> None:
        if isinstance(model, ApplianceError):
            self._fault(-1, model)
            return
        if self._hello is None:
            raise RuntimeError("nobody has asked")
        self._mels = model.mels
        self._prompt_length = model.prompt_length(_ask(self._hello))
        self._send(
            wire.Welcome(
                version=wire.VERSION,
                engine=engine_model.NAME,
                model=model.folder.name,
                model_sha256=model.folder.sha256,
                mels=model.mels,
                multilingual=model.multilingual,
                device=model.device,
                compute_type=model.compute_type,
                fallback=self._house.wanted_gpu and model.device == "cpu",
                slots=self._house.slots,
            )
        )

    def _listen(self, listen: wire.Listen, hello: wire.Hello, ring: wire.Ring) -> None:
        if not 0 < listen.window.seconds <= WINDOW_SECONDS + 1 or not listen.tasks:
            raise ValueError("a window that cannot be")
        flat = np.frombuffer(ring.slot(listen.slot), dtype=np.float32)
        mel = flat[: self._mels * MEL_FRAMES].reshape(self._mels, MEL_FRAMES)
        ask = _ask(hello, mel, listen)
        hearing = Hearing(ask)
        if self._house.shorten:
            hearing.frames = frames_for(ask.seconds)
        index = listen.window.index
        self._windows += 1
        self._owed.add(index)

        def reply(answers: list[Answer] | ApplianceError) -> None:
            self._owed.discard(index)
            ring.rest(listen.slot)
            self._reply(index, answers)

        window = Window(
            model=hello.model,
            job=self,
            hearing=hearing,
            prompt_length=self._prompt_length,
            express=index < EXPRESS_WINDOWS,
            reply=reply,
            alive=lambda: self._alive,
            begun=(lambda: self._send(wire.Begun(index))) if listen.alone else None,
        )
        self._house.batcher.put(window)

    def _reply(self, index: int, answers: list[Answer] | ApplianceError) -> None:
        if isinstance(answers, ApplianceError):
            self._fault(index, answers)
            return
        for answer in answers:
            self._send(
                wire.Heard(
                    index=index,
                    task=answer.task,
                    language=answer.language,
                    probability=answer.probability,
                    segments=answer.segments,
                    redone=answer.redone,
                    full=answer.full,
                )
            )

    def sign(self) -> None:
        """Say that turns end, where an answer is owed: its windows wait for theirs."""
        if self._owed:
            self._send(wire.Turned())

    def _fault(self, index: int, error: ApplianceError) -> None:
        """Say what went wrong; the batcher's thread, which asks for it, knows of no job."""
        with journal.about(**(self._hello.about if self._hello else {})):
            log.warning("no answer for window %d", index, extra={"code": error.code})
        self._send(wire.Fault(index, error.code, dict(error.detail)))

    def _send(self, message: wire.Message) -> None:
        """Answer, from the batcher's thread; a worker that does not read is as good as gone."""
        with self._sending:
            if not self._alive:
                return
            try:
                self._channel.send(message)
            except (wire.Hung, TimeoutError, BlockingIOError):
                self._alive = False


_NOTHING: Final = np.zeros((0, 0), np.float32)


def _ask(
    hello: wire.Hello, mel: npt.NDArray[np.float32] = _NOTHING, listen: wire.Listen | None = None
) -> Ask:
    """What a job asks for a window, or for any, where none is named."""
    return Ask(
        mel=mel,
        seconds=listen.window.seconds if listen else 0.0,
        tasks=listen.tasks if listen else ("transcribe",),
        language=listen.language if listen else None,
        beam=hello.beam,
        vocabulary=hello.vocabulary,
        initial_prompt=hello.initial_prompt,
    )


def accept(door: socket.socket, house: House) -> None:
    """Let workers in until the door is closed, and tell those who wait that turns end.

    A window of a crowded engine may wait for minutes, and longer where it is tried again: its
    worker would take the engine for dead.
    """
    there: weakref.WeakSet[Connection] = weakref.WeakSet()
    door.settimeout(_SIGN_SECONDS)
    told, ended = time.monotonic(), house.batcher.turns_ended()
    while True:
        if time.monotonic() - told >= _SIGN_SECONDS:
            before, ended = ended, house.batcher.turns_ended()
            told = time.monotonic()
            if ended not in (None, before):
                for one in list(there):
                    one.sign()
        try:
            sock, _ = door.accept()
        except TimeoutError:
            continue
        except OSError as error:
            if door.fileno() < 0 or error.errno == errno.EBADF:
                return  # the door was closed: we are going
            log.warning("nobody can be let in: %s", error)
            time.sleep(0.5)
            continue
        patience = _SEND_PATIENCE_SECONDS.to_bytes(8, "little") + bytes(8)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        connection = Connection(sock, house)
        there.add(connection)
        threading.Thread(target=connection.serve, name="connection", daemon=True).start()
