"""JSON: everything we know, for programs.

The shape is openai-whisper's result with the flat `words` of OpenAI's verbose_json, and
our own fields beside them; docs/schemas/transcript-1.json describes it.

Not here: the API's own envelopes (web).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final

from appliance.export.cues import Rules
from appliance.export.notes import notes
from appliance.export.text import clean_text, joint, spoken
from appliance.nouns import Segment, Transcript, Word

SCHEMA: Final = "transcript/1"


def render(transcript: Transcript, _rules: Rules) -> bytes:
    """Write one line of UTF-8 without a byte order mark. Times are seconds."""
    document = {
        "schema": SCHEMA,
        "task": transcript.task,
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration,
        "model": transcript.model,
        "text": _text(transcript),
        "segments": [_segment(segment) for segment in transcript.segments],
        "words": [_word(word) for segment in transcript.segments for word in segment.words],
        "warnings": [asdict(note) for note in notes(transcript)],
        "provenance": asdict(transcript.provenance),
    }
    written = json.dumps(_fit(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"{written}\n".encode()


def _text(transcript: Transcript) -> str:
    text = ""
    parts = []
    for segment in transcript.segments:
        words = spoken(segment)
        parts.append(joint(text, words) + words)
        text = words or text
    return "".join(parts)


def _segment(segment: Segment) -> dict[str, object]:
    fields = {name: getattr(segment, name) for name in Segment.__dataclass_fields__}
    return fields | {"words": [_word(word) for word in segment.words]}


def _word(word: Word) -> dict[str, object]:
    return {
        "word": word.word,
        "start": word.start,
        "end": word.end,
        "probability": word.probability,
        "score": word.probability,
    }


def _fit(value: object) -> object:
    """Make a value that JSON can carry: clean texts, no NaN, and no types but JSON's own."""
    match value:
        case str():
            return clean_text(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {clean_text(str(key)): _fit(item) for key, item in value.items()}
        case Iterable():
            return [_fit(item) for item in value]
    return clean_text(str(value))
