"""A GPU is only as busy as it is fed: an hour as MP3, end to end, with a GPU that sleeps.

Ours is the whole box: claim, own copy, decoding, voice detection, engine, ledger, exports.
The peer is BatchedInferencePipeline with a batch as large, from opening the file to its last
segment, without word times, its default: ours has them. What the GPU takes is the same for
both, so what is left is how well the rest keeps out of its way.

Not here: anything that computes (processor).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from appliance import weights
from tests.bench import Amount, Figure, box, listed, median, peers, recordings

_MINUTES: Final = {Amount.SMOKE: 1.0, Amount.SHORT: 60.0, Amount.FULL: 60.0}
_RUNS: Final[Mapping[Amount, Mapping[int, int]]] = {  # by speed, times real time
    Amount.SMOKE: {300: 1},
    Amount.SHORT: {100: 1, 300: 2, 1000: 1},
    Amount.FULL: {100: 3, 300: 5, 1000: 3},
}
_BARS: Final = {100: 1.3, 300: 1.7}
_BATCH: Final = 16
_ALIKE: Final = 0.2  # ours are fuller
_Pair = tuple[box.Took, peers.Told]


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Measure at every speed, ours and theirs by turns."""
    minutes = _MINUTES[amount]
    file = recordings.speech(folder, minutes)
    figures: list[Figure] = []
    for speed, runs in _RUNS[amount].items():
        pairs = [_pair(file, speed) for _ in range(runs)]
        figures += _figures(speed, minutes * 60, pairs)
    return figures


def _pair(file: str, speed: int) -> _Pair:
    ours = box.take(box.Engine(gpu=speed), [file])
    model = weights.find(weights.SELFTEST, "").path
    theirs = peers.batched([file], model, speed=speed, batch_size=_BATCH, language="en")
    if abs(ours.windows - theirs.windows) > _ALIKE * theirs.windows:
        raise SystemExit(f"windows: {ours.windows} and {theirs.windows}: not the same recording")
    return ours, theirs


def _figures(speed: int, seconds: float, pairs: Sequence[_Pair]) -> Iterator[Figure]:
    ours = [took.wall for took, _ in pairs]
    theirs = [told.wall for _, told in pairs]
    at = f"GPU {speed} x"
    yield Figure(
        f"{at}: as fast as bare batched",
        median(theirs) / median(ours),
        "x",
        least=_BARS.get(speed),
        how=f"{listed(theirs)} s : {listed(ours)} s",
    )
    yield Figure(f"{at}: ours", seconds / median(ours), "x real time")
    yield Figure(f"{at}: bare batched", seconds / median(theirs), "x real time")
    alone = median([took.status["turn_seconds"] for took, _ in pairs])
    yield Figure(
        f"{at}: the most there could be, if all but the GPU took no time",
        median(theirs) / alone,
        "x",
        how=f"{listed(theirs)} s : {alone:.1f} s",
    )
    yield from _first_text(at, pairs)
    busy = median([_busy(took) for took, _ in pairs])
    yield Figure(f"{at}: engine busy", 100 * busy, "%", least=95 if speed == 100 else None)
    yield Figure(f"{at}: our CPU", median([took.cpu for took, _ in pairs]), "s")
    yield Figure(f"{at}: bare's CPU", median([told.cpu for _, told in pairs]), "s")
    cores = median([took.cpu / (took.jobs[0].ended - took.dropped) for took, _ in pairs])
    yield Figure(f"{at}: cores that ours used", cores)
    yield Figure(f"{at}: bare's peak of memory", median([t.rss for _, t in pairs]) / 1e6, "MB")
    settled = median([took.jobs[0].claimed - took.dropped for took, _ in pairs])
    yield Figure(f"{at}: before the claim (settling, not counted above)", settled, "s")


def _first_text(at: str, pairs: Sequence[_Pair]) -> Iterator[Figure]:
    """How long until somebody can read the first words; in none of the runs may it be missed."""
    ours = [took.jobs[0].first - took.jobs[0].claimed for took, _ in pairs if took.jobs[0].first]
    theirs = [told.first for _, told in pairs if told.first is not None]
    if ours and theirs:
        yield Figure(
            f"{at}: first text, earlier than bare",
            median(theirs) / median(ours),
            "x",
            least=30,
            how=f"{listed(theirs)} s : {listed(ours, 2)} s",
        )


def _busy(took: box.Took) -> float:
    """The share of the time between its first turn and its last in which the GPU had one."""
    between = took.status["last"] - took.status["first"]
    return float(took.status["turn_seconds"] / between) if between else 0.0
