"""Cutting speech into subtitles."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.export.cues import RULES, Cue, Rules, cut, rules_for
from appliance.nouns import Segment, Transcript
from tests.export import lint, speech

STANDARD = RULES["standard"]
SECONDS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1, 500_000)
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=60) | st.lists(
    st.sampled_from(
        ["the", "a", "word,", "end.", "日本語", "ก้ำ", "שָׁלוֹם", "x" * 90, "\u0301", "-->"]
    ),
    max_size=40,
).map(" ".join)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    text = draw(TEXTS)
    tokens = draw(st.sampled_from([text.split(" "), list(text), []]))
    words = [speech.word(f" {token}", draw(SECONDS), draw(SECONDS)) for token in tokens[:30]]
    return speech.segment(text, draw(SECONDS), draw(SECONDS), words)


TRANSCRIPTS = st.lists(segments(), max_size=4).map(lambda made: speech.transcript(*made))


def lines(transcript: Transcript, rules: Rules = STANDARD) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cut(transcript, rules)]


def bare(text: str) -> str:
    return "".join(text.split())


@given(TRANSCRIPTS, st.sampled_from(sorted(RULES)))
def test_the_words_read_back_whatever_the_times(transcript: Transcript, name: str) -> None:
    shown = "".join(line for cue in cut(transcript, RULES[name]) for line in cue.lines)
    assert bare(shown) == bare("".join(map(lint.text_of, transcript.segments)))


@given(TRANSCRIPTS, st.sampled_from(sorted(RULES)))
def test_cues_show_in_order_and_never_overlap(transcript: Transcript, name: str) -> None:
    ends = 0
    for cue in cut(transcript, RULES[name]):
        assert ends <= cue.start < cue.end
        assert cue.lines
        assert all(line == line.strip() != "" for line in cue.lines)
        ends = cue.end


@given(TRANSCRIPTS)
def test_no_cue_shows_longer_or_on_more_lines_than_allowed(transcript: Transcript) -> None:
    for cue in cut(transcript, STANDARD):
        assert cue.end - cue.start <= STANDARD.longest
        assert len(cue.lines) <= STANDARD.lines


def test_a_sentence_is_cut_between_its_phrases() -> None:
    text = (
        "Good morning everybody, and welcome to the annual meeting of the society. Before we "
        "begin I would like to thank the people who made this possible."
    )
    assert lines(speech.spoken(text)) == [
        ("Good morning everybody, and welcome", "to the annual meeting of the society."),
        ("Before we begin I would like to thank", "the people who made this possible."),
    ]


def test_one_line_is_enough_for_what_fits_on_one() -> None:
    assert lines(speech.spoken("It fits on one line, so it has one.")) == [
        ("It fits on one line, so it has one.",)
    ]


def test_a_short_word_shows_until_it_can_be_read() -> None:
    yes = speech.transcript(speech.segment(" Yes.", 1, 1.2, [speech.word(" Yes.", 1, 1.2)]))
    assert list(cut(yes, STANDARD)) == [Cue(1000, 1834, ("Yes.",))]


def test_a_cue_goes_two_frames_before_the_next_one() -> None:
    first, second = (
        speech.segment(text, start, start + 2)
        for text, start in ((" Is this the end?", 0.0), (" No, it is not the end.", 2.3))
    )
    found = list(cut(speech.transcript(first, second), STANDARD))
    if len(found) == 2:
        assert found[0].end == 2300 - STANDARD.gap
    else:
        assert len(found) == 1


def test_silence_of_hours_is_not_bridged() -> None:
    early, late = speech.segment(" one", 0, 1), speech.segment(" two", 36_000, 36_001)
    found = list(cut(speech.transcript(early, late), STANDARD))
    assert [cue.start for cue in found] == [0, 36_000_000]
    assert found[0].end < 3000


def test_an_address_longer_than_a_line_has_a_line_of_its_own() -> None:
    address = "https://example.org/" + "x" * 60
    found = lines(speech.spoken(f"Please visit {address} today."))
    assert (address,) in [(line,) for cue in found for line in cue]


def test_chinese_text_is_cut_by_the_rules_for_wide_characters() -> None:
    chinese = speech.transcript(
        speech.segment("今天我们讨论会议的预算。" * 4, 0, 16), language="zh"
    )
    rules = rules_for(chinese, "standard")
    assert rules is RULES["cjk"]
    assert max(len(line) for cue in cut(chinese, rules) for line in cue.lines) <= 16


@pytest.mark.parametrize("name", ["cjk", "none"])
def test_a_choice_that_was_made_is_kept(name: str) -> None:
    assert rules_for(speech.spoken("Hello there"), name) is RULES[name]


def test_accents_do_not_make_a_text_chinese() -> None:
    accented = speech.spoken("e\u0301" * 30)
    assert rules_for(accented, "standard") is STANDARD


def test_without_rules_a_segment_is_a_cue() -> None:
    long = " ".join(["word"] * 100)
    made = speech.transcript(speech.segment(f" {long}", 0, 60), speech.segment(" end", 60, 60))
    assert list(cut(made, RULES["none"])) == [
        Cue(0, 60_000, (long,)), Cue(60_000, 60_834, ("end",)),
    ]  # fmt: skip


def test_rules_are_numbers_one_may_change() -> None:
    narrow = Rules(columns=10, lines=3, speed=math.inf)
    found = lines(speech.spoken("one two three four five six"), narrow)
    assert all(len(line) <= 10 for cue in found for line in cue)
    assert max(map(len, found)) == 3


def test_thousands_of_words_at_one_instant_still_show_one_after_the_other() -> None:
    crowd = [speech.word(" crowd", 1, 1) for _ in range(3000)]
    made = speech.transcript(speech.segment(" crowd" * 3000, 1, 1, crowd))
    found = list(cut(made, STANDARD))
    assert all(a.end <= b.start for a, b in pairwise(found))
