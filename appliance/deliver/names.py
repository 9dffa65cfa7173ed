"""What an export is called: after its recording, within what the file system can hold.

Names are bytes, as the kernel spells them; nothing here touches a disk.

Not here: whether a name is free or holds something of ours (deliver).
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from appliance.nouns import EXTENSIONS

LAST_NUMBER: Final = 99  # "talk (99).srt"
LONGEST: Final = 255  # bytes of a name, on nearly every file system
_HASH_DIGITS: Final = 6


def stem(name: bytes) -> bytes:
    """The name without its last suffix: `talk` of `talk.mp4`."""
    return os.path.splitext(name)[0]


def is_recording(name: bytes) -> bool:
    """Tell whether the last suffix is one that recordings have."""
    suffix = os.path.splitext(name)[1]
    return suffix[1:].decode("ascii", "replace").lower() in EXTENSIONS


def twins(name: bytes, neighbours: Iterable[bytes]) -> Iterator[bytes]:
    """Other recordings with the same stem, as people read it: `Talk.MP3` beside `talk.mp4`."""
    mine = _as_read(stem(name))
    for other in neighbours:
        if other != name and is_recording(other) and _as_read(stem(other)) == mine:
            yield other


def _as_read(stem_: bytes) -> str:
    text = unicodedata.normalize("NFC", stem_.decode("utf-8", "surrogateescape"))
    return unicodedata.normalize("NFC", text.casefold())


def choices(base: bytes, suffix: bytes, *, recording: bytes, longest: int) -> Iterator[bytes]:
    """Names for one export, best first: `talk.srt`, `talk (2).srt` … `talk (99).srt`.

    A name of more than `longest` bytes is cut and marked with a hash of the whole
    `recording`, so that two long names that differ at their end stay two. Yields
    nothing where not even that fits.
    """
    for number in range(1, LAST_NUMBER + 1):
        tail = suffix if number == 1 else b" (%d)%s" % (number, suffix)
        if len(base) + len(tail) <= longest:
            yield base + tail
            continue
        mark = b"~" + hashlib.sha256(recording).hexdigest()[:_HASH_DIGITS].encode()
        room = longest - len(mark) - len(tail)
        if room > 0:
            yield _cut(base, room) + mark + tail


def _cut(name: bytes, room: int) -> bytes:
    """Keep at most `room` bytes, and no half character."""
    end = room
    while end > max(0, room - 3) and name[end] & 0xC0 == 0x80:
        end -= 1
    return name[:end]
