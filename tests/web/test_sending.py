"""The page on which people send a recording: with and without JavaScript, cut and gone on with."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, Route

from appliance import receive
from appliance.credentials import tokens
from appliance.nouns import UPLOADS
from appliance.rights import Role
from appliance.store import jobs, uploads
from tests import signed_in
from tests.browsing import Watched
from tests.web.box import Box
from tests.web.serving import Served, opened

MB = 1 << 20
SOUND = os.urandom(20 * MB)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "<img src=x>board.wav"
    file.write_bytes(SOUND)
    return file


def content(box: Box) -> bytes:
    (job,) = jobs.listing(box.ledger)
    with open(os.path.join(os.fsencode(box.settings.state(UPLOADS)), job.source.path), "rb") as f:
        return f.read()


# --- without JavaScript -------------------------------------------------------------------------


def test_the_plain_form_leads_to_the_job(box: Box, client: FlaskClient) -> None:
    page = client.get("/upload")
    assert page.status_code == 200
    assert 'enctype="multipart/form-data"' in page.text
    word = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert word is not None
    assert page.text.index('name="csrf"') < page.text.index('type="file"'), "it is sent first"
    sent = {"csrf": word[1], "language": "de", "task": "", "profile": "default"}
    answer = client.post("/upload", data={**sent, "file": (io.BytesIO(b"RIFF"), "talk.wav")})
    (job,) = jobs.listing(box.ledger)
    assert (answer.status_code, answer.location) == (303, f"/jobs/{job.id}")
    assert (job.options.language, job.options.task) == ("de", "transcribe")
    assert "talk.wav" in client.get(answer.location).text
    refused = client.post("/upload", data={**sent, "file": (io.BytesIO(b"x"), "notes.txt")})
    assert refused.status_code == 422
    assert "cannot be taken" in refused.text


def test_the_page_is_offered_to_whoever_may_send(box: Box, client: FlaskClient) -> None:
    assert 'href="/upload"' in client.get("/").text
    viewer = client.application.test_client(use_cookies=False)
    cookie = signed_in.cookie(box.ledger, "vera", Role.VIEWER, {"meetings": Role.VIEWER})
    assert 'href="/upload"' not in viewer.get("/", headers=cookie).text
    assert viewer.get("/upload", headers=cookie).status_code == 403
    operator = signed_in.cookie(box.ledger, "olga", Role.OPERATOR, {})
    assert 'href="/upload"' in viewer.get("/", headers=operator).text
    assert tokens.form_word(operator["Cookie"].partition("=")[2])


# --- in a browser -------------------------------------------------------------------------------


def choose(page: Page, file: Path) -> None:
    page.locator("input[type=file]").set_input_files(str(file))
    page.get_by_role("button", name="Send").click()


def test_a_recording_is_sent_cut_reloaded_and_gone_on_with(
    served: Served, browser: Browser, recording: Path
) -> None:
    watched = Watched()
    page = opened(served, browser)
    watched.over(page, served.address)
    offsets: list[int] = []

    def cut(route: Route) -> None:
        offsets.append(int(route.request.headers["upload-offset"]))
        if offsets[-1] >= 8 * MB:
            route.abort()
        else:
            route.continue_()

    page.route(
        "**/api/v1/uploads/*", lambda route: cut(route) if patches(route) else route.continue_()
    )
    page.goto(f"{served.address}/upload")
    choose(page, recording)
    page.locator(".how", has_text="Trying again in").wait_for(timeout=15_000)
    assert page.locator("#sendings bdi").inner_text() == recording.name, "a name is no element"
    (upload,) = uploads.unfinished(served.box.ledger)
    assert receive.offset(served.box.ledger, served.box.settings, upload) == 8 * MB

    page.unroute_all()
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.locator(".how", has_text="Choose the same file again").wait_for()
    page.locator("#sendings .percent", has_text="40 %").wait_for()
    first: list[int] = []
    page.on(
        "request",
        lambda request: (
            first.append(int(request.headers["upload-offset"]))
            if request.method == "PATCH"
            else None
        ),
    )
    choose(page, recording)
    page.locator(".how", has_text="It is here and on its way.").wait_for(timeout=15_000)
    assert first[0] == 8 * MB
    assert content(served.box) == SOUND
    page.get_by_role("link", name="To its job").click()
    page.wait_for_url("**/jobs/1")
    strange = [line for line in watched.complaints if "ERR_FAILED" not in line]
    assert (strange, watched.strangers) == ([], [])
    page.close()


def patches(route: Route) -> bool:
    return route.request.method == "PATCH"


def test_what_is_dropped_on_the_page_is_sent_and_what_is_refused_is_told(
    served: Served, browser: Browser
) -> None:
    page = opened(served, browser)
    page.goto(f"{served.address}/upload")
    dropped = """(names) => {
      const carried = new DataTransfer();
      for (const name of names) carried.items.add(new File(["some sound"], name));
      for (const kind of ["dragover", "drop"]) {
        const how = { dataTransfer: carried, bubbles: true, cancelable: true };
        document.querySelector("#drop").dispatchEvent(new DragEvent(kind, how));
      }
    }"""
    page.evaluate(dropped, ["talk.wav", "notes.txt"])
    page.locator(".how", has_text="It is here and on its way.").wait_for(timeout=15_000)
    page.locator(".how", has_text="This upload cannot be taken").wait_for(timeout=15_000)
    (job,) = jobs.listing(served.box.ledger)
    assert job.source.name == b"talk.wav"
    assert page.evaluate("localStorage.getItem('appliance.uploads')") == "{}"
    page.close()
