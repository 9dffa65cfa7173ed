"""Exports read back by other people's libraries.

Not here: judging what was read (lint, and the tests themselves).
"""

from __future__ import annotations

import html
import io
from datetime import timedelta

import srt
import webvtt

from tests.export.lint import Shown

MS = timedelta(milliseconds=1)


def read_srt(content: bytes) -> list[Shown]:
    """Read SubRip with the library srt."""
    return [
        Shown(cue.start // MS, cue.end // MS, tuple(cue.content.split("\n")))
        for cue in srt.parse(content.decode())
    ]


def read_vtt(content: bytes) -> list[Shown]:
    """Read WebVTT with the library webvtt-py, which leaves entities to us."""
    return [
        Shown(
            cue.start_in_seconds * 1000 + cue.start_time.milliseconds,
            cue.end_in_seconds * 1000 + cue.end_time.milliseconds,
            tuple(html.unescape(line) for line in cue.lines),
        )
        for cue in webvtt.from_buffer(io.BytesIO(content), strict=True).captions
    ]
