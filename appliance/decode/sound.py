"""The sound of one track: packets → blocks of 16 kHz mono, and what was wrong with them.

A damaged packet costs itself and nothing after it. Sound whose shape changes on the way
(two recordings joined into one) goes on in the new shape. Where time stamps say that
nothing was recorded for a while, or damage took it away, silence takes its place: what is
said afterwards is said when a player says it.

Not here: opening the file (media), cutting the sound (windows).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.packet import Packet

from appliance.decode import behind, ends
from appliance.decode.media import Media, check_sound
from appliance.decode.promises import formats
from appliance.decode.reading import BARE
from appliance.decode.reshape import Reshaper, Shape, is_unplaced, shape_of
from appliance.errors import (
    NoAudioData,
    NodeIO,
    Protected,
    SourceUnreadable,
    TooLong,
    TruncatedUpload,
)
from appliance.nouns import SAMPLE_RATE

Block = npt.NDArray[np.int16]

BLOCK: Final = 20 * SAMPLE_RATE  # samples handed on at once
_FIRST: Final = 4 * SAMPLE_RATE  # and at the beginning: somebody waits for the first window
_UNTIL: Final = 80 * SAMPLE_RATE  # until then little is decoded beside what makes that window
_DEAF: Final = 64  # read errors in a row that end a file
_NOISE: Final = 2_000  # damaged packets before the first sound that end a file
_CLOSE: Final = 2.0  # seconds a promise may be off
_LENGTHLESS: Final = frozenset({"au", "wav"})  # piped into a file, they end anywhere
_LEFT: Final = 64 << 10  # bytes behind the sound of a file that nobody wonders about
_ADTS: Final = 7  # bytes of the header of a frame of AAC
_LOST_ADTS: Final = 2_048  # bytes that libav left out of a stream of them
_FRAME: Final = 9_000  # bytes: no frame of these is as long, whatever else libav took for its end
_SHORT: Final = frozenset({"mp1", "mp2", "mp3", "mp3float", "ac3", "eac3", "aac", "aac_latm"})
_PADDED: Final = frozenset({"matroska", "mov", "webm"})  # may have room to spare at the end
_GAP: Final = 0.25  # seconds of nothing that are worth filling
_LOST_FRAME: Final = 0.05  # the same where there can be no pause: a frame of FLAC is 0.1 s
_GAP_UNPROVEN: Final = 60.0  # seconds of nothing that we believe where no duration proves them
# Formats whose packets say when they were recorded; in others the stamps are counted.
_STAMPED: Final = frozenset(
    {"asf", "flac", "flv", "matroska", "mov", "mpegts", "nut", "ogg", "webm"}
)
_UNBROKEN: Final = frozenset({"flac", "ogg"})  # of those, the ones that never pause


class Sound:
    """Decodes one track, once. The counts are final when `blocks` has ended."""

    def __init__(self, media: Media, *, max_seconds: float) -> None:
        self._media = media
        self._names = formats(media.container)
        self._max_seconds = max_seconds
        self._shape: Shape | None = None
        self._reshaper: Reshaper | None = None
        self._stamps = _Stamps(media)
        self._lost = 0.0  # seconds of silence where the file should have held sound
        self._complaints = media.cut.count  # of libav, before the newest frame
        self._last: Packet[av.AudioStream] | None = None
        self._heard_to = 0  # byte at which the last sound began
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
        close, lost = _CLOSE, self._lost
        if promise is not None:
            close = _CLOSE if promise.exact else max(_CLOSE, promise.seconds * 0.02)
            lost += max(0.0, promise.seconds - self.seconds)
        return round(lost, 3) if lost > close else 0.0

    @property
    def blank(self) -> float:
        """Seconds at the end for which the file holds nothing but zeros, where that can be told."""
        context = self._media.track.codec_context
        if not context.name.startswith("pcm_") or not context.bit_rate:
            return 0.0
        seconds = min(self.seconds, self._zeros() * 8 / context.bit_rate)
        return round(seconds, 3) if seconds >= _CLOSE else 0.0

    @property
    def broken_off(self) -> bool:
        """Whether the file does not end as its format ends, and nothing says what is missing."""
        if self.missing or self.blank:
            return False
        names, data = self._names, self._media.data
        kept_its_promise = self._media.promise is not None and names & _PADDED
        return (
            self._media.cut.yes
            or self._is_half(self._last, names)
            or ends.breaks_off(names, data)
            or (not kept_its_promise and ends.is_blank(self._zeros(), data.size))
        )

    @property
    def behind(self) -> int:
        """Bytes behind the end of the recording that were not heard."""
        return behind.size(self._media.data, self._heard_to)

    def _is_half(self, last: Packet[av.AudioStream] | None, names: frozenset[str]) -> bool:
        """Whether the last packet is not all there."""
        if last is None:
            return False
        if last.is_corrupt and not (names & _LENGTHLESS and self._media.promise is None):
            return True
        must = ends.frame_bytes(self._media.track.codec_context.name, bytes(last)[:8])
        if must is not None and last.size < must:
            return True
        if last.pos is None or self._media.promise is not None:
            return False
        size = self._media.data.size
        left = size - last.pos - last.size  # what libav did not make sense of
        if "aac" in names:
            return 0 < left < _ADTS or (left > _LOST_ADTS and ends.has_hole(self._media.data))
        return left > max(_LEFT, size // 10)

    def _zeros(self) -> int:
        return ends.zeros(self._media.data)

    def blocks(self) -> Iterator[Block]:
        """Decode everything. Raises a `source.*` error when there is no sound to be had."""
        waiting: list[Block] = []
        length = handed = 0
        for piece in self._pieces():
            waiting.append(piece)
            length += len(piece)
            if length >= (BLOCK if handed >= _UNTIL else _FIRST):
                yield np.concatenate(waiting)
                handed += length
                waiting, length = [], 0
        if waiting:
            yield np.concatenate(waiting)
        self.damaged += self._media.data.holes + self._media.hole.yes
        self._judge()

    def _pieces(self) -> Iterator[Block]:
        for packet in self._packets():
            for frame in self._frames(packet):
                yield from self._filled(frame)
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
                    self._see(packet)
                    yield packet
            except av.FFmpegError as why:
                self._excuse(why)
                deaf += 1
            except IndexError:  # PyAV, at the end, looks for tracks that appeared on the way
                return
            else:
                return

    def _see(self, packet: Packet[av.AudioStream]) -> None:
        """Remember the last packet, and count one before it that was not all there."""
        if packet.has_sidedata("encryption_info"):  # the only trace that libav leaves of it in MP4
            raise Protected(name=self._media.name)
        if packet.size:
            last = self._last
            self.damaged += last is not None and (last.is_corrupt or self._is_stuffed(last))
            self._last = packet
            if packet.pos is not None and not self._is_past_its_promise():
                self._heard_to = max(packet.pos, 1)

    def _is_stuffed(self, packet: Packet[av.AudioStream]) -> bool:
        """Whether the rest of a packet that is far too long is neither sound nor a tag."""
        codec = self._media.track.codec_context.name
        if packet.size < _FRAME or codec not in _SHORT or not self._names & BARE:
            return False
        frame = ends.frame_bytes(codec, bytes(packet)[:8]) or 0
        return not bytes(packet)[frame : frame + 16].startswith(ends.TAGS)

    def _is_past_its_promise(self) -> bool:
        """Whether plain samples go on behind their end: a header there would be noise."""
        promise, codec = self._media.promise, self._media.track.codec_context.name
        return promise is not None and codec.startswith("pcm_") and self.seconds > promise.seconds

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

    def _filled(self, frame: AudioFrame) -> Iterator[Block]:
        """Stand in for what is missing before `frame`."""
        gap = self._stamps.gap(frame, self.seconds)
        before, self._complaints = self._complaints, self._media.cut.count
        if "flv" in self._names:
            before = 0  # libav complains a packet early, of a small file while it opens it
        if gap and (self._complaints > before or self._names & _UNBROKEN):
            self.damaged += 1
            self._lost += gap
        left = int(gap * SAMPLE_RATE)
        while left:
            piece = np.zeros(min(left, BLOCK), np.int16)
            left -= len(piece)
            yield self._counted(piece)

    def _resampled(self, frame: AudioFrame) -> list[Block]:
        ended: list[Block] = []
        if self._is_nonsense(frame):
            self.damaged += 1
            return []
        if shape_of(frame) != self._shape:
            ended = self._flushed()
            self._reshape(frame)
        frame.pts = None  # times that jump must not move the sound
        return ended + self._through(frame)

    def _is_nonsense(self, frame: AudioFrame) -> bool:
        """Channels without a place come with the first frame or not at all.

        Those of a damaged AAC need not even be there: to read them was to die of SIGSEGV.
        """
        before = self._shape
        return before is not None and before != shape_of(frame) and is_unplaced(frame)

    def _reshape(self, frame: AudioFrame) -> None:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        check_sound(self._media.name, rate=rate, channels=channels)
        self._shape, self._reshaper = shape_of(frame), None
        try:
            self._reshaper = Reshaper(shape_of(frame))
        except av.FFmpegError as why:
            self._excuse(why)

    def _flushed(self) -> list[Block]:
        return self._through(None)

    def _through(self, frame: AudioFrame | None) -> list[Block]:
        if self._reshaper is None:
            return []
        try:
            return list(self._reshaper.push(frame))
        except av.FFmpegError as why:
            self._excuse(why)
            return []

    def _counted(self, piece: Block) -> Block:
        self.samples += len(piece)
        if self.seconds > self._max_seconds:
            raise TooLong(name=self._media.name, limit_hours=self._max_seconds / 3600)
        return piece

    def _judge(self) -> None:
        """At the end: was this a recording at all?"""
        if self.damaged > self.good and ends.is_half(self._media.data):
            raise TruncatedUpload(name=self._media.name)
        if self.damaged > self.good:
            raise SourceUnreadable(name=self._media.name)
        if not self.samples:
            raise NoAudioData(name=self._media.name)


class _Stamps:
    """When the sound was recorded, by its own account."""

    def __init__(self, media: Media) -> None:
        container, track = media.container, media.track
        names = formats(container)
        self._useful = bool(names & _STAMPED)
        self._least = _LOST_FRAME if names & _UNBROKEN else _GAP
        self._whole = container.duration and container.duration / av.time_base
        self._zero: float | None = None
        if track.start_time is not None and track.time_base is not None:
            self._zero = float(track.start_time * track.time_base)

    def gap(self, frame: AudioFrame, decoded: float) -> float:
        """Seconds of nothing between the `decoded` sound and `frame`; nonsense reads as none."""
        if not self._useful or frame.time is None:
            return 0.0
        if self._zero is None:
            self._zero = frame.time - decoded
        gap = frame.time - self._zero - decoded
        if -_GAP < gap < self._least:
            return 0.0
        most = self._whole - decoded if self._whole else _GAP_UNPROVEN
        if gap < 0 or gap > most:
            self._zero = frame.time - decoded  # the clock was set anew
            return 0.0
        return gap
