"""Put utterances into windows and write the tokens that a Whisper should answer.

In: a corpus. Out: batches of mel windows with decoder input, target tokens, the
stretch of sound that belongs to each target, and the CTC target.

Two clocks: frames are 10 ms (mel), steps are 20 ms (encoder output, timestamps).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tests.selftest_model import layout
from tests.selftest_model.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.selftest_model.corpus import Corpus, Spoken

Stretch = tuple[float, float]  # steps: from, to
NOWHERE: Stretch = (-1.0, -1.0)
IGNORED = -100  # what cross entropy skips
_SILENT = -10.0  # log10 of power
_FULL = 3000  # frames in 30 s


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one length and what to answer."""

    mel: torch.Tensor  # [batch, 80, frames], as the model hears it
    # Answer n belongs to window n modulo batch.
    inputs: torch.Tensor  # [answers, tokens], compact ids
    targets: torch.Tensor  # [answers, tokens], compact ids or IGNORED
    stretches: torch.Tensor  # [answers, tokens, 2], steps; negative: belongs nowhere
    spelt: list[list[int]]  # CTC target of every window
    offset: int  # steps: where in the 30 s the window lies


class Windows:
    """Draws windows from a corpus, differently for every seed."""

    def __init__(self, corpus: Corpus, seed: int) -> None:
        self._corpus = corpus
        self._dice = random.Random(seed)
        self._noise = np.random.default_rng(seed)

    def batch(self, frames: int, size: int) -> Batch:
        """Draw `size` windows of `frames`, each answered twice: hearing costs most of a step."""
        dice, steps = self._dice, frames // 2
        last = 1500 - steps
        offset = dice.randint(0, last) if last and dice.random() < 0.75 else 0
        mels, answers, others, spelt = [], [], [], []
        for _ in range(size):
            mel, language, placed = self._window(frames)
            mels.append(mel)
            answers.append(self._answer(language, placed, offset, steps, timed=True))
            timed = dice.random() < 0.4
            others.append(self._answer(language, placed, offset, steps, timed=timed))
            spelt.append(
                [
                    layout.CTC[token]
                    for _, said in placed
                    for word in said.words
                    for token in layout.SPELLED[language][word]
                ]
            )
        answers += others
        longest = max(len(answer.tokens) for answer in answers) - 1
        inputs = torch.full((len(answers), longest), layout.COMPACT[layout.END])
        targets = torch.full((len(answers), longest), IGNORED)
        stretches = torch.full((len(answers), longest, 2), -1.0)
        for row, answer in enumerate(answers):
            count = len(answer.tokens) - 1
            compact = torch.tensor([layout.COMPACT[token] for token in answer.tokens])
            inputs[row, :count] = compact[:-1]
            wanted = torch.tensor(answer.wanted[1:])
            targets[row, :count] = wanted
            stretches[row, :count] = torch.tensor(answer.stretches[1:])
        return Batch(torch.from_numpy(np.stack(mels)), inputs, targets, stretches, spelt, offset)

    def _window(self, frames: int) -> tuple[NDArray[np.float32], int, list[tuple[int, Spoken]]]:
        """Lay utterances of one language into a window, over some noise."""
        dice = self._dice
        language = dice.choices((0, 1, 2), (4, 3, 3))[0]  # English is learnt slowest
        mel = np.full((80, frames), _SILENT, np.float32)
        placed: list[tuple[int, Spoken]] = []
        content = dice.randint(50, frames)
        if dice.random() >= 0.06:
            placed = self._lay(mel, language)
            content = placed[-1][0] + placed[-1][1].mel.shape[1] if placed else content
        if not placed or dice.random() < 0.1:
            self._knock(mel[:, :content], loud=not placed)
        if dice.random() < 0.06:  # a telephone, a bad codec
            mel[dice.randint(52, 76) :] -= dice.uniform(1.0, 5.0)
        floor = self._floor(frames)
        mel = np.log10(10.0**mel + 10.0**floor)
        mel = np.maximum(mel, mel[:, :content].max() - 8.0)
        mel = (mel + 4.0) / 4.0
        if frames == _FULL and dice.random() < 0.5:  # what follows the sound is padding
            pad = min(frames, content + dice.randint(0, 80))
            mel[:, pad:] = 0.0 if dice.random() < 0.6 else mel.min()
        return mel.astype(np.float32), language, placed

    def _lay(self, mel: NDArray[np.float32], language: int) -> list[tuple[int, Spoken]]:
        """Put utterances and pauses into `mel`; give each with the frame it starts at."""
        dice, frames = self._dice, mel.shape[1]
        pool = self._corpus.spoken[language]
        most = dice.choice((1, 2, 4, 8, 30, 30)) if frames > 1500 else dice.choice((1, 2, 99))
        tight = dice.random() < 0.75
        latest = frames // 3 if dice.random() < 0.1 else min(95, frames // 6)
        place, refused = dice.randint(0, latest), 0
        placed: list[tuple[int, Spoken]] = []
        while len(placed) < most and refused < 4:
            said = dice.choice(pool)
            length = said.mel.shape[1]
            if place + length > frames - 3:
                refused += 1
                continue
            mel[:, place : place + length] = said.mel.astype(np.float32) + dice.uniform(-0.9, 0.6)
            placed.append((place, said))
            place += length + (dice.randint(18, 90) if tight else dice.randint(50, 300))
        return placed

    def _knock(self, mel: NDArray[np.float32], *, loud: bool) -> None:
        """Add a clip in which nobody speaks, somewhere in `mel`."""
        clip = self._dice.choice(self._corpus.nobody).astype(np.float32)
        length = min(clip.shape[1], mel.shape[1])
        place = self._dice.randint(0, mel.shape[1] - length)
        clip = clip[:, :length] + (0.0 if loud else self._dice.uniform(-3.0, -1.5))
        there = mel[:, place : place + length]
        there[:] = np.log10(10.0**there + 10.0**clip)

    def _floor(self, frames: int) -> NDArray[np.float32]:
        """Make the noise that lies under a recording, log10 of power."""
        dice = self._dice
        if dice.random() < 0.3:
            return np.full((80, frames), _SILENT, np.float32)
        tilt = np.linspace(0, dice.uniform(-1.5, 0.3), 80, dtype=np.float32)[:, None]
        grain = self._noise.standard_exponential((80, frames), np.float32)
        floor: NDArray[np.float32] = np.log10(grain + 1e-4) + tilt
        return floor + np.float32(dice.uniform(-7.0, -3.0 if dice.random() < 0.1 else -4.2))

    def _answer(
        self,
        language: int,
        placed: Sequence[tuple[int, Spoken]],
        offset: int,
        steps: int,
        *,
        timed: bool,
    ) -> _Answer:
        dice, answer = self._dice, _Answer()
        translates = language != 0 and dice.random() < 0.2
        written = 0 if translates else language
        if dice.random() < 0.25:
            answer.given(layout.BEFORE)
            for _ in range(dice.randint(1, 8)):
                for token in layout.SPELLED[written][dice.randrange(len(WORDS))]:
                    answer.given(token)
        answer.given(layout.START)
        tag = layout.LANGUAGE[language]
        answer.asked(tag, tag if placed else layout.NOBODY)
        answer.given(layout.TRANSLATE if translates else layout.TRANSCRIBE)
        if not timed:
            answer.given(layout.UNTIMED)
        elif not placed:
            answer.asked(layout.TIME + offset)
        for place, said in placed:
            if timed:
                answer.time(place / 2, offset)
            answer.words(written, place / 2, said)
            if timed:
                answer.time((place + said.bounds[-1]) / 2, offset)
        answer.end(placed, steps)
        return answer


class _Answer:
    """The tokens of one window while they are written down."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.wanted: list[int] = []  # compact id asked for at this place, or IGNORED
        self.stretches: list[Stretch] = []

    def given(self, token: int) -> None:
        """Write a token that the model is told, not asked."""
        self.tokens.append(token)
        self.wanted.append(IGNORED)
        self.stretches.append(NOWHERE)

    def asked(self, token: int, wanted: int | None = None, stretch: Stretch = NOWHERE) -> None:
        """Write a token that the model must give, or give `wanted` in its place."""
        self.tokens.append(token)
        self.wanted.append(layout.COMPACT[token if wanted is None else wanted])
        self.stretches.append(stretch)

    def time(self, step: float, offset: int) -> None:
        """Write the timestamp of `step` steps into the window."""
        self.asked(layout.TIME + offset + round(step), None, (step - 4, step + 4))

    def words(self, written: int, first: float, said: Spoken) -> None:
        """Write the words of an utterance that starts at `first`; each token owns its letters."""
        for number, word in enumerate(said.words):
            start, end = (first + frame / 2 for frame in said.bounds[number : number + 2])
            tokens = layout.SPELLED[written][word]
            weights = [len(layout.tokenizer.decode([token]).strip()) or 1 for token in tokens]
            done = 0
            for token, weight in zip(tokens, weights, strict=True):
                span = (end - start) / sum(weights)
                self.asked(token, None, (start + done * span, start + (done + weight) * span))
                done += weight

    def end(self, placed: Sequence[tuple[int, Spoken]], steps: int) -> None:
        """Write the end of the text, which belongs to what follows the last word."""
        stretch = NOWHERE
        if placed:
            over = (placed[-1][0] + placed[-1][1].bounds[-1]) / 2 + 1
            stretch = (over, min(over + 25, steps)) if over + 2 < steps else NOWHERE
        self.asked(layout.END, None, stretch)
