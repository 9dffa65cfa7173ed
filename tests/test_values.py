"""Values to JSON and back: equal, strictly typed, and nothing else gets in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.nouns import Notice, Options, Piece, Window, Word
from appliance.values import from_json, from_plain, to_json, to_plain
from appliance.wire import Failed

SECONDS = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(SECONDS, SECONDS, st.text(), st.floats(0, 1))))
def test_a_value_comes_back_as_it_went(found: list[tuple[float, float, str, float]]) -> None:
    for start, end, text, chance in found:
        word = Word(start, end, text, chance)
        assert from_json(Word, to_json(word)) == word


def test_nested_values_and_missing_ones_come_back() -> None:
    window = Window(3, (Piece(0.0, 1.0, 0.1, 0.9), Piece(2.0, 3.0, 2.1, 2.9)))
    assert from_json(Window, to_json(window)) == window
    options = Options(language=None, vocabulary=("a", "b"))
    assert from_json(Options, to_json(options)) == options
    assert from_plain(Notice, {"code": "warning.no-speech"}) == Notice("warning.no-speech")


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"start": "0", "end": 1.0, "word": "a", "probability": 1.0},
        {"start": True, "end": 1.0, "word": "a", "probability": 1.0},
        {"start": 0.0, "end": 1.0, "word": b"a", "probability": 1.0},
        {"start": 0.0, "end": 1.0, "word": "a", "probability": None},
        {"start": 0.0, "end": 1.0, "word": "a"},
        {"start": 0.0, "end": 1.0, "word": "a", "probability": 1.0, "more": 1},
    ],
)
def test_what_is_not_a_word_is_refused(plain: object) -> None:
    with pytest.raises(ValueError, match="Word"):
        from_plain(Word, plain)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 30])
def test_a_number_nobody_can_hold_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="Word"):
        from_json(Word, f'{{"start":{number},"end":1.0,"word":"a","probability":1.0}}')


def test_facts_of_an_error_are_only_plain() -> None:
    with pytest.raises(ValueError, match="detail"):
        from_plain(Failed, {"code": "bug", "detail": {"x": {"y": 1}}})
    plain = {"code": "bug", "detail": {"x": 1, "y": 0.5, "z": "t"}}
    assert to_plain(from_plain(Failed, plain)) == plain


def test_equal_values_are_equal_bytes() -> None:
    assert to_json(Options()) == to_json(from_json(Options, to_json(Options())))
    assert json.loads(to_json(Options()))["beam"] == 5
