"""A job that runs can be read along: what has been heard, in order, and never twice."""

from __future__ import annotations

from flask.testing import FlaskClient

from appliance.nouns import Piece, Segment, Window, Word
from appliance.store import jobs, partials
from appliance.store.jobs import Job
from appliance.transcribe.checkpoint import Checkpoint
from appliance.transcribe.tally import Language, Out
from appliance.wire import Heard
from tests.export import speech
from tests.web.box import Box


def hear(box: Box, job: Job, *numbers: int, text: str = "") -> None:
    """Keep windows of half a minute as heard, each with a sentence that names it."""
    checkpoint = Checkpoint(lambda _made_by: {}, lambda by, rows: _keep(box, job, by, rows))
    checkpoint.speak(Language("en", 0.9))
    for number in numbers:
        start = 30.0 * number
        window = Window(number, (Piece(start, start + 30.0, start, start + 30.0),))
        words = (Word(1.0, 2.0, f" window {number}{text}", 0.9),)
        segment = Segment(0, 0, 1.0, 2.0, words[0].word, (), 0.0, -0.1, 1.0, 0.0, words)
        heard = Heard(number, "transcribe", "en", 0.9, (segment,))
        checkpoint.add([Out(window, 0, answers={"transcribe": heard})])
    checkpoint.flush()


def _keep(box: Box, job: Job, made_by: str, rows: object) -> None:
    partials.keep(box.ledger, job, made_by, rows)  # type: ignore[arg-type]


def read(client: FlaskClient, job: Job, after: int = 0) -> dict[str, object]:
    answer = client.get(f"/api/v1/jobs/{job.id}/partial?after={after}")
    assert answer.status_code == 200
    return answer.get_json()  # type: ignore[no-any-return]


def test_what_was_heard_comes_in_order_and_waits_for_a_gap(box: Box, client: FlaskClient) -> None:
    job = box.run(b"long.wav")
    assert read(client, job) == {"segments": [], "next": 0}
    hear(box, job, 0, 1, 3)
    first = read(client, job)
    assert first == {
        "segments": [
            {"start": 1.0, "end": 2.0, "text": "window 0"},
            {"start": 31.0, "end": 32.0, "text": "window 1"},
        ],
        "next": 2,
    }
    assert read(client, job, 2) == {"segments": [], "next": 2}
    hear(box, job, 2)
    rest = read(client, job, 2)
    assert [one["text"] for one in rest["segments"]] == ["window 2", "window 3"]  # type: ignore[attr-defined]
    assert rest["next"] == 4


def test_the_page_of_a_running_job_shows_it_as_text_and_nothing_else(
    box: Box, client: FlaskClient
) -> None:
    job = box.run(b"long.wav")
    assert "Heard so far" in client.get(f"/jobs/{job.id}").text
    hear(box, job, 0, text=speech.HOSTILE)
    page = client.get(f"/jobs/{job.id}").text
    assert "window 0" in page
    assert speech.HOSTILE not in page
    assert 'data-next="1"' in page


def test_it_goes_with_the_end_of_the_job(box: Box, client: FlaskClient) -> None:
    job = box.run(b"long.wav")
    hear(box, job, 0, 1)
    assert partials.since(box.ledger, job.id, 0)
    jobs.finish(box.ledger, job, [], rss_peak=None)
    assert partials.since(box.ledger, job.id, 0) == {}
    assert read(client, job) == {"segments": [], "next": 0}
    assert client.get("/api/v1/jobs/999/partial").status_code == 404
