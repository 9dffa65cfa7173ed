"""Does a file end where its recorder would have ended it? Told by its last bytes.

An upload that broke off leaves a file cut short, or one of full size whose rest is zeros
(Explorer sets the size first). Formats that write their length down say what is missing
(promises); the others are looked at here.

Not here: how many seconds are missing (promises, sound).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Protocol

from appliance.decode.reading import syncsafe

_BLOCK: Final = 1 << 20
LOOKED_AT: Final = 1 << 30  # bytes: more zeros than this are not counted
_TAIL: Final = 128 << 10  # bytes: two pages of Ogg
_BLANK: Final = 64 << 10  # bytes of zeros at the end that no recorder leaves
_BLANK_LEAST: Final = 2_048
_ADTS: Final = 7  # bytes of a frame's header
TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # may lie between and behind frames
_OGG_LAST_PAGE: Final = 0x04
_MOST_BOXES: Final = 100_000
_MOST_BYTES: Final = 1 << 62  # from here on a size was not known
_SIDX: Final = 1 << 20  # bytes: an index has at most 65,535 entries of 12
_W64_DATA: Final = b"data\xf3\xac\xd3\x11"
_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp"})

_KBPS: Final = {  # by layer; 4 and 5 are layer 1, and the others, at half the rates
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    4: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    5: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_AC3_KBPS: Final = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160),
    *(192, 224, 256, 320, 384, 448, 512, 576, 640),
)


class Readable(Protocol):
    """A file to look into at any place (reading.Bytes)."""

    @property
    def size(self) -> int:
        """Bytes it has."""

    def look(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on."""


def zeros(data: Readable, size: int | None = None) -> int:
    """Count the zero bytes at the end, or before byte `size`, as far as somebody looks."""
    end = size = data.size if size is None else size
    while end > 0 and size - end < LOOKED_AT:
        block = data.look(max(0, end - _BLOCK), min(_BLOCK, end))
        kept = len(block.rstrip(b"\0"))
        if kept:
            return size - end + len(block) - kept
        end -= len(block) or end
    return size - end


def is_blank(count: int, size: int) -> bool:
    """Tell whether `count` zeros at the end of `size` bytes are more than a recorder leaves."""
    return count >= max(_BLANK_LEAST, min(_BLANK, size // 50))


def is_half(data: Readable) -> bool:
    """Tell whether a file that does not open is the beginning of one that might."""
    return _boxes(data) or is_blank(zeros(data), data.size)


def breaks_off(names: frozenset[str], data: Readable) -> bool:
    """Tell whether a container of one of `names` lacks its end. False where none can be told."""
    return any(tell(data) for name, tell in _ENDS.items() if name in names)


def has_hole(data: Readable) -> bool:
    """Tell whether something lies between frames of ADTS that is no tag; libav passes over it."""
    at = 0
    while at + _ADTS <= data.size:
        head = data.look(at, 16)
        if (length := frame_bytes("aac", head) or _tag_bytes(head)) is None:
            return True
        at += max(length, _ADTS)
    return False


def _tag_bytes(head: bytes) -> int | None:
    """How long a tag that begins with `head` is; None for no tag. Those of words end a file."""
    if head.startswith(b"ID3"):
        return 10 + syncsafe(head[6:10])
    if head.startswith(b"APETAGEX"):
        return 32 + int.from_bytes(head[12:16], "little")
    return {b"TAG": 128, b"LYR": LOOKED_AT}.get(head[:3])


def frame_bytes(codec: str, head: bytes) -> int | None:
    """How long a frame of sound that begins with `head` must be; None for no such frame."""
    if len(head) < 6:
        return None
    if codec.startswith(("mp1", "mp2", "mp3")):
        return _mpeg_frame(int.from_bytes(head[:4], "big"))
    if codec == "aac" and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # ISO/IEC 13818-7, 6.2
        return (int.from_bytes(head[3:6], "big") & 0x3_FFE0) >> 5
    if head[:2] != b"\x0b\x77":
        return None
    if codec == "eac3":
        return 2 * (int.from_bytes(head[2:4], "big") & 0x7FF) + 2
    return _ac3_frame(head[4]) if codec == "ac3" else None


def _mpeg_frame(header: int) -> int | None:
    """ISO/IEC 11172-3, 2.4.2.3, and its extension to lower rates in 13818-3."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    kbps_at, rate_at = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or kbps_at in (0, 15) or rate_at == 3:
        return None
    rate = (44_100, 48_000, 32_000)[rate_at] >> {3: 0, 2: 1, 0: 2}[version]
    kbps = _KBPS[layer if version == 3 else 4 if layer == 1 else 5][kbps_at - 1]
    padding = header >> 9 & 1
    if layer == 1:
        return (12_000 * kbps // rate + padding) * 4
    return (72_000 if layer == 3 and version != 3 else 144_000) * kbps // rate + padding


def _ac3_frame(code: int) -> int | None:
    """ETSI TS 102 366, table 4.13."""
    rate_at, size_at = code >> 6, code & 63
    if rate_at == 3 or size_at // 2 >= len(_AC3_KBPS):
        return None
    kbps = _AC3_KBPS[size_at // 2]
    return 2 * (2 * kbps, 320 * kbps // 147 + size_at % 2, 3 * kbps)[rate_at]


def _ogg(data: Readable) -> bool:
    """The last page must say that it is the last, and be whole (RFC 3533, section 6)."""
    tail = data.look(max(0, data.size - _TAIL), _TAIL)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page.startswith(b"OggS"):
        return True
    flags, segments = page[5], page[26]
    whole = 27 + segments + sum(page[27 : 27 + segments])
    return not flags & _OGG_LAST_PAGE or len(page) < whole


def _program_stream(data: Readable) -> bool:
    """The last packet of an MPEG program stream must be there as far as its length says."""
    tail = data.look(max(0, data.size - _TAIL), _TAIL)
    at = tail.rfind(b"\0\0\1")
    while at >= 0 and at + 6 <= len(tail):
        if tail[at + 3] >= 0xBC:
            length = int.from_bytes(tail[at + 4 : at + 6], "big")
            return at + 6 + length > len(tail)
        if tail[at + 3] == 0xB9:
            return False
        at = tail.rfind(b"\0\0\1", 0, at)
    return at >= 0


def _transport_stream(data: Readable) -> bool:
    """Its packets have 188 bytes, or 192 where each has a time before it; all are whole."""
    head = data.look(0, 2 * 192)
    for size, sync in ((188, 0), (192, 4)):
        if head[sync : sync + 1] == head[sync + size : sync + size + 1] == b"\x47":
            return data.size % size != 0
    return False


def _riff(data: Readable) -> bool:
    """The first chunk of an AVI says how long it is, once its recorder has come to an end."""
    size = int.from_bytes(data.look(4, 4), "little")
    return 0 < size < 0xFFFF_0000 and 8 + size > data.size


def _caf(data: Readable) -> bool:
    """The chunk of sound must be there as far as it says; -1 for as far as the file goes."""
    at = 8
    for _ in range(_MOST_BOXES):
        kind, size = struct.unpack(">4sq", data.look(at, 12).ljust(12, b"\0"))
        if size < 0 or at + 12 >= data.size:
            return False
        at += 12 + size
        if kind == b"data":
            return bool(at > data.size)
    return False


def _wave64(data: Readable) -> bool:
    """The same in Sony's format; its sizes count their own headers and are rounded up to 8."""
    at = 40
    for _ in range(_MOST_BOXES):
        kind, size = struct.unpack("<16sQ", data.look(at, 24).ljust(24, b"\0"))
        if not 24 <= size < _MOST_BYTES:
            return False
        if kind.startswith(_W64_DATA):
            return bool(at + size > data.size)
        at += size + -size % 8
    return False


def _voc(data: Readable) -> bool:
    """Blocks, each with its length, and a zero behind the last."""
    at = int.from_bytes(data.look(20, 2), "little")
    while block := data.look(at, 4):
        if not block[0]:
            return False
        at += 4 + int.from_bytes(block[1:], "little")
    return True


def _boxes(data: Readable) -> bool:
    """The last box of an MP4 must not go on behind the end, and one of them is the index.

    In a film of fragments (ISO/IEC 14496-12, 8.8) the index promises nothing, and zeros where
    the next fragment should begin are all that tells of the rest.
    """
    at, kinds, blank = 0, list[bytes](), False
    while at + 8 <= data.size and len(kinds) < _MOST_BOXES:
        size, kind = struct.unpack(">I4s", data.look(at, 8))
        if not kinds and kind not in _BOXES:
            return False
        kinds.append(kind)
        if kind == b"sidx" and at + _segments_end(data.look(at, min(size, _SIDX))) > data.size:
            return True
        if size == 1:
            size = int.from_bytes(data.look(at + 8, 8), "big")
        if size < 8:
            blank = b"moof" in kinds and size == 0 and kind == b"\0\0\0\0"
            break  # zero: up to the end of the file; less is nonsense
        at += size
    return bool(kinds) and (blank or at > data.size or b"moov" not in kinds)


def _segments_end(box: bytes) -> int:
    """Where the segments end that an index names, counted from where it begins (8.16.3)."""
    long = box[8:9] == b"\1"
    names = 40 if long else 32
    offset = int.from_bytes(box[28:36] if long else box[24:28], "big")
    sizes = (int.from_bytes(box[at : at + 4], "big") for at in range(names, len(box) - 11, 12))
    return int.from_bytes(box[:4], "big") + offset + sum(size & 0x7FFF_FFFF for size in sizes)


_ENDS: Final[dict[str, Callable[[Readable], bool]]] = {
    "avi": _riff,
    "ogg": _ogg,
    "mpeg": _program_stream,
    "mpegts": _transport_stream,
    "mov": _boxes,
    "caf": _caf,
    "w64": _wave64,
    "voc": _voc,
}
