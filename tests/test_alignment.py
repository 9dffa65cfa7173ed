"""New text for old words: what was not changed keeps its time, to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.nouns import Segment, Word
from appliance.revise.alignment import realigned, shown
from tests.export import speech

SPACED = ["budget", "meeting,", "Köln", "the", "The", "a", "don't", "12", "की", "का", "예산", "—"]
UNSPACED = ["予算", "会議", "の", "です。", "「結果」", "งบประมาณ"]


def segment(*words: tuple[str, float, float]) -> Segment:
    made = [Word(start, end, text, 0.5) for text, start, end in words]
    return speech.segment("".join(w.word for w in made), made[0].start, made[-1].end, made)


def heard(segments: Sequence[Segment]) -> list[tuple[str, float, float, float]]:
    return [(w.word, w.start, w.end, w.probability) for s in segments for w in s.words]


BERLIN = segment((" Hello", 0.0, 1.0), (" berlin", 1.0, 2.0), (" meeting", 2.5, 3.0))


def test_a_word_that_is_spelt_otherwise_keeps_its_time_and_its_probability() -> None:
    (made,) = realigned([BERLIN], ["Hello Berlin, meeting"])
    assert heard([made])[1] == (" Berlin,", 1.0, 2.0, 0.5)
    assert made.words[0] is BERLIN.words[0]
    assert made.words[2] is BERLIN.words[2]
    assert (made.text, made.tokens) == (" Hello Berlin, meeting", ())


def test_words_in_the_place_of_others_share_the_time_of_those() -> None:
    (made,) = realigned([BERLIN], ["Hello Köln Bonn! meeting"])
    assert heard([made])[1:3] == [(" Köln", 1.0, 1.5, 1.0), (" Bonn!", 1.5, 2.0, 1.0)]


def test_words_put_in_between_share_the_gap() -> None:
    (made,) = realigned([BERLIN], ["Hello Berlin team meeting"])
    assert heard([made])[2] == (" team", 2.0, 2.5, 1.0)


def test_a_text_is_parted_where_its_words_are() -> None:
    first, second = realigned([BERLIN], ["Hello berlin", "Meeting"])
    assert (first.start, first.end, second.start, second.end) == (0.0, 2.0, 2.5, 3.0)
    assert second.words[0].start == 2.5


def test_two_segments_are_joined_with_every_word_as_it_was() -> None:
    parts = realigned([BERLIN], ["Hello berlin", "meeting"])
    (joined,) = realigned(parts, ["Hello berlin meeting"])
    assert all(a is b for a, b in zip(joined.words, BERLIN.words, strict=True))
    assert (joined.start, joined.end) == (0.0, 3.0)


def test_a_character_put_into_japanese_moves_no_other() -> None:
    said = segment(("今日", 0.0, 0.5), ("は", 0.5, 0.7), ("会議", 0.9, 1.2), ("です。", 1.2, 1.5))
    (made,) = realigned([said], ["今日は予算会議です。"])
    assert [w for w in made.words if w in said.words] == list(said.words)
    assert heard([made])[2:4] == [("予", 0.7, 0.8, 1.0), ("算", 0.8, 0.9, 1.0)]
    assert made.text == "今日は予算会議です。"


def test_words_that_differ_in_a_vowel_sign_are_different_words() -> None:
    (made,) = realigned([segment((" की", 0.0, 1.0))], ["का"])
    assert made.words[0].probability == 1.0


def test_a_text_without_letters_goes_and_one_without_words_is_parted_by_its_letters() -> None:
    assert realigned([BERLIN], [" \u2028 "]) == ()
    plain = speech.segment(" Hello berlin", 1.0, 4.0)
    first, second = realigned([plain], ["Hello berlin", "Hello"])
    assert (first.end, second.start, second.end) == (3.118, 3.118, 4.0)
    assert first.words == second.words == ()


def test_a_segment_without_words_is_joined_to_one_with_them() -> None:
    plain = speech.segment(" and more", 3.0, 4.0)
    (made,) = realigned([BERLIN, plain], ["Hello berlin meeting and more"])
    assert made.words[:3] == BERLIN.words
    assert heard([made])[3] == (" and", 3.0, 3.429, math.exp(-0.25))


def test_the_text_of_a_segment_counts_where_its_words_do_not_spell_it() -> None:
    torn = replace(BERLIN, text=" Hello old berlin meeting")
    assert shown(torn) == "Hello old berlin meeting"
    (made,) = realigned([torn], ["Hello old berlin meeting!"])
    assert [word.word for word in made.words] == [" Hello", " old", " berlin", " meeting!"]
    assert made.words[2] is BERLIN.words[1]


def test_a_text_that_compares_badly_is_done_in_a_moment() -> None:
    words = [(" a" if n % 2 else " b", n / 10, n / 10 + 0.1) for n in range(4_000)]
    (made,) = realigned([segment(*words)], [" ".join("ba" * 2_400)])
    assert len(made.words) == 4_800


# --- whatever is typed --------------------------------------------------------------------------

times = st.lists(st.integers(0, 3_000), min_size=2, max_size=24).map(sorted)
texts = st.lists(
    st.lists(st.sampled_from(SPACED + UNSPACED), max_size=9).map(" ".join)
    | st.lists(st.sampled_from(UNSPACED), max_size=9).map("".join)
    | st.text(max_size=30),
    min_size=1,
    max_size=4,
)


@st.composite
def spoken(draw: st.DrawFn) -> Segment:
    """A segment whose words are in order, with silences and words of no length among them."""
    edges = [ms / 1000 for ms in draw(times)]
    words = []
    for start, end in zip(edges[::2], edges[1::2], strict=False):
        text = draw(st.sampled_from(SPACED + UNSPACED))
        words.append((text if text in UNSPACED else f" {text}", start, end))
    return segment(*words)


@settings(max_examples=150, deadline=None)
@given(said=spoken(), texts=texts)
def test_times_never_run_backwards_and_the_words_are_the_text(
    said: Segment, texts: list[str]
) -> None:
    made = realigned([said], texts)
    assert [shown(one) for one in made] == [
        line for text in texts if (line := shown(speech.segment(text)))
    ]
    edges = [edge for one in made for word in one.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(said.start <= edge <= said.end for edge in edges)
    bounds = [edge for one in made for edge in (one.start, one.end)]
    assert bounds == sorted(bounds)
    if made:
        assert (made[0].start, made[-1].end) == (said.start, said.end)
    for one in made:
        assert "".join(word.word for word in one.words) == one.text


@settings(max_examples=150, deadline=None)
@given(said=spoken(), data=st.data())
def test_words_that_are_not_touched_stay_the_same_to_the_bit(
    said: Segment, data: st.DataObject
) -> None:
    """Words that occur nowhere else, so that nobody can say which of them was meant."""
    words = [
        Word(w.start, w.end, f" {chr(0x61 + n)}{chr(0x62 + n)}", w.probability)
        for n, w in enumerate(said.words)
    ]
    said = segment(*((w.word, w.start, w.end) for w in words))
    gone = data.draw(st.sets(st.integers(0, len(words) - 1)))
    put = data.draw(st.lists(st.sampled_from(["", "X1", "X2 X3"]), min_size=len(words)))
    kept = [w for n, w in enumerate(said.words) if n not in gone]
    typed = [f"{put[n]} {'' if n in gone else word.word}" for n, word in enumerate(said.words)]
    made = realigned([said], [" ".join(typed)])
    left = {id(word) for one in made for word in one.words}
    assert all(id(word) in left for word in kept)


@settings(max_examples=100, deadline=None)
@given(said=spoken(), cuts=st.sets(st.integers(1, 11)))
def test_parting_and_joining_again_gives_back_what_there_was(said: Segment, cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(said.words)), len(said.words)]
    lines = ["".join(w.word for w in said.words[a:b]) for a, b in pairwise(edges)]
    made = realigned([said], lines)
    assert [word for one in made for word in one.words] == list(said.words)
    assert [word for one in realigned(made, [said.text]) for word in one.words] == list(said.words)


@pytest.mark.parametrize("seed", range(60))
def test_times_in_any_disorder_raise_nothing(seed: int) -> None:
    said = speech.generated(seed)
    whole = " ".join(shown(one) for one in said.segments)
    made = realigned(said.segments, [whole, "and one more", whole[::-1]])
    assert all(one.start <= one.end for one in made)
