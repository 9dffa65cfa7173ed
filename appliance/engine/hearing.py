"""One window on its way through the engine: what was asked, what each try brought, what is left.

A window is heard in turns. Mostly one is enough. A text that repeats itself or is a guess
is tried again, bolder (openai-whisper's temperature fallback), and one heard with a
shortened input is heard again at full length first. Tries after the first are other
turns: the window waits for them behind everybody else's.

Not here: running the model (model), who is next (waiting, batcher).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from appliance.engine.phrases import Scores
from appliance.nouns import MEL_FRAMES, Segment
from appliance.weights import ModelFolder

TEMPERATURES: Final = (0.0, 0.2, 0.4)  # at most two more tries, each bolder
_REPEATS: Final = 2.4  # compression ratio above which a text repeats itself
_UNSURE: Final = -1.0  # mean log probability below which it is a guess
_SILENT: Final = 0.6  # chance of no speech above which a guess is silence
# Lengths of encoder input that a short window may have. Whisper knows 30 s; with less than
# 3 s of silence behind the speech it repeats itself (FUTO's and WhisperS2T's finding). Steps
# of 3 s: finer ones would save input, and part windows that could share a turn.
_FRAMES: Final = (1_000, 1_300, 1_600, 2_000, MEL_FRAMES)
_ROOM: Final = 300  # frames


@dataclass(frozen=True, slots=True)
class Ask:
    """One window to listen to."""

    mel: npt.NDArray[np.float32]  # [mels, 3000]
    seconds: float  # of sound in it; the rest is padding
    tasks: tuple[str, ...]
    language: str | None
    beam: int = 5
    vocabulary: tuple[str, ...] = ()
    initial_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said in it, for one task."""

    task: str
    language: str
    probability: float  # of the language; 1 where it was given
    segments: tuple[Segment, ...]
    redone: bool = False  # a shortened input was not enough
    full: bool = False  # the model could not write more about it


@dataclass(frozen=True, slots=True)
class Draft:
    """What one try brought for one task."""

    tokens: tuple[int, ...]
    scores: Scores
    full: bool = False  # cut off where no text may be longer
    alignment: Any = None  # CTranslate2's, once this draft is the one that stays

    @property
    def is_silence(self) -> bool:
        """Nobody speaks, says the model, and what it wrote is a guess."""
        return self.scores.no_speech_prob > _SILENT and self.scores.avg_logprob < _UNSURE

    @property
    def is_bad(self) -> bool:
        """Worth another try."""
        repeats = self.scores.compression_ratio > _REPEATS
        return not self.is_silence and (repeats or self.scores.avg_logprob < _UNSURE)

    @property
    def rank(self) -> tuple[bool, float]:
        """The higher the better."""
        return (self.scores.compression_ratio <= _REPEATS, self.scores.avg_logprob)


@dataclass(slots=True)
class Hearing:
    """One window, from its first turn to its last."""

    ask: Ask
    frames: int = MEL_FRAMES  # of encoder input in the next turn
    step: int = 0  # which temperature the next turn has
    language: str | None = None  # known after the first turn
    probability: float = 1.0
    redone: bool = False
    refused: int = 0  # turns it had alone, and the memory did not suffice
    drafts: dict[str, Draft] = field(default_factory=dict)  # the best so far, by task
    open: list[str] = field(default_factory=list)  # tasks that another turn may do better

    def __post_init__(self) -> None:
        self.language = self.ask.language
        self.open = list(self.ask.tasks)

    @property
    def temperature(self) -> float:
        """How bold the next turn is."""
        return TEMPERATURES[self.step]

    @property
    def is_shortened(self) -> bool:
        """Whether the next turn hears less than Whisper was trained with."""
        return self.frames < MEL_FRAMES

    def take(self, task: str, draft: Draft) -> bool:
        """Keep a draft if it is the best; tell whether the task is done with it."""
        if self.is_shortened and (draft.is_bad or draft.full):
            return False  # nothing of it is kept: the full length may say something else
        best = self.drafts.get(task)
        if best is None or draft.rank > best.rank:
            self.drafts[task] = draft
        return not draft.is_bad or self.step == len(TEMPERATURES) - 1

    def close(self, task: str, alignment: Any) -> None:  # noqa: ANN401 - CTranslate2's
        """Let the best draft of a task stay, with its word times."""
        best = self.drafts[task]
        self.drafts[task] = Draft(best.tokens, best.scores, best.full, alignment)
        self.open.remove(task)

    def next_turn(self) -> bool:
        """After a turn: make ready for the next, if one is needed."""
        if not self.open:
            return False
        if self.is_shortened:
            self.frames, self.redone = MEL_FRAMES, True
        else:
            self.step += 1
        return True


def frames_for(seconds: float) -> int:
    """How long the encoder's input must be for a window of so much sound."""
    wanted = round(seconds * 100) + _ROOM
    return next((frames for frames in _FRAMES if frames >= wanted), MEL_FRAMES)


class Listener(Protocol):
    """A loaded model, as the batcher sees it: the real one, or a test's."""

    folder: ModelFolder
    device: str
    compute_type: str
    mels: int
    multilingual: bool

    def prompt_length(self, ask: Ask) -> int:
        """How many tokens stand before the text. Windows of one turn must agree."""

    def turn(self, hearings: Sequence[Hearing]) -> None:
        """Hear windows of equal frames, step, beam and prompt length; each is then done or not.

        Raises RuntimeError or ValueError where the model does; then nothing has changed.
        """

    def answers(self, hearing: Hearing) -> list[Answer]:
        """Put what stayed of a window into words: in the order of its tasks."""
