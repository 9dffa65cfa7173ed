"""WebVTT: the subtitles of web pages.

Not here: which words make a cue (cues), notes that players must show (notes).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.export.clock import stamp
from appliance.export.cues import Cue, Rules
from appliance.export.notes import notes, subtitles
from appliance.export.text import one_line
from appliance.nouns import Transcript

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render(transcript: Transcript, rules: Rules) -> bytes:
    """Write a header, a comment on the origin, one per warning, and the cues; UTF-8, LF."""
    cues = (_cue(cue) for cue in subtitles(transcript, rules))
    return "\n".join(("WEBVTT\n", *_comments(transcript), *cues)).encode()


def _comments(transcript: Transcript) -> Iterator[str]:
    origin = transcript.provenance
    yield _comment(f"{origin.source_name}, heard by the model {transcript.model}")
    for note in notes(transcript):
        yield _comment(note.message)


def _comment(text: str) -> str:
    return f"NOTE {one_line(text).translate(_ESCAPES)}\n"


def _cue(cue: Cue) -> str:
    times = f"{stamp(cue.start, '.')} --> {stamp(cue.end, '.')}"
    return "\n".join((times, *(line.translate(_ESCAPES) for line in cue.lines), ""))
