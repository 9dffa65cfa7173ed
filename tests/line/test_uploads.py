"""A recording that is sent goes down the line like one that is dropped."""

from __future__ import annotations

import os
import time

import httpx
import pytest

from appliance.nouns import UPLOADS
from appliance.rights import Right
from appliance.states import ENDED, State
from appliance.store import jobs, shares
from tests import signed_in
from tests.line.running import FORMATS, SAMPLES, Running

pytestmark = pytest.mark.line
ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")


def test_what_is_sent_comes_back_as_files_beside_it_once(box: Running) -> None:
    box.until(lambda: os.path.exists(box.page), "the pages are served")
    key = signed_in.key(box.ledger, Right.SUBMIT, shares=[UPLOADS])
    with (
        httpx.Client(transport=httpx.HTTPTransport(uds=box.page), headers=key) as client,
        open(ENGLISH, "rb") as file,
    ):
        sent = client.post(
            "http://localhost/api/v1/uploads",
            files={"file": ("talk.wav", file)},
            headers={"Idempotency-Key": "the line"},
        )
    assert sent.status_code == 201, sent.text
    number = sent.json()["job"]
    box.until(lambda: jobs.must(box.ledger, number).state in ENDED, "it ended")
    job = jobs.must(box.ledger, number)
    assert job.state is State.DONE
    folder = os.path.dirname(os.path.join(box.settings.state(UPLOADS), job.source.path.decode()))
    assert sorted(os.listdir(folder)) == sorted(["talk.wav", *(f"talk.{n}" for n in FORMATS)])
    assert shares.get(box.ledger, UPLOADS).state == "online"
    time.sleep(3.0)  # longer than the watch takes to settle it
    assert [one.id for one in jobs.at(box.ledger, UPLOADS, job.source.path)] == [number]
    assert jobs.must(box.ledger, number).attempt == 1
