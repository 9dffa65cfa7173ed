"""The smallest worker: a real decode child at the other end of the real wire, and no engine."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from appliance import wire
from appliance.limits import Child, Forked, Limits, Template, Verdict, spawn
from appliance.nouns import MEL_FRAMES, Recording, Window

PATIENCE = 60.0  # seconds without a word before a test gives up


@dataclass(slots=True)
class Heard:
    """Everything a child said, and how it ended."""

    recording: Recording | None = None
    windows: list[Window] = field(default_factory=list, repr=False)
    mels: list[npt.NDArray[np.float32]] = field(default_factory=list, repr=False)
    decoded: list[wire.Decoded] = field(default_factory=list, repr=False)
    ended: wire.Ended | None = None
    failed: wire.Failed | None = None
    verdict: Verdict | None = None
    peak_mb: int = 0
    log: str = ""
    said: list[str] = field(default_factory=list, repr=False)
    first_window_after: float = 0.0  # decoded seconds that had been reported by then

    @property
    def code(self) -> str:
        """How it ended: "ended" or the code of the error."""
        return self.failed.code if self.failed else "ended" if self.ended else "silence"


@contextlib.contextmanager
def child(
    limits: Limits | None = None,
    *,
    stderr: IO[bytes] | int | None = None,
    under: Sequence[str] = (),
) -> Iterator[tuple[wire.Channel, Forked]]:
    """Lend a child that waits for a recording, perhaps `under` a command that watches it."""
    argv = [*under, sys.executable, "-m", "appliance.decode"]
    held_in = limits or Limits()

    def begin(fd: int) -> Child:
        return spawn([*argv, str(fd)], pass_fds=[fd], limits=held_in, stderr=stderr)

    template = Template(begin, held_in)
    try:
        ours, theirs = wire.Channel.pair()
        with ours:
            with theirs:
                born = template.fork(theirs.fileno())
            yield ours, born
    finally:
        template.close()


def decode(
    path: Path,
    *,
    mels: int = 80,
    slots: int = 3,
    max_seconds: float = 86_400.0,
    language: str | None = None,
    vad: bool = True,
    limits: Limits | None = None,
    keep_mels: bool = False,
    under: Sequence[str] = (),
) -> Heard:
    """Have one file decoded; give every slot back as soon as it was written."""
    heard = Heard()
    ring = wire.Ring.create(slots)
    with tempfile.TemporaryFile() as log:
        with child(limits, stderr=log, under=under) as (ours, born), path.open("rb") as source:
            begin = wire.Begin(path.name, mels, slots, max_seconds, language, vad)
            ours.send(begin, [source.fileno(), ring.fd])
            _listen(ours, born, ring, heard, mels if keep_mels else 0)
            heard.verdict = born.wait(10)
        log.seek(0)
        heard.log = log.read().decode("utf-8", "replace")
    ring.close()
    return heard


def _listen(ours: wire.Channel, child: Forked, ring: wire.Ring, heard: Heard, mels: int) -> None:
    try:
        while (received := ours.receive(PATIENCE)) is not None:
            heard.peak_mb = max(heard.peak_mb, peak_mb(child.pid))
            match received[0]:
                case wire.Found(recording):
                    heard.recording = recording
                case wire.Decoded() as decoded:
                    heard.decoded.append(decoded)
                case wire.Ready(window, slot):
                    if not heard.windows and heard.decoded:
                        heard.first_window_after = heard.decoded[-1].seconds
                    heard.windows.append(window)
                    if mels:
                        heard.mels.append(_copy(ring, slot, mels))
                    with contextlib.suppress(wire.Hung):  # it may have said Ended and left
                        ours.send(wire.Free(slot))
                case wire.Ended() as ended:
                    heard.ended = ended
                case wire.Said(lines):
                    heard.said.extend(lines)
                case wire.Failed() as failed:
                    heard.failed = failed
    except wire.Hung:
        return
    child.kill()
    raise TimeoutError(f"the child said nothing more: {heard}")


def _copy(ring: wire.Ring, slot: int, mels: int) -> npt.NDArray[np.float32]:
    flat = np.frombuffer(ring.slot(slot), np.float32, mels * MEL_FRAMES)
    return flat.reshape(mels, MEL_FRAMES).copy()


def peak_mb(pid: int) -> int:
    """The most memory a living process ever held; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            found = [line for line in status if line.startswith("VmHWM")]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[0].split()[1]) // 1024 if found else 0
