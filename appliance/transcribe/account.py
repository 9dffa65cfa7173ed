"""What the log of an attempt is told of the talk between child and engine: facts and figures.

Never what was said: no text, no word of a vocabulary, and of what libav says only so much.

Not here: the log itself (logbook), the talk (relay).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Final

from appliance import journal, logbook, wire
from appliance.nouns import Options, Recording

_LINES: Final = 200  # of the child's, whatever it says of itself
_LENGTH: Final = 300  # characters of one


class Account:
    """One attempt's figures."""

    def __init__(self, options: Options) -> None:
        self._begun = time.monotonic()
        self._sent: dict[int, float] = {}
        self._took: list[float] = []
        self._lines = _LINES
        logbook.note(
            "asked",
            model=options.model,
            language=options.language,
            task=options.task,
            beam=options.beam,
            vad=options.vad,
            vocabulary_words=len(options.vocabulary),
            has_prompt=options.initial_prompt is not None,
        )

    def engine(self, welcome: wire.Welcome) -> None:
        """The engine listens."""
        logbook.note(
            "engine",
            engine=welcome.engine,
            model=welcome.model,
            model_sha256=welcome.model_sha256,
            device=welcome.device,
            compute_type=welcome.compute_type,
            fallback=welcome.fallback,
            seconds=time.monotonic() - self._begun,
        )

    def engine_died(self, in_hand: int) -> None:
        """The engine went away with so many windows in hand."""
        logbook.note("engine-lost", windows=in_hand)

    def recalled(self, windows: int) -> None:
        """So many were heard by attempts before this one."""
        if windows:
            logbook.note("recalled", windows=windows)

    def found(self, recording: Recording) -> None:
        """The child knows what the file is."""
        logbook.note(
            "recording",
            container=recording.container,
            codec=recording.codec,
            rate=recording.rate,
            channels=recording.channels,
            tracks=recording.tracks,
            track=recording.track,
            declared=recording.declared,
            start=recording.start,
        )

    def said(self, lines: Sequence[str]) -> None:
        """The child's libraries have complained."""
        for line in lines[: self._lines]:
            logbook.note("said", line=journal.visible(line[:_LENGTH]))
        self._lines = max(0, self._lines - len(lines))

    def sound(self, ended: wire.Ended) -> None:
        """The child has read it to its end."""
        logbook.note(
            "sound",
            seconds=ended.seconds,
            speech=ended.speech,
            windows=ended.windows,
            damaged=ended.damaged,
            missing=ended.missing,
        )

    def sent(self, index: int) -> None:
        """A window went to the engine."""
        self._sent[index] = time.monotonic()

    def heard(self, index: int) -> None:
        """It came back, for every task."""
        if index in self._sent:
            self._took.append(time.monotonic() - self._sent.pop(index))

    def over(self, language: str, probability: float, seconds: float) -> None:
        """Everything is heard: `seconds` of recording, in that language."""
        took = time.monotonic() - self._begun
        logbook.note(
            "heard",
            windows=len(self._took),
            windows_fastest=min(self._took, default=None),
            windows_median=statistics.median(self._took) if self._took else None,
            windows_slowest=max(self._took, default=None),
            language=language,
            probability=probability,
            seconds=took,
            times_real=seconds / took if took else None,
        )
