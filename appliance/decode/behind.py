"""What lies behind the end of a recording, where libav hears nothing any more.

Of two recordings joined to one file the first alone is heard wherever a format says how long
it is; of a WAV of more than four gigabytes, whose length does not fit into its header, the
little that the rest of the division says. Told by how recordings begin, and of a WAV by its size.

Not here: recordings that end too early (ends, promises).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from appliance.decode.ends import LOOKED_AT, frame_bytes, zeros
from appliance.decode.reading import Bytes, syncsafe

_BLOCK: Final = 1 << 20
_OVERLAP: Final = 64  # bytes: a mark is shorter
_SEARCHED: Final = 256 << 20  # bytes: what begins later is not found
_MOST_CHUNKS: Final = 100_000
_MUCH: Final = 64 << 10  # bytes behind a WAV that nobody wonders about
_UNKNOWN: Final = 0x7FFF_0000  # from here on a recorder did not know how long it would run

# How a recording begins, so much of it that nothing else does. Each with one certain byte, and none
# with a zero: `re` steps over all others, and a stretch of zeros takes a fifteenth of the time. Of
# an MP4, which begins with its length, that is the fifth.
_RECORDING: Final = re.compile(
    rb"RIFF....(?:WAVE|AVI )|RF64....WAVE|BW64....WAVE|riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"
    rb"|FORM....AIF[FC]|caff\x00\x01\x00\x00desc|OggS\x00\x02|fLaC\x00\x00\x00\x22"
    rb"|\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1b]"
    rb"|ftyp(?<=\x00\x00\x00[\x10-\x60]ftyp)|\x1a\x45\xdf\xa3.{0,40}(?:webm|matroska)"
    rb"|FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c|\.RMF\x00\x00\x00\x12"
    rb"|#!AMR(?:-WB)?\n|Creative Voice File\x1a|TTA1\x01\x00[\x01-\x40]\x00"
    rb"|nut/multimedia container\x00"
    rb"|ID3[\x02-\x04]\x00.[\x00-\x7f]{4}",
    re.DOTALL,
)


def size(data: Bytes, heard_to: int) -> int:
    """Bytes from where another recording begins, or that a WAV says nothing of; 0 for none.

    `heard_to` is where the last sound came from.
    """
    if (begins := _second(data, heard_to, data.size)) is not None:
        return data.whole - begins
    if data.size == data.whole:
        return 0
    if (begins := _second(data, data.size, data.whole)) is not None:
        return data.whole - begins
    rest = data.whole - data.size
    is_much = rest > max(_MUCH, data.whole // 10)
    return rest if is_much and zeros(data, data.whole) < min(rest, LOOKED_AT) else 0


def own_end(data: Bytes) -> int | None:
    """Where a WAV or a CAF ends by its own account; None where it says nothing of that."""
    head = data.look(0, 12)
    if head[8:] == b"WAVE" and head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _walked(data, 12, lambda at: _riff_chunk(data, at))
    if head[:6] == b"caff\0\1":
        return _walked(data, 8, lambda at: _caf_chunk(data, at))
    return None


Chunk = tuple[bytes, int | None]  # its kind, and where it ends where that is known


def _walked(data: Bytes, at: int, chunk_at: Callable[[int], Chunk]) -> int | None:
    """Step over chunks as long as they look like some. None before the sound has ended."""
    heard = False
    for _ in range(_MOST_CHUNKS):
        kind, end = chunk_at(at)
        if not re.fullmatch(rb"[ -~]{4}", kind) or kind in (b"RIFF", b"caff"):
            break
        if kind == b"data" and end is None:
            return None
        if end is None or end > data.whole:
            break
        heard, at = heard or kind == b"data", end
    return min(at, data.whole) if heard else None


def _riff_chunk(data: Bytes, at: int) -> Chunk:
    head = data.look(at, 8)
    length = int.from_bytes(head[4:], "little")
    if head == b"data\xff\xff\xff\xff" and data.look(12, 4) == b"ds64":  # EBU Tech 3306
        length = int.from_bytes(data.look(28, 8), "little")
        return head[:4], at + 8 + length + length % 2
    known = len(head) == 8 and (head[:4] != b"data" or 0 < length < _UNKNOWN)
    return head[:4], at + 8 + length + length % 2 if known else None


def _caf_chunk(data: Bytes, at: int) -> Chunk:
    head = data.look(at, 12)
    length = int.from_bytes(head[4:], "big", signed=True)
    return head[:4], at + 12 + length if len(head) == 12 and length >= 0 else None


def _second(data: Bytes, start: int, end: int) -> int | None:
    """Where another recording begins from `start` on, before `end`, as far as somebody looks."""
    for at in range(start, min(end, start + _SEARCHED), _BLOCK):
        for found in _RECORDING.finditer(data.look(at, _BLOCK + _OVERLAP)):
            begins = at + found.start() - 4 * found.group().startswith(b"ftyp")  # its length
            if not found.group().startswith(b"ID3") or _is_mp3(data, begins):
                return begins
    return None


def _is_mp3(data: Bytes, at: int) -> bool:
    """Whether sound follows a tag; it may be one at the end."""
    begins = at + 10 + syncsafe(data.look(at + 6, 4))
    return frame_bytes("mp3", data.look(begins, 8)) is not None
