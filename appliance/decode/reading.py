"""A stranger's file as libav may see it: to read and to seek in, and never a long nothing.

Where frames of sound follow each other with nothing around them, libav gathers what it reads
until the next one begins: half a gigabyte of zeros behind a recording, or in it, was half a
gigabyte of memory. Such a stretch is left out, and counted.

Not here: opening the file (media), what lies at its end (ends) and behind it (behind).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Final

HEAD: Final = 64 << 10  # bytes that tell what a file is
_RUN: Final = 4 << 20  # bytes in which a frame begins, or none does: the longest have half of it
_STEP: Final = 1 << 20
_OVERLAP: Final = 3  # bytes of a mark less one
_MOST_BLOCKS: Final = 1_000  # of facts about a FLAC

# What a frame may begin with: MPEG, ADTS, FLAC and TAK; AC-3; LOAS; DTS; TrueHD.
_FRAME: Final = re.compile(
    rb"\xff[\xa0\xe2-\xff][^\xf0-\xff]|\x0b\x77|\x56[\xe0-\xff]"
    rb"|\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\x00|\xff\x1f\x00\xe8|\xf8\x72\x6f[\xba\xbb]"
)
_AMR_FRAME: Final = re.compile(rb"[^\0]")  # a good one has its mark of quality set
_AMR: Final = b"#!AMR"
_BEGINS: Final = re.compile(rb"ID3|fLaC|tBaK|#!AMR|" + _FRAME.pattern)
BARE: Final = frozenset(
    {"aac", "ac3", "amr", "dts", "eac3", "flac", "loas", "mp3", "tak", "truehd"}
)


class Bytes:
    """The file as libav may see it: to read and to seek in, nothing else."""

    def __init__(self, fd: int, beat: Callable[[], None]) -> None:
        self._fd = fd
        self._at = 0
        self._beat = beat
        self.whole: Final = os.fstat(fd).st_size
        self.size = self.whole  # of what libav may see
        self.failure: OSError | None = None
        self.holes = 0  # stretches without a frame that were left out, and something came behind
        self._frame: re.Pattern[bytes] | None = None
        self._frames_from = self._nothing_since = 0
        if _BEGINS.match(head := self.head()):
            self.is_bare(head)

    def is_bare(self, head: bytes) -> None:
        """Leave out, from now on, long stretches in which no frame begins."""
        self._frame = _AMR_FRAME if head.startswith(_AMR) else _FRAME
        self._frames_from = _behind_tags(self)

    def end_at(self, offset: int) -> None:
        """Hide what lies behind `offset`."""
        self.size = min(self.size, offset)

    def read(self, count: int) -> bytes:
        """Read on. A failing disk is remembered, since libav takes it for a damaged file."""
        self._beat()
        try:
            data = os.pread(self._fd, max(0, min(count, self.size - self._at)), self._at)
            self._at += len(data)
            if self._frame is not None and self._at > self._frames_from:
                self._watch(data, self._frame)
        except OSError as failure:
            self.failure = failure
            raise
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere else."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._at = self._nothing_since = base + offset
        return self._at

    def tell(self) -> int:
        """Where we are."""
        return self._at

    def look(self, offset: int, count: int) -> bytes:
        """Bytes from anywhere in the file; where we are does not change."""
        return os.pread(self._fd, count, offset)

    def head(self) -> bytes:
        """The first bytes, wherever we are."""
        return self.look(0, HEAD)

    def _watch(self, data: bytes, frame: re.Pattern[bytes]) -> None:
        if frame.search(data):
            self._nothing_since = self._at
        elif self._at - self._nothing_since > _RUN:
            self._skip(frame)

    def _skip(self, frame: re.Pattern[bytes]) -> None:
        """Go to where the next frame may begin, or to the end."""
        while self._at < self.size and (block := self.look(self._at, _STEP)):
            self._beat()
            if found := frame.search(block):
                self._at += found.start()
                self.holes += 1
                break
            self._at += max(len(block) - _OVERLAP, 1)
        self._nothing_since = self._at


def _behind_tags(data: Bytes) -> int:
    """Where the frames begin: tags and pictures before them may be long, and are none."""
    at = 0
    head = data.look(at, 10)
    if head.startswith(b"ID3") and len(head) == 10:
        at += 10 + syncsafe(head[6:])
    if data.look(at, 4) != b"fLaC":
        return at
    at += 4
    for _ in range(_MOST_BLOCKS):  # RFC 9639, section 8.1
        head = data.look(at, 4)
        at += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 0x80:
            break
    return at


def syncsafe(four: Iterable[int]) -> int:
    """A number as ID3v2 spells it, without a byte that could be the beginning of a frame."""
    number = 0
    for byte in four:
        number = number << 7 | byte & 127
    return number
