"""Plain text, and the paragraphs all pages share."""

from __future__ import annotations

from appliance.export.cues import RULES
from appliance.export.paragraphs import LONG, TOO_LONG, paragraphs
from appliance.export.txt import render
from appliance.nouns import Transcript
from tests.export import speech

STANDARD = RULES["standard"]


def written(transcript: Transcript) -> str:
    return render(transcript, STANDARD).decode()


def test_segments_run_on_and_a_pause_ends_the_paragraph() -> None:
    made = speech.transcript(
        speech.segment(" Good morning.", 0, 1),
        speech.segment(" Let us begin.", 1.5, 3),
        speech.segment(" Any questions?", 5, 6),
    )
    assert written(made) == "Good morning. Let us begin.\n\nAny questions?\n"


def test_warnings_stand_on_top_in_brackets() -> None:
    made = speech.transcript(speech.segment(" Hello."), warnings=["warning.cpu-fallback"])
    assert written(made) == (
        "[No GPU was usable; the processor did the work, which is slower.]\n\nHello.\n"
    )


def test_silence_without_a_warning_is_an_empty_file() -> None:
    assert written(speech.transcript()) == ""


def test_chinese_segments_join_without_a_space() -> None:
    made = speech.transcript(
        speech.segment("今天", 0, 1), speech.segment("开会", 1, 2), language="zh"
    )
    assert written(made) == "今天开会\n"


def test_a_long_paragraph_ends_with_a_sentence() -> None:
    made = [speech.segment(f" {'word ' * 20}end.", i, i + 1) for i in range(20)]
    lengths = [len(paragraph.text) for paragraph in paragraphs(speech.transcript(*made))]
    assert len(lengths) > 1
    assert all(LONG <= length < LONG + 120 for length in lengths[:-1])


def test_a_paragraph_without_sentences_ends_all_the_same() -> None:
    made = [speech.segment(" word" * 20, i, i + 1) for i in range(50)]
    lengths = [len(paragraph.text) for paragraph in paragraphs(speech.transcript(*made))]
    assert all(length < TOO_LONG + 120 for length in lengths)


def test_times_that_are_none_start_no_paragraph() -> None:
    made = speech.transcript(
        speech.segment(" a", 5, float("nan")), speech.segment(" b", float("inf"), 7)
    )
    assert [paragraph.start for paragraph in paragraphs(made)] == [5]
