"""JSON, held against its schema and against what others read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import Any

import jsonschema
import pytest

from appliance.export import EXPORTERS
from appliance.export.cues import RULES
from appliance.export.json import END_BYTES, read, render
from appliance.nouns import Segment, Transcript
from tests.export import speech

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")
STANDARD = RULES["standard"]


def document(transcript: Transcript) -> Any:
    return json.loads(render(transcript, STANDARD))


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    with open(os.path.join(DOCS, "schemas", "transcript-1.json"), encoding="utf-8") as file:
        described = json.load(file)
    jsonschema.Draft202012Validator.check_schema(described)
    return jsonschema.Draft202012Validator(described)


@pytest.mark.parametrize("seed", range(20))
def test_generated_transcripts_keep_to_the_schema(
    schema: jsonschema.Draft202012Validator, seed: int
) -> None:
    schema.validate(document(speech.generated(seed)))


def test_hostile_transcripts_keep_to_the_schema(schema: jsonschema.Draft202012Validator) -> None:
    words = [speech.word(speech.HOSTILE, math.nan, math.inf)]
    hostile = speech.transcript(
        speech.segment(speech.HOSTILE, math.nan, math.inf, words), name=speech.HOSTILE,
        warnings=["warning.repetition", speech.HOSTILE],
    )  # fmt: skip
    schema.validate(document(hostile))


def test_a_segment_has_every_field_of_whisper() -> None:
    found = document(speech.spoken("Hello there"))["segments"][0]
    assert list(found) == [
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
        "compression_ratio", "no_speech_prob", "words",
    ]  # fmt: skip
    assert [*found, "language"] == list(Segment.__dataclass_fields__), (
        "where several were asked for"
    )


def test_words_stand_in_their_segments_and_in_one_flat_list() -> None:
    found = document(speech.spoken("Hello there"))
    assert found["words"] == found["segments"][0]["words"]
    assert found["words"][0] == {
        "word": " Hello", "start": 1.0, "end": pytest.approx(1.333, abs=0.01),
        "probability": 0.9, "score": 0.9,
    }  # fmt: skip


def test_the_text_is_what_all_segments_say() -> None:
    made = speech.transcript(
        speech.segment(" Good", 0, 1), speech.segment("", 1, 2), speech.segment(" day.", 2, 3)
    )
    assert document(made)["text"] == "Good day."


def test_the_text_of_chinese_segments_has_no_spaces() -> None:
    made = speech.transcript(speech.segment("今天", 0, 1), speech.segment("开会", 1, 2))
    assert document(made)["text"] == "今天开会"


def test_provenance_says_enough_to_ask_for_the_same_again() -> None:
    found = document(speech.spoken("x"))["provenance"]
    assert found["options"] == {"beam": 5, "formats": ["srt"]}
    assert found["source_name"] == "talk.mp4"


def test_a_warning_has_its_code_its_sentence_and_a_next_step() -> None:
    made = document(speech.transcript(warnings=["warning.no-speech"]))
    assert made["warnings"] == [
        {
            "code": "warning.no-speech",
            "message": "No speech was found in this recording.",
            "hint": "If somebody does speak in it, drop a louder copy.",
            "detail": {},
        }
    ]


# --- the way back -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_an_export_reads_back_as_the_transcript_it_was_made_of(seed: int) -> None:
    once = read(render(speech.generated(seed), STANDARD))
    assert read(render(once, STANDARD)) == once
    for name, exporter in EXPORTERS.items():
        assert exporter(once, STANDARD) == exporter(speech.generated(seed), STANDARD), name


def test_every_byte_that_is_changed_is_noticed() -> None:
    content = render(speech.spoken("Hello there"), STANDARD)
    assert read(content).segments[0].text == " Hello there"
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(ValueError):  # noqa: PT011 - which one does not matter
            read(changed)


def forged(body: bytes) -> bytes:
    """A document with a checksum that fits."""
    return body + b',"sha256":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()


GOOD = render(speech.spoken("Hello there"), STANDARD)[:-END_BYTES]


def test_a_forged_document_reads_like_ours() -> None:
    assert read(forged(GOOD)) == read(render(speech.spoken("Hello there"), STANDARD))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"schema":"transcript/1"',
        b'{"a":' + b"[" * 100_000,
        b'{"a":[' + b"[]," * 1_000_001,
        b'{"a":"\xff"',
        GOOD.replace(b"transcript/1", b"transcript/2"),
        GOOD.replace(b'"seek":100', b'"seek":NaN'),
        GOOD.replace(b'"seek":100', b'"seek":' + b"9" * 5000),
        GOOD.replace(b'"seek":100', b'"seek":true'),
        GOOD.replace(b'"seek":100', b'"seek":0,"more":1'),
        GOOD.replace(b'"segments":[', b'"segments":[7,'),
        GOOD.replace(b'"tokens":[50364', b'"tokens":["x"'),
        GOOD.replace(b'"source_size":', b'"source_size":1e400,"x":'),
    ],
    ids=range(14),
)
def test_a_hostile_document_is_a_value_error_whatever_its_checksum_says(body: bytes) -> None:
    assert body != GOOD
    with pytest.raises(ValueError):  # noqa: PT011 - which one does not matter
        read(forged(body))
