"""SubRip, read back by the library srt."""

from __future__ import annotations

import pytest

from appliance.export.cues import RULES
from appliance.export.srt import render
from tests.export import lint, speech
from tests.export.read import read_srt

STANDARD = RULES["standard"]


def test_a_file_looks_as_players_expect() -> None:
    made = speech.transcript(speech.segment(" Hello, world.", 1, 2.5))
    assert render(made, STANDARD) == b"1\n00:00:01,000 --> 00:00:02,500\nHello, world.\n"


def test_silence_is_an_empty_file() -> None:
    assert render(speech.transcript(), STANDARD) == b""


@pytest.mark.parametrize(
    "text",
    ["7", "1 2 3", "00:00:01,000", "<b>bold</b> & <i>", "{\\an8}up", "WEBVTT", "a  b", "-1.5", "»"],
)
def test_text_that_looks_like_syntax_reads_back(text: str) -> None:
    made = speech.transcript(*(speech.segment(f" {text}", i * 9, i * 9 + 1) for i in range(3)))
    expected = " ".join(text.split())
    assert [" ".join(cue.lines) for cue in read_srt(render(made, STANDARD))] == [expected] * 3


@pytest.mark.parametrize("seconds", [359_999.999, 360_000.0, 5_000_000.5])
def test_times_beyond_99_hours_read_back(seconds: float) -> None:
    made = speech.transcript(speech.segment(" late", seconds, seconds + 1))
    assert read_srt(render(made, STANDARD))[0].start == round(seconds * 1000)


def test_a_thousandth_is_rounded_before_it_is_written() -> None:
    made = speech.transcript(speech.segment(" x", 1.9996, 4))
    assert b"00:00:02,000 -->" in render(made, STANDARD)


def test_a_spoken_line_of_times_starts_no_cue() -> None:
    hostile = speech.transcript(speech.segment(speech.HOSTILE, 0, 9), speech.segment(" ok", 20, 21))
    cues = read_srt(render(hostile, STANDARD))
    expected = lint.text_of(hostile.segments[0]).replace("-->", "→")
    assert " ".join(line for cue in cues[:-1] for line in cue.lines) == expected
    assert cues[-1] == lint.Shown(20_000, 21_000, ("ok",))
