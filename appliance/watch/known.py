"""The files of a share that we have dealt with, in eight bytes each.

A million recordings in a share cost eight megabytes here and no object in memory: what
is kept is a hash of path, size and mtime, and the paths are in the ledger.

Not here: finding files (scan), what to do with a new one (finds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]


def key_of(path: bytes, size: int, mtime_ns: int) -> int:
    """The eight bytes that stand for a file as it looked."""
    text = b"%d %d %b" % (size, mtime_ns, path)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


class Known:
    """A set of keys that remembers which of them a scan has met."""

    def __init__(self, keys: Iterable[int] = ()) -> None:
        self._keys: Keys = np.unique(np.fromiter(keys, dtype=np.int64))
        self._met = np.zeros(len(self._keys), dtype=np.bool_)
        self._new: set[int] = set()
        self._dropped: set[int] = set()

    def __len__(self) -> int:
        return len(self._keys) + len(self._new) - len(self._dropped)

    def __contains__(self, key: int) -> bool:
        return bool(self.meets([key])[0])

    def add(self, key: int) -> None:
        """This file is dealt with."""
        self._dropped.discard(key)
        self._new.add(key)
        if len(self._new) > 10_000:
            self._merge()

    def drop(self, key: int) -> None:
        """This file is new again when it comes."""
        self._new.discard(key)
        at = int(np.searchsorted(self._keys, key))
        if at < len(self._keys) and self._keys[at] == key:
            self._dropped.add(key)

    def meets(self, keys: Sequence[int]) -> list[bool]:
        """Tell which of these are known, and remember that a scan has met them."""
        if len(self._keys):
            asked = np.array(keys, dtype=np.int64)
            at = np.searchsorted(self._keys, asked)
            at[at == len(self._keys)] = 0
            hit = self._keys[at] == asked
            self._met[at[hit]] = True
            old = hit.tolist()
        else:
            old = [False] * len(keys)
        return [
            (was and key not in self._dropped) or key in self._new
            for was, key in zip(old, keys, strict=True)
        ]

    def begin(self) -> None:
        """A full scan begins: nothing has been met yet."""
        self._merge()
        self._met[:] = False

    def unmet(self) -> Keys:
        """The keys that the scan has not met, sorted: gone, changed, or out of its sight."""
        unmet: Keys = self._keys[~self._met]
        if self._dropped:
            unmet = np.setdiff1d(unmet, np.fromiter(self._dropped, dtype=np.int64))
        return unmet

    def _merge(self) -> None:
        """Put what was added and dropped since into the array; the added count as met."""
        keep = np.ones(len(self._keys), dtype=np.bool_)
        if self._dropped:
            keep = ~np.isin(self._keys, np.fromiter(self._dropped, dtype=np.int64))
        new = np.fromiter(self._new, dtype=np.int64)
        keys = np.concatenate([self._keys[keep], new])
        met = np.concatenate([self._met[keep], np.ones(len(new), dtype=np.bool_)])
        self._keys, first = np.unique(keys, return_index=True)
        self._met = met[first]
        self._new, self._dropped = set(), set()


def within(keys: Keys, key: int) -> bool:
    """Tell whether a sorted array of keys holds this one."""
    at = int(np.searchsorted(keys, key))
    return at < len(keys) and int(keys[at]) == key
