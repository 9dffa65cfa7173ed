"""What every exporter promises, asked of each of them."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import zipfile
from typing import get_args

import pytest

from appliance.errors import WARNINGS
from appliance.export import EXPORTERS, MEDIA_TYPES, render_all, suffix
from appliance.export.cues import RULES
from appliance.export.notes import SHOWN
from appliance.nouns import Options
from appliance.settings.sections import SubtitleRules
from tests.export import speech

STANDARD = RULES["standard"]
LATE = speech.LIMIT_HOURS * 3
NOWHERE = [
    speech.segment(
        " standing still", 5, 5, [speech.word(" standing", 5, 5), speech.word(" still", 5, 5)]
    ),
    speech.segment(" no time at all", math.nan, math.inf),
    speech.segment(" before the beginning", -9.0, -1.0),
]  # fmt: skip


def readable(name: str, content: bytes) -> str:
    """The text inside an export, roughly: enough to look for a sentence in it."""
    if name != "docx":
        return content.decode("utf-8")
    return zipfile.ZipFile(io.BytesIO(content)).read("word/document.xml").decode("utf-8")


@pytest.mark.parametrize("name", EXPORTERS)
def test_it_survives_silence(name: str) -> None:
    assert isinstance(EXPORTERS[name](speech.transcript(), STANDARD), bytes)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", EXPORTERS)
def test_it_survives_hostile_text(name: str, rules: str) -> None:
    hostile = speech.transcript(
        speech.segment(speech.HOSTILE), name=speech.HOSTILE, model=speech.HOSTILE,
        language=speech.HOSTILE, warnings=[speech.HOSTILE, "warning.repetition"],
    )  # fmt: skip
    text = readable(name, EXPORTERS[name](hostile, RULES[rules]))
    assert not set("\x00\x0b\x1b\ud800\ufffe\uffff\x85\u202e\u202c\u2067\u2069\u2028\r") & set(text)


@pytest.mark.parametrize("name", EXPORTERS)
def test_it_writes_times_beyond_a_hundred_hours(name: str) -> None:
    late = speech.transcript(speech.segment(" late", LATE, LATE + 2))
    text = readable(name, EXPORTERS[name](late, STANDARD))
    assert name == "txt" or "300:00:00" in text or "1080000.0" in text


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", EXPORTERS)
def test_it_survives_words_without_length_or_time(name: str, rules: str) -> None:
    text = readable(name, EXPORTERS[name](speech.transcript(*NOWHERE), RULES[rules]))
    for words in ("standing still", "no time at all", "before the beginning"):
        assert words in " ".join(text.split())


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_same_transcript_is_always_the_same_bytes(name: str) -> None:
    once = EXPORTERS[name](speech.generated(7), STANDARD)
    assert once == EXPORTERS[name](speech.generated(7), STANDARD)


def test_another_process_on_another_day_writes_the_same_bytes() -> None:
    program = (
        "import sys, time, hashlib; sys.path[:0] = sys.argv[1:]; from tests.export import speech;"
        "time.time = lambda: 2e9;"
        "from appliance.export import EXPORTERS; from appliance.export.cues import RULES;"
        "print(*(hashlib.sha256(EXPORTERS[n](speech.generated(7), RULES['standard'])).hexdigest()"
        " for n in EXPORTERS))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program, *filter(None, sys.path)],
            env={"PYTHONHASHSEED": seed, "TZ": zone}, capture_output=True, text=True, check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }  # fmt: skip
    assert len(runs) == 1


@pytest.mark.parametrize("name", EXPORTERS)
def test_it_says_plainly_when_the_selftest_model_made_it(name: str) -> None:
    made = speech.transcript(*speech.generated(3).segments, warnings=["warning.selftest-model"])
    text = readable(name, EXPORTERS[name](made, STANDARD))
    sentence = WARNINGS["warning.selftest-model"].sentence({})
    assert SHOWN["warning.selftest-model"] in text if name == "srt" else sentence in text


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_warning_nobody_knows_is_no_reason_to_fail(name: str) -> None:
    odd = speech.transcript(speech.segment(" hello"), warnings=["warning.from-the-future"])
    assert EXPORTERS[name](odd, STANDARD)


def test_every_format_has_a_media_type_and_is_in_the_options() -> None:
    assert set(EXPORTERS) == set(MEDIA_TYPES) == set(Options().formats)


def test_the_settings_know_the_rules_of_subtitles_there_are() -> None:
    assert set(get_args(SubtitleRules)) == set(RULES)


def _names(task: str, language_suffix: str = "translations") -> list[str]:
    made = speech.transcript(speech.segment(" ja"), task=task, language="de")
    options = Options(language_suffix=language_suffix)
    return [suffix(made, name, options) for name in ("txt", "srt", "vtt")]


def test_a_transcript_is_named_like_its_recording() -> None:
    assert _names("transcribe") == [".txt", ".srt", ".vtt"]


def test_a_translation_carries_its_language_in_every_format() -> None:
    assert _names("translate") == [".en.txt", ".en.srt", ".en.vtt"]


def test_players_may_want_the_language_always_and_texts_never_need_it() -> None:
    assert _names("transcribe", language_suffix="always") == [".txt", ".de.srt", ".de.vtt"]


def test_players_may_want_the_language_never() -> None:
    assert _names("translate", language_suffix="never") == [".txt", ".srt", ".vtt"]


@pytest.mark.parametrize("choice", ["never", "always", "translations"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_both_transcripts_of_one_recording_never_share_a_name(choice: str, language: str) -> None:
    names = [
        suffix(
            speech.transcript(speech.segment(" ja"), task=task, language=language),
            name, Options(task="both", language_suffix=choice),
        )
        for task in ("transcribe", "translate")
        for name in EXPORTERS
    ]  # fmt: skip
    assert len(set(names)) == 2 * len(EXPORTERS)


def test_rendering_all_keeps_the_order_that_was_asked_for() -> None:
    made = render_all(speech.generated(1), Options(formats=("vtt", "txt")))
    assert [(export.format, export.suffix) for export in made] == [("vtt", ".vtt"), ("txt", ".txt")]


def test_an_edited_segment_is_exported_as_edited_everywhere() -> None:
    words = [speech.word(" helo", 1, 2), speech.word(" wrld", 2, 3)]
    edited = speech.segment(" Hello, world!", 1, 3, words)
    for name, render in EXPORTERS.items():
        assert "Hello, world!" in readable(name, render(speech.transcript(edited), STANDARD))
