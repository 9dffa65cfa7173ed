"""Word documents. The only door to python-docx.

Not here: where a paragraph ends (paragraphs), what stands on top of a page (cover).
"""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Final

import docx
from docx.oxml import OxmlElement

from appliance.export.clock import clock
from appliance.export.cover import facts, reads_from_right, title
from appliance.export.cues import Rules
from appliance.export.notes import notes
from appliance.export.paragraphs import paragraphs
from appliance.export.text import one_line
from appliance.nouns import Transcript

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

# The format knows no zones, and a date of today would change the bytes.
_TIMELESS: Final = datetime(2000, 1, 1)  # noqa: DTZ001
_ZIP_TIMELESS: Final = (1980, 1, 1, 0, 0, 0)


def render(transcript: Transcript, _rules: Rules) -> bytes:
    """Write a heading, a table of facts, warnings, and paragraphs with [hh:mm:ss] stamps."""
    page = docx.Document()
    _sign(page, transcript)
    page.add_heading(title(transcript), level=1)
    _tabulate(page, transcript)
    for note in notes(transcript):
        run = page.add_paragraph().add_run(note.message)
        run.bold = True
    mirrored = reads_from_right(transcript)
    for paragraph in paragraphs(transcript):
        line = page.add_paragraph()
        line.add_run(f"[{clock(paragraph.start)}] ").italic = True
        line.add_run(paragraph.text)
        if mirrored:
            _mirror(line)
    return _packed(page)


def _sign(page: Document, transcript: Transcript) -> None:
    about = page.core_properties
    about.author = about.last_modified_by = "transcription appliance"
    about.title = title(transcript)[:255]  # the most a property holds
    about.comments = ""
    about.language = one_line(transcript.text_language)[:255]
    about.created = about.modified = _TIMELESS


def _tabulate(page: Document, transcript: Transcript) -> None:
    table = page.add_table(rows=0, cols=2)
    for name, value in facts(transcript):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = name, value
    page.add_paragraph()


def _mirror(line: Paragraph) -> None:
    line.paragraph_format.element.get_or_add_pPr().append(OxmlElement("w:bidi"))
    for run in line.runs:
        run.font.rtl = True


def _packed(page: Document) -> bytes:
    """Zip the document again without the time of day, so that equal pages are equal bytes."""
    saved, packed = io.BytesIO(), io.BytesIO()
    page.save(saved)
    with zipfile.ZipFile(saved) as parts, zipfile.ZipFile(packed, "w") as timeless:
        for name in parts.namelist():
            entry = zipfile.ZipInfo(name, _ZIP_TIMELESS)
            timeless.writestr(entry, parts.read(name), zipfile.ZIP_DEFLATED, compresslevel=6)
    return packed.getvalue()
