"""The proof: a thousand made-up transcripts, read back by other people's libraries."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.export import EXPORTERS
from appliance.export.cues import RULES, rules_for
from appliance.export.notes import SHOWN
from appliance.nouns import Notice, Transcript
from tests.export import lint, speech
from tests.export.read import read_srt, read_vtt

THOUSAND = range(1000)
BATCH = 100
NOTE = (SHOWN["warning.selftest-model"],)


def text_of(cues: list[lint.Shown], language: str) -> str:
    glue = "" if language in speech.UNSPACED else " "
    return glue.join(line for cue in cues for line in cue.lines)


def said(transcript: Transcript) -> str:
    glue = "" if transcript.language in speech.UNSPACED else " "
    return glue.join(filter(None, map(lint.text_of, transcript.segments)))


def noted(seed: int) -> Transcript:
    """Every fourth transcript was made by the self-test model."""
    transcript = speech.generated(seed)
    made = (Notice("warning.selftest-model"),) if seed % 4 == 0 else ()
    return replace(transcript, warnings=made)


def without_note(cues: list[lint.Shown], transcript: Transcript) -> list[lint.Shown]:
    """Take the note out of the cues, having seen that it is there and covers nothing."""
    left = [cue for cue in cues if cue.lines != NOTE]
    assert len(cues) - len(left) == len(transcript.warnings)
    assert all(a.end <= b.start for a, b in pairwise(cues))
    return left


@pytest.mark.parametrize("batch", range(0, len(THOUSAND), BATCH))
def test_subtitles_read_back_as_spoken_and_break_no_rule_they_could_keep(batch: int) -> None:
    for seed in THOUSAND[batch : batch + BATCH]:
        transcript = noted(seed)
        rules = rules_for(transcript, "standard")
        cues = read_srt(EXPORTERS["srt"](transcript, rules))
        assert cues == read_vtt(EXPORTERS["vtt"](transcript, rules)), seed
        cues = without_note(cues, transcript)
        assert text_of(cues, transcript.language) == said(transcript), seed
        limits = lint.CJK if rules is RULES["cjk"] else lint.STANDARD
        assert lint.needless(transcript, cues, limits) == [], seed
