"""WebVTT, read back by the library webvtt-py."""

from __future__ import annotations

import io

import pytest
import webvtt

from appliance.export.cues import RULES
from appliance.export.vtt import render
from tests.export import lint, speech
from tests.export.read import read_vtt

STANDARD = RULES["standard"]


def test_a_file_looks_as_browsers_expect() -> None:
    made = speech.transcript(speech.segment(" Hello, world.", 1, 2.5))
    assert render(made, STANDARD).decode() == (
        "WEBVTT\n\nNOTE talk.mp4, heard by the model large-v3\n\n"
        "00:00:01.000 --> 00:00:02.500\nHello, world.\n"
    )


def test_warnings_are_comments() -> None:
    made = speech.transcript(warnings=["warning.selftest-model"])
    comments = webvtt.from_buffer(io.BytesIO(render(made, STANDARD))).header_comments
    assert any("This is not a real transcript." in comment for comment in comments)


@pytest.mark.parametrize("rules", RULES)
def test_hostile_text_stays_text(rules: str) -> None:
    hostile = speech.transcript(
        speech.segment(speech.HOSTILE, 0, 9), name=speech.HOSTILE, model="a-->b"
    )
    content = render(hostile, RULES[rules])
    shown = " ".join(line for cue in read_vtt(content) for line in cue.lines)
    assert shown == lint.text_of(hostile.segments[0])
    assert b"<" not in content


def test_an_arrow_stands_only_between_times() -> None:
    content = render(speech.transcript(speech.segment(speech.HOSTILE, 0, 9)), STANDARD).decode()
    arrows = [line for line in content.splitlines() if "-->" in line]
    assert all(line[:2].isdigit() and line[12:17] == " --> " for line in arrows)


@pytest.mark.parametrize("seconds", [359_999.999, 360_000.0, 5_000_000.5])
def test_times_beyond_99_hours_read_back(seconds: float) -> None:
    made = speech.transcript(speech.segment(" late", seconds, seconds + 1))
    assert read_vtt(render(made, STANDARD))[0].start == round(seconds * 1000)
