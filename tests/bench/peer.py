"""A bare faster-whisper at work, in its own environment: nothing of the house is imported here.

    python tests/bench/peer.py JOB        JOB: JSON, see `main`; a line of JSON comes back

`batched` is BatchedInferencePipeline, `sequential` a loop of WhisperModel.transcribe. Where a
speed is named, CTranslate2's model is replaced by one that sleeps as long as a GPU of that
speed would take, and says what a model of true shape says: all the rest is the peer's own.

Not here: installing it, or comparing it with anything (peers, the parts of the bench).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

from faster_whisper import BatchedInferencePipeline, WhisperModel

_TOKENS: Final = 30  # about a window, as from the model that knows its lines
_FIRST_TOKEN: Final = 300  # plain text, in every Whisper's vocabulary


class FakeGpu:
    """What faster-whisper calls of ctranslate2.models.Whisper, without the arithmetic."""

    device, device_index, compute_type = "cuda", [0], "float16"
    is_multilingual, n_mels = True, 80

    def __init__(self, speed: float) -> None:
        self._speed = speed  # seconds of encoder input heard in a second
        self.windows = 0

    def encode(self, features: Any, to_cpu: bool = False) -> Sequence[int]:
        """Take the whole time that a window costs here: generate and align take none."""
        del to_cpu
        count, _, frames = features.shape
        self.windows += count
        time.sleep(count * frames / 100 / self._speed)
        return range(count)

    def detect_language(self, encoded: Sequence[int]) -> list[list[tuple[str, float]]]:
        """English, for certain."""
        return [[("<|en|>", 1.0)] for _ in encoded]

    def generate(self, encoded: Sequence[int], *_: Any, **__: Any) -> list[SimpleNamespace]:
        """The same text about every window."""
        tokens = list(range(_FIRST_TOKEN, _FIRST_TOKEN + _TOKENS))
        one = SimpleNamespace(sequences_ids=[tokens], scores=[-0.1], no_speech_prob=0.0)
        return [one for _ in encoded]

    def align(self, encoded: Sequence[int], _: Any, texts: Any, *__: Any, **___: Any) -> list[Any]:
        """Every token a step after the one before."""
        del encoded
        return [
            SimpleNamespace(
                text_token_probs=[0.9] * len(text),
                alignments=[(n, 10 * n) for n in range(len(text) + 1)],
            )
            for text in texts
        ]


def _model(job: dict[str, Any]) -> WhisperModel:
    model = WhisperModel(job["model"], device="cpu", compute_type="int8", local_files_only=True)
    if job["speed"]:
        model.model = FakeGpu(job["speed"])
    return model


def _transcriber(model: WhisperModel, job: dict[str, Any]) -> Callable[[str], Iterable[Any]]:
    engine = BatchedInferencePipeline(model) if job["how"] == "batched" else model
    return lambda file: engine.transcribe(file, **job["options"])[0]


def _heard(segments: Iterable[Any], begun: float, first: list[float]) -> Iterator[Any]:
    for segment in segments:
        if not first:
            first.append(time.monotonic() - begun)
        yield segment


def _peak() -> int:
    """Bytes of memory held at most. ru_maxrss would count what our parent held as well."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Hear every file of `job["files"]`, one after the other; what it took, and the texts."""
    model = _model(job)
    transcribe = _transcriber(model, job)
    first: list[float] = []
    texts, windows, tokens = [], 0, set()
    loaded = _cpu()
    begun = time.monotonic()
    for file in job["files"]:
        segments = list(_heard(transcribe(file), begun, first))
        texts.append("".join(segment.text for segment in segments))
        windows += len({segment.seek for segment in segments})
        tokens |= {len(segment.tokens) for segment in segments}
    return {
        "wall": time.monotonic() - begun,
        "cpu": _cpu() - loaded,
        "first": first[0] if first else None,
        "rss": _peak(),
        "windows": model.model.windows if job["speed"] else windows,
        "tokens": sorted(tokens),
        "texts": texts,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201
