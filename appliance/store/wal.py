"""Did the ledger's write-ahead log lose commits that were in it?

SQLite itself says nothing: a log whose beginning is damaged counts as empty, and one that
is damaged in its middle as ending there. What a power cut leaves looks alike, but for the
last transaction only, which nobody was told about; a committed frame beyond the damage is
taken for a loss all the same, because the consequence (looking for finished work again)
costs little. The format: sqlite.org/fileformat2.html#the_write_ahead_log.

Not here: what follows from it (repair). The caller holds the ledger's lock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}  # the byte order of the checksums
_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_Sums = tuple[int, int]


def damage(file: str) -> str | None:
    """Say how the log at `file` lost commits; None for a whole one, an empty one or none."""
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return None
    if not content:
        return None
    if len(content) < _HEADER.size:
        return "its log is cut off" if any(content) else None
    magic, _version, page, _sequence, *salts, first, second = _HEADER.unpack_from(content)
    if magic not in _MAGIC:
        return "its log is no log" if any(content) else None
    begins = _sums(content[:24], (0, 0), _MAGIC[magic])
    sound = begins == (first, second)
    for commits, ours, sums in _frames(content, page, begins, _MAGIC[magic]):
        if ours != tuple(salts):
            return None  # from before the log began anew
        if sound and sums is None:
            sound = False
        if not sound and commits:
            return "its log is damaged"
    return None


def _frames(
    content: bytes, page: int, sums: _Sums | None, order: str
) -> Iterator[tuple[bool, _Sums, _Sums | None]]:
    """Each frame: whether it ends a commit, its salts, its checksum or None for a wrong one."""
    at = _HEADER.size
    while at + _FRAME.size + page <= len(content):
        _number, size, salt, other, first, second = _FRAME.unpack_from(content, at)
        if sums is not None:
            body = content[at : at + 8] + content[at + _FRAME.size : at + _FRAME.size + page]
            sums = _sums(body, sums, order)
            sums = sums if sums == (first, second) else None
        yield size > 0, (salt, other), sums
        at += _FRAME.size + page


def _sums(data: bytes, sums: _Sums, order: str) -> _Sums:
    one, two = sums
    for even, odd in struct.iter_unpack(f"{order}2I", data):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two
