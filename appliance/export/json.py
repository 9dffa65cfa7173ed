"""JSON: everything we know, for programs.

The shape is openai-whisper's result with the flat `words` of OpenAI's verbose_json, and
our own fields beside them; docs/schemas/transcript-1.json describes it. Its last field is
the sha256 of all that stands before it, so that we know our own file again, unchanged.

Not here: the API's own envelopes (web).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final

from appliance.export.cues import Rules
from appliance.export.notes import notes
from appliance.export.text import clean_text, joint, spoken
from appliance.nouns import Segment, Transcript, Word
from appliance.values import from_plain

SCHEMA: Final = "transcript/1"
_END: Final = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n\Z')
END_BYTES: Final = 78  # of what _END matches
_MOST_PARTS: Final = 1_000_000  # objects and lists; a day of speech has half of that
_MOST_VALUES: Final = 5_000_000
_SAME: Final = ("task", "language", "language_probability", "duration", "model", "provenance")


def render(transcript: Transcript, _rules: Rules) -> bytes:
    """Write one line of UTF-8 without a byte order mark. Times are seconds."""
    document = {
        "schema": SCHEMA,
        "task": transcript.task,
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration,
        "model": transcript.model,
        "text": whole_text(transcript),
        "segments": [_segment(segment) for segment in transcript.segments],
        "words": [_word(word) for segment in transcript.segments for word in segment.words],
        "warnings": [asdict(note) for note in notes(transcript)],
        "provenance": asdict(transcript.provenance),
    }
    written = json.dumps(_fit(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    body = written[:-1].encode()  # without its last brace
    return body + b',"sha256":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()


def may_be_ours(end: bytes) -> bool:
    """Tell by its last END_BYTES whether a file may be an export of ours."""
    return _END.search(end) is not None


def read(content: bytes) -> Transcript:
    """Read our own export back. Raises ValueError for another file and for one that was changed.

    Whoever wrote it, no more memory is spent than for an export of a day of speech.
    """
    end = _END.search(content[-END_BYTES:])
    if end is None:
        raise ValueError("not one of our exports")
    if hashlib.sha256(content[: -len(end[0])]).hexdigest().encode() != end[1]:
        raise ValueError("somebody changed it")
    if (
        content.count(b"{") + content.count(b"[") > _MOST_PARTS
        or content.count(b",") > _MOST_VALUES
    ):
        raise ValueError("too many parts")
    try:
        plain = json.loads(content, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return from_plain(Transcript, _unfold(plain))


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _unfold(plain: object) -> dict[str, object]:
    """What `values` makes a Transcript of: without what is there twice or told in words."""
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise ValueError(f"not {SCHEMA}")
    segments = [
        {**segment, "words": _each(segment.get("words"), without=("score",))}
        for segment in _each(plain.get("segments"))
    ]
    warnings = _each(plain.get("warnings"), without=("message", "hint"))
    return {name: plain.get(name) for name in _SAME} | {"segments": segments, "warnings": warnings}


def _each(items: object, *, without: tuple[str, ...] = ()) -> list[dict[str, object]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("not a list of objects")
    return [{key: item[key] for key in item if key not in without} for item in items]


def whole_text(transcript: Transcript) -> str:
    """Everything that was said, in one line."""
    text = ""
    parts = []
    for segment in transcript.segments:
        words = spoken(segment)
        parts.append(joint(text, words) + words)
        text = words or text
    return "".join(parts)


def _segment(segment: Segment) -> dict[str, object]:
    fields = {name: getattr(segment, name) for name in Segment.__dataclass_fields__}
    if segment.language is None:
        del fields["language"]
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
        case dict() | Mapping():
            return {clean_text(str(key)): _fit(item) for key, item in value.items()}
        case list() | Iterable():
            return [_fit(item) for item in value]
    return clean_text(str(value))
