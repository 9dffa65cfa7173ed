"""faster-whisper's model and one turn with it: a batch of windows in, drafts out.

Only its public surface is used: WhisperModel as loader, `.model` (CTranslate2's encode,
detect_language, generate, align), `get_prompt`, and the tokenizer. No path of a
recording ever comes here: windows are log-mel arrays. Several threads may each have a turn.

Not here: who shares a turn (waiting, batcher), whether a draft is good (hearing).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from appliance.engine import phrases, prompts
from appliance.engine.hearing import Answer, Ask, Draft, Hearing
from appliance.engine.phrases import Phrase, Scores
from appliance.weights import ModelFolder

log = logging.getLogger("appliance.engine")
NAME: Final = f"faster-whisper {version('faster-whisper')}, ctranslate2 {version('ctranslate2')}"
_BEST_OF: Final = 5
_FIRST_WITHIN_STEPS: Final = 50  # a window's first timestamp lies in its first second


class Model:
    """A loaded model."""

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str,
        compute_type: str,
        threads: int = 1,
        lanes: int = 1,
    ) -> None:
        """Load the weights: seconds. Raises RuntimeError or ValueError where CTranslate2 does.

        `lanes` turns may go on at once, each on `threads` threads of a processor.
        """
        self.folder = folder
        self._whisper = WhisperModel(
            folder.path,
            device=device,
            compute_type=compute_type,
            cpu_threads=threads,
            num_workers=lanes,
            local_files_only=True,
        )
        self._model: Any = self._whisper.model
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self._told = functools.lru_cache(maxsize=64)(self._fitted)
        self.device: str = self._model.device
        self.compute_type: str = self._model.compute_type
        self.mels: int = self._model.n_mels
        self.multilingual: bool = self._model.is_multilingual

    def prompt_length(self, ask: Ask) -> int:
        """How many tokens stand before the text, the same for every language and task."""
        return len(self._prompt(ask, "en", ask.tasks[0]))

    def turn(self, hearings: Sequence[Hearing]) -> None:
        """Hear windows of equal frames, step, beam and prompt length."""
        frames = hearings[0].frames
        encoded = self._encode(
            _bounded(np.stack([hearing.ask.mel[:, :frames] for hearing in hearings]))
        )
        languages = self._languages(encoded, hearings)
        made = {}
        for task in sorted({task for hearing in hearings for task in hearing.open}, reverse=True):
            numbers = [n for n, hearing in enumerate(hearings) if task in hearing.open]
            part = _part(encoded, numbers, len(hearings))
            drafts = self._drafts(part, hearings, numbers, languages, task)
            made[task] = list(zip(numbers, drafts, strict=True))
        # Nothing has changed so far: whatever was raised, the windows can be heard again.
        for hearing, (language, chance) in zip(hearings, languages, strict=True):
            hearing.language, hearing.probability = language, chance
        for task, drafts_of_task in made.items():
            ready = [n for n, draft in drafts_of_task if hearings[n].take(task, draft)]
            self._align(encoded, hearings, ready, task)

    def answers(self, hearing: Hearing) -> list[Answer]:
        """Put what stayed of a window into words: in the order of its tasks."""
        return [self._answer(hearing, task) for task in hearing.ask.tasks]

    # --- what it is given -----------------------------------------------------------------------

    def _encode(self, mels: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401 - a StorageView
        """Encode a batch; on a processor one window after the other.

        There a batch saves nothing, and its attention takes 72 MB a window of the base shape:
        two lanes of four windows peaked at 762 instead of 1,205 MB, for 3 % more CPU at most
        (int8, jemalloc).
        """
        if self.device != "cpu" or len(mels) == 1:
            return self._model.encode(_view(mels))
        each = [np.array(self._model.encode(_view(one[np.newaxis]))) for one in mels]
        return _view(np.concatenate(each))

    def _languages(self, encoded: Any, hearings: Sequence[Hearing]) -> list[tuple[str, float]]:  # noqa: ANN401
        if not self.multilingual:
            return [("en", 1.0) for _ in hearings]
        # What a model has no word for (`yue` came with large-v3) is found out as well: a prompt
        # with a token less would not fit beside the others.
        given = [hearing.language or "" for hearing in hearings]
        unknown = [n for n, language in enumerate(given) if not self._speaks(language)]
        found = [
            (language, hearing.probability)
            for language, hearing in zip(given, hearings, strict=True)
        ]
        for some in self._at_once(unknown):
            heard = self._model.detect_language(_part(encoded, some, len(hearings)))
            for n, ((token, chance), *_rest) in zip(some, heard, strict=True):
                found[n] = (token[2:-2], float(chance))
        return found

    def _at_once(self, numbers: list[int]) -> Iterator[list[int]]:
        """Which of these windows are looked at together, where only the encoder's output is read.

        All of them; on a processor each alone, as they are encoded: with four of the base shape
        at once their words took 0.131 s of CPU each to time, with one 0.057; their language took
        0.022 s each to find out, with one 0.011 (inputs of 10 s; int8, jemalloc).
        """
        most = 1 if self.device == "cpu" else max(1, len(numbers))
        for first in range(0, len(numbers), most):
            yield numbers[first : first + most]

    def _tokenizer(self, language: str, task: str) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._whisper.hf_tokenizer, self.multilingual, task=task, language=language
            )
        return self._tokenizers[key]

    def _speaks(self, language: str) -> bool:
        return self._whisper.hf_tokenizer.token_to_id(f"<|{language}|>") is not None

    def _prompt(self, ask: Ask, language: str, task: str) -> list[int]:
        tokenizer = self._tokenizer(language, task)
        before, words = self._told(ask.initial_prompt, ask.vocabulary)
        hotwords = ", ".join(words) or None
        prompt: list[int] = self._whisper.get_prompt(tokenizer, before, hotwords=hotwords)
        return prompt

    def _fitted(
        self, initial_prompt: str | None, vocabulary: tuple[str, ...]
    ) -> tuple[list[int], tuple[str, ...]]:
        encode = self._tokenizer("en", "transcribe").encode
        before, words = prompts.fitted(initial_prompt, vocabulary, encode)
        if len(words) < len(vocabulary):
            log.info("%d of %d words of a vocabulary fit", len(words), len(vocabulary))
        return before, words

    # --- generating -----------------------------------------------------------------------------

    def _drafts(
        self,
        encoded: Any,  # noqa: ANN401 - of the windows of `numbers` only
        hearings: Sequence[Hearing],
        numbers: list[int],
        languages: list[tuple[str, float]],
        task: str,
    ) -> list[Draft]:
        temperature = hearings[0].temperature
        search: dict[str, Any] = (
            {"beam_size": 1, "num_hypotheses": _BEST_OF, "sampling_topk": 0}
            if temperature
            else {"beam_size": hearings[0].ask.beam}
        )
        prompts = [self._prompt(hearings[n].ask, languages[n][0], task) for n in numbers]
        tokenizer = self._tokenizer(languages[numbers[0]][0], task)
        results = self._model.generate(
            encoded,
            prompts,
            sampling_temperature=temperature or 1.0,
            max_length=self._whisper.max_length,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp_index=_FIRST_WITHIN_STEPS,
            return_scores=True,
            return_no_speech_prob=True,
            **search,
        )
        return [self._draft(result, tokenizer, temperature, len(prompts[0])) for result in results]

    def _draft(
        self,
        result: Any,  # noqa: ANN401 - CTranslate2's
        tokenizer: Tokenizer,
        temperature: float,
        prompt_length: int,
    ) -> Draft:
        tokens = tuple(result.sequences_ids[0])
        size = len(tokens)
        scores = Scores(
            temperature=temperature,
            avg_logprob=float(result.scores[0]) * size / (size + 1),
            compression_ratio=phrases.compression_ratio(tokenizer.decode(list(tokens))),
            no_speech_prob=float(result.no_speech_prob),
        )
        # CTranslate2 gives a text half of the places, and no more than are left.
        most = self._whisper.max_length
        return Draft(tokens, scores, full=size >= min(most // 2, most - (prompt_length - 1)))

    # --- words ----------------------------------------------------------------------------------

    def _align(
        self,
        encoded: Any,  # noqa: ANN401
        hearings: Sequence[Hearing],
        numbers: list[int],
        task: str,
    ) -> None:
        """Time the words of every draft that stays; those of one language together."""
        for language in sorted({hearings[n].language or "" for n in numbers}):
            said = {
                n: self._text(hearings[n], task)
                for n in numbers
                if hearings[n].language == language
            }
            full = [n for n, text in said.items() if text]
            for n in said.keys() - full:
                hearings[n].close(task, None)
            for some in self._at_once(full):
                aligned = self._model.align(
                    _part(encoded, some, len(hearings)),
                    self._tokenizer(language, task).sot_sequence,
                    [said[n] for n in some],
                    [max(1, round(hearings[n].ask.seconds * 100)) for n in some],
                    median_filter_width=7,
                )
                for n, alignment in zip(some, aligned, strict=True):
                    hearings[n].close(task, alignment)

    def _text(self, hearing: Hearing, task: str) -> list[int]:
        return [token for phrase in self._cut(hearing, task) for token in phrase.tokens]

    def _cut(self, hearing: Hearing, task: str) -> list[Phrase]:
        draft = hearing.drafts[task]
        if draft.is_silence:
            return []
        tokenizer = self._tokenizer(hearing.language or "en", task)
        return phrases.phrases(
            draft.tokens,
            first_timestamp=tokenizer.timestamp_begin,
            end_of_text=tokenizer.eot,
            seconds=hearing.ask.seconds,
        )

    def _answer(self, hearing: Hearing, task: str) -> Answer:
        language = hearing.language or "en"
        # A translation is English, and has words as English has.
        tokenizer = self._tokenizer("en" if task == "translate" else language, task)
        draft, cut = hearing.drafts[task], self._cut(hearing, task)
        timed = []
        if draft.alignment is not None:
            text = [token for phrase in cut for token in phrase.tokens]
            timed = phrases.words(tokenizer, text, draft.alignment)
        made = phrases.segments(cut, timed, tokenizer.decode, draft.scores)
        return Answer(task, language, hearing.probability, made, hearing.redone, draft.full)


def _bounded(mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Log-mel as Whisper knows it; a child that was taken over may have left anything there."""
    clean = np.nan_to_num(mels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(clean, -4.0, 4.0, out=clean)


def _view(values: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401 - a StorageView
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(values))


def _part(encoded: Any, numbers: list[int], whole: int) -> Any:  # noqa: ANN401
    """Take some windows out of an encoder output; all of them cost nothing."""
    if numbers == list(range(whole)):
        return encoded
    host = encoded.to_device(ctranslate2.Device.cpu) if encoded.device == "cuda" else encoded
    return _view(np.asarray(host)[numbers])
