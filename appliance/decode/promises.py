"""How long a file says it is, and when to believe it.

Not here: how long it turned out to be (sound).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer

# Formats that write their duration down; the others' is guessed from the bit rate.
_WRITTEN_DOWN: Final = frozenset(
    "aiff ape asf au avi caf dsf flac flv matroska mov mp3 mp4 m4a mxf ogg rm tta w64 wav webm wv".split()  # noqa: E501, SIM905 - a list of words
)
_ROOM: Final = 1.02  # how much more than its bytes can hold a file may promise
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_UNKNOWN: Final = 0x7FFF_0000  # from here on a recorder did not know how long it would run


@dataclass(frozen=True, slots=True)
class Promise:
    """Seconds that a file must hold, or something is missing."""

    seconds: float
    exact: bool  # of our track itself; else of the whole film, which may go on without sound


def declared(container: InputContainer, track: AudioStream) -> float | None:
    """What the file, or a guess from its bit rate, says about its length."""
    if track.duration is not None and track.time_base is not None:
        seconds = float(track.duration * track.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    else:
        return None
    return seconds if seconds > 0 else None


def believed(
    container: InputContainer, track: AudioStream, *, guessed: bool, size: int
) -> float | None:
    """The declared seconds if that is no guess and the file has room for them."""
    seconds, context = declared(container, track), track.codec_context
    plain = context.name.startswith("pcm_")  # its bit rate never lies, and a guess from it is none
    if (guessed and not plain) or seconds is None or not formats(container) & _WRITTEN_DOWN:
        return None
    if plain and context.bit_rate:
        room = size * 8 / context.bit_rate
        return None if seconds > room * _ROOM + 1 else seconds
    return seconds


def promise(
    container: InputContainer, track: AudioStream, *, guessed: bool, head: bytes, start: float
) -> Promise | None:
    """What the file must hold; `start` is how much of a film passes before its sound begins."""
    # Of these two libav takes the end of the file for the end of the sound.
    if "sox" in formats(container) or _is_plain_wav(container, track):
        seconds = sox_seconds(head) or riff_seconds(head)
        return None if seconds is None else Promise(seconds, exact=True)
    if "asf" in formats(container):  # of one cut short, libav declares something in between
        seconds = asf_seconds(head)
        return None if seconds is None else Promise(seconds - start, exact=False)
    if "mov" in formats(container) and (seconds := fragments_seconds(head)) is not None:
        return Promise(seconds - start, exact=False)
    seconds = None if guessed else declared(container, track)
    if seconds is None or not formats(container) & _WRITTEN_DOWN:
        return None
    exact = track.duration is not None
    return Promise(seconds if exact else seconds - start, exact=exact)


def formats(container: InputContainer) -> frozenset[str]:
    """The container's names: libav calls one format by several."""
    return frozenset(container.format.name.split(","))


def _is_plain_wav(container: InputContainer, track: AudioStream) -> bool:
    """In a WAV of another codec the number of samples is written down as well."""
    return "wav" in formats(container) and track.codec_context.name.startswith("pcm_")


def asf_seconds(head: bytes) -> float | None:
    """How long the file properties of an ASF say it is; None for one that was broadcast.

    Advanced Systems Format, section 3.2.
    """
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return None
    length, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    seconds = float(length / 1e7 - preroll / 1e3)  # 100 ns, and ms
    return seconds if seconds > 0 and not flags & 1 else None


def fragments_seconds(head: bytes) -> float | None:
    """How long a film of fragments says that it is with all of them (ISO/IEC 14496-12, 8.8.2)."""
    film, extends = head.find(b"mvhd"), head.find(b"mehd")
    if not 0 < film < extends or len(head) < extends + 16:
        return None
    scale = struct.unpack_from(">I", head, film + (24 if head[film + 4] else 16))[0]
    units = struct.unpack_from(">Q" if head[extends + 4] else ">I", head, extends + 8)[0]
    return float(units / scale) if units and scale else None


def sox_seconds(head: bytes) -> float | None:
    """How long the header of SoX's own format says it is."""
    order = {b".SoX": "<", b"XoS.": ">"}.get(head[:4])
    if order is None or len(head) < 28:
        return None
    samples, rate, channels = struct.unpack_from(f"{order}QdI", head, 8)
    return samples / rate / channels if samples and rate > 0 and channels else None


def riff_seconds(head: bytes) -> float | None:
    """How long a WAV's own header says it is; None when its recorder could not know."""
    at, rate, long_size = 12, 0, None
    while head[8:12] == b"WAVE" and at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        body = head[at + 8 : at + 8 + 16]
        if kind == b"fmt " and len(body) == 16:
            rate = struct.unpack_from("<I", body, 8)[0]
        elif kind == b"ds64" and len(body) == 16:
            long_size = struct.unpack_from("<Q", body, 8)[0]
        elif kind == b"data":
            known = long_size or (size if size < _UNKNOWN else 0)
            return known / rate if known and rate else None
        at += 8 + size + size % 2
    return None
