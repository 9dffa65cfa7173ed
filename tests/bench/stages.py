"""Where the time of one recording goes: an hour as MP3, stage by stage.

From the log of the attempt, seconds of the clock: settling, our own copy, listening,
recording, delivering. Inside of listening, seconds of CPU: what the decode child does, one
step after the other in this process, and what the engine does.

Not here: comparing it with anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from appliance.decode.media import open_media
from appliance.decode.reading import Bytes
from appliance.decode.sound import Block, Sound
from appliance.windows import log_mel, pack, speech
from tests.bench import Amount, Figure, box, recordings

_MINUTES: Final = {Amount.SMOKE: 1.0, Amount.SHORT: 60.0, Amount.FULL: 60.0}
_SPEED: Final = 300.0
_MOST_SECONDS: Final = 86_400.0
T = TypeVar("T")


def run(amount: Amount, folder: Path) -> list[Figure]:
    """The stages of one attempt, and the steps of its decode child."""
    file = recordings.speech(folder, _MINUTES[amount])
    took = box.take(box.Engine(gpu=_SPEED), [file])
    job = took.jobs[0]
    clock = {"settle": job.claimed - took.dropped, **job.stages}
    figures = [Figure(f"{stage}, clock", seconds, "s") for stage, seconds in clock.items()]
    figures.append(Figure("engine in a turn, clock", took.status["turn_seconds"], "s"))
    figures += [Figure(f"{step}, CPU", seconds, "s") for step, seconds in _steps(file)]
    return [*figures, Figure("engine beside the GPU, CPU", took.engine_cpu, "s")]


def _steps(file: str) -> Iterator[tuple[str, float]]:
    """Decode, then find the speech, then make spectrograms: each on its own."""
    blocks, decoding = _cpu(lambda: _decoded(file))
    yield "decode", decoding
    made, judging = _cpu(lambda: list(pack(speech(blocks))))
    yield "VAD", judging
    _, drawing = _cpu(lambda: [log_mel(sound, 80) for _, sound in made])
    yield "mel", drawing


def _decoded(file: str) -> list[Block]:
    fd = os.open(file, os.O_RDONLY)
    try:
        media = open_media(
            Bytes(fd, lambda: None), name=file, language=None, max_seconds=_MOST_SECONDS
        )
        blocks = list(Sound(media, max_seconds=_MOST_SECONDS).blocks())
        media.container.close()
    finally:
        os.close(fd)
    return blocks


def _cpu(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.process_time()
    done = work()
    return done, time.process_time() - begun
