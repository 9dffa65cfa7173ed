"""What stands above the text of a page: its title, and a few facts about the recording.

Nothing that differs from one rendering to the next, so no date of today.

Not here: the warnings (notes), how a page writes a heading (docx, md).
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.export.clock import clock
from appliance.export.text import one_line
from appliance.export.units import LATEST
from appliance.nouns import Transcript

RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "sd", "ur", "yi"})


def title(transcript: Transcript) -> str:
    """Name the page after the recording."""
    return one_line(transcript.provenance.source_name) or "Transcript"


def facts(transcript: Transcript) -> Iterator[tuple[str, str]]:
    """Name and value of each fact a reader may ask for."""
    language = one_line(transcript.language)
    if transcript.task == "translate":
        yield "Language", f"{one_line(transcript.text_language)}, translated from {language}"
    else:
        yield "Language", language
    if 0 <= transcript.duration < LATEST:
        yield "Duration", clock(round(transcript.duration))
    yield "Model", one_line(transcript.model)


def reads_from_right(transcript: Transcript) -> bool:
    """Tell whether the text is written from right to left."""
    return transcript.text_language in RIGHT_TO_LEFT
