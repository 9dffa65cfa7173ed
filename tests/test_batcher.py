"""Who is heard when: fairness between jobs, memory that does not suffice, windows to blame.

The model is a fake: a real one cannot be made to run out of memory, or to take a second, at will.
"""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance import weights
from appliance.engine.batcher import TRY_LATER, Batcher, Call
from appliance.engine.hearing import Answer, Ask, Draft, Hearing, Listener
from appliance.engine.phrases import Scores
from appliance.engine.probe import Probe
from appliance.engine.server import House
from appliance.engine.size import LEAST, Size
from appliance.engine.waiting import Rank, Waiting, Window
from appliance.errors import ApplianceError, GpuMemory, ModelMissing

MEL = np.zeros((80, 3000), np.float32)
GOOD = Scores(0.0, -0.1, 1.2, 0.0)
REPEATS = Scores(0.0, -0.1, 9.0, 0.0)


class Fake:
    """A model that hears nothing and keeps a list of its turns."""

    folder = weights.find(weights.SELFTEST, "/nowhere")
    device = "cpu"
    compute_type = "int8"
    mels = 80
    multilingual = True

    def __init__(self, refuse: Callable[[Sequence[Hearing]], str | None] | None = None) -> None:
        self.refuse = refuse or (lambda _hearings: None)
        self.turns: list[int] = []
        self.scores: Callable[[Hearing], Scores] = lambda _hearing: GOOD
        self.takes = 0.0  # seconds a turn
        self.side_by_side: list[int] = []
        self._now = 0

    def prompt_length(self, _ask: Ask) -> int:
        return 3

    def turn(self, hearings: Sequence[Hearing]) -> None:
        self.turns.append(len(hearings))
        self._now += 1
        self.side_by_side.append(self._now)
        time.sleep(self.takes)
        self._now -= 1
        if why := self.refuse(hearings):
            raise RuntimeError(why)
        for hearing in hearings:
            hearing.language = "en"
            for task in list(hearing.open):
                if hearing.take(task, Draft((1,), self.scores(hearing))):
                    hearing.close(task, None)

    def answers(self, hearing: Hearing) -> list[Answer]:
        return [Answer(task, "en", 1.0, (), hearing.redone) for task in hearing.ask.tasks]


class Heard:
    """Windows put into a batcher, and what came back."""

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher
        self.said: dict[str, list[Answer] | ApplianceError] = {}
        self.order: list[str] = []
        self._came = threading.Condition()

    def put(self, name: str, *, job: str = "a", alive: bool = True, **more: Any) -> None:
        self.batcher.put(window(name, job=job, alive=alive, reply=self._reply(name), **more))

    def _reply(self, name: str) -> Callable[[list[Answer] | ApplianceError], None]:
        def reply(answers: list[Answer] | ApplianceError) -> None:
            with self._came:
                self.said[name] = answers
                self.order.append(name)
                self._came.notify_all()

        return reply

    def all(self, count: int) -> dict[str, list[Answer] | ApplianceError]:
        """Wait for so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.said) >= count, timeout=20), self.said
        return self.said


def window(
    name: str,
    *,
    job: str = "a",
    alive: bool = True,
    express: bool = False,
    frames: int = 3000,
    seconds: float = 7.5,
    step: int = 0,
    reply: Callable[[list[Answer] | ApplianceError], None] = lambda _answers: None,
    begun: Callable[[], None] | None = None,
) -> Window:
    del name
    hearing = Hearing(Ask(MEL, seconds, ("transcribe",), "en"), frames=frames, step=step)
    return Window("m", job, hearing, 3, express, reply, lambda: alive, begun)


@contextlib.contextmanager
def running(fake: Fake, *, lanes: int = 1, batch: int = 4, **more: Any) -> Iterator[Heard]:
    """A batcher at work."""
    batcher = Batcher(
        lambda _name, _frugal: fake,
        batch=lambda _model: batch,
        idle_unload_s=0,
        lanes=lanes,
        **more,
    )
    thread = threading.Thread(target=batcher.run)
    heard, loaded = Heard(batcher), threading.Event()
    thread.start()
    batcher.call(Call("m", lambda _model: loaded.set()))
    assert loaded.wait(10)
    try:
        yield heard
    finally:
        batcher.stop()
        thread.join()


def put_at_once(heard: Heard, count: int) -> None:
    """Let windows come while no lane looks: they lie there together."""
    with heard.batcher._wake:
        for number in range(count):
            heard.put(f"{number}")


# --- fairness -----------------------------------------------------------------------------------


def order(waiting: Waiting, most: int = 4) -> list[list[object]]:
    """Whose windows each batch has."""
    batches = []
    while batch := waiting.next(lambda _head: most):
        batches.append([window.job for window in batch])
    return batches


def test_jobs_share_the_turns_by_seconds_of_sound() -> None:
    waiting = Waiting()
    for number in range(30):
        waiting.put(window(f"{number}", job="long"))
        for part in range(3):
            waiting.put(window(f"{number}.{part}", job="short", frames=1000))
    first = [waiting.next(lambda _head: 3) for _ in range(20)]
    heard: defaultdict[object, float] = defaultdict(float)
    for batch in first:
        for one in batch:
            heard[one.job] += one.seconds
    assert heard["long"] == pytest.approx(heard["short"], rel=0.11)


def test_no_job_owns_more_than_three_quarters_of_a_batch_while_others_wait() -> None:
    waiting = Waiting()
    for number in range(40):
        waiting.put(window(f"{number}", job="greedy"))
    for number in range(4):
        waiting.put(window(f"{number}", job=f"other-{number}"))
    batch = waiting.next(lambda _head: 16)
    assert Counter(one.job for one in batch)["greedy"] == 12
    assert len(batch) == 16
    assert Counter(one.job for one in waiting.next(lambda _head: 16))["greedy"] == 16


def test_a_memo_is_in_the_very_next_batch() -> None:
    waiting = Waiting()
    for number in range(100):
        waiting.put(window(f"{number}", job="six hours"))
    waiting.next(lambda _head: 4)
    waiting.put(window("memo", job="memo", express=True))
    assert "memo" in [one.job for one in waiting.next(lambda _head: 4)]


def test_a_flood_of_memos_leaves_the_long_job_its_share() -> None:
    waiting = Waiting()
    for number in range(200):
        waiting.put(window(f"{number}", job="six hours"))
        waiting.put(window("m", job=f"memo-{number}", express=True, frames=1000))
    batches = [waiting.next(lambda _head: 4) for _ in range(40)]
    seconds = {True: 0.0, False: 0.0}
    for batch in batches:
        for one in batch:
            seconds[one.express] += one.seconds
    assert 0.1 < seconds[False] / (seconds[True] + seconds[False]) < 0.35


def test_another_try_waits_behind_everybody_but_not_for_ever() -> None:
    waiting = Waiting()
    waiting.put(window("again", job="bad", step=1))
    for number in range(100):
        waiting.put(window(f"{number}", job=f"good-{number % 3}"))
    batches = [waiting.next(lambda _head: 4) for _ in range(20)]
    at = next(n for n, batch in enumerate(batches) if batch[0].job == "bad")
    assert 0 < at < 15
    assert batches[at][0].rank is Rank.AGAIN


@pytest.mark.parametrize("seed", range(20))
def test_whatever_waits_is_heard_once_and_batches_are_of_one_kind(seed: int) -> None:
    chance = random.Random(seed)
    waiting = Waiting()
    put, heard = [], []
    for _ in range(400):
        if chance.random() < 0.6:
            one = window(
                "w",
                job=f"j{chance.randrange(9)}",
                express=chance.random() < 0.2,
                frames=chance.choice([1000, 1500, 3000]),
                step=chance.choice([0, 0, 0, 1]),
            )
            put.append(one)
            waiting.put(one, first=chance.random() < 0.1)
        else:
            batch = waiting.next(lambda _head: chance.choice([1, 4, 16]))
            assert len({one.key for one in batch}) <= 1
            heard += batch
    while batch := waiting.next(lambda _head: 4):
        heard += batch
    assert len(heard) == len(put)
    assert set(heard) == set(put)
    assert len(waiting) == 0


def test_windows_of_one_job_stay_in_order() -> None:
    waiting = Waiting()
    mine = [window(f"{number}", job="a") for number in range(20)]
    for one in mine:
        waiting.put(one)
        waiting.put(window("x", job="b"))
    heard = []
    while batch := waiting.next(lambda _head: 4):
        heard += [one for one in batch if one.job == "a"]
    assert heard == mine


# --- size ---------------------------------------------------------------------------------------


def test_a_turn_takes_about_a_second() -> None:
    size = Size(32)
    assert size.fits(3000) == 32
    for _ in range(20):
        size.took(0.1 * 8, 8, 3000)
    assert size.fits(3000) == 10
    assert size.fits(1000) == 32, "nothing is known of another length"
    for _ in range(40):
        size.took(2.0 * 4, 4, 3000)
    assert size.fits(3000) == LEAST
    for _ in range(40):
        size.took(20.0 * 4, 4, 3000)
    assert size.fits(3000) == 1


def test_short_inputs_share_a_turn_of_more() -> None:
    size = Size(4, short_ones=2)
    assert [size.fits(frames) for frames in (3000, 2000, 1600, 1300, 1000)] == [4, 6, 7, 8, 8]
    for _ in range(20):
        size.took(0.5 * 8, 8, 1000)
    assert size.fits(1000) == 8
    assert size.too_large(8)
    assert size.fits(1000) == 4
    assert size.too_large(4)
    assert size.fits(1000) == 1, "or it would be tried at the same size again and again"


@pytest.mark.parametrize(
    ("anyway", "each", "brief", "loss"),
    [(0.0, 0.3, 2, 0.01), (0.05, 0.02, 22, 0.15), (0.6, 0.015, 40, 0.35), (1.1, 0.02, 55, 0.35)],
)
def test_brief_turns_are_not_bought_with_all_of_the_speed(
    anyway: float, each: float, brief: int, loss: float
) -> None:
    """What a turn takes anyway is not saved by smaller ones, or each made the next one smaller."""
    size = Size(64)

    def hear(turns: int, room: Callable[[int], int]) -> tuple[int, float]:
        took = heard = 0.0
        for _ in range(turns):
            windows = room(3000)
            took, heard = took + anyway + each * windows, heard + windows
            size.took(anyway + each * windows, windows, 3000)
        return room(3000), heard / took

    hear(100, size.fits)
    _, alone = hear(100, size.fits)
    last, meanwhile = hear(200, size.brief)
    assert last >= min(brief, 64) // 2
    assert meanwhile >= (1 - loss) * alone


def test_a_brief_turn_is_one_window_where_turns_have_told_that_nothing_is_fixed() -> None:
    size = Size(16)
    for _ in range(5):
        size.took(0.3 * 4, 4, 3000)
    assert size.brief(3000) == 2, "turns of one size tell nothing"
    for windows in (4, 1, 2):
        size.took(0.3 * windows, windows, 3000)
    assert size.brief(3000) == 1


@pytest.mark.parametrize(("lanes", "slots"), [(1, 8), (2, 12), (4, 20)])
def test_a_job_has_a_batch_for_each_lane_and_one_more(lanes: int, slots: int) -> None:
    batcher = Batcher(
        lambda _name, _frugal: Fake(), batch=lambda _model: 4, idle_unload_s=0, lanes=lanes
    )
    assert House(batcher, 4).slots == slots


def test_memory_that_does_not_suffice_halves_and_is_tried_again_much_later() -> None:
    size = Size(16)
    assert size.too_large(16)
    assert size.most == 8
    assert size.too_large(2)
    assert not size.too_large(1)
    assert size.most == 1
    for _ in range(200):
        size.took(0.001, 1, 3000)
    assert size.most == 2
    for _ in range(2_000):
        size.took(0.001, 1, 3000)
    assert size.most == 16


# --- lanes --------------------------------------------------------------------------------------


def test_windows_share_a_turn() -> None:
    fake = Fake()
    with running(fake) as heard:
        put_at_once(heard, 8)
        heard.all(8)
    assert fake.turns == [4, 4]


def test_turns_of_long_recordings_are_brief_while_short_ones_come() -> None:
    """A turn ends for nobody: whoever comes in the middle of one waits."""
    fake = Fake()
    with running(fake) as heard:
        put_at_once(heard, 4)
        heard.all(4)
        for _ in range(20):
            heard.batcher._models["m"].size.took(4 * 0.4, 4, 3000)
        heard.batcher.over(windows=4)
        put_at_once(heard, 8)
        heard.all(8)
        heard.batcher.over(windows=1)
        with heard.batcher._wake:
            for number in range(8, 12):
                heard.put(f"{number}")
            for number in range(12, 15):
                heard.put(f"{number}", job=f"memo {number}", express=True)
        heard.all(15)
    assert fake.turns[0] == 4
    assert fake.turns[1] == 4, "the job that is over was no short one"
    assert fake.turns[-3] == 3, "short ones still share"
    assert fake.turns[-2:] == [2, 2]


def test_whoever_asks_for_a_model_that_is_there_waits_for_no_turn() -> None:
    """A memo would wait for a turn of the long recording before it is decoded, and for another."""
    fake = Fake()
    begun, over, told = threading.Event(), threading.Event(), threading.Event()

    def turn(_hearings: Sequence[Hearing]) -> None:
        begun.set()
        over.wait(20)

    with running(fake) as heard:
        put_at_once(heard, 1)
        heard.all(1)
        fake.refuse = turn
        heard.put("long")
        assert begun.wait(20)
        heard.batcher.call(Call("m", lambda _model: told.set()))
        answered = told.wait(5)
        over.set()
        heard.all(2)
    assert answered


def test_two_lanes_hear_side_by_side() -> None:
    fake = Fake()
    fake.takes = 0.2
    with running(fake, lanes=2) as heard:
        put_at_once(heard, 8)
        heard.all(8)
    assert max(fake.side_by_side) == 2


def test_a_window_under_suspicion_is_heard_while_nobody_else_is() -> None:
    fake = Fake()
    fake.takes = 0.05
    begun: list[str] = []
    with running(fake, lanes=2) as heard:
        with heard.batcher._wake:
            for number in range(8):
                heard.put(f"{number}")
            for name in ("s0", "s1", "s2"):
                heard.put(name, job="s", begun=functools.partial(begun.append, name))
        heard.all(11)
    assert begun == ["s0", "s1", "s2"]
    alone = [n for n, size in enumerate(fake.turns) if size == 1]
    assert len(alone) == 3
    assert all(fake.side_by_side[n] == 1 for n in alone)


def test_a_bad_text_is_tried_again_and_the_best_one_kept() -> None:
    fake = Fake()
    fake.scores = lambda hearing: REPEATS if hearing.step < 2 else GOOD
    with running(fake) as heard:
        heard.put("bad")
        heard.all(1)
    assert fake.turns == [1, 1, 1]


def test_a_shortened_window_that_repeats_itself_is_redone_in_full_and_says_so() -> None:
    fake = Fake()
    fake.scores = lambda hearing: REPEATS if hearing.is_shortened else GOOD
    with running(fake) as heard:
        heard.put("memo", frames=1000)
        answers = heard.all(1)["memo"]
    assert isinstance(answers, list)
    assert answers[0].redone
    assert fake.turns == [1, 1]


def test_windows_of_a_job_that_hung_up_are_not_heard() -> None:
    fake = Fake()
    with running(fake) as heard:
        with heard.batcher._wake:
            for name in ("1", "2", "last"):
                heard.put(name, alive=name == "last", job=name)
        heard.all(1)
    assert fake.turns == [1]


def test_a_turn_that_does_not_end_is_told_from_a_model_that_loads() -> None:
    fake, told, go_on = Fake(), threading.Event(), threading.Event()

    def load(_name: str, _frugal: bool) -> Listener:
        told.set()
        assert go_on.wait(10)
        return fake

    batcher = Batcher(load, batch=lambda _model: 4, idle_unload_s=0)
    thread = threading.Thread(target=batcher.run)
    heard = Heard(batcher)
    thread.start()
    heard.put("slow")
    assert told.wait(10)
    assert batcher.stuck_for() == 0.0, "it loads"
    assert batcher.turns_ended() is None, "none is owed while a model is loaded"
    fake.takes = 0.5
    go_on.set()
    until = time.monotonic() + 10
    while (longest := batcher.stuck_for()) < 0.2 and time.monotonic() < until:
        time.sleep(0.01)
    assert longest >= 0.2, "it is in a turn"
    assert batcher.turns_ended() == 0, "one is owed"
    heard.all(1)
    assert batcher.stuck_for() == 0.0
    while batcher.turns_ended() is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert batcher.turns_ended() is None, "nothing waits"
    batcher.stop()
    thread.join()


# --- what goes wrong ----------------------------------------------------------------------------

NO_ROOM = "CUDA failed with error out of memory"


def test_memory_that_does_not_suffice_fails_nobody() -> None:
    fake = Fake(lambda hearings: NO_ROOM if len(hearings) > 2 else None)
    with running(fake, batch=16) as heard:
        put_at_once(heard, 16)
        said = heard.all(16)
    assert all(isinstance(answers, list) for answers in said.values())
    assert fake.turns[:4] == [16, 8, 4, 2]


@pytest.mark.parametrize("seed", range(5))
def test_memory_that_fails_now_and_then_fails_nobody(seed: int) -> None:
    chance = random.Random(seed)
    fake = Fake(lambda hearings: NO_ROOM if chance.random() < 0.2 + len(hearings) / 40 else None)
    with running(fake, batch=16) as heard:
        for number in range(100):
            heard.put(f"{number}", job=f"{number % 7}")
        said = heard.all(100)
    assert [n for n, answers in said.items() if isinstance(answers, ApplianceError)] == []


def test_a_window_too_large_for_the_memory_is_tried_frugally_and_then_named() -> None:
    """The weights that are too large are gone before the others come: both would not fit."""
    loads: list[bool] = []
    there: list[weakref.ref[Listener]] = []

    def load(_name: str, frugal: bool) -> Listener:
        assert [one() for one in there] in ([], [None])
        loads.append(frugal)
        fake = Fake(lambda _hearings: NO_ROOM)
        there.append(weakref.ref(fake))
        return fake

    batcher = Batcher(load, batch=lambda _model: 4, idle_unload_s=0)
    thread = threading.Thread(target=batcher.run)
    heard = Heard(batcher)
    thread.start()
    heard.put("huge")
    error = heard.all(1)["huge"]
    batcher.stop()
    thread.join()
    assert isinstance(error, ApplianceError)
    assert error.code == "node.gpu-memory"
    assert loads == [False, True]


def test_a_model_that_does_not_fit_beside_another_is_heard_without_it() -> None:
    """Two profiles, two models, and a GPU that has room for either."""
    there: dict[str, weakref.ref[Listener]] = {}

    def load(name: str, _frugal: bool) -> Listener:
        if any(one() is not None for one in there.values()):
            raise GpuMemory(model=name)
        fake = Fake()
        there[name] = weakref.ref(fake)
        return fake

    batcher = Batcher(load, batch=lambda _model: 4, idle_unload_s=0)
    thread = threading.Thread(target=batcher.run)
    thread.start()
    welcomed: list[str] = []
    came = threading.Semaphore(0)

    def reply(model: Listener | ApplianceError) -> None:
        welcomed.append(type(model).__name__)
        came.release()

    for name in ("m", "n", "m"):
        batcher.call(Call(name, reply))
        assert came.acquire(timeout=10)
    batcher.stop()
    thread.join()
    assert welcomed == ["Fake"] * 3


def test_a_poisoned_window_fails_alone() -> None:
    fake = Fake(lambda hearings: "poison" if any(h.ask.seconds == 7 for h in hearings) else None)
    with running(fake) as heard:
        with heard.batcher._wake:
            for name, seconds in (("good", 27.0), ("bad", 7.0), ("fine", 27.0)):
                heard.put(name, seconds=seconds)
        said = heard.all(3)
    error = said.pop("bad")
    assert isinstance(error, ApplianceError)
    assert error.code == "bug"
    assert all(isinstance(answers, list) for answers in said.values())
    assert fake.turns == [3, 1, 1, 1]


def test_how_much_a_gpu_bears_is_tried_once_and_remembered(tmp_path: Path) -> None:
    fake = Fake(lambda hearings: NO_ROOM if len(hearings) > 20 else None)
    assert Probe(str(tmp_path)).batch(fake) == 16
    assert fake.turns == [4, 8, 16, 32]
    assert Probe(str(tmp_path)).batch(fake) == 16
    assert fake.turns == [4, 8, 16, 32]
    (tmp_path / "engine-probe.json").write_text("torn")
    assert Probe(str(tmp_path)).batch(Fake(lambda _hearings: NO_ROOM)) == 1
    assert Probe(str(tmp_path)).batch(Fake()) == 64, "it was crowded for a moment"
    assert Probe("/nowhere").batch(Fake()) == 64


def test_a_gpu_that_is_lost_ends_the_process_for_a_fresh_start() -> None:
    ends: list[int] = []
    ended = threading.Event()

    def end(code: int) -> None:
        ends.append(code)
        ended.set()

    fake = Fake(lambda _hearings: "CUDA failed with error an illegal memory access was encountered")
    with running(fake, end=end) as heard:
        heard.put("unlucky")
        assert ended.wait(10)
    assert ends == [TRY_LATER]
    assert heard.said == {}, "nobody is told: the worker sends it again"


def test_a_model_that_is_not_there_is_told_to_who_asks() -> None:
    def load(name: str, _frugal: bool) -> Listener:
        raise ModelMissing(model=name, where="/nowhere")

    batcher = Batcher(load, batch=lambda _model: 4, idle_unload_s=0)
    thread = threading.Thread(target=batcher.run)
    thread.start()
    told: list[object] = []
    came = threading.Event()

    def reply(answer: Listener | ApplianceError) -> None:
        told.append(answer)
        came.set()

    batcher.call(Call("m", reply))
    assert came.wait(10)
    batcher.stop()
    thread.join()
    assert isinstance(told[0], ModelMissing)


def test_an_idle_engine_ends_by_itself_once_it_has_a_model() -> None:
    batcher = Batcher(lambda _name, _frugal: Fake(), batch=lambda _model: 4, idle_unload_s=0.3)
    thread = threading.Thread(target=batcher.run)
    thread.start()
    thread.join(timeout=1.0)
    assert thread.is_alive(), "it has nothing to give back"
    batcher.call(Call("m", lambda _model: None))
    thread.join(timeout=10)
    assert not thread.is_alive()
