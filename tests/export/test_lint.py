"""The second opinion itself: it must find what is wrong, or its silence means nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.export.cues import RULES, cut
from appliance.nouns import Transcript
from tests.export import lint, speech
from tests.export.lint import STANDARD, Shown

OPENING = "Good morning everybody, and welcome"
TALK = speech.spoken(
    f"{OPENING} to the annual meeting of the society. Before we begin "
    "I would like to thank the people who made this possible."
)


def good(transcript: Transcript = TALK) -> list[Shown]:
    return [Shown(cue.start, cue.end, cue.lines) for cue in cut(transcript, RULES["standard"])]


def complaints(cues: list[Shown], transcript: Transcript = TALK) -> str:
    return "\n".join(lint.needless(transcript, cues, STANDARD))


def test_good_subtitles_are_not_complained_about() -> None:
    assert complaints(good()) == ""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"lines": ("Good morning everybody,",)}, "not the text"),
        ({"lines": (f"{OPENING} to the annual", "meeting of the society.")},
         "a line is too long"),
        ({"lines": (OPENING, "to the annual", "meeting of the society.")},
         "too many lines"),
        ({"lines": (f"{OPENING} to the", "annual meeting of the society.")},
         "ends in an article"),
        ({"start": 900}, "does not begin with its first word"),
        ({"end": 6000}, "into the next one"),
        ({"end": 3000}, "before its last word"),
        ({"end": 1000}, "for no time"),
    ],
)  # fmt: skip
def test_a_spoilt_cue_is_found(change: dict[str, object], complaint: str) -> None:
    first, *others = good()
    assert complaint in complaints([replace(first, **change), *others])  # type: ignore[arg-type]  # spoilt on purpose


def test_a_cue_of_two_lines_that_fit_on_one_is_found() -> None:
    talk = speech.spoken("It fits on one line.")
    (cue,) = good(talk)
    assert "one would do" in complaints([replace(cue, lines=("It fits", "on one line."))], talk)


def test_a_cue_that_could_be_read_if_it_stayed_is_found() -> None:
    talk = speech.spoken("This is said in a great hurry.", pace=60)
    (cue,) = good(talk)
    assert complaints([cue], talk) == ""
    assert "was possible" in complaints([replace(cue, end=cue.start + 900)], talk)


def test_a_flicker_is_found() -> None:
    yes = speech.transcript(speech.segment(" Yes.", 1, 1.2))
    assert "was possible" in complaints([Shown(1000, 1200, ("Yes.",))], yes)


def test_a_gap_that_should_be_closed_is_found() -> None:
    talk = speech.transcript(
        speech.segment(f" {'Is this the question? ' * 4}", 0, 5),
        speech.segment(" No, it is not.", 5.3, 6.5),
    )
    first, *others = good(talk)
    spoilt = [replace(first, end=others[0].start - 300), *others]
    assert "was possible" in complaints(spoilt, talk)


def test_a_cue_across_a_pause_is_found() -> None:
    talk = speech.transcript(speech.segment(" One.", 0, 1), speech.segment(" Two.", 4, 5))
    assert "spans a pause" in complaints([Shown(0, 5000, ("One. Two.",))], talk)


def test_speech_too_fast_for_anybody_is_nobodys_fault() -> None:
    talk = speech.spoken("one two three four five six seven eight nine ten " * 20, pace=60)
    assert complaints(good(talk), talk) == ""
