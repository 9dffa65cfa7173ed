"""The page beside the running appliance shows what really happens."""

from __future__ import annotations

import os

import httpx
import pytest

from appliance.states import State
from tests import signed_in
from tests.line.running import SAMPLES, Running

pytestmark = pytest.mark.line


def test_a_dropped_recording_is_on_the_page_when_it_is_done(box: Running) -> None:
    path = box.drop(os.path.join(SAMPLES, "welcome-english.wav"), "page", "shown.wav")
    assert box.ended(path).state is State.DONE
    box.until(lambda: os.path.exists(box.page), "the page listens")
    signs_in = signed_in.cookie(box.ledger)
    with httpx.Client(transport=httpx.HTTPTransport(uds=box.page), headers=signs_in) as client:
        page = client.get("http://localhost/").text
        assert "page/shown.wav" in page
        assert "Self-test model." in page
        assert client.get("http://localhost/readyz").json()["status"] == "pass"
