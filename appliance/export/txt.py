"""Plain text: what was said, in paragraphs, and nothing else.

Not here: where a paragraph ends (paragraphs).
"""

from __future__ import annotations

from appliance.export.cues import Rules
from appliance.export.notes import notes
from appliance.export.paragraphs import paragraphs
from appliance.nouns import Transcript


def render(transcript: Transcript, _rules: Rules) -> bytes:
    """Write one paragraph per line, an empty line between two; warnings in brackets on top."""
    warnings = [f"[{note.message}]" for note in notes(transcript)]
    texts = [paragraph.text for paragraph in paragraphs(transcript)]
    return ("\n\n".join([*warnings, *texts]) + "\n").encode() if warnings or texts else b""
