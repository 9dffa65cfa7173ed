"""An engine without its GPU: the real batcher and the real door, and a model that sleeps.

    python -m tests.engines.fake_gpu SPEED SETTINGS       (but for SETTINGS: APPLIANCE_ENGINE_CMD)

SPEED is how many seconds of encoder input it hears in a second. A turn sleeps as long as
its input would take such a GPU, and leaves Python's lock alone meanwhile, as CTranslate2
does. Each window brings a text of the length that people speak, with word times, so that
everything behind the model has its usual work.

Not here: engines that misbehave (`python -m tests.engines`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from appliance import journal, pulse, settings, weights, wire
from appliance.engine.batcher import Batcher, Call
from appliance.engine.hearing import Answer, Ask, Draft, Hearing
from appliance.engine.phrases import Scores
from appliance.engine.server import House, accept
from appliance.nouns import Segment, Word
from appliance.settings import Settings

BATCH: Final = 16  # as the real one takes on a GPU
_PULSE_SECONDS: Final = 1.0
_WORD_SECONDS: Final = 0.4
_SEGMENT_WORDS: Final = 12
_SCORES: Final = Scores(0.0, -0.1, 1.5, 0.0)


class FakeGpu:
    """A model that takes its time and hears a word every 0.4 s."""

    device = "cuda"
    compute_type = "float16"
    mels = 80
    multilingual = True

    def __init__(self, speed: float) -> None:
        """`speed`: seconds of encoder input a second."""
        self.folder = weights.find(weights.SELFTEST, "")
        self._speed = speed
        self.first = self.last = 0.0  # time.time() at which the first turn began, the last ended

    def prompt_length(self, ask: Ask) -> int:
        """The start of the text, its language, its task."""
        del ask
        return 3

    def turn(self, hearings: Sequence[Hearing]) -> None:
        """Sleep for all of them; every one is done."""
        self.first = self.first or time.time()
        time.sleep(sum(hearing.frames for hearing in hearings) / 100 / self._speed)
        for hearing in hearings:
            hearing.language = hearing.language or "en"
            for task in list(hearing.open):
                hearing.take(task, Draft((), _SCORES))
                hearing.close(task, None)
        self.last = time.time()

    def answers(self, hearing: Hearing) -> list[Answer]:
        """As many words as fit into the window."""
        count = max(1, int(hearing.ask.seconds / _WORD_SECONDS))
        made = tuple(
            _segment(number, range(first, min(first + _SEGMENT_WORDS, count)))
            for number, first in enumerate(range(0, count, _SEGMENT_WORDS))
        )
        language = hearing.language or "en"
        return [Answer(task, language, 1.0, made, hearing.redone) for task in hearing.ask.tasks]


def _segment(number: int, which: range) -> Segment:
    words = tuple(
        Word(round(n * _WORD_SECONDS, 3), round((n + 0.9) * _WORD_SECONDS, 3), f" word{n}", 0.9)
        for n in which
    )
    return Segment(
        id=number,
        seek=0,
        start=words[0].start,
        end=words[-1].end,
        text="".join(word.word for word in words),
        tokens=(),
        temperature=0.0,
        avg_logprob=-0.1,
        compression_ratio=1.5,
        no_speech_prob=0.0,
        words=words,
    )


def _beat(gpu: FakeGpu, batcher: Batcher, site: Settings, stopped: threading.Event) -> None:
    while not stopped.wait(_PULSE_SECONDS):
        pulse.write(site.run_dir, {**batcher.status(), "first": gpu.first, "last": gpu.last})


def main(speed: float, settings_file: str) -> None:
    """Serve until TERM."""
    journal.to_stderr("engine")
    site = settings.load(settings_file)
    os.makedirs(site.run_dir, mode=0o770, exist_ok=True)
    gpu = FakeGpu(speed)
    batch = site.engine.batch or BATCH
    batcher = Batcher(lambda _name, _frugal: gpu, batch=lambda _model: batch, idle_unload_s=0)
    house = House(batcher, batch, shorten=site.engine.shorten)
    door = wire.listen(site.engine_socket)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: batcher.stop())
    threading.Thread(target=accept, args=(door, house), daemon=True).start()
    threading.Thread(target=_beat, args=(gpu, batcher, site, stopped), daemon=True).start()
    batcher.call(Call(weights.SELFTEST, lambda _: None))
    batcher.run()
    stopped.set()
    door.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
