"""Recordings of a few kilobytes whose content says what they do to whoever works on them.

A second of noise as WAV, so that every part of the product takes it for one; behind the
samples a chunk that names its kind. `decoder` and `engine` of this package obey it.

Not here: putting them into a share (box).
"""

from __future__ import annotations

import enum
import hashlib
import os
import random
import struct
from dataclasses import dataclass
from typing import Final

from appliance.states import State

_RATE: Final = 8_000
_SECONDS: Final = 0.25
_CHUNK: Final = b"kind"


class Kind(enum.Enum):
    """What a recording does."""

    GOOD = "good"
    SLOW = "slow"  # takes some seconds, all of them with its decode child
    POISON = "poison"  # kills its decode child, every time
    FALLS_ONCE = "falls-once"  # kills its decode child, the first time only
    STUMBLES = "stumbles"  # the engine has no memory for it, the first time only
    MUTE = "mute"  # holds no audio track: nobody's fault, for good

    @property
    def ends(self) -> State:
        """What its job must become."""
        return State.FAILED if self in (Kind.POISON, Kind.MUTE) else State.DONE


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that was put into a share, as it must still be at the end."""

    share: str
    path: bytes  # below the share's root
    sha256: str
    size: int
    mtime_ns: int
    mode: int
    ends: State  # what its job must become

    @classmethod
    def at(cls, share: str, root: str, path: bytes, ends: State) -> Dropped:
        """Write down a file as it lies there now."""
        full = os.path.join(os.fsencode(root), path)
        with open(full, "rb") as stream:
            content = stream.read()
        seen = os.stat(full)
        digest = hashlib.sha256(content).hexdigest()
        return cls(share, path, digest, seen.st_size, seen.st_mtime_ns, seen.st_mode, ends)


def wav(kind: Kind, chance: random.Random) -> bytes:
    """Make a recording of this kind that no other one equals."""
    samples = chance.randbytes(int(_RATE * _SECONDS) * 2)
    told = kind.value.encode().ljust(16)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    body = form + struct.pack("<4sI", b"data", len(samples)) + samples
    body += struct.pack("<4sI", _CHUNK, len(told)) + told
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def kind_of(content: bytes) -> Kind:
    """Read what a recording does."""
    _, chunk, told = content.rpartition(_CHUNK)
    return Kind(told[4:].strip().decode()) if chunk else Kind.GOOD
