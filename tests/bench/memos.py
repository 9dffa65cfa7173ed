"""Many memos at once: a model of 30 s windows hears 4 to 10 s, and everybody pads but us.

All are dropped together. Beside it a loop of WhisperModel.transcribe over the same files,
with the language given and without, and the command line told all of them at once. Ours gives
words their times, so the loop is asked for them; without them it is shown once. Ours
with shortened input and without it. CPU of the engine against CPU of the loop, and the
clock from the first claim to the last export against the loop from file to file.

That a memo is heard the same alone and among others is checked with the self-test model,
which listens: the other one says the same whatever it hears.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from appliance import weights
from appliance.engine.hearing import Ask, Hearing, frames_for
from appliance.engine.model import Model
from appliance.windows import log_mel
from tests.bench import Amount, Figure, box, models, peers, recordings
from tests.bench.peers import Told
from tests.media import sounds

_COUNT: Final = {Amount.SMOKE: 2, Amount.SHORT: 16, Amount.FULL: 200}
_SAME: Final = {Amount.SMOKE: 4, Amount.SHORT: 200, Amount.FULL: 200}
_SHAPES: Final = {Amount.SMOKE: "tiny", Amount.SHORT: "base", Amount.FULL: "base"}
_BATCH: Final = 4  # as on a processor
# By whether the input is shortened and the language is given: how many times the loop.
_BARS: Final[Mapping[tuple[bool, bool], float]] = {
    (True, True): 4.0,
    (True, False): 7.0,
    (False, True): 1.1,
    (False, False): 1.8,
}


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Measure, and compare what is heard alone with what is heard among others."""
    there = models.folder_of(folder, _SHAPES[amount])
    files = recordings.memos(folder / "memos", _COUNT[amount])
    figures: list[Figure] = []
    for given in (True, False):
        figures += _with_language(files, there, _SHAPES[amount], given=given)
    count = _SAME[amount]
    same = sum(_same(recordings.memos(folder / "heard", count)))
    return [*figures, Figure("heard the same as alone", same, f"of {count}", least=count)]


def _with_language(
    files: Sequence[str], there: Path, shape: str, *, given: bool
) -> Iterator[Figure]:
    language = "en" if given else None
    short = _ours(files, there, shape, language, shorten=True)
    loop = peers.sequential(files, str(there / shape), language=language, word_timestamps=True)
    bare = peers.sequential(files, str(there / shape), language=language) if given else None
    full = _ours(files, there, shape, language, shorten=False)
    said = ["--word_timestamps", "True", *(["--language", "en"] if given else [])]
    line = peers.command_line(files, str(there / shape), *said)
    for told in (loop, bare):
        if told and list(told.tokens) != [models.TOKENS]:
            raise SystemExit(f"the loop: {told.tokens} tokens about a window")
    for took, shorten in ((short, True), (full, False)):
        yield from _figures(took, loop, bare, line, shorten=shorten, given=given)


def _ours(
    files: Sequence[str], there: Path, shape: str, language: str | None, *, shorten: bool
) -> box.Took:
    engine = box.Engine(model=shape, model_dir=str(there), language=language, shorten=shorten)
    return box.take(engine, files)


def _figures(
    took: box.Took, loop: Told, bare: Told | None, line: Told, *, shorten: bool, given: bool
) -> Iterator[Figure]:
    how = f"{'shortened' if shorten else 'padded'}, language {'given' if given else 'found out'}"
    bar = _BARS[shorten, given]
    yield Figure(
        f"{how}: engine's CPU, less than the loop's",
        loop.cpu / took.engine_cpu,
        "x",
        least=bar,
        how=f"{loop.cpu:.1f} s : {took.engine_cpu:.1f} s",
    )
    yield Figure(
        f"{how}: as fast as the loop",
        loop.wall / took.wall,
        "x",
        least=bar,
        how=f"{loop.wall:.1f} s : {took.wall:.1f} s",
    )
    if bare:
        yield Figure(
            f"{how}: engine's CPU, less than the loop's, no words",
            bare.cpu / took.engine_cpu,
            "x",
            how=f"{bare.cpu:.1f} s : {took.engine_cpu:.1f} s",
        )
        yield Figure(
            f"{how}: as fast as the loop, no words",
            bare.wall / took.wall,
            "x",
            how=f"{bare.wall:.1f} s : {took.wall:.1f} s",
        )
    yield Figure(
        f"{how}: as fast as whisper-ctranslate2",
        line.wall / took.wall,
        "x",
        how=f"{line.wall:.1f} s : {took.wall:.1f} s",
    )
    yield Figure(f"{how}: our CPU, all processes", took.cpu, "s", how=f"loop {loop.cpu:.1f} s")


# --- alone and among others ---------------------------------------------------------------------


def _same(files: Sequence[str]) -> Iterator[bool]:
    """For each memo: whether the model says the same about it alone and in a turn with others."""
    folder = weights.find(weights.SELFTEST, "")
    model = Model(folder, device="cpu", compute_type="int8")
    asks = sorted((_ask(file, model.mels) for file in files), key=lambda ask: ask.seconds)
    for frames in sorted({frames_for(ask.seconds) for ask in asks}):
        mine = [ask for ask in asks if frames_for(ask.seconds) == frames]
        for first in range(0, len(mine), _BATCH):
            some = mine[first : first + _BATCH]
            together = _heard(model, some, frames)
            alone = [_heard(model, [ask], frames)[0] for ask in some]
            yield from (one == other for one, other in zip(together, alone, strict=True))


def _ask(file: str, mels: int) -> Ask:
    sound = np.frombuffer(Path(file).read_bytes()[44:], np.int16)
    samples = sound.astype(np.float32) / np.float32(32_768)
    mel = log_mel(samples, mels)
    return Ask(mel=mel, seconds=len(sound) / sounds.RATE, tasks=("transcribe",), language="en")


def _heard(model: Model, asks: Sequence[Ask], frames: int) -> list[tuple[int, ...]]:
    hearings = [Hearing(ask) for ask in asks]
    for hearing in hearings:
        hearing.frames = frames
        hearing.step = 0
    model.turn(hearings)
    return [
        hearing.drafts["transcribe"].tokens if "transcribe" in hearing.drafts else ()
        for hearing in hearings
    ]
