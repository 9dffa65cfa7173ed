"""A text that was read a moment ago is not read again, and is never an old one."""

from __future__ import annotations

import pytest
from flask import Flask

from appliance import revise
from appliance.store import jobs, revisions
from tests.web.box import Box
from tests.web.test_edits import heard, said
from web import create_app, db, recall


@pytest.fixture
def app(box: Box) -> Flask:
    made = create_app(box.settings)
    db.close(made)
    return made


def test_a_text_is_read_once_until_somebody_edits_it(
    box: Box, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int | None] = []
    really = revisions.text

    def counted(*about: object) -> object:
        read.append(about[2])  # type: ignore[arg-type]
        return really(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(revisions, "text", counted)
    job = heard(box, *said("Good morning."))
    with app.app_context():
        for _ in range(3):
            n, text = recall.newest(box.ledger, job)
        assert (n, read) == (0, [0])
        how = {"on": "1.0", "task": "transcribe", "first": 0, "texts": ["Hi."], "who": "ann"}
        revise.edit(box.ledger, job.id, **how)  # type: ignore[arg-type]
        read.clear()
        for _ in range(2):
            n, text = recall.newest(box.ledger, jobs.must(box.ledger, job.id))
        assert (n, read) == (1, [1])
        assert text is not None
        assert text[0].segments[0].text == " Hi."


def test_only_the_last_few_are_kept(box: Box, app: Flask) -> None:
    memory = app.extensions["appliance.recall"]
    for number in range(recall.KEPT + 2):
        memory.put((number, "c", 1, 0), ())
        memory.get((0, "c", 1, 0))
    kept = [n for n in range(recall.KEPT + 2) if memory.get((n, "c", 1, 0)) is not None]
    assert kept == [0, *range(3, recall.KEPT + 2)]
    assert box.ledger is not None
