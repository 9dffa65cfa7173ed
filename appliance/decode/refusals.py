"""What a file is that is no recording, told by what lies in it and never by its name.

Not here: opening it (media).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# How text begins that names other files. Libav would follow it; we never do.
_BEGINS: Final = re.compile(
    r"#EXTM3U|#EXTINF:|ffconcat version|\[playlist\]|\[Reference\]|\[InternetShortcut\]"
    r"|<(?:MPD|SmoothStreamingMedia|smil|asx|playlist|\?wpl)\b|v=0$",
    re.IGNORECASE,
)
_CUE: Final = re.compile(r'FILE\s+"[^"]*"\s+(?:WAVE|MP3|AIFF|BINARY|FLAC)$', re.IGNORECASE)
_LINK: Final = re.compile(
    r"(?:https?|rtsp|rtmp|mms|file|ftp)://\S+$"
    r"|file\s+\S+$|#|(?:duration|inpoint|outpoint)\s+[\d.:]+$",
    re.IGNORECASE,
)
_XML: Final = re.compile(r"<\?xml[^>]*>|<!--[^>]*>|<!DOCTYPE[^>]*>", re.IGNORECASE)
_LINES: Final = 50  # a list that hides its purpose longer than this is not readable either way

_ENCRYPTED_TAGS: Final = frozenset({"enca", "drms", "aavd"})
_PROTECTION_KEYS: Final = ("asf_protection", "asf_license", "asf_key_id", "enc_key_id")


def is_playlist(head: bytes) -> bool:
    """Tell whether a file that begins with `head` points to other files."""
    stripped = (line.strip() for line in _XML.sub("", _text(head)).splitlines())
    lines = [line for line in stripped if line][:_LINES]
    if not lines or "\0" in lines[0]:
        return False
    if _BEGINS.match(lines[0]) or any(_CUE.match(line) for line in lines):
        return True
    return all(_LINK.match(line) for line in lines)


def is_protected(codec_tag: str, *metadata: Mapping[str, str]) -> bool:
    """Tell whether a track or its container is marked as encrypted."""
    if codec_tag.lower() in _ENCRYPTED_TAGS:
        return True
    return any(key.lower().startswith(_PROTECTION_KEYS) for facts in metadata for key in facts)


def _text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    return head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
