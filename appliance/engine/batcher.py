"""The lanes: threads that own the models and hear windows of every job, a batch at a time.

In: windows, put by the server's threads. Out: each window's `reply`, called from the one
thread that puts what was heard into words, so that no lane waits for text or sockets.

A GPU has one lane; a processor has a few, because two single threads hear more than one
double (measured). Memory that does not suffice makes smaller batches and fails nobody. A
GPU whose driver has given up ends the process: whoever starts it again starts afresh, and
the workers send what they had in hand once more.

Not here: sockets (server), the model itself (model), who is next (waiting).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from appliance.engine.clock import Clock
from appliance.engine.hearing import Listener
from appliance.engine.size import LEAST, Size
from appliance.engine.waiting import EXPRESS_WINDOWS, Waiting, Window
from appliance.errors import ApplianceError, Bug, GpuMemory

log = logging.getLogger("appliance.engine")
_MODELS_KEPT: Final = 2
_TRIES_ALONE: Final = 6  # of a window that does not fit, before its job is told
_MORE_COME_SECONDS: Final = 60.0  # after a short recording: another one may
_PAUSE_SECONDS: Final = 0.05  # before each, and longer every time
TRY_LATER: Final = 75  # EX_TEMPFAIL: what the process exits with when its GPU is lost
# What CTranslate2 and its tokenizer raise: for memory, for the rest, for what they do not know.
_REFUSALS: Final = (RuntimeError, ValueError)
_MEMORY: Final = ("out of memory", "alloc_failed", "bad_alloc")
_DRIVER: Final = ("cuda failed", "cublas failed", "cudnn failed", "cuda error")

Load = Callable[[str, bool], Listener]


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody wants to know a model: it is loaded if it is not yet."""

    model: str
    reply: Callable[[Listener | ApplianceError], None]


@dataclass(slots=True)
class _Loaded:
    """A model in memory."""

    listener: Listener
    size: Size
    frugal: bool = False  # it was loaded once more, with weights that need less


class Batcher:
    """The threads that talk to the models."""

    def __init__(
        self,
        load: Load,
        *,
        batch: Callable[[Listener], int],
        idle_unload_s: float,
        lanes: int = 1,
        short_ones: int = 1,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        """`batch(model)` windows a turn at most (short ones: so many times), `lanes` at once.

        `load(name, frugal)` opens a model by name (raises ApplianceError); frugal: in the
        smallest form there is. `end` ends the process, with what it exits with.
        """
        self._load = load
        self._batch = batch
        self.lanes = lanes
        self._short_ones = short_ones
        self._end = end
        self._idle = idle_unload_s or None
        self._models: OrderedDict[str, _Loaded] = OrderedDict()
        self._loading = threading.RLock()  # one at a time: two would need twice the memory
        self._calls: deque[Call] = deque()
        self._waiting = Waiting()
        self._wake = threading.Condition()
        self._busy: set[int] = set()  # lanes that are at something
        self._turning: dict[int, float] = {}  # threads in a turn, since when
        self._ended = 0  # turns, well or not
        self._short_ended = -math.inf  # when the last short recording was over
        self._called = -math.inf  # when somebody has asked for a model, whose windows will follow
        self._opening = False  # a model is being loaded
        self._alone = False  # a lane has a window that is heard while nobody else is
        self._stopping = False
        self.clock = Clock()

    def call(self, call: Call) -> None:
        """Ask for a model; one that is there answers at once, whatever the lanes are at."""
        with self._wake:
            self._called = time.monotonic()
            loaded = self._models.get(call.model)
            if loaded is None:
                self._calls.append(call)
                self._wake.notify()
        if loaded is not None:
            call.reply(loaded.listener)

    def put(self, window: Window) -> None:
        """Queue a window."""
        with self._wake:
            self._waiting.put(window)
            self._wake.notify()

    def over(self, windows: int) -> None:
        """A job has hung up, after so many windows: where one was short, another may follow."""
        if 0 < windows <= EXPRESS_WINDOWS:
            with self._wake:
                self._short_ended = time.monotonic()

    def stop(self) -> None:
        """Let `run` return after the turns in hand."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def stuck_for(self) -> float:
        """Seconds the longest turn has been going on; 0 while there is none.

        Loading is no turn: a large model from a slow disk takes what it takes.
        """
        now = time.monotonic()
        with self._wake:
            return now - min(self._turning.values(), default=now)

    def turns_ended(self) -> int | None:
        """How many turns have ended, well or not; None while none is owed.

        None is owed while nothing waits and nobody is at work, and while a model is loaded.
        """
        with self._wake:
            rests = not (self._waiting or self._calls or self._busy)
            return None if rests or self._opening else self._ended

    def status(self) -> dict[str, object]:
        """How it goes, for the page."""
        with self._wake:
            models = {
                name: {
                    "device": loaded.listener.device,
                    "compute_type": loaded.listener.compute_type,
                    "batch": loaded.size.most,
                    "speed": (loaded.size.speed() or 0.0) * self.lanes or None,
                }
                for name, loaded in self._models.items()
            }
            return {
                "lanes": self.lanes,
                "busy": len(self._busy),
                "waiting": len(self._waiting),
                "models": models,
                **self.clock.facts(),
            }

    def run(self) -> None:
        """Serve until stopped, or idle for long."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="words") as words:
            others = [
                threading.Thread(target=self._lane, args=(number, words), name=f"lane-{number}")
                for number in range(1, self.lanes)
            ]
            for other in others:
                other.start()
            self._lane(0, words)
            for other in others:
                other.join()

    # --- a lane ---------------------------------------------------------------------------------

    def _lane(self, number: int, words: ThreadPoolExecutor) -> None:
        while True:
            with self._wake:
                asleep = not self._wake.wait_for(self._work_to_do, timeout=self._idle)
                if self._stopping:
                    return
                if asleep:
                    self._unload()
                    continue
                call = self._calls.popleft() if self._calls else None
                batch = [] if call else self._waiting.next(self._room)
                if call or batch:
                    self._busy.add(number)
                if batch and batch[0].begun:
                    self._alone = True
                    self._wake.wait_for(lambda: len(self._busy) == 1)
            try:
                if call:
                    self._answer(call)
                elif batch:
                    self._turn(batch, words)
            finally:
                with self._wake:
                    self._busy.discard(number)
                    if batch and batch[0].begun:
                        self._alone = False
                    self._wake.notify_all()

    def _work_to_do(self) -> bool:
        return bool(self._stopping or ((self._calls or self._waiting) and not self._alone))

    def _room(self, head: Window) -> int:
        """How many windows the turn may have that this one leads."""
        loaded = self._models.get(head.model)
        if loaded is None:
            return LEAST
        room = loaded.size.fits(head.hearing.frames)
        if time.monotonic() - self._short_ended > _MORE_COME_SECONDS:
            return room
        brief = loaded.size.brief(head.hearing.frames)
        return min(room, max(brief, self._waiting.express(head.key)))

    # --- models ---------------------------------------------------------------------------------

    def _unload(self) -> None:
        """Nobody has asked for anything for a while: end, and be started again cold.

        Only the end of the process gives everything back: the allocator keeps what it has,
        and a GPU's context alone takes 200 to 300 MB.
        """
        just_called = time.monotonic() - self._called < (self._idle or 0.0)
        if self._models and not self._busy and not just_called:
            log.info("idle: the engine ends, and its model with it")
            self._stopping = True
            self._wake.notify_all()

    def _answer(self, call: Call) -> None:
        try:
            loaded = self._loaded(call.model)
        except ApplianceError as error:
            call.reply(error)
        else:
            call.reply(loaded.listener)

    def _loaded(self, name: str, *, frugal: bool = False) -> _Loaded:
        """The model of that name; loads it where needed. Raises ApplianceError."""
        with self._loading:
            with self._wake:
                loaded = self._models.get(name)
                if loaded and (loaded.frugal or not frugal):
                    self._models.move_to_end(name)
                    return loaded
                if loaded:
                    del self._models[name]
                loaded = None  # its weights go before the others come
                while len(self._models) >= _MODELS_KEPT:
                    self._models.popitem(last=False)
            with self._opened():
                listener = self._opened_alone(name, frugal=frugal)
            fresh = _Loaded(
                listener, Size(self._batch(listener), short_ones=self._short_ones), frugal
            )
            with self._wake:
                self._models[name] = fresh
            return fresh

    def _opened_alone(self, name: str, *, frugal: bool) -> Listener:
        """Load a model; where it does not fit beside others, without them."""
        try:
            return self._load(name, frugal)
        except GpuMemory:
            with self._wake:
                others = list(self._models)
                self._models.clear()
            if not others:
                raise
        log.warning("%s does not fit beside %s, which makes room", name, ", ".join(others))
        return self._load(name, frugal)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        with self._wake:
            self._opening = True
        try:
            yield
        finally:
            with self._wake:
                self._opening = False

    # --- turns ----------------------------------------------------------------------------------

    def _turn(self, batch: Sequence[Window], words: ThreadPoolExecutor) -> None:
        try:
            loaded = self._loaded(batch[0].model)
        except ApplianceError as error:
            for window in batch:
                window.reply(error)
            return
        if tell := batch[0].begun:
            tell()
        begun = time.monotonic()
        why = None
        try:
            with self._timed():
                loaded.listener.turn([window.hearing for window in batch])
        except _REFUSALS as error:
            why = str(error)  # not the error: what it was at in its turn hangs on it
        if why is not None:
            size = loaded.size
            del loaded
            self._refused(batch, size, why, words)
            return
        took = time.monotonic() - begun
        with self._wake:
            loaded.size.took(took, len(batch), batch[0].hearing.frames)
            self.clock.turn(took, batch)
        self._after(batch, loaded, words)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._wake:
            self._turning[me] = time.monotonic()
        try:
            yield
        finally:
            with self._wake:
                del self._turning[me]
                self._ended += 1

    def _after(self, batch: Sequence[Window], loaded: _Loaded, words: ThreadPoolExecutor) -> None:
        """What is done is put into words; what is not waits for another turn."""
        again = [window for window in batch if window.hearing.next_turn()]
        with self._wake:
            for window in again:
                self._waiting.put(window)
            self._wake.notify(len(again))
        for window in batch:
            if window not in again:
                words.submit(_say, window, loaded.listener)

    def _refused(
        self,
        batch: Sequence[Window],
        size: Size,
        why: str,
        words: ThreadPoolExecutor,
    ) -> None:
        log.warning("a turn of %d windows failed: %s", len(batch), why)
        if any(sign in why.lower() for sign in _MEMORY):
            self._no_room(batch, size)
        elif any(sign in why.lower() for sign in _DRIVER):
            log.critical(
                "the GPU is lost; the engine starts afresh", extra={"code": "node.gpu-lost"}
            )
            self._end(TRY_LATER)
        elif len(batch) == 1:
            batch[0].reply(Bug(name=f"a window ({why})"))
        else:
            # One of them is to blame, and its neighbours are not.
            for window in batch:
                self._turn([window], words)

    def _no_room(self, batch: Sequence[Window], size: Size) -> None:
        """Hear them again in smaller turns; one alone with weights that need less, a few times."""
        with self._wake:
            smaller = size.too_large(len(batch))
        if not smaller:
            first = batch[0]
            first.hearing.refused += 1
            if first.hearing.refused > _TRIES_ALONE:
                first.reply(GpuMemory(model=first.model))
                return
            time.sleep(_PAUSE_SECONDS * first.hearing.refused)  # others may leave the GPU
            try:
                self._loaded(first.model, frugal=True)
            except ApplianceError as error:
                first.reply(error)
                return
        with self._wake:
            for window in reversed(batch):
                self._waiting.put(window, first=True)
            self._wake.notify()


def _say(window: Window, listener: Listener) -> None:
    """Answer a window that has been heard."""
    try:
        answers = listener.answers(window.hearing)
    except _REFUSALS as error:
        window.reply(Bug(name=f"a window ({error})"))
    else:
        window.reply(answers)
