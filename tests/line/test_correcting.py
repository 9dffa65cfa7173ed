"""From the folder to the page and back: dropped, heard, played, corrected, and in the file."""

from __future__ import annotations

import os
import re
import wave
from pathlib import Path

import httpx
import pytest

from appliance import moves, revise
from appliance.states import State
from appliance.store import revisions, search
from tests import browsing, signed_in
from tests.line.running import SAMPLES, Running

pytestmark = pytest.mark.line

MINE = "Corrected by a person, while the pages were started anew."


def longer(times: int, into: Path) -> str:
    """A sample, so many times one after the other."""
    with wave.open(os.path.join(SAMPLES, "welcome-english.wav")) as sample:
        how, sound = sample.getparams(), sample.readframes(sample.getnframes())
    file = str(into / "long.wav")
    with wave.open(file, "wb") as made:
        made.setparams(how)
        for _ in range(times):
            made.writeframes(sound)
    return file


def answers(address: str) -> bool:
    """Whether the pages are there."""
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_what_is_dropped_is_seen_heard_corrected_and_written(box: Running, tmp_path: Path) -> None:
    box.until(lambda: os.path.exists(box.page), "the page listens")
    watched = browsing.Watched()
    with browsing.port_to(box.page) as address, browsing.chromium() as browser:
        page = browsing.signed_page(browser, address, signed_in.cookie(box.ledger))
        watched.over(page, address)
        page.goto(address)
        path = box.drop_unheard(longer(20, tmp_path), "correcting", "meeting.wav")
        page.locator(".work", has_text="correcting/meeting.wav").wait_for(timeout=60_000)
        page.locator("#recent ~ ul", has_text="correcting/meeting.wav").wait_for(timeout=120_000)
        assert box.ended(path).state is State.DONE

        page.get_by_role("link", name="correcting/meeting.wav").first.click()
        word = page.locator("#s1 [data-t]").first
        at = float(word.get_attribute("data-t") or "nan")
        word.click()
        browsing.until(page, f"!player.paused && player.currentTime >= {at}")
        page.locator("#s1 .now").wait_for()
        page.locator("#s1 a.edit").click()
        page.locator("#edited").fill(MINE)
        assert watched.complaints == []

        box.kill("web")
        page.get_by_role("button", name="Save").click()
        # It may be back before the click: then this is saved at once.
        notice = page.get_by_text("nothing was saved yet").or_(page.get_by_text("Saved. The"))
        notice.first.wait_for(timeout=30_000)
        if page.get_by_text("nothing was saved yet").count():
            assert page.locator("#edited").input_value() == MINE
            box.until(lambda: answers(address), "the pages are back")
            page.get_by_role("button", name="Save").click()
            page.get_by_text("Saved. The").wait_for(timeout=30_000)
        assert page.evaluate("player.currentTime") >= at, "it plays on"
        assert watched.strangers == []
    text = Path(box.path("correcting", "meeting.txt"))
    box.until(lambda: MINE in text.read_text(encoding="utf-8"), "the file says so")
    subtitles = Path(box.path("correcting", "meeting.srt"))
    box.until(
        lambda: re.sub(r"\s+", " ", MINE) in re.sub(r"\s+", " ", subtitles.read_text("utf-8")),
        "so does the one that is written after it",
    )
    assert box.ended(path).epoch == 1


def test_a_recording_that_is_copied_over_itself_keeps_its_corrections(box: Running) -> None:
    """A clock that was changed, a backup, a copy: another time of change is another job."""
    english = os.path.join(SAMPLES, "welcome-english.wav")
    path = box.drop(english, "copied", "talk.wav")
    job = box.ended(path)
    revise.edit(
        box.ledger, job.id, on="1.0", task="transcribe", first=0, texts=[MINE], who="user:anna"
    )
    text = Path(box.path("copied", "talk.txt"))
    box.until(lambda: MINE in text.read_text(encoding="utf-8"), "the file says so")
    box.ended(path)
    names = box.names("copied")

    os.utime(box.path("copied", "talk.wav"), ns=(10**18, 10**18))
    box.until(lambda: (found := box.job(path)) is not None and found.id != job.id, "it is found")
    again = box.ended(path)
    assert again.state is State.DONE
    assert MINE in text.read_text(encoding="utf-8")
    assert box.names("copied") == names
    assert [one.who for one in revisions.history(box.ledger, again)] == ["user:anna"]
    assert again.id in {one.job for one in search.find(box.ledger, "corrected by a person")}

    retry = moves.retry(box.ledger, again, who="user:anna")
    box.until(lambda: box.ended(path).epoch == retry.epoch, "it is asked for anew")
    assert MINE not in text.read_text(encoding="utf-8")
