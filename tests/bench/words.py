"""Words that are heard wrong: the self-test model through the whole line, and bare, same clips.

Not here: whether the model is any good (tests/proof/words.py has bars for that).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import weights
from appliance.cli.models import distance
from tests.bench import Amount, Figure, box, peers
from tests.selftest_model.utterances import utterances, write_wav

_CLIPS: Final = {Amount.SMOKE: 2, Amount.SHORT: 30, Amount.FULL: 240}  # a language
_LANGUAGES: Final = ("en", "de", "es")
_SEED: Final = 41_006


@dataclass(frozen=True, slots=True)
class _Clip:
    file: str
    words: list[str]


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Let both listen to the same clips, the language not told."""
    clips = _clips(folder / "words", _CLIPS[amount])
    files = [clip.file for clip in clips]
    with box.box(box.Engine(language=None)) as one:
        one.wait(one.drop(files))
        ours = [_told(one.running.path(os.path.basename(file))) for file in files]
    model = weights.find(weights.SELFTEST, "").path
    theirs = peers.batched(files, model, without_timestamps=False).texts
    here, there = _errors(clips, ours), _errors(clips, theirs)
    count = sum(len(clip.words) for clip in clips)
    return [
        Figure(
            "word errors, more than bare's",
            100 * (here - there),
            "points",
            most=0.5,
            how=f"{100 * here:.2f} % : {100 * there:.2f} % of {count} words",
        )
    ]


def _clips(folder: Path, count: int) -> list[_Clip]:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for language in _LANGUAGES:
        for number, said in enumerate(utterances(language, count, _SEED)):
            file = str(folder / f"{language}-{number:03d}.wav")
            write_wav(file, said.samples)
            made.append(_Clip(file, list(said.words)))
    return made


def _told(path: str) -> str:
    with open(os.path.splitext(path)[0] + ".json", encoding="utf-8") as stream:
        return str(json.load(stream)["text"])


def _errors(clips: Sequence[_Clip], texts: Sequence[str]) -> float:
    wrong = sum(distance(c.words, text.split()) for c, text in zip(clips, texts, strict=True))
    return wrong / sum(len(clip.words) for clip in clips)
