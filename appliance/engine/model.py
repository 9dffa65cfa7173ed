"""faster-whisper's model and one turn with it: a batch of windows in, phrases out.

Only its public surface is used: WhisperModel as loader, `.model` (CTranslate2's encode,
detect_language, generate, align), `get_prompt`, and the tokenizer. No path of a
recording ever comes here: windows are log-mel arrays.

Not here: who shares a batch (batcher), where windows come from (server).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from appliance.engine import phrases
from appliance.engine.phrases import Phrase, Scores
from appliance.nouns import Segment
from appliance.weights import ModelFolder

log = logging.getLogger("appliance.engine")
NAME: Final = f"faster-whisper {version('faster-whisper')}, ctranslate2 {version('ctranslate2')}"
_FALLBACK: Final = (0.2, 0.4)  # at most two more tries, each bolder
_BEST_OF: Final = 5
_REPEATS: Final = 2.4  # compression ratio above which a text repeats itself
_UNSURE: Final = -1.0  # mean log probability below which it is a guess
_SILENT: Final = 0.6  # chance of no speech above which a guess is silence
_FIRST_WITHIN_STEPS: Final = 50  # a window's first timestamp lies in its first second


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


@dataclass(slots=True)
class _Draft:
    """One window on its way through a turn."""

    ask: Ask
    language: str
    probability: float
    tokens: list[int] = field(default_factory=list)
    scores: Scores = field(default_factory=lambda: Scores(0.0, 0.0, 0.0, 0.0))


class Model:
    """A loaded model. Used by one thread."""

    def __init__(
        self, folder: ModelFolder, *, device: str, compute_type: str, threads: int
    ) -> None:
        """Load the weights: seconds. Raises RuntimeError or ValueError where CTranslate2 does."""
        self.folder = folder
        self._whisper = WhisperModel(
            folder.path,
            device=device,
            compute_type=compute_type,
            cpu_threads=threads,
            local_files_only=True,
        )
        self._model: Any = self._whisper.model
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self.device: str = self._model.device
        self.compute_type: str = self._model.compute_type
        self.mels: int = self._model.n_mels
        self.multilingual: bool = self._model.is_multilingual

    def prompt_length(self, ask: Ask) -> int:
        """Windows may share a batch only when this is equal."""
        return len(self._prompt(ask, "en", ask.tasks[0]))

    def hear(self, asks: Sequence[Ask]) -> list[list[Answer]]:
        """Listen to windows of equal tasks, beam and prompt length; answers per window and task."""
        encoded = self._encode(_bounded(np.stack([ask.mel for ask in asks])))
        languages = self._languages(encoded, asks)
        answers: list[list[Answer]] = [[] for _ in asks]
        for task in asks[0].tasks:
            drafts = [
                _Draft(ask, language, chance)
                for ask, (language, chance) in zip(asks, languages, strict=True)
            ]
            self._generate(encoded, drafts, task)
            for number, answer in self._finish(encoded, drafts, task):
                answers[number].append(answer)
        return answers

    def _encode(self, mels: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401 - a StorageView
        return self._model.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mels)))

    def _languages(self, encoded: Any, asks: Sequence[Ask]) -> list[tuple[str, float]]:  # noqa: ANN401
        if not self.multilingual:
            return [("en", 1.0) for _ in asks]
        if all(ask.language for ask in asks):
            return [(ask.language or "en", 1.0) for ask in asks]
        best = [chances[0] for chances in self._model.detect_language(encoded)]
        return [
            (ask.language, 1.0) if ask.language else (token[2:-2], float(chance))
            for ask, (token, chance) in zip(asks, best, strict=True)
        ]

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._whisper.hf_tokenizer, self.multilingual, task=task, language=language
            )
        return self._tokenizers[key]

    def _prompt(self, ask: Ask, language: str, task: str) -> list[int]:
        tokenizer = self._tokenizer(language, task)
        before = tokenizer.encode(" " + ask.initial_prompt.strip()) if ask.initial_prompt else []
        hotwords = ", ".join(ask.vocabulary) or None
        prompt: list[int] = self._whisper.get_prompt(tokenizer, before, hotwords=hotwords)
        return prompt

    # --- generating -----------------------------------------------------------------------------

    def _generate(self, encoded: Any, drafts: list[_Draft], task: str) -> None:  # noqa: ANN401
        """Fill in tokens and scores; what repeats itself or is a guess is tried again, bolder."""
        self._try(encoded, drafts, task, 0.0)
        for temperature in _FALLBACK:
            bad = [number for number, draft in enumerate(drafts) if _is_bad(draft.scores)]
            if not bad:
                return
            again = [_Draft(drafts[n].ask, drafts[n].language, drafts[n].probability) for n in bad]
            self._try(_part(encoded, bad, len(drafts)), again, task, temperature)
            for number, other in zip(bad, again, strict=True):
                if _rank(other.scores) > _rank(drafts[number].scores):
                    drafts[number] = other

    def _try(self, encoded: Any, drafts: list[_Draft], task: str, temperature: float) -> None:  # noqa: ANN401
        tokenizer = self._tokenizer(drafts[0].language, task)
        search: dict[str, Any] = (
            {"beam_size": 1, "num_hypotheses": _BEST_OF, "sampling_topk": 0}
            if temperature
            else {"beam_size": drafts[0].ask.beam}
        )
        results = self._model.generate(
            encoded,
            [self._prompt(draft.ask, draft.language, task) for draft in drafts],
            sampling_temperature=temperature or 1.0,
            max_length=self._whisper.max_length,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=_FIRST_WITHIN_STEPS,
            return_scores=True,
            return_no_speech_prob=True,
            **search,
        )
        for draft, result in zip(drafts, results, strict=True):
            tokens = list(result.sequences_ids[0])
            size = len(tokens)
            draft.tokens = tokens
            draft.scores = Scores(
                temperature=temperature,
                avg_logprob=float(result.scores[0]) * size / (size + 1),
                compression_ratio=phrases.compression_ratio(tokenizer.decode(tokens)),
                no_speech_prob=float(result.no_speech_prob),
            )

    # --- words ----------------------------------------------------------------------------------

    def _finish(
        self,
        encoded: Any,  # noqa: ANN401
        drafts: list[_Draft],
        task: str,
    ) -> list[tuple[int, Answer]]:
        """Cut, align and time every draft. Windows of one language are aligned together."""
        answers = []
        for language in sorted({draft.language for draft in drafts}):
            numbers = [n for n, draft in enumerate(drafts) if draft.language == language]
            cuts = [self._cut(drafts[number], task) for number in numbers]
            timed = self._align(_part(encoded, numbers, len(drafts)), drafts, numbers, cuts, task)
            tokenizer = self._tokenizer(language, task)
            for number, cut, mine in zip(numbers, cuts, timed, strict=True):
                draft = drafts[number]
                made = phrases.segments(cut, mine, tokenizer.decode, draft.scores)
                answers.append((number, Answer(task, language, draft.probability, made)))
        return answers

    def _cut(self, draft: _Draft, task: str) -> list[Phrase]:
        if draft.scores.no_speech_prob > _SILENT and draft.scores.avg_logprob < _UNSURE:
            return []
        tokenizer = self._tokenizer(draft.language, task)
        return phrases.phrases(
            draft.tokens,
            first_timestamp=tokenizer.timestamp_begin,
            end_of_text=tokenizer.eot,
            seconds=draft.ask.seconds,
        )

    def _align(
        self,
        encoded: Any,  # noqa: ANN401
        drafts: list[_Draft],
        numbers: list[int],
        cuts: list[list[Phrase]],
        task: str,
    ) -> list[list[Any]]:
        tokenizer = self._tokenizer(drafts[numbers[0]].language, task)
        texts = [[token for phrase in cut for token in phrase.tokens] for cut in cuts]
        full = [n for n, text in enumerate(texts) if text]
        timed: list[list[Any]] = [[] for _ in texts]
        if not full:
            return timed
        aligned = self._model.align(
            _part(encoded, full, len(texts)),
            tokenizer.sot_sequence,
            [texts[n] for n in full],
            [max(1, round(drafts[numbers[n]].ask.seconds * 100)) for n in full],
            median_filter_width=7,
        )
        for n, alignment in zip(full, aligned, strict=True):
            timed[n] = phrases.words(tokenizer, texts[n], alignment)
        return timed


def _bounded(mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Log-mel as Whisper knows it; a child that was taken over may have left anything there."""
    return np.clip(np.nan_to_num(mels, nan=0.0, posinf=0.0, neginf=0.0), -4.0, 4.0)


def _is_bad(scores: Scores) -> bool:
    if scores.no_speech_prob > _SILENT and scores.avg_logprob < _UNSURE:
        return False  # silence, and the quality gate drops it
    return scores.compression_ratio > _REPEATS or scores.avg_logprob < _UNSURE


def _rank(scores: Scores) -> tuple[bool, float]:
    return (scores.compression_ratio <= _REPEATS, scores.avg_logprob)


def _part(encoded: Any, numbers: list[int], whole: int) -> Any:  # noqa: ANN401
    """Take some windows out of an encoder output; all of them cost nothing."""
    if len(numbers) == whole:
        return encoded
    host = encoded.to_device(ctranslate2.Device.cpu) if encoded.device == "cuda" else encoded
    rows = np.ascontiguousarray(np.asarray(host)[numbers])
    return ctranslate2.StorageView.from_array(rows)
