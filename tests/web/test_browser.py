"""The pages in a browser: they live, fit, can be read by everybody, and ask nobody else."""

from __future__ import annotations

import time
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from appliance import revise
from appliance.accounts import setup
from appliance.store import jobs
from appliance.store.jobs import Job
from tests import browsing, signed_in
from tests.browsing import Watched
from tests.web.box import Box
from tests.web.filled import LINES, every_page, recorded
from tests.web.serving import Served, opened

GOOD = "drei Birnen im Schnee"


def test_progress_moves_by_itself_and_nothing_comes_from_elsewhere(
    served: Served, browser: Browser
) -> None:
    watched = Watched()
    page = opened(served, browser)
    watched.over(page, served.address)
    job = served.box.run(b"<img src=x onerror=alert(1)>.wav")
    facts = {"stage": "transcribe", "began": time.time() - 100, "done": 360.0, "total": 3600.0}
    facts["left"] = 900.0
    served.box.progress({job.id: facts})
    page.goto(served.address)
    assert page.locator("#sentence").inner_text() == "All good — 1 file in work"
    assert page.locator(".work .percent").inner_text() == "10 %"

    served.box.progress({job.id: {**facts, "done": 1800.0}})
    page.locator(".work .percent", has_text="50 %").wait_for(timeout=8000)
    assert page.locator(".work progress").evaluate("bar => bar.value") == 50

    served.box.add(b"next.wav")
    page.locator("#queue").wait_for(timeout=8000)
    page.get_by_text("1 file in work, 1 waiting").first.wait_for(timeout=8000)
    assert page.locator("bdi", has_text="next.wav").count() == 1
    assert page.locator("img").count() == 1, "a name became an element"
    assert (watched.complaints, watched.strangers) == ([], [])

    with served.box.ledger.writing() as ledger:
        ledger.execute("DELETE FROM session")
    page.wait_for_url(f"{served.address}/login", timeout=8000)
    page.close()


def test_the_link_on_the_console_leads_to_the_first_admin(served: Served, browser: Browser) -> None:
    watched = Watched()
    page = browser.new_page()
    watched.over(page, served.address)
    code = setup.new_code(served.box.ledger, signed_in.TEST)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.address}/setup#code={code}")
    browsing.until(page, "document.querySelector('input[name=code]').value !== ''")
    assert page.evaluate("location.hash") == ""
    assert browsing.barriers(page) == []
    page.locator("input[name=password]").fill(GOOD)
    page.get_by_role("button", name="Begin").click()
    page.locator("#sentence").wait_for()
    assert not [url for url in asked if code in url]
    assert (watched.complaints, watched.strangers) == ([], [])
    page.get_by_role("link", name="My account").click()
    page.get_by_role("button", name="Sign out").click()
    assert browsing.barriers(page) == []
    page.locator("input[name=name]").fill("admin")
    page.locator("input[name=password]").fill(GOOD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#sentence").wait_for()
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_every_page_fits_is_read_by_everybody_and_asks_nobody_else(
    served: Served, browser: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Sizes and colours hardly meet: the other two pairs are looked at for what they can break."""
    watched = Watched()
    size = {"width": width, "height": 700}
    page = opened(served, browser, viewport=size, color_scheme=scheme)
    watched.over(page, served.address)
    other: Literal["light", "dark"] = "dark" if scheme == "light" else "light"
    for address in every_page(served.box):
        page.goto(served.address + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert browsing.barriers(page) == [], f"{address}, {width} wide, {scheme}"
        page.emulate_media(color_scheme=other)
        assert page.evaluate(_PALE) == [], f"{address} in {other}"
        page.emulate_media(color_scheme=scheme)
    assert (watched.complaints, watched.strangers) == ([], [])
    page.close()


# --- a text and its recording -------------------------------------------------------------------


def text_of(box: Box, job: Job) -> list[str]:
    return [one.text.strip() for one in revise.opened(box.ledger, job.id).transcripts[0].segments]


def tab_to(page: Page, what: str) -> None:
    """Press Tab until this has the focus; fail where no Tab leads."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("what => document.activeElement.matches(what)", what):
            return
    raise AssertionError(f"no Tab leads to {what}")


def test_words_light_up_as_they_are_heard_and_a_click_is_heard(
    served: Served, browser: Browser
) -> None:
    job = recorded(served.box)
    watched = Watched()
    page = opened(served, browser)
    watched.over(page, served.address)
    page.goto(f"{served.address}/jobs/{job.id}?t=1.6#s1")
    browsing.until(page, "!player.paused && player.currentTime > 1.6")
    page.locator(".now", has_text="Anna").wait_for()
    assert page.locator("#s1.heard").count() == 1
    page.locator("#s0 [data-t]", has_text="morning").click()
    page.locator(".now", has_text="morning").wait_for()
    page.select_option("#speed", "2")
    assert page.evaluate("player.playbackRate") == 2
    page.locator("#s2 a.clock").click()
    browsing.until(page, "player.currentTime >= 4.5")
    assert (watched.complaints, watched.strangers) == ([], [])
    page.close()


def test_a_text_is_heard_and_corrected_by_keyboard_alone_while_it_plays_on(
    served: Served, browser: Browser
) -> None:
    job = recorded(served.box)
    page = opened(served, browser)
    page.goto(f"{served.address}/jobs/{job.id}")
    tab_to(page, "#s1 a.clock")
    page.keyboard.press("Enter")
    browsing.until(page, "!player.paused && player.currentTime > 1.5")
    tab_to(page, "#s1 a.edit")
    page.keyboard.press("Enter")
    page.locator("#edited").wait_for()
    assert page.evaluate("document.activeElement.id") == "edited"
    page.keyboard.press("Alt+K")
    assert page.evaluate("player.paused")
    page.keyboard.press("Escape")
    page.locator("#edited").wait_for(state="detached")
    assert page.evaluate("document.activeElement.matches('#s1 a.edit')"), "where one was"
    page.keyboard.press("Alt+K")
    page.keyboard.press("Enter")
    page.locator("#edited").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("Anna Schönhausen has the floor.")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Saved. The files").wait_for()
    assert text_of(served.box, job)[1] == "Anna Schönhausen has the floor."
    assert page.evaluate("player.currentTime") > 1.5, "the page was left"
    tab_to(page, ".history button")
    page.keyboard.press("Enter")
    page.get_by_text("Undone.").wait_for()
    assert text_of(served.box, job) == list(LINES)
    tab_to(page, "#text .tools a[href*=review]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review?*")
    tab_to(page, ".doubts button")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing here is doubtful any more").wait_for()
    page.close()


def test_what_has_the_focus_is_never_behind_the_player(served: Served, browser: Browser) -> None:
    job = recorded(served.box, times=8)
    page = opened(served, browser, viewport={"width": 700, "height": 420})
    page.goto(f"{served.address}/jobs/{job.id}")
    page.locator("#s20 a.edit").focus()
    for way in ("Shift+Tab", "Tab"):
        for _ in range(24):
            page.keyboard.press(way)
            assert page.evaluate(_SEEN), page.evaluate("document.activeElement.outerHTML")
    page.close()


def test_a_long_text_turns_its_page_when_it_is_heard_beyond(
    served: Served, browser: Browser
) -> None:
    job = recorded(served.box, times=70, pace=0.01)
    page = opened(served, browser)
    page.goto(f"{served.address}/jobs/{job.id}")
    assert page.locator("#s199").count() == 1
    page.locator("#s190 a.clock").click()
    page.locator("#s200").wait_for()
    page.locator(".now").wait_for()
    page.close()


def test_a_text_is_corrected_without_javascript(served: Served, browser: Browser) -> None:
    job = recorded(served.box)
    page = opened(served, browser, java_script_enabled=False)
    page.goto(f"{served.address}/jobs/{job.id}")
    page.locator("#s1 a.clock").click()
    assert page.locator("#player").get_attribute("src") == f"/jobs/{job.id}/media#t=1.50"
    page.locator("#s1 a.edit").click()
    page.locator("#edited").fill("Anna has\nthe floor.")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_text("Saved. The files").count() == 1
    assert text_of(served.box, job)[1:3] == ["Anna has", "the floor."]
    page.get_by_role("link", name="Replace everywhere").click()
    page.get_by_label("The text says").fill("anna")
    page.get_by_label("It shall say").fill("Eve")
    page.get_by_role("button", name="Show where").click()
    page.get_by_role("button", name="Replace all 2").click()
    assert text_of(served.box, job)[3] == "Thank you, Eve."
    page.close()


def test_what_was_typed_stays_when_the_session_has_ended(served: Served, browser: Browser) -> None:
    job = recorded(served.box)
    page = opened(served, browser)
    page.goto(f"{served.address}/jobs/{job.id}?edit=1")
    page.locator("#edited").fill("Half an hour of work.")
    with served.box.ledger.writing() as ledger:
        ledger.execute("DELETE FROM session")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Nothing was saved yet.").wait_for()
    assert page.locator("#edited").input_value() == "Half an hour of work."
    assert text_of(served.box, job) == list(LINES)
    page.close()


def test_jobs_are_ticked_and_moved_together(served: Served, browser: Browser) -> None:
    names = [served.box.add(b"%d.mp3" % n).id for n in range(3)]
    page = opened(served, browser)
    page.goto(f"{served.address}/jobs?state=queued")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped: 3 of 3.").wait_for()
    assert {jobs.must(served.box.ledger, number).state for number in names} == {"cancelled"}
    page.close()


# --- as before ----------------------------------------------------------------------------------


def test_the_keyboard_reaches_the_content_first(served: Served, browser: Browser) -> None:
    page = opened(served, browser)
    page.goto(served.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.close()


def test_without_javascript_the_page_is_whole(served: Served, browser: Browser) -> None:
    served.box.every_state()
    page = opened(served, browser, java_script_enabled=False)
    page.goto(served.address)
    assert page.locator(".work .percent").inner_text() == "24 %"
    assert "UTC" in page.locator("#recent ~ ul time").first.inner_text()
    page.close()


# Whether the middle of what has the focus is seen, and nothing lies over it.
_SEEN = """() => {
  const at = document.activeElement.getBoundingClientRect();
  const top = document.elementFromPoint((at.left + at.right) / 2, (at.top + at.bottom) / 2);
  return document.activeElement === top || document.activeElement.contains(top);
}"""

# Texts whose contrast with what lies behind them is below WCAG's 4.5 (AA).
_PALE = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const pale = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.add(`${element.className || element.tagName} ${contrast.toFixed(2)}`);
  }
  return [...pale];
}"""
