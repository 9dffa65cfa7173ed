"""Markdown."""

from __future__ import annotations

import html
import re

import pytest

from appliance.export.cues import RULES
from appliance.export.md import render
from appliance.nouns import Transcript
from tests.export import lint, speech

STANDARD = RULES["standard"]


def written(transcript: Transcript) -> str:
    return render(transcript, STANDARD).decode()


def test_a_page_looks_like_this() -> None:
    made = speech.transcript(
        speech.segment(" Good morning.", 0, 1), warnings=["warning.cpu-fallback"]
    )
    assert written(made) == (
        "# talk.mp4\n\n"
        "- Language: en\n- Duration: 00:00:02\n- Model: large-v3\n\n"
        "> **Note:** No GPU was usable; the processor did the work, which is slower.\n\n"
        "**00:00:00** Good morning.\n"
    )


@pytest.mark.parametrize("mark", list("\\`*_[]~|$#<>&"))
def test_what_markdown_would_act_upon_is_escaped(mark: str) -> None:
    made = speech.transcript(speech.segment(f" a {mark} b", 0, 1), name=f"a {mark} b")
    text = written(made)
    assert f"a {mark} b" not in text
    unescaped = html.unescape(re.sub(r"\\(.)", r"\1", text))
    assert unescaped.count(f"a {mark} b") == 2


def test_hostile_text_adds_no_block_and_no_tag() -> None:
    made = speech.transcript(speech.segment(speech.HOSTILE, 0, 1), name=speech.HOSTILE)
    text = written(made)
    assert "<" not in text
    assert len(text.split("\n\n")) == 3
    assert not re.search(r"(?<!\\)\]\(", text)


def test_the_text_reads_back_after_its_stamp() -> None:
    made = speech.transcript(speech.segment(speech.HOSTILE, 0, 1))
    last = written(made).split("\n\n")[-1].removeprefix("**00:00:00** ").rstrip("\n")
    read = html.unescape(re.sub(r"\\(.)", r"\1", last))
    assert read == lint.text_of(made.segments[0])
