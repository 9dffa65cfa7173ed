"""A text is corrected on its page by plain forms, and every correction is a revision."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from appliance import revise
from appliance.bell import Bell
from appliance.credentials import tokens
from appliance.nouns import Segment, Word
from appliance.rights import Role
from appliance.states import State
from appliance.store import jobs, revisions, transcripts
from appliance.store.jobs import Job
from tests import signed_in
from tests.export import speech
from tests.web.box import Box
from tests.web.test_pages import Tags
from web import create_app, db


def said(*texts: str, sure: float = 0.9) -> tuple[Segment, ...]:
    """Segments of two seconds, their words evenly in them."""
    made = []
    for place, text in enumerate(texts):
        tokens_ = text.split()
        step = 2.0 / len(tokens_)
        words = [
            Word(2.0 * place + n * step, 2.0 * place + (n + 1) * step, f" {token}", sure)
            for n, token in enumerate(tokens_)
        ]
        made.append(speech.segment(f" {text}", 2.0 * place, 2.0 * place + 2, words, place))
    return tuple(made)


def heard(box: Box, *segments: Segment, share: str = "meetings", name: bytes = b"talk.mp3") -> Job:
    """A job that is done, with this text."""
    job = box.run(name, share=share)
    transcripts.record(box.ledger, job, speech.transcript(*segments), asked_sha256=str(job.id))
    return jobs.finish(box.ledger, job, (), rss_peak=None)


@pytest.fixture
def operator(box: Box) -> Iterator[FlaskClient]:
    """An operator of one share, whose forms carry their word."""
    app = create_app(box.settings)
    header = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {"meetings": Role.OPERATOR})
    with app.test_client(use_cookies=False) as asking:
        asking.environ_base["HTTP_COOKIE"] = header["Cookie"]
        asking.environ_base["HTTP_X_CSRF_TOKEN"] = tokens.form_word(header["Cookie"].split("=")[1])
        yield asking
    db.close(app)


def text_of(box: Box, job: Job) -> list[str]:
    return [one.text.strip() for one in revise.opened(box.ledger, job.id).transcripts[0].segments]


def edited(client: FlaskClient, job: Job, **fields: object) -> tuple[int, str]:
    form = {"on": "1.0", "task": "transcribe", "first": 0, "count": 1, "from": 0, **fields}
    answer = client.post(f"/jobs/{job.id}/text", data=form)
    return answer.status_code, answer.headers.get("Location", "") + answer.text


def test_every_word_stands_with_its_second_and_every_passage_can_be_edited(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Good morning all.", "And <b>welcome</b> \u202eback."))
    page = operator.get(f"/jobs/{job.id}").text
    assert re.findall(r'data-t="([\d.]+)">(\S+?)</span>', page)[:4] == [
        ("0.000", "Good"),
        ("0.667", "morning"),
        ("1.333", "all."),
        ("2.000", "And"),
    ]
    assert "<b>" not in page
    assert "\u202e" not in page
    tags = Tags(page).found
    assert [a["src"] for tag, a in tags if tag == "audio"] == [f"/jobs/{job.id}/media"]
    assert len([1 for tag, a in tags if a.get("class") == "edit"]) == 2


def test_an_edit_is_a_revision_and_its_job_is_queued_and_rung_for(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Good morning.", "Well come."))
    form = operator.get(f"/jobs/{job.id}?edit=1").text
    assert ">Well come.</textarea>" in form
    assert 'name="on" value="1.0"' in form
    status, there = edited(operator, job, first=1, text="Welcome.\r\nSit down.")
    assert (status, there.split("#")[1].split("<")[0]) == (303, "s1")
    assert text_of(box, job) == ["Good morning.", "Welcome.", "Sit down."]
    (made,) = revisions.history(box.ledger, job)
    assert made.who == "user:olga"
    assert jobs.must(box.ledger, job.id).state is State.QUEUED
    bell = Bell(box.settings.state_dir)
    assert bell.unanswered() == 1
    bell.close()


def test_what_was_typed_is_kept_when_somebody_else_was_faster(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Good morning."))
    revise.edit(box.ledger, job.id, on="1.0", task="transcribe", first=0, texts=["Hi."], who="ann")
    status, page = edited(operator, job, text="Good evening <i>.")
    assert status == 409
    assert "was changed by ann since you opened it" in page
    assert ">Good evening &lt;i&gt;.</textarea>" in page
    assert 'name="text"' not in page, "the newest words are not written over unseen"
    assert text_of(box, job) == ["Hi."]


def test_what_was_typed_can_be_saved_where_somebody_else_changed_another_passage(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Good morning.", "All."))
    revise.edit(box.ledger, job.id, on="1.0", task="transcribe", first=1, texts=["Al."], who="ann")
    status, page = edited(operator, job, text="Good evening.")
    assert status == 409
    assert 'name="on" value="1.1"' in page, "the next try is made on the newest text"
    assert ">Good evening.</textarea>" in page
    assert edited(operator, job, on="1.1", text="Good evening.")[0] == 303
    assert text_of(box, job) == ["Good evening.", "Al."]


def test_what_was_typed_never_lands_on_the_passage_that_has_moved_there(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("One.", "Two.", "Three.", "Four."))
    revise.edit(
        box.ledger, job.id, on="1.0", task="transcribe", first=0, count=2, texts=["One, two."],
        who="ann",
    )  # fmt: skip
    for first, typed in ((2, "Third."), (3, "Fourth.")):
        status, page = edited(operator, job, first=first, text=typed)
        assert status == 409
        assert f">{typed}</textarea>" in page
        assert 'name="text"' not in page
    assert text_of(box, job) == ["One, two.", "Three.", "Four."]


def test_a_replacement_that_would_never_end_is_refused(box: Box, operator: FlaskClient) -> None:
    job = heard(box, *said("e " * 200, "e " * 200))
    about = {"heard": "e", "written": "e" * 300, "on": "1.0", "task": "transcribe"}
    told = operator.post(f"/jobs/{job.id}/replace", data=about)
    assert told.status_code == 422
    assert "too long" in told.text
    assert revisions.history(box.ledger, job) == []
    about["written"] = "eee"
    assert operator.post(f"/jobs/{job.id}/replace", data=about).status_code == 303


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"first": 7, "text": "x"}, 422),
        ({"task": "translate", "text": "x"}, 422),
        ({"text": "x" * 10_001}, 422),
        ({"count": 0, "text": "x"}, 400),
        ({"first": -1, "text": "x"}, 400),
        ({"first": 1 << 70, "text": "x"}, 400),
    ],
)
def test_an_edit_that_cannot_be_made_changes_nothing(
    box: Box, operator: FlaskClient, fields: dict[str, object], status: int
) -> None:
    job = heard(box, *said("Good morning."))
    assert edited(operator, job, **fields)[0] == status
    assert revisions.history(box.ledger, job) == []


def test_two_passages_become_one_where_the_line_break_is_taken_out(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Good", "morning.", "All."))
    assert ">Good\nmorning.</textarea>" in operator.get(f"/jobs/{job.id}?edit=0&count=2").text
    edited(operator, job, count=2, text="Good morning.")
    assert text_of(box, job) == ["Good morning.", "All."]
    edited(operator, job, on="1.1", first=1, text="")
    assert text_of(box, job) == ["Good morning."]


def test_the_text_is_fetched_as_it_reads_now(box: Box, operator: FlaskClient) -> None:
    job = heard(box, *said("Good morning."))
    edited(operator, job, text="Good evening.")
    links = [
        a["href"] or "" for tag, a in Tags(operator.get(f"/jobs/{job.id}").text).found if tag == "a"
    ]
    (fetch,) = [link for link in links if "format=txt" in link]
    assert "Good evening." in operator.get(fetch).text


def test_an_undo_gives_the_text_back_and_can_be_undone(box: Box, operator: FlaskClient) -> None:
    job = heard(box, *said("Good morning."))
    edited(operator, job, text="Hello.")
    for on, to, expected in (("1.1", 0, "Good morning."), ("1.2", 1, "Hello.")):
        form = {"on": on, "to": to, "from": 0}
        assert operator.post(f"/jobs/{job.id}/text/undo", data=form).status_code == 303
        assert text_of(box, job) == [expected]
    stale = operator.post(f"/jobs/{job.id}/text/undo", data={"on": "1.1", "to": 0, "from": 0})
    assert stale.status_code == 409


def test_a_word_is_replaced_everywhere_after_every_place_was_shown(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Open eye is here.", "I like open eye.", "Eye."))
    asked = f"/jobs/{job.id}/replace?heard=open+eye&written=OpenAI"
    page = operator.get(asked).text
    assert "2 places" in page
    assert "<del>Open eye</del> <ins>OpenAI</ins> is here." in page
    assert revisions.history(box.ledger, job) == []
    form = {"on": "1.0", "task": "transcribe", "heard": "open eye", "written": "OpenAI", "from": 0}
    assert operator.post(f"/jobs/{job.id}/replace", data=form).status_code == 303
    assert text_of(box, job) == ["OpenAI is here.", "I like OpenAI.", "Eye."]
    assert operator.post(f"/jobs/{job.id}/replace", data=form).status_code == 409
    assert "does not say that" in operator.get(f"/jobs/{job.id}/replace?heard=nobody").text


def test_a_long_text_comes_in_pages_and_a_second_finds_its_own(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said(*(f"Passage number {n}." for n in range(450))))
    first = operator.get(f"/jobs/{job.id}").text
    assert "Passages 1 to 200 of 450" in first
    assert "from=200" in first
    at = operator.get(f"/jobs/{job.id}?t=805.5").text  # in the middle of passage 402
    assert 'id="s402"' in at
    assert "Passages 400 to 450 of 450" in at
    assert "#t=805.50" in at
    for odd in ("from=-5", "from=99999", "t=nan", "t=inf", "t=-1", "from=x", "task=nothing"):
        assert operator.get(f"/jobs/{job.id}?{odd}").status_code == 200, odd


def test_what_is_doubtful_is_ticked_off_and_stays_so_when_others_edit(
    box: Box, operator: FlaskClient
) -> None:
    job = heard(box, *said("Quite sure."), *said("Mumble mumble.", "Something.", sure=0.2)[1:])
    page = operator.get(f"/jobs/{job.id}/review").text
    assert "Something." in page
    assert "Quite" not in Tags(page).isolated
    span = {"task": "transcribe", "start": 2.0, "end": 4.0, "text": "Something."}
    assert operator.post(f"/jobs/{job.id}/review", data=span).status_code == 303
    assert operator.post(f"/jobs/{job.id}/review", data=span).status_code == 303
    page = operator.get(f"/jobs/{job.id}/review").text
    assert "Nothing here is doubtful any more" in page
    assert revisions.history(box.ledger, job) == [], "a tick changes no text and no file"
    edited(operator, job, text="Quite sure indeed.")
    assert "any more" in operator.get(f"/jobs/{job.id}/review").text
    again = {"task": "transcribe", "start": 0, "end": 0, "again": "1"}
    operator.post(f"/jobs/{job.id}/review", data=again)
    assert "Something." in operator.get(f"/jobs/{job.id}/review").text


def test_who_may_only_read_gets_no_form_and_no_change(box: Box, operator: FlaskClient) -> None:
    theirs = heard(box, *said("Secret."), share="archive", name=b"theirs.mp3")
    for address in ("", "/review", "/replace"):
        assert operator.get(f"/jobs/{theirs.id}{address}").status_code == 404
    assert edited(operator, theirs, text="x")[0] == 404
    assert operator.post(f"/jobs/{theirs.id}/text/undo", data={"to": 0}).status_code == 404
    assert operator.post(f"/jobs/{theirs.id}/review").status_code == 404
    ours = heard(box, *said("Open."))
    app = create_app(box.settings)
    reads = signed_in.cookie(
        box.ledger, "vera", Role.OPERATOR, {"meetings": Role.VIEWER, "archive": Role.OPERATOR}
    )
    word = {"X-CSRF-Token": tokens.form_word(reads["Cookie"].split("=")[1])}
    with app.test_client(use_cookies=False) as viewer:
        page = viewer.get(f"/jobs/{ours.id}?edit=0", headers=reads).text
        assert "Open." in page
        assert "<textarea" not in page
        form = {"on": "1.0", "task": "transcribe", "first": 0, "count": 1, "text": "x"}
        assert "form-stale" in viewer.post(f"/jobs/{ours.id}/text", data=form, headers=reads).text
        answer = viewer.post(f"/jobs/{ours.id}/text", data=form, headers=reads | word)
        assert (answer.status_code, "access.not-allowed" in answer.text) == (403, True)
    db.close(app)
    assert revisions.history(box.ledger, ours) == []
