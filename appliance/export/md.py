"""Markdown: a page for wikis and notebooks.

Not here: where a paragraph ends (paragraphs), what stands on top of a page (cover).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.export.clock import clock
from appliance.export.cover import facts, title
from appliance.export.cues import Rules
from appliance.export.notes import notes
from appliance.export.paragraphs import paragraphs
from appliance.nouns import Transcript

_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {mark: f"\\{mark}" for mark in "\\`*_[]~|$#"}
)


def render(transcript: Transcript, _rules: Rules) -> bytes:
    """Write a heading, facts, warnings as quotations, and stamped paragraphs; UTF-8, LF."""
    return "\n".join(f"{block}\n" for block in _blocks(transcript)).encode()


def _blocks(transcript: Transcript) -> Iterator[str]:
    yield f"# {_plain(title(transcript))}"
    yield "\n".join(f"- {name}: {_plain(value)}" for name, value in facts(transcript))
    for note in notes(transcript):
        yield f"> **Note:** {_plain(note.message)}"
    for paragraph in paragraphs(transcript):
        yield f"**{clock(paragraph.start)}** {_plain(paragraph.text)}"


def _plain(text: str) -> str:
    """Escape what Markdown or HTML would act upon; no text of ours begins a line with it."""
    return text.translate(_ESCAPES)
