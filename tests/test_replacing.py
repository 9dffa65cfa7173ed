"""Spellings people want: exchanged word for word, with their times."""

from __future__ import annotations

import pytest

from appliance.nouns import Replacement, Segment, Word
from appliance.transcribe.replacing import Replacer


def segment(*words: str) -> Segment:
    spelled = tuple(Word(float(n), n + 0.5, word, 0.5 + n / 10) for n, word in enumerate(words))
    text = "".join(words)
    return Segment(0, 0, 0.0, len(words), text, (1, 2), 0.0, -0.1, 1.0, 0.0, spelled)


def replaced(one: Segment, *pairs: tuple[str, str]) -> Segment:
    (made,) = Replacer([Replacement(*pair) for pair in pairs]).segments([one])
    return made


@pytest.mark.parametrize(
    ("words", "pairs", "text"),
    [
        ([" Hello", " smith,", " hello"], [("Smith", "Smyth")], " Hello Smyth, hello"),
        ([" the", " blacksmith"], [("smith", "Smyth")], " the blacksmith"),
        ([" new", " york", " city."], [("New York", "NYC")], " NYC city."),
        ([" new", " york", " city."], [("new", "old"), ("new york", "NYC")], " NYC city."),
        ([" müller", "straße"], [("Müllerstraße", "Müllerstr.")], " Müllerstr."),
        ([" c", "++", " is"], [("c++", "C++")], " C++ is"),
        ([" a.b"], [("a.b", "$1 \\1")], " $1 \\1"),
        ([" axb"], [("a.b", "no")], " axb"),
        ([" \u0131k\u0131", " \u017fee"], [("iki", "2"), ("see", "lake")], " 2 lake"),
        ([" um", " yes"], [("um", "")], "  yes"),
        ([" a", " b"], [("a", "b"), ("b", "a")], " b a"),
        ([" A", " cat", "egory"], [("cat", "Katze")], " A category"),
        ([" sub", "cat", " cat"], [("cat", "Katze")], " subcat Katze"),
        ([" a", " new", " york", "er"], [("new york", "NYC"), ("a", "b")], " b new yorker"),
        (["我", "在", "北", "京", "工", "作"], [("北京", "上海")], "我在上海工作"),
        (["工", "人", "在"], [("工人", "者"), ("在", "x")], "者x"),
        ([" Smith", "son"], [("Smith", "Smyth")], " Smithson"),
    ],
)
def test_whole_words_are_exchanged(
    words: list[str], pairs: list[tuple[str, str]], text: str
) -> None:
    made = replaced(segment(*words), *pairs)
    assert made.text == text
    assert "".join(word.word for word in made.words) == text


def test_the_new_word_has_the_time_of_the_old_ones_and_the_rest_stays() -> None:
    one = segment(" in", " new", " york", " now")
    made = replaced(one, ("new york", "NYC"))
    assert [(word.start, word.end, word.word) for word in made.words] == [
        (0.0, 0.5, " in"),
        (1.0, 2.5, " NYC"),
        (3.0, 3.5, " now"),
    ]
    assert made.words[1].probability == pytest.approx(0.65)
    assert (made.words[0], made.words[2]) == (one.words[0], one.words[3])


def test_without_a_match_nothing_changes() -> None:
    one = segment(" nothing", " here")
    assert replaced(one, ("there", "x")) is one
    assert replaced(one) is one


def test_a_segment_without_words_is_exchanged_in_its_text() -> None:
    one = Segment(0, 0, 0.0, 1.0, " Smith said", (), 0.0, -0.1, 1.0, 0.0)
    assert replaced(one, ("smith", "Smyth")).text == " Smyth said"
