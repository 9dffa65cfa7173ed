"""SubRip: the subtitles every player reads.

Not here: which words make a cue (cues), notes that players must show (notes).
"""

from __future__ import annotations

from appliance.export.clock import stamp
from appliance.export.cues import Cue, Rules
from appliance.export.notes import subtitles
from appliance.nouns import Transcript


def render(transcript: Transcript, rules: Rules) -> bytes:
    """Write numbered cues in UTF-8 without a byte order mark, lines ending in LF."""
    cues = enumerate(subtitles(transcript, rules), start=1)
    return "\n".join(_cue(number, cue) for number, cue in cues).encode()


def _cue(number: int, cue: Cue) -> str:
    times = f"{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}"
    return "\n".join((str(number), times, *map(_line, cue.lines), ""))


def _line(line: str) -> str:
    """SubRip knows no escapes. An arrow alone could pass for a line of times."""
    return line.replace("-->", "→")
