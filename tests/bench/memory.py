"""Memory: of the decode child and of the engine, whatever the length and however many at once.

The decode child's peak is the kernel's, from the log of the attempt. What the engine grows by
is its peak less what it held when it was warm and nobody had asked for anything.

Not here: what bounds them (limits).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench import Amount, Figure, box, models, recordings
from tests.media import files, sounds

_HOURS: Final = {Amount.SMOKE: 0.02, Amount.SHORT: 0.5, Amount.FULL: 10.0}
_TEN_MINUTES: Final = {Amount.SMOKE: 1.0, Amount.SHORT: 10.0, Amount.FULL: 10.0}
_AT_ONCE: Final = {Amount.SMOKE: 2, Amount.SHORT: 8, Amount.FULL: 8}
_SECONDS_EACH: Final = {Amount.SMOKE: 10, Amount.SHORT: 60, Amount.FULL: 300}
_SHAPES: Final = {Amount.SMOKE: "tiny", Amount.SHORT: "base", Amount.FULL: "small"}
_FAST: Final = 1_000.0
_MB: Final = 1e6


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Compare a short recording with a long one, and one job with eight."""
    return [*_by_length(amount, folder), *_by_number(amount, folder)]


def _by_length(amount: Amount, folder: Path) -> Iterator[Figure]:
    minutes, hours = _TEN_MINUTES[amount], _HOURS[amount]
    engine = box.Engine(gpu=_FAST)
    short = box.take(engine, [recordings.speech(folder, minutes)])
    long = box.take(engine, [recordings.speech(folder, hours * 60)])
    yield Figure(
        f"decode child, {hours:g} h",
        long.decoder_rss / _MB,
        "MB",
        most=256,
        how=f"{minutes:g} min: {short.decoder_rss / _MB:.0f} MB",
    )
    yield Figure(
        f"decode child, {hours:g} h, of one of {minutes:g} min",
        long.decoder_rss / short.decoder_rss,
        "x",
        most=1.1,
    )
    for took, length in ((short, f"{minutes:g} min"), (long, f"{hours:g} h")):
        yield Figure(f"engine's growth, fake GPU, {length}", _growth(took), "MB", most=200)
    yield Figure(
        f"engine, {hours:g} h, of one of {minutes:g} min",
        long.engine_rss[1] / short.engine_rss[1],
        "x",
        most=1.1,
    )


def _by_number(amount: Amount, folder: Path) -> Iterator[Figure]:
    shape, count = _SHAPES[amount], _AT_ONCE[amount]
    there = models.folder_of(folder, shape)
    engine = box.Engine(model=shape, model_dir=str(there))
    each = _SECONDS_EACH[amount]
    # One that is as long as all the others, or its turns would not be full and prove nothing.
    one = box.take(engine, [recordings.speech(folder, count * each / 60)])
    many = box.take(engine, _different(folder / "at-once", count, each))
    yield Figure(
        f"engine with {count} jobs at once, of one as long as all",
        many.engine_rss[1] / one.engine_rss[1],
        "x",
        most=1.15,
        how=f"{many.engine_rss[1] / _MB:.0f} MB : {one.engine_rss[1] / _MB:.0f} MB",
    )
    yield Figure(f"engine's growth, {shape}, {count} jobs", _growth(many), "MB", most=200)


def _growth(took: box.Took) -> float:
    before, most = took.engine_rss
    return (most - before) / _MB


def _different(folder: Path, count: int, seconds: int) -> list[str]:
    """Recordings of which no two are alike, or the second would only be found again."""
    folder.mkdir(parents=True, exist_ok=True)
    talk = sounds.meeting(recordings.TEN_MINUTES)
    step = (len(talk) - seconds * sounds.RATE) // count
    return [
        str(
            files.plain_wav(
                folder / f"{number}.wav", talk[number * step :][: seconds * sounds.RATE]
            )
        )
        for number in range(count)
    ]
