"""The child's side of the talk with its worker: one recording, from Begin to Ended.

Not here: what the messages are (wire), the process around it (__main__).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from appliance.decode import complaints
from appliance.decode.ahead import Ahead
from appliance.decode.media import open_media
from appliance.decode.reading import Bytes
from appliance.decode.sound import Block, Sound
from appliance.nouns import MEL_FRAMES, Window
from appliance.windows import Samples, log_mel, windows
from appliance.wire import Begin, Channel, Decoded, Ended, Found, Free, Ready, Ring, Said

_BEAT: Final = 1.0  # seconds between two signs of life


def receive_begin(channel: Channel) -> tuple[Begin, int, Ring]:
    """Wait for the worker's first word. Raises Hung when it never comes."""
    received = channel.receive()
    if received is None or not isinstance(received[0], Begin) or len(received[1]) != 2:
        raise ValueError("the talk must open with Begin, a source and a ring")
    begin, (source, ring) = received[0], received[1]
    return begin, source, Ring(ring, begin.slots)


class Attempt:
    """One recording on its way through this process."""

    def __init__(
        self, channel: Channel, begin: Begin, source: int, ring: Ring, ahead: Ahead
    ) -> None:
        self._channel = channel
        self._begin = begin
        self._ring = ring
        self._free = list(range(begin.slots))[::-1]
        self._source = source
        self._ahead = ahead
        self._reads = self._seen = 0  # of the file, and how many of them were reported
        self._sound: Sound | None = None
        self._speech = 0.0  # seconds of speech handed over
        self._windows = 0
        self._spoke = time.monotonic()

    def run(self) -> None:
        """Find the sound and hand over every window of it. Raises a named error, or Hung."""
        begin = self._begin
        media = open_media(
            Bytes(self._source, self._read),
            name=begin.name,
            language=begin.language,
            max_seconds=begin.max_seconds,
        )
        self._channel.send(Found(media.recording))
        self._sound = sound = Sound(media, max_seconds=begin.max_seconds)
        start = media.recording.start
        for window, samples in windows(self._reported(sound), vad=begin.vad, start=start):
            self._hand_over(window, samples)
        self._say()
        self._channel.send(
            Ended(
                seconds=sound.seconds,
                speech=self._speech,
                windows=self._windows,
                damaged=sound.damaged,
                missing=sound.missing,
                broken_off=sound.broken_off,
                blank=sound.blank,
                behind=sound.behind,
            )
        )

    def _reported(self, sound: Sound) -> Iterator[Block]:
        for block in self._ahead.of(sound.blocks(), beat=self._moved):
            self._report()
            yield block

    def _read(self) -> None:
        """The file was read: from whichever thread."""
        self._reads += 1

    def _moved(self) -> None:
        """Nothing to judge yet: show that something moves, if it does."""
        if self._reads != self._seen:
            self._seen = self._reads
            self._beat()

    def _hand_over(self, window: Window, samples: Samples) -> None:
        mel = log_mel(samples, self._begin.mels)
        slot = self._slot()
        room = np.frombuffer(self._ring.slot(slot), np.float32, self._begin.mels * MEL_FRAMES)
        room[:] = np.ravel(mel)
        self._speech += sum(piece.speech_end - piece.speech_start for piece in window.pieces)
        self._windows += 1
        self._channel.send(Ready(window, slot))

    def _slot(self) -> int:
        """Take a free slot; wait for one if the worker holds them all."""
        self._listen(0)
        while not self._free:
            self._listen(_BEAT)
            self._beat()
        return self._free.pop()

    def _listen(self, timeout: float) -> None:
        while (received := self._channel.receive(timeout)) is not None:
            message, fds = received
            for fd in fds:
                os.close(fd)
            if not isinstance(message, Free) or message.slot in self._free:
                raise ValueError(f"{message} is no answer")
            self._ring.slot(message.slot)  # raises for one that is not there
            self._free.append(message.slot)
            timeout = 0

    def _beat(self) -> None:
        """Show that something moves, once a second. Nobody waits for that before Found."""
        if self._sound is not None and time.monotonic() - self._spoke >= _BEAT:
            self._report()

    def _say(self) -> None:
        if lines := complaints.taken():
            self._channel.send(Said(lines))

    def _report(self) -> None:
        assert self._sound is not None  # noqa: S101 - only called once there is one
        self._spoke = time.monotonic()
        self._say()
        self._channel.send(Decoded(self._sound.seconds, self._speech))
