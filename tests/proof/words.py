"""The self-test model through the whole line: file dropped, text beside it, voice detector on.

Fresh seeded utterances of two to seven words, the truth from the synthesis; and clips in
which nobody speaks. Nothing here looks at the model: only at the files that came back.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from appliance.cli.models import distance
from appliance.states import State
from tests.line.running import Running
from tests.proof import Figure
from tests.selftest_model.utterances import nonspeech, utterances, write_wav

SEED = 20_261
LANGUAGES = ("en", "de", "es")
END_WITHIN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Truth:
    """What was said in one file."""

    path: str
    language: str
    words: list[str]
    end: float


def run(*, count: int = 150, clips: int = 40) -> list[Figure]:
    """Drop `count` utterances a language and `clips` of silence and noise; compare."""
    with tempfile.TemporaryDirectory() as folder, Running(folder) as box:
        truths = [truth for name in LANGUAGES for truth in _spoken(box, name, count)]
        silent = list(_silent(box, clips))
        told = {truth.path: _heard(box, truth.path) for truth in truths}
        figures = _figures(truths, told)
        invented = sum(len(_heard(box, path)["words"]) for path in silent)
        figures.append(
            Figure(f"words in {clips} clips of nobody", str(invented), "0", invented == 0)
        )
        return figures


def _spoken(box: Running, language: str, count: int) -> list[Truth]:
    truths = []
    for number, said in enumerate(utterances(language, count, SEED)):
        path = os.path.join(language, f"{number:03d}.wav")
        os.makedirs(os.path.dirname(box.path(path)), exist_ok=True)
        write_wav(box.path(path), said.samples)
        truths.append(Truth(path, language, list(said.words), said.end))
    return truths


def _silent(box: Running, clips: int) -> list[str]:
    paths = []
    os.makedirs(box.path("nobody"))
    for number, samples in enumerate(nonspeech(clips, SEED)):
        path = os.path.join("nobody", f"{number:03d}.wav")
        write_wav(box.path(path), samples)
        paths.append(path)
    return paths


def _heard(box: Running, path: str) -> dict[str, Any]:
    job = box.ended(os.fsencode(path), seconds=1200)
    if job.state is not State.DONE:
        raise AssertionError(f"{path}: {job.state} {job.code}")
    with open(os.path.splitext(box.path(path))[0] + ".json", encoding="utf-8") as stream:
        told: dict[str, Any] = json.load(stream)
    return told


def _figures(truths: list[Truth], told: dict[str, dict[str, Any]]) -> list[Figure]:
    figures = []
    for language in LANGUAGES:
        mine = [truth for truth in truths if truth.language == language]
        wrong = sum(distance(t.words, told[t.path]["text"].split()) for t in mine)
        share = 100 * wrong / sum(len(t.words) for t in mine)
        figures.append(
            Figure(f"{language}: word error rate", f"{share:.1f} %", "<= 5 %", share <= 5)
        )
    right = 100 * sum(told[t.path]["language"] == t.language for t in truths) / len(truths)
    figures.append(Figure("language right", f"{right:.1f} %", ">= 95 %", right >= 95))
    near = [t for t in truths if _ends_right(t, told[t.path])]
    share = 100 * len(near) / len(truths)
    figures.append(Figure("ends within 0.3 s", f"{share:.1f} %", ">= 90 %", share >= 90))
    return figures


def _ends_right(truth: Truth, told: dict[str, Any]) -> bool:
    if not told["segments"]:
        return False
    return abs(float(told["segments"][-1]["end"]) - truth.end) <= END_WITHIN_SECONDS


if __name__ == "__main__":
    for figure in run(count=int(sys.argv[1]), clips=int(sys.argv[2])):
        print(figure)  # noqa: T201
