"""What a viewer must know, shown where nobody speaks."""

from __future__ import annotations

from appliance.errors import WARNINGS
from appliance.export.cues import RULES, Cue
from appliance.export.notes import SHOWN, notes, subtitles
from appliance.export.text import columns
from appliance.nouns import Notice, Segment
from tests.export import speech

STANDARD = RULES["standard"]
SELFTEST = "warning.selftest-model"
SELFTEST_LINE = (SHOWN[SELFTEST],)


def shown(*segments: Segment, warnings: tuple[str, ...] = (SELFTEST,)) -> list[Cue]:
    return subtitles(speech.transcript(*segments, warnings=warnings), STANDARD)


def test_a_note_fits_on_one_line_under_any_rules() -> None:
    assert all(columns(text) <= RULES["cjk"].columns for text in SHOWN.values())
    assert set(SHOWN) <= set(WARNINGS)


def test_it_shows_before_the_first_word_when_there_is_time() -> None:
    first, speech_cue = shown(speech.segment(" Hello.", 10, 11))
    assert first == Cue(0, 3000, SELFTEST_LINE)
    assert speech_cue.start == 10_000


def test_it_goes_in_time_for_the_first_word() -> None:
    first, speech_cue = shown(speech.segment(" Hello.", 1.5, 2.5))
    assert first == Cue(0, 1500 - STANDARD.gap, SELFTEST_LINE)
    assert speech_cue.start == 1500


def test_it_waits_for_the_first_silence_when_the_recording_begins_with_speech() -> None:
    hello, note, bye = shown(speech.segment(" Hello.", 0, 1), speech.segment(" Bye.", 30, 31))
    assert (hello.lines, bye.lines) == (("Hello.",), ("Bye.",))
    assert note == Cue(hello.end + STANDARD.gap, hello.end + STANDARD.gap + 3000, SELFTEST_LINE)


def test_it_comes_last_when_nobody_is_ever_silent() -> None:
    *_, said, note = shown(speech.segment(" Hello.", 0, 1))
    assert note.lines == SELFTEST_LINE
    assert note.start == said.end + STANDARD.gap


def test_a_silent_recording_says_so() -> None:
    assert shown(warnings=("warning.no-speech",)) == [Cue(0, 3000, ("[No speech was found]",))]


def test_two_notes_share_a_cue() -> None:
    (cue,) = shown(warnings=("warning.no-speech", SELFTEST))
    assert cue.lines == tuple(SHOWN.values())


def test_other_warnings_cover_no_picture() -> None:
    assert shown(warnings=("warning.low-confidence",)) == []


def test_a_warning_speaks_with_its_facts() -> None:
    made = speech.transcript(warnings=[Notice("warning.low-confidence", {"percent": 12})])
    (note,) = notes(made)
    assert note.message == "The model was unsure of 12 % of the words."
    assert note.hint == WARNINGS["warning.low-confidence"].hint
