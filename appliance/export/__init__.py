"""The formats a transcript is written in, one file per format, and their table.

Every exporter is a pure function: the same transcript and rules make the same bytes.

Not here: putting the bytes beside the recording (deliver).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from appliance.export import docx, json, md, srt, txt, vtt
from appliance.export.cues import Rules, rules_for
from appliance.nouns import Export, Options, Transcript

Exporter = Callable[[Transcript, Rules], bytes]

EXPORTERS: Final[Mapping[str, Exporter]] = {
    "txt": txt.render,
    "srt": srt.render,
    "vtt": vtt.render,
    "json": json.render,
    "docx": docx.render,
    "md": md.render,
}

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "md": "text/markdown; charset=utf-8",
}

_SUBTITLES: Final = frozenset({"srt", "vtt"})


def render_all(transcript: Transcript, options: Options) -> tuple[Export, ...]:
    """Render every format that was asked for, in the order it was asked for."""
    rules = rules_for(transcript, options.subtitle_rules)
    return tuple(
        Export(name, suffix(transcript, name, options), EXPORTERS[name](transcript, rules))
        for name in options.formats
    )


def suffix(transcript: Transcript, name: str, options: Options) -> str:
    """Say what follows the recording's stem: ".srt", or ".en.srt" where a language is named.

    When both transcripts were asked for, their names differ whatever the options say.
    """
    translated = transcript.task == "translate"
    always = options.language_suffix == "always" and name in _SUBTITLES
    both = options.task == "both" and translated
    if both and always and transcript.language == transcript.text_language:
        return f".translated.{transcript.text_language}.{name}"
    if always or both or (translated and options.language_suffix != "never"):
        return f".{transcript.text_language}.{name}"
    return f".{name}"
