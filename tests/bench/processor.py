"""Without a GPU: int8 on the processor, the base shape, thirty tokens about every window.

The model's weights are random and end the text themselves, so nobody is told how long it is,
and everybody does the same work; that they did is checked. Ours gives words their times and
writes files, so the peers are asked for word times; without them they are shown as well.

Not here: the arithmetic of many short recordings (memos).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from appliance import allocator
from tests.bench import Amount, Figure, box, listed, median, models, peers, recordings
from tests.bench.peers import Told

_MINUTES: Final = {Amount.SMOKE: 0.5, Amount.SHORT: 5.0, Amount.FULL: 10.0}
_RUNS: Final = {Amount.SMOKE: 1, Amount.SHORT: 2, Amount.FULL: 5}
_SHAPES: Final = {Amount.SMOKE: "tiny", Amount.SHORT: "base", Amount.FULL: "base"}


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Measure ours and every peer by turns."""
    shape = _SHAPES[amount]
    there = models.folder_of(folder, shape)
    file = recordings.speech(folder, _MINUTES[amount])
    engine = box.Engine(model=shape, model_dir=str(there))
    ours: list[box.Took] = []
    told: dict[str, list[Told]] = {name: [] for name in _peers(file, str(there / shape))}
    for _ in range(_RUNS[amount]):
        ours.append(box.take(engine, [file]))
        for name, listen in _peers(file, str(there / shape)).items():
            told[name].append(listen())
    _check(told)
    return list(_figures(ours, told))


def _peers(file: str, model: str) -> Mapping[str, Callable[[], Told]]:
    words: dict[str, Any] = {"language": "en", "word_timestamps": True}
    return {
        "bare batched": lambda: peers.batched([file], model, **words),
        "bare batched, no words": lambda: peers.batched([file], model, language="en"),
        "sequential": lambda: peers.sequential([file], model, **words),
        "sequential, no words": lambda: peers.sequential([file], model, language="en"),
        "whisper-ctranslate2 --batched": lambda: peers.command_line(
            [file], model, "--language", "en", "--batched", "True", "--word_timestamps", "True"
        ),
    }


def _check(told: Mapping[str, Sequence[Told]]) -> None:
    """Everybody had the same text about every window, or the rest means nothing."""
    for name, runs in told.items():
        for one in runs:
            if one.tokens and list(one.tokens) != [models.TOKENS]:
                raise SystemExit(f"{name}: {one.tokens} tokens about a window")


def _figures(ours: Sequence[box.Took], told: Mapping[str, Sequence[Told]]) -> Iterator[Figure]:
    wall = [took.wall for took in ours]
    cpu = median([took.cpu / took.windows for took in ours])
    for name, runs in told.items():
        theirs = [one.wall for one in runs]
        yield Figure(
            f"as fast as {name}",
            median(theirs) / median(wall),
            "x",
            least=1.25 if name == "bare batched" else None,
            how=f"{listed(theirs)} s : {listed(wall)} s",
        )
        windows = [one.windows for one in runs]
        if all(windows):
            per_window = median([one.cpu / one.windows for one in runs])
            yield Figure(
                f"CPU a window, of {name}",
                cpu / per_window,
                "x",
                most=0.70 if name == "sequential" else None,
                how=f"{cpu:.2f} s : {per_window:.2f} s",
            )
        yield Figure(f"{name}: peak of memory", median([one.rss for one in runs]) / 1e6, "MB")
    engine = median([took.engine_cpu / took.windows for took in ours])
    yield Figure("our engine's CPU a window", engine, "s", how="the other processes left out")
    yield Figure("our CPU, all processes", median([took.cpu for took in ours]), "s")
    yield Figure("of which the engine's", median([took.engine_cpu for took in ours]), "s")
    yield Figure("our engine: peak of memory", median([t.engine_rss[1] for t in ours]) / 1e6, "MB")
    yield Figure("jemalloc is there", float(allocator.jemalloc() is not None))
