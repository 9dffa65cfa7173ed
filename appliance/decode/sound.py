"""The sound of one track: packets → blocks of 16 kHz mono, and what was wrong with them.

A damaged packet costs itself and nothing after it. Sound whose shape changes on the way
(two recordings joined into one) goes on in the new shape.

Not here: opening the file (media), cutting the sound (windows).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.packet import Packet

from appliance.decode.media import Media, check_sound
from appliance.errors import NoAudioData, NodeIO, SourceUnreadable, TooLong
from appliance.nouns import SAMPLE_RATE

Block = npt.NDArray[np.int16]

BLOCK: Final = 20 * SAMPLE_RATE  # samples handed on at once
_DEAF: Final = 64  # read errors in a row that end a file
_NOISE: Final = 2_000  # damaged packets before the first sound that end a file
_CLOSE: Final = 2.0  # seconds a promise may be off


class Sound:
    """Decodes one track, once. The counts are final when `blocks` has ended."""

    def __init__(self, media: Media, *, max_seconds: float) -> None:
        self._media = media
        self._max_seconds = max_seconds
        self._shape: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self.samples = 0
        self.good = 0  # packets that held sound
        self.damaged = 0  # packets that could not be decoded

    @property
    def seconds(self) -> float:
        """How much has been decoded."""
        return self.samples / SAMPLE_RATE

    @property
    def missing(self) -> float:
        """Seconds the file promised and did not hold."""
        promise = self._media.promise
        if promise is None:
            return 0.0
        close = _CLOSE if self._media.exact else max(_CLOSE, promise * 0.02)
        lost = promise - self.seconds
        return round(lost, 3) if lost > close else 0.0

    def blocks(self) -> Iterator[Block]:
        """Decode everything. Raises a `source.*` error when there is no sound to be had."""
        waiting: list[Block] = []
        length = 0
        for piece in self._pieces():
            waiting.append(piece)
            length += len(piece)
            if length >= BLOCK:
                yield np.concatenate(waiting)
                waiting, length = [], 0
        if waiting:
            yield np.concatenate(waiting)
        self._judge()

    def _pieces(self) -> Iterator[Block]:
        for packet in self._packets():
            for frame in self._frames(packet):
                for piece in self._resampled(frame):
                    yield self._counted(piece)
        for piece in self._flushed():
            yield self._counted(piece)

    def _packets(self) -> Iterator[Packet[av.AudioStream]]:
        """Demux; after an error go on behind it."""
        deaf = 0
        while deaf < _DEAF:
            try:
                for packet in self._media.container.demux(self._media.track):
                    deaf = 0
                    yield packet
            except av.FFmpegError as why:
                self._excuse(why)
                deaf += 1
            else:
                return

    def _frames(self, packet: Packet[av.AudioStream]) -> list[AudioFrame]:
        try:
            frames = packet.decode()
        except av.FFmpegError as why:
            self._excuse(why)
            return []
        self.good += bool(frames)
        return frames

    def _excuse(self, why: av.FFmpegError) -> None:
        """Count a damaged packet, unless it is the disk or the memory that is to blame."""
        failure = self._media.data.failure
        if failure is not None:
            raise NodeIO(where=self._media.name, why=str(failure)) from why
        if isinstance(why, MemoryError):
            raise why
        self.damaged += 1
        if self.damaged >= _NOISE and not self.samples:
            raise SourceUnreadable(name=self._media.name) from why

    def _resampled(self, frame: AudioFrame) -> list[Block]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        ended: list[Block] = []
        if shape != self._shape:
            check_sound(self._media.name, rate=frame.sample_rate, channels=frame.layout.nb_channels)
            ended = self._flushed()
            self._shape = shape
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        frame.pts = None  # times that jump must not move the sound
        return ended + self._through(frame)

    def _flushed(self) -> list[Block]:
        return [] if self._resampler is None else self._through(None)

    def _through(self, frame: AudioFrame | None) -> list[Block]:
        assert self._resampler is not None  # noqa: S101 - both callers have made one
        try:
            resampled = self._resampler.resample(frame)
        except av.FFmpegError as why:
            self._excuse(why)
            return []
        return [np.ravel(each.to_ndarray()).astype(np.int16, copy=False) for each in resampled]

    def _counted(self, piece: Block) -> Block:
        self.samples += len(piece)
        if self.seconds > self._max_seconds:
            raise TooLong(name=self._media.name, limit_hours=self._max_seconds / 3600)
        return piece

    def _judge(self) -> None:
        """At the end: was this a recording at all?"""
        if self.damaged > self.good:
            raise SourceUnreadable(name=self._media.name)
        if not self.samples:
            raise NoAudioData(name=self._media.name)
