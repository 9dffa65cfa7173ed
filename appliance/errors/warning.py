"""warning.*: the job is done, and the reader of the transcript should know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.errors.family import fill
from appliance.nouns import Detail


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning's sentence and what a person may do about it."""

    code: str
    message: str
    hint: str

    def sentence(self, detail: Detail) -> str:
        """What the reader should know, with the facts filled in."""
        return fill(self.message, detail)


WARNINGS: Final[Mapping[str, Caution]] = {
    caution.code: caution
    for caution in (
        Caution(
            "warning.no-speech",
            "No speech was found in this recording.",
            "If somebody does speak in it, drop a louder copy.",
        ),
        Caution(
            "warning.low-confidence",
            "The model was unsure of {percent:g} % of the words.",
            "Read those passages against the recording.",
        ),
        Caution(
            "warning.repetition",
            "The model repeated itself around {at}; that passage is probably wrong.",
            "Listen to it, or transcribe it again with another model.",
        ),
        Caution(
            "warning.language-unsure",
            "The language was hard to tell; {language} was the best guess ({percent:g} %).",
            "If it is wrong, set the language in .transcribe.toml and drop the file again.",
        ),
        Caution(
            "warning.english-only",
            "The model {model} knows English only; {language} was asked for.",
            "If nobody speaks English in it, this is nonsense: choose a model for your language.",
        ),
        Caution(
            "warning.decode-errors",
            "{count} damaged places in the file were skipped.",
            "Compare with the original recording.",
        ),
        Caution(
            "warning.missing-seconds",
            "{seconds:g} seconds promised by the file are not in it.",
            "The upload may be incomplete; copy it again if so.",
        ),
        Caution(
            "warning.blank-end",
            "The last {seconds:g} seconds of the file hold nothing but zeros.",
            "If something was said there, the upload broke off: copy the file again.",
        ),
        Caution(
            "warning.broken-off",
            "The file does not end the way its format ends; its last part may be missing.",
            "Compare its length with the original; the upload may be incomplete.",
        ),
        Caution(
            "warning.more-behind",
            "The last {megabytes:g} MB of the file lie behind the recording's own end: not heard.",
            "If these are two recordings in one file, save each as a file of its own.",
        ),
        Caution(
            "warning.cpu-fallback",
            "No GPU was usable; the processor did the work, which is slower.",
            "Run `appliance doctor`.",
        ),
        Caution(
            "warning.short-input-redone",
            "Some short passages were transcribed twice to be sure of them.",
            "Nothing to do.",
        ),
        Caution(
            "warning.text-cut",
            "In {count} half minutes more was said than the model can write at once; their last "
            "words may be missing.",
            "Listen to the ends of dense passages; another model may need fewer tokens for them.",
        ),
        Caution(
            "warning.selftest-model",
            "Made by the built-in self-test model, which knows about 100 words. "
            "This is not a real transcript.",
            "Choose a real model: `appliance model pull` and README, «A real model».",
        ),
    )
}
