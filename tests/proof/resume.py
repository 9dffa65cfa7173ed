"""Kill -9 in the middle of a recording: how much is heard again, and is the transcript the same?

A recording is transcribed once in peace, and then again for each victim (engine, decode child,
worker) and each moment (30, 50, 80 %). The engine counts what it has heard; what it hears beyond
the windows of the recording was lost. No two sentences beside each other are the same: a window
that repeats itself is tried again by sampling, and no two samples are the same.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import psutil

from appliance import pulse
from appliance.daemon import progress_board
from appliance.states import State
from tests.line import sounds
from tests.line.running import Running
from tests.proof import Figure
from tests.selftest_model.utterances import utterances

SEED: Final = 20_262
VICTIMS: Final = ("engine", "child", "worker")
MOMENTS: Final = (0.3, 0.5, 0.8)
BATCH: Final = 4  # windows a turn on a processor, and every lane has one in hand
_UTTERANCES: Final = 120
_STALE_SECONDS: Final = 1.2  # what the engine says of itself is a second old at most


def run(
    *,
    minutes: float = 60,
    victims: tuple[str, ...] = VICTIMS,
    moments: tuple[float, ...] = MOMENTS,
) -> Iterator[Figure]:
    """Kill, wait, compare."""
    with tempfile.TemporaryDirectory() as folder:
        talk = sounds.write(os.path.join(folder, "talk.wav"), _talk(60 * minutes))
        peace, windows, _ = _once(os.path.join(folder, "peace"), talk, None, 0.0)
        yield Figure("windows of the recording", str(windows), "> 20", met=windows > 20)
        for victim in victims:
            for moment in moments:
                where = os.path.join(folder, f"{victim}-{moment}")
                told, heard, lanes = _once(where, talk, victim, moment)
                yield from _figures(
                    f"{victim} at {moment:.0%}", told == peace, heard - windows, lanes
                )


def _talk(seconds: float) -> sounds.Samples:
    """Different utterances, shuffled anew whenever they have all been said."""
    said = [each.samples for each in utterances("en", _UTTERANCES, SEED)]
    order = random.Random(SEED)
    parts: list[sounds.Samples] = []
    while sum(part.size for part in parts) < seconds * sounds.RATE:
        parts += order.sample(said, len(said))
    return np.concatenate(parts)[: int(seconds * sounds.RATE)]


def _figures(what: str, same: bool, lost: int, lanes: int) -> Iterator[Figure]:
    yield Figure(f"{what}: same transcript", str(same), "True", met=same)
    bar = BATCH * lanes
    yield Figure(f"{what}: windows heard twice", str(lost), f"<= {bar}", met=lost <= bar)


def _once(
    where: str, talk: str, victim: str | None, moment: float
) -> tuple[dict[str, Any], int, int]:
    """Transcribe once; what the JSON says, windows the engine has heard, and its lanes."""
    os.makedirs(where)
    with Running(where) as box:
        box.until(
            lambda: bool(pulse.read(box.settings.run_dir).get("models")), "the engine is warm"
        )
        begun = _heard(box)
        path = box.drop(talk, "talk.wav")
        before = 0
        if victim is not None:
            box.until(lambda: _share(box, path) >= moment, f"{moment:.0%} heard", seconds=300)
            before = _kill(box, victim)
        job = box.ended(path, seconds=600)
        assert job.state is State.DONE, (job, box.printed[-20:])
        time.sleep(_STALE_SECONDS)
        after = _heard(box)
        heard = before + after if victim == "engine" else after
        with open(box.path("talk.json"), encoding="utf-8") as stream:
            told = json.load(stream)
        lanes = int(pulse.read(box.settings.run_dir)["lanes"])
        return (
            {name: told[name] for name in ("text", "segments", "words", "language")},
            (heard - begun),
            lanes,
        )


def _heard(box: Running) -> int:
    return int(pulse.read(box.settings.run_dir).get("windows", 0))


def _share(box: Running, path: bytes) -> float:
    job = box.job(path)
    facts = progress_board(box.settings.run_dir).get(job.id, {}) if job else {}
    return float(facts.get("done", 0.0)) / float(facts.get("total") or 1e9)


def _kill(box: Running, victim: str) -> int:
    """Kill one; of the engine, also what it had heard until then, as far as others know."""
    if victim != "child":
        heard = _heard(box)
        box.kill(victim)
        return heard
    for process in psutil.Process().children(recursive=True):
        if _is_child_at_work(process):
            process.kill()
    return 0


def _is_child_at_work(process: psutil.Process) -> bool:
    """A decoder whose parent is one, too: the template's, and not the template itself."""
    try:
        parent = process.parent()
        mine = "appliance.decode" in process.cmdline()
        return mine and parent is not None and "appliance.decode" in parent.cmdline()
    except psutil.Error:
        return False
