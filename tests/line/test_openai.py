"""OpenAI's own client in front of a whole appliance: it finds what it expects."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Literal

import httpx2
import openai
import pytest
import srt
import webvtt
from openai import OpenAI

from appliance.nouns import UPLOADS
from appliance.rights import Right
from appliance.states import State
from appliance.store import jobs
from appliance.store.jobs import Job
from tests import signed_in
from tests.line.running import SAMPLES, Running

pytestmark = pytest.mark.line
ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")
GERMAN = os.path.join(SAMPLES, "besprechung-deutsch.wav")


@pytest.fixture(scope="module")
def client(box: Running) -> Iterator[OpenAI]:
    """As a program has it that was made for OpenAI: another address, another key."""
    with client_of(box) as made:
        yield made


@contextlib.contextmanager
def client_of(box: Running, *, retries: int = 0) -> Iterator[OpenAI]:
    box.until(lambda: os.path.exists(box.page), "the pages are served")
    key = signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])["Authorization"]
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=box.page)) as http:
        yield OpenAI(
            api_key=key.removeprefix("Bearer "),
            base_url="http://localhost/v1",
            http_client=http,
            max_retries=retries,
        )


def newest(box: Running) -> Job:
    return jobs.listing(box.ledger, limit=1)[0]


def test_a_recording_comes_back_as_its_words(box: Running, client: OpenAI) -> None:
    with open(ENGLISH, "rb") as file:
        said = client.audio.transcriptions.create(model="whisper-1", file=file)
    assert "meeting" in said.text
    job = newest(box)
    assert (job.state, job.source.share, job.source.name) == (
        State.DONE,
        UPLOADS,
        b"recording.wav",
    )
    folder = os.path.dirname(os.path.join(box.settings.state(UPLOADS).encode(), job.source.path))
    assert os.listdir(folder) == [b"recording.wav"], "nothing is written beside it"


def test_verbose_json_has_words_and_segments_where_they_are_asked_for(client: OpenAI) -> None:
    def asked(
        *granularities: Literal["word", "segment"],
    ) -> openai.types.audio.TranscriptionVerbose:
        with open(ENGLISH, "rb") as file:
            return client.audio.transcriptions.create(
                model="selftest",
                file=file,
                response_format="verbose_json",
                timestamp_granularities=list(granularities),
            )

    whole = asked("word", "segment")
    assert (whole.language, round(whole.duration, 1)) == ("english", 9.1)
    assert whole.words is not None
    assert whole.segments is not None
    assert " ".join(one.text.strip() for one in whole.segments) == whole.text
    starts = [word.start for word in whole.words]
    assert starts == sorted(starts)
    assert all(word.word == word.word.strip() and word.end <= 9.1 for word in whole.words)
    assert asked("word").segments is None
    assert asked().words is None


def test_text_and_subtitles_are_what_they_say(client: OpenAI) -> None:
    def asked(form: Literal["text", "srt", "vtt"]) -> str:
        with open(ENGLISH, "rb") as file:
            return client.audio.transcriptions.create(
                model="gpt-4o-transcribe",
                file=file,
                response_format=form,
            )

    assert "meeting" in asked("text")
    assert any("meeting" in cue.content for cue in srt.parse(asked("srt")))
    assert any("meeting" in cue.text for cue in webvtt.from_string(asked("vtt")).captions)


def test_a_stream_says_in_the_end_what_the_answer_says(client: OpenAI) -> None:
    with open(ENGLISH, "rb") as file:
        heard = list(client.audio.transcriptions.create(model="whisper-1", file=file, stream=True))
    *deltas, done = heard
    assert done.type == "transcript.text.done"
    assert "meeting" in done.text
    assert "".join(one.delta for one in deltas if one.type == "transcript.text.delta") == done.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the name, at OpenAI
def test_a_translation_is_a_job_that_translates(box: Running, client: OpenAI) -> None:
    with open(GERMAN, "rb") as file:
        said = client.audio.translations.create(model="whisper-1", file=file)
    assert said.text
    assert newest(box).options.task == "translate"


def test_the_language_and_the_prompt_are_followed(box: Running, client: OpenAI) -> None:
    with open(GERMAN, "rb") as file:
        client.audio.transcriptions.create(
            model="whisper-1", file=file, language="German", prompt="Frau Nowak", temperature=0
        )
    asked = newest(box).options
    assert (asked.language, asked.initial_prompt, asked.formats) == ("de", "Frau Nowak", ())


def test_the_models_are_named(client: OpenAI) -> None:
    names = {one.id for one in client.models.list()}
    assert {"whisper-1", "gpt-4o-transcribe", "selftest"} <= names
    assert client.models.retrieve("whisper-1").owned_by == "appliance"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-5")
    assert refused.value.code == "policy.no-such-model"


def test_what_is_wrong_is_told_in_its_own_words(box: Running, client: OpenAI) -> None:
    def asked(**more: object) -> openai.APIStatusError:
        facts = {"model": "whisper-1", "file": ("talk.wav", b"no sound at all"), **more}
        with pytest.raises(openai.APIStatusError) as refused:
            client.audio.transcriptions.create(**facts)  # type: ignore[call-overload]
        return refused.value

    assert (asked().status_code, asked().code) == (400, "source.unreadable")
    assert asked(model="parrot").status_code == 404
    assert asked(file=("talk.wav", b"")).status_code == 400
    assert asked(language="klingon").code == "policy.upload-refused"
    assert asked(response_format="diarized_json").status_code == 400
    with client_of(box) as other, pytest.raises(openai.AuthenticationError) as unknown:
        other.with_options(api_key="apl_nonsense").models.list()
    assert unknown.value.type == "authentication_error"
