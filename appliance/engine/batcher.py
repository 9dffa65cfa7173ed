"""Who is heard next: one thread that owns the models and takes windows of every job in turn.

In: windows, put by the server's threads. Out: each window's `answer` is called from
the batcher's thread.

Not here: sockets (server), the model itself (model). Fair shares between long and short
recordings come with batching across recordings; this takes them as they come.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.engine.model import Answer, Ask, Model
from appliance.errors import ApplianceError, Bug, GpuMemory

log = logging.getLogger("appliance.engine")
_MODELS_KEPT = 2
# What CTranslate2 and its tokenizer raise: for memory, for the rest, for what they do not know.
_REFUSALS = (RuntimeError, ValueError)
Reply = Callable[[list[Answer] | ApplianceError], None]


@dataclass(frozen=True, slots=True)
class Window:
    """One window in the queue."""

    model: str
    ask: Ask
    reply: Reply
    alive: Callable[[], bool]  # False: its job has hung up, do not bother


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody wants to know a model: it is loaded if it is not yet."""

    model: str
    reply: Callable[[Model | ApplianceError], None]


class Batcher:
    """The one thread that talks to the models."""

    def __init__(self, load: Callable[[str], Model], *, batch: int, idle_unload_s: float) -> None:
        """`load` opens a model by name (raises ApplianceError); `batch` windows a turn at most."""
        self._load = load
        self._batch = batch
        self._idle = idle_unload_s or None
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._calls: deque[Call] = deque()
        self._windows: deque[Window] = deque()
        self._wake = threading.Condition()
        self._stopping = False

    def call(self, call: Call) -> None:
        """Ask for a model."""
        with self._wake:
            self._calls.append(call)
            self._wake.notify()

    def put(self, window: Window) -> None:
        """Queue a window."""
        with self._wake:
            self._windows.append(window)
            self._wake.notify()

    def stop(self) -> None:
        """Let `run` return after the batch in hand."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def run(self) -> None:
        """Serve until stopped."""
        while True:
            with self._wake:
                asleep = not self._wake.wait_for(self._work_to_do, timeout=self._idle)
                if self._stopping:
                    return
                call = self._calls.popleft() if self._calls else None
                batch = [] if call else self._take()
            if asleep and self._models:
                log.info("idle: the model is unloaded")
                self._models.clear()
            elif call:
                call.reply(self._model(call.model))
            elif batch:
                self._turn(batch)

    def _work_to_do(self) -> bool:
        return bool(self._stopping or self._calls or self._windows)

    def _take(self) -> list[Window]:
        """The oldest window, and others that may share a batch with it."""
        while self._windows and not self._windows[0].alive():
            self._windows.popleft()
        if not self._windows:
            return []
        key = self._key(self._windows[0])
        taken: list[Window] = []
        left: deque[Window] = deque()
        for window in self._windows:
            fits = len(taken) < self._batch and self._key(window) == key
            (taken if fits else left).append(window)
        self._windows = left
        return taken

    def _key(self, window: Window) -> tuple[object, ...]:
        ask = window.ask
        return (window.model, ask.tasks, ask.beam, ask.vocabulary, ask.initial_prompt)

    def _model(self, name: str) -> Model | ApplianceError:
        if name in self._models:
            self._models.move_to_end(name)
            return self._models[name]
        while len(self._models) >= _MODELS_KEPT:
            self._models.popitem(last=False)
        try:
            self._models[name] = self._load(name)
        except ApplianceError as error:
            return error
        return self._models[name]

    def _turn(self, batch: Sequence[Window]) -> None:
        model = self._model(batch[0].model)
        if isinstance(model, ApplianceError):
            for window in batch:
                window.reply(model)
            return
        try:
            answers = model.hear([window.ask for window in batch])
        except _REFUSALS as error:
            self._one_by_one(batch, model, error)
            return
        for window, answer in zip(batch, answers, strict=True):
            window.reply(answer)

    def _one_by_one(self, batch: Sequence[Window], model: Model, error: Exception) -> None:
        """Find out which window of a failed batch fails alone; its neighbours are not to blame."""
        log.warning("a batch of %d failed: %s", len(batch), error)
        for window in batch:
            try:
                answers = model.hear([window.ask])
            except _REFUSALS as alone:
                window.reply(_named(alone, window.model))
            else:
                window.reply(answers[0])


def _named(error: Exception, model: str) -> ApplianceError:
    if "out of memory" in str(error).lower():
        return GpuMemory(model=model)
    return Bug(name=f"a window ({error})")
