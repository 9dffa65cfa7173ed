"""What was heard of a recording, kept batch by batch for the attempt after this one.

A worker, a child or an engine that dies costs at most the batch in hand: the next attempt
reads the recording again, recognises each window that was heard, and asks the engine for
the rest. Only windows that are equal to the sample count, heard by the same weights in the
same way, or the text would depend on who died when.

In and out: rows of bytes by number; whoever made this (workloads) knows where they lie.
Not here: the rows (store.partials), which windows there are (tally).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.errors import DiskFull, LedgerBusy, NodeIO
from appliance.nouns import Options, Window
from appliance.transcribe.tally import Language, Out
from appliance.values import from_json, to_json
from appliance.wire import Heard, Welcome

log = logging.getLogger("appliance.worker")
LANGUAGE: Final = -1  # the row that holds it

Load = Callable[[str], Mapping[int, bytes]]
Save = Callable[[str, Mapping[int, bytes]], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A window and what was heard in it."""

    window: Window
    answers: tuple[Heard, ...]


class Checkpoint:
    """One attempt's memory of the attempts before it, and for those after it."""

    def __init__(self, load: Load, save: Save) -> None:
        """`load(made_by)` gives the rows kept by an equal attempt, `save` adds some."""
        self._load = load
        self._save = save
        self._made_by = ""
        self._new: dict[int, bytes] = {}
        self._kept: dict[int, Kept] = {}
        self.language: Language | None = None  # what an earlier attempt has voted

    def open(self, options: Options, source_sha256: str, welcome: Welcome) -> None:
        """Recall what was heard of this content, asked for like this, by this engine."""
        same = (source_sha256, welcome.engine, welcome.model_sha256, welcome.compute_type)
        told = to_json(options) + "\n".join(same).encode()
        self._made_by = hashlib.sha256(told).hexdigest()
        for number, row in self._load(self._made_by).items():
            try:
                plain = zlib.decompress(row)
                if number == LANGUAGE:
                    self.language = from_json(Language, plain)
                else:
                    self._kept[number] = from_json(Kept, plain)
            except (ValueError, zlib.error) as damaged:
                log.warning("a window that was kept cannot be read: %s", damaged)

    @property
    def count(self) -> int:
        """How many windows are recalled."""
        return len(self._kept)

    def recall(self, window: Window) -> tuple[Heard, ...] | None:
        """What was heard in this very window, if it was."""
        kept = self._kept.pop(window.index, None)
        return kept.answers if kept and kept.window == window else None

    def speak(self, language: Language) -> None:
        """Keep what the windows have voted."""
        self._new[LANGUAGE] = _packed(to_json(language))

    def add(self, settled: Iterable[Out]) -> None:
        """Keep windows that are settled."""
        for out in settled:
            kept = Kept(out.window, tuple(out.answers.values()))
            self._new[out.window.index] = _packed(to_json(kept))

    def flush(self) -> None:
        """Write down what is new. A ledger that takes nothing now is asked again later."""
        if not self._new:
            return
        try:
            self._save(self._made_by, self._new)
        except (DiskFull, LedgerBusy, NodeIO) as error:
            log.warning("what was heard is not kept yet: %s", error, extra={"code": error.code})
        else:
            self._new = {}


def kept(rows: Mapping[int, bytes]) -> Iterator[Kept]:
    """What rows hold, window after window; one that cannot be read is left out."""
    for number in sorted(number for number in rows if number != LANGUAGE):
        with contextlib.suppress(ValueError, zlib.error):
            yield from_json(Kept, zlib.decompress(rows[number]))


def _packed(plain: bytes) -> bytes:
    return zlib.compress(plain, 1)
