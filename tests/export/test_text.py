"""What is left of a text when every format must be able to carry it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.export.text import clean_text, columns, joint, one_line, spoken, tokens
from tests.export import speech

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()))


UNFIT = "0000 001B 007F 009F D800 DFFF FFFE FFFF 10FFFF FDD0 FEFF 202A 202E 2066 2069"  # in hex


@pytest.mark.parametrize("point", UNFIT.split())
def test_what_cannot_be_carried_is_dropped(point: str) -> None:
    assert clean_text(f"a{chr(int(point, 16))}b") == "ab"


@pytest.mark.parametrize("end", ["\n", "\r", "\t", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_break_of_any_kind_becomes_a_space(end: str) -> None:
    assert clean_text(f"a{end}b") == "a b"


@pytest.mark.parametrize(
    "text", ["naïve", "日本語", "السَّلَام", "👩\u200d🔬", "a\u00a0b", "\u200fשלם"]
)
def test_writing_of_any_script_is_left_alone(text: str) -> None:
    assert clean_text(text) == text


@given(ANYTHING)
def test_a_clean_text_is_one_line_of_utf8_without_controls(text: str) -> None:
    clean = clean_text(text)
    clean.encode("utf-8")
    assert len(clean.splitlines()) <= 1
    assert not [c for c in clean if unicodedata.category(c) in ("Cc", "Cs")]
    assert clean_text(clean) == clean


def test_a_no_break_space_breaks_no_line() -> None:
    assert tokens("vraiment\u00a0? oui") == ["vraiment\u00a0?", "oui"]


def test_what_nobody_could_see_is_no_token() -> None:
    assert tokens(" \u00a0 \u3000 ") == []


def test_a_segment_without_text_says_its_words() -> None:
    assert spoken(speech.segment(" ", words=[speech.word(" so", 0, 1)])) == "so"


def test_width_counts_wide_characters_twice_and_marks_not_at_all() -> None:
    assert [columns(text) for text in ("abc", "日本", "e\u0301", "ﾃﾚ", "\u200f")] == [3, 4, 1, 2, 0]


def test_no_space_stands_between_two_texts_written_without_spaces() -> None:
    assert [joint("今日は", "会議"), joint("한국", "어"), joint("a", "b"), joint("", "b")] == [
        "", " ", " ", "",
    ]  # fmt: skip


def test_one_line_has_single_spaces() -> None:
    assert one_line("  a \n\n b\t") == "a b"
