"""The ring the sound lies in: written by the child, read by the engine, never by the worker.

Not here: which slot is whose (decode.talk, transcribe.tally).
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from typing import Final

from appliance.nouns import MEL_FRAMES

MAX_MELS: Final = 128
SLOT_BYTES: Final = MAX_MELS * MEL_FRAMES * 4  # float32


class Ring:
    """A memfd of `slots` windows of log-mel; pages never written cost nothing."""

    def __init__(self, fd: int, slots: int) -> None:
        """Take over `fd`. Raises ValueError when it is smaller than it says, OSError as mmap."""
        try:
            if not 0 < slots <= 4096 or os.fstat(fd).st_size < slots * SLOT_BYTES:
                raise ValueError(f"a ring without room for {slots} slots")
            self._map = mmap.mmap(fd, slots * SLOT_BYTES)
        except (OSError, ValueError):
            os.close(fd)
            raise
        self.fd = fd
        self.slots = slots

    @classmethod
    def create(cls, slots: int) -> Ring:
        """Make an empty ring whose size nobody can change any more. Raises OSError."""
        fd = os.memfd_create("ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, slots * SLOT_BYTES)
            _seal(fd)
        except OSError:
            os.close(fd)
            raise
        return cls(fd, slots)

    def slot(self, number: int) -> memoryview:
        """The bytes of one slot. Raises ValueError for a slot that is not there."""
        if not 0 <= number < self.slots:
            raise ValueError(f"slot {number} of {self.slots}")
        return memoryview(self._map)[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]

    def rest(self, number: int) -> None:
        """Stop counting a slot as memory of this process; what lies in it stays."""
        with contextlib.suppress(ValueError):  # the talk is over, the map is closed
            self._map.madvise(mmap.MADV_DONTNEED, number * SLOT_BYTES, SLOT_BYTES)

    def close(self) -> None:
        """Let go of the memory; views still held keep the map, not the descriptor."""
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self.fd)


def _seal(fd: int) -> None:
    """Forbid shrinking: a reader of a map that was cut short would die of SIGBUS."""
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
