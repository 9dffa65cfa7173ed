"""Open a stranger's file: bytes → a container and the one track we listen to, or a named error.

Libav sees a file object over our descriptor and no name, may use no protocol and open no
second file, and tries only the demuxers of recordings. What it says about itself is
checked against limits before a single packet is decoded.

Not here: the file object (reading), decoding (sound), which track (tracks), what a refused file
is (refusals), how far to believe a duration (promises).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, NoReturn

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.stream import Discard

from appliance.decode import behind, ends, promises, refusals, tracks
from appliance.decode.promises import Promise
from appliance.decode.reading import BARE, Bytes
from appliance.errors import (
    CodecUnsupported,
    NoAudioTrack,
    NodeIO,
    OverLimit,
    PlaylistRefused,
    Protected,
    SourceEmpty,
    SourceUnreadable,
    TooLong,
    TruncatedUpload,
)
from appliance.nouns import Recording

MAX_CHANNELS: Final = 64
RATES: Final = range(1_000, 768_001)  # Hz
MAX_STREAMS: Final = 64
_SLACK: Final = 1.02  # a promise this little above the limit may still decode to less
_GUESS: Final = "Estimating duration"  # libav, of a duration that no file declared
_OPEN_SECONDS, _READ_SECONDS = 30.0, 120.0

# What holds a recording. Not here on purpose: whatever names other files (hls, concat, dash,
# sdp, mpjpeg, image2), devices, raw streams that any noise looks like, text, games.
_FORMATS: Final = """
    aa aac aax ac3 aiff amr ape asf au avi caf dsf dss dts dtshd eac3 flac flv gxf iff loas
    matroska mov mp3 mp4 mpc mpc8 mpeg mpegts mxf nistsphere nut oga ogg oma qcp rm sox spx tak tta
    truehd voc w64 wav webm wsd wtv wv xwma 3gp m4a
""".split()  # noqa: SIM905 - a list of words reads better as words


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """An opened file: its container, the track we listen to, and what we know about it."""

    name: str
    data: Bytes
    container: InputContainer
    track: AudioStream
    recording: Recording
    promise: Promise | None  # what the file must hold
    cut: Heard  # whether libav said that it broke off; hears on for as long as we decode
    hole: Heard  # or that it left something out


def open_media(data: Bytes, *, name: str, language: str | None, max_seconds: float) -> Media:
    """Open the file and choose its track. Raises a `source.*` error."""
    if data.size == 0:
        raise SourceEmpty(name=name)
    if (end := behind.own_end(data)) is not None:
        data.end_at(end)  # libav would look for chunks in gigabytes of zeros
    cut = Heard("ended prematurely", "no index at the end")
    hole = Heard("encountered broken chunk")  # WTV
    for heard in (cut, hole):
        logging.getLogger("libav").addHandler(heard)  # for good: this process reads one file
    container, guessed = _container(data, name)
    if promises.formats(container) & BARE:
        data.is_bare(data.head())
    track = _track(container, name, language)
    believed = promises.believed(container, track, guessed=guessed, size=data.size)
    if believed is not None and believed > max_seconds * _SLACK:
        raise TooLong(name=name, limit_hours=max_seconds / 3600)
    recording = _recording(container, track)
    promise = promises.promise(
        container, track, guessed=guessed, head=data.head(), start=recording.start
    )
    return Media(name, data, container, track, recording, promise, cut, hole)


def check_sound(name: str, *, rate: int, channels: int) -> None:
    """Refuse sound that nobody records; zero means that only decoding will tell."""
    if channels > MAX_CHANNELS:
        raise OverLimit(name=name, what="channels", value=channels, limit=MAX_CHANNELS)
    if rate and rate not in RATES:
        limit = f"{RATES[-1]}, from {RATES[0]}"
        raise OverLimit(name=name, what="a sampling rate", value=rate, limit=limit)


def _container(data: Bytes, name: str) -> tuple[InputContainer, bool]:
    heard = Heard(_GUESS)
    logger = logging.getLogger("libav")
    logger.addHandler(heard)
    try:
        container = av.open(
            data,
            "r",
            container_options={
                "format_whitelist": ",".join(_FORMATS),
                "protocol_whitelist": "",
                "enable_drefs": "0",
            },
            metadata_errors="replace",
            buffer_size=64 << 10,
            timeout=(_OPEN_SECONDS, _READ_SECONDS),
            io_open=_deny,
        )
    except (av.FFmpegError, ValueError, OSError) as why:
        _refuse(data, name, why)
    finally:
        logger.removeHandler(heard)
    return container, heard.yes


class Heard(logging.Handler):
    """Some things libav says only in its log: that it guessed a duration, that a file broke off."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = words
        self.yes = False
        self.count = 0  # of whatever libav said that is no guess

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        self.count += _GUESS not in said
        self.yes = self.yes or any(words in said for words in self._words)


def _deny(*_asked: object) -> NoReturn:
    raise PermissionError("a recording opens no other file")


def _refuse(data: Bytes, name: str, why: Exception) -> NoReturn:
    """Say what a file is that libav did not open."""
    if data.failure is not None:
        raise NodeIO(where=name, why=str(data.failure)) from why
    if refusals.is_playlist(data.head()):
        raise PlaylistRefused(name=name) from why
    if isinstance(why, MemoryError):
        raise why
    if ends.is_half(data):
        raise TruncatedUpload(name=name) from why
    raise SourceUnreadable(name=name) from why


def _track(container: InputContainer, name: str, language: str | None) -> AudioStream:
    streams = container.streams
    if len(streams) > MAX_STREAMS:
        raise OverLimit(name=name, what="tracks", value=len(streams), limit=MAX_STREAMS)
    if not streams.audio:
        raise NoAudioTrack(name=name)
    decodable = [track for track in streams.audio if track.codec_context is not None]
    if not decodable:
        raise CodecUnsupported(name=name, codec="an unknown codec")
    track = tracks.choose(decodable, language)
    context = track.codec_context
    if refusals.is_protected(context.codec_tag, container.metadata, track.metadata):
        raise Protected(name=name)
    check_sound(name, rate=context.sample_rate or 0, channels=context.channels or 0)
    _look_away(container, track)
    return track


def _look_away(container: InputContainer, track: AudioStream) -> None:
    """Have the demuxer skip every other track: the pictures of a film are most of its bytes."""
    for stream in container.streams:
        if stream.index != track.index:
            stream.discard = Discard.all
    track.codec_context.thread_count = 1


def _recording(container: InputContainer, track: AudioStream) -> Recording:
    context = track.codec_context
    return Recording(
        container=container.format.name,
        codec=context.name,
        tracks=len(container.streams.audio),
        track=[other.index for other in container.streams.audio].index(track.index),
        rate=context.sample_rate or 0,
        channels=context.channels or 0,
        declared=promises.declared(container, track),
        start=_start(container, track),
    )


def _start(container: InputContainer, track: AudioStream) -> float:
    """How much later than the container's zero the track begins; nonsense reads as not at all."""
    if track.start_time is None or track.time_base is None:
        return 0.0
    zero = (container.start_time or 0) / av.time_base
    late = float(track.start_time * track.time_base) - zero
    whole = (container.duration or 0) / av.time_base
    return round(late, 6) if 0.001 < late <= whole else 0.0
