"""What a recording leaves in the logs: one thread through every process, and no word of it."""

from __future__ import annotations

import itertools
import json
import os
import re
from typing import Any

import pytest

from appliance import logbook
from appliance.states import State
from appliance.store import sightings
from tests.line.running import SAMPLES, Running

pytestmark = pytest.mark.line
ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")


def lines(box: Running) -> list[dict[str, Any]]:
    """Every JSON line that the processes have printed."""
    texts = [text.partition(" ")[2] for text in box.printed]
    return [json.loads(text) for text in texts if text.startswith("{")]


def test_one_correlation_id_leads_from_the_sighting_to_the_export(box: Running) -> None:
    path = box.drop_unheard(ENGLISH, "followed", "talk.wav")
    job = box.ended(path)
    assert job.state is State.DONE
    seen = sightings.get(box.ledger, "inbox", path)
    assert seen is not None
    assert seen.correlation == job.correlation
    with open(box.path("followed", "talk.json"), encoding="utf-8") as stream:
        assert json.load(stream)["provenance"]["correlation"] == job.correlation

    def told() -> set[tuple[str, str]]:
        mine = [line for line in lines(box) if line.get("correlation") == job.correlation]
        return {(line["process"], line["event"]) for line in mine}

    wanted = {
        *(("watch", event) for event in ("receiving", "settled", "admitted")),
        *(("worker", event) for event in ("claimed", f"job {job.id}: done")),
        ("decode", "reading"),
        ("porter", "carrying"),
        *(("engine", event) for event in ("listening", "hung up")),
    }
    box.until(lambda: wanted <= told(), "every process spoke of it")
    for line in lines(box):
        assert {"at", "level", "process", "event"} <= line.keys()
        if "job" in line:
            assert {"attempt", "share", "code", "correlation"} <= line.keys(), line
        if line.get("correlation") == job.correlation and line["process"] != "watch":
            assert (line["job"], line["attempt"], line["share"]) == (job.id, 1, "inbox")


def test_a_file_that_is_ignored_is_a_line_with_its_rule(box: Running) -> None:
    name = "a\nb\x1b[31m.wav"
    os.makedirs(box.path("ignored"))
    os.symlink(ENGLISH, box.path("ignored", name))

    def mine() -> list[dict[str, Any]]:
        return [one for one in lines(box) if one.get("recording") == f"ignored/{name}"]

    box.until(lambda: bool(mine()), "the watch said that it ignores it")
    assert [(one["event"], one["why"], one["share"]) for one in mine()] == [
        ("ignored", "link", "inbox")
    ]


def test_the_log_of_an_attempt_tells_the_whole_line(box: Running) -> None:
    job = box.ended(box.drop_unheard(ENGLISH, "told", "talk.wav"))

    def told() -> list[dict[str, Any]]:
        return logbook.read(box.settings.state("logs"), job.id, 1) or []

    # The ledger says that a job is done first; then the log does.
    box.until(lambda: "ended" in {line["event"] for line in told()}, "the log has its end")
    events = {line["event"]: line for line in told()}
    assert events["claimed"]["correlation"] == job.correlation
    assert events["staged"]["sha256"] == job.sha256
    assert events["exported"]["files"] == 6
    assert (events["ended"]["state"], events["ended"]["code"]) == ("done", None)
    assert set(logbook.summary(told()).seconds) == {"stage", "transcribe", "record", "deliver"}


def test_no_log_holds_a_word_that_was_said_or_asked_for(box: Running) -> None:
    os.makedirs(box.path("unsaid"))
    with open(box.path("unsaid", ".transcribe.toml"), "w", encoding="utf-8") as stream:
        stream.write('vocabulary = ["Zwetschgenkompott"]\n')
    job = box.ended(box.drop_unheard(ENGLISH, "unsaid", "talk.wav"))
    assert job.options.vocabulary == ("Zwetschgenkompott",)
    with open(box.path("unsaid", "talk.json"), encoding="utf-8") as stream:
        words = re.findall(r"\w+", json.load(stream)["text"].lower())
    pairs = {f"{one} {two}" for one, two in itertools.pairwise(words)}
    assert len(pairs) > 5
    end = f"job {job.id}: done"
    box.until(lambda: end in {line["event"] for line in lines(box)}, "the worker said its end")
    texts = [*box.printed]
    for folder, _, names in os.walk(box.settings.state("logs")):
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as stream:
                texts.append(stream.read())
    logs = re.sub(r"\W+", " ", "\n".join(texts).lower())
    assert f"job {job.id} done" in logs
    assert "zwetschgenkompott" not in logs
    assert not {pair for pair in pairs if f" {pair} " in logs}
