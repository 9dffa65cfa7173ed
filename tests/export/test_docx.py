"""Word documents, read back by python-docx."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import docx

from appliance.export.cues import RULES
from appliance.export.docx import render
from appliance.nouns import Transcript
from tests.export import speech

if TYPE_CHECKING:
    from docx.document import Document

STANDARD = RULES["standard"]


def opened(transcript: Transcript) -> Document:
    return docx.Document(io.BytesIO(render(transcript, STANDARD)))


def test_the_page_has_a_title_facts_warnings_and_stamped_paragraphs() -> None:
    made = speech.transcript(
        speech.segment(" Good morning.", 0, 1), speech.segment(" Bye.", 3725, 3726),
        warnings=["warning.selftest-model"],
    )  # fmt: skip
    page = opened(made)
    texts = [paragraph.text for paragraph in page.paragraphs if paragraph.text]
    assert texts[0] == "talk.mp4"
    assert "This is not a real transcript." in texts[1]
    assert texts[2:] == ["[00:00:00] Good morning.", "[01:02:05] Bye."]
    assert [[cell.text for cell in row.cells] for row in page.tables[0].rows] == [
        ["Language", "en"], ["Duration", "01:02:07"], ["Model", "large-v3"],
    ]  # fmt: skip


def test_a_translation_says_what_it_was_translated_from() -> None:
    page = opened(speech.transcript(speech.segment(" yes"), language="de", task="translate"))
    assert page.tables[0].rows[0].cells[1].text == "en, translated from de"


def test_nothing_in_it_depends_on_the_day() -> None:
    content = render(speech.spoken("Hello"), STANDARD)
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert parts.testzip() is None
    about = docx.Document(io.BytesIO(content)).core_properties
    assert (about.created, about.modified) == (about.modified, about.created)
    assert about.created is not None
    assert about.created.year == 2000


def test_hostile_text_is_text() -> None:
    page = opened(speech.transcript(speech.segment(speech.HOSTILE), name=speech.HOSTILE))
    assert "<script>alert(1)</script> &amp; <b>bold</b>" in page.paragraphs[-1].text


def test_arabic_is_set_from_right_to_left() -> None:
    page = opened(speech.transcript(speech.segment(" نعم"), language="ar"))
    paragraph = page.paragraphs[-1]
    assert "<w:bidi/>" in paragraph._p.xml  # the library has no name for it
    assert paragraph.runs[-1].font.rtl
