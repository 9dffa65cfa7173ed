"""Sound → files of every kind: as a recorder writes them, damaged, and hostile."""

from __future__ import annotations

import itertools
import random
import struct
import wave
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from tests.media.sounds import RATE, Sound

# What people drop: libav's container, audio codec, its rate, its layout.
KINDS = {
    "wav": ("wav", "pcm_s16le", 48_000, "stereo"),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "m4a": ("ipod", "aac", 44_100, "mono"),
    "flac": ("flac", "flac", 48_000, "stereo"),
    "ogg": ("ogg", "vorbis", 44_100, "stereo"),
    "opus": ("ogg", "libopus", 48_000, "mono"),
    "mkv": ("matroska", "aac", 48_000, "stereo"),
    "webm": ("webm", "libopus", 48_000, "stereo"),
    "mp4": ("mp4", "aac", 48_000, "stereo"),
    "wma": ("asf", "wmav2", 44_100, "stereo"),
    "ts": ("mpegts", "mp2", 48_000, "stereo"),
    "aac": ("adts", "aac", 44_100, "mono"),
    "aiff": ("aiff", "pcm_s16be", 44_100, "mono"),
}
# What people drop now and then.
RARE = {
    "amr": ("amr", "libopencore_amrnb", 8_000, "mono"),
    "mp2": ("mp2", "mp2", 44_100, "mono"),
    "ac3": ("ac3", "ac3", 48_000, "stereo"),
    "eac3": ("eac3", "eac3", 48_000, "stereo"),
    "caf": ("caf", "pcm_s16le", 44_100, "mono"),
    "au": ("au", "pcm_s16be", 44_100, "mono"),
    "w64": ("w64", "pcm_s16le", 44_100, "stereo"),
    "avi": ("avi", "libmp3lame", 44_100, "mono"),
    "mov": ("mov", "aac", 44_100, "mono"),
    "3gp": ("3gp", "aac", 44_100, "mono"),
    "flv": ("flv", "libmp3lame", 44_100, "mono"),
    "mka": ("matroska", "flac", 44_100, "mono"),
    "oga": ("oga", "flac", 44_100, "mono"),
    "wv": ("wv", "wavpack", 44_100, "mono"),
    "tta": ("tta", "tta", 44_100, "mono"),
    "voc": ("voc", "pcm_u8", 16_000, "mono"),
    "vob": ("vob", "ac3", 48_000, "mono"),
    "mpg": ("mpeg", "mp2", 48_000, "mono"),
    "rm": ("rm", "ac3", 44_100, "mono"),
    "nut": ("nut", "libmp3lame", 44_100, "mono"),
    "sox": ("sox", "pcm_s32le", 44_100, "mono"),
    "wtv": ("wtv", "mp2", 44_100, "mono"),
    "loas": ("latm", "aac", 44_100, "mono"),
}
FILMS = {"mkv": "mpeg4", "mp4": "mpeg4", "ts": "mpeg4", "webm": "libvpx"}
PICTURE = np.full((64, 64), 64, np.uint8)  # a frame that nobody filled holds whatever lay there
Spec = tuple[str, str, int, str]


def record(
    path: Path,
    sound: Sound,
    *,
    spec: Spec | None = None,
    late: float = 0.0,
    languages: Sequence[str] = ("",),
    default: int | None = None,
    pause: tuple[float, float] = (0.0, 0.0),
    options: dict[str, str] | None = None,
) -> Path:
    """Write `sound` as a recorder would, with pictures where the ending promises a film.

    Of several languages only the first holds the sound, the others are silent. `late` is
    how many seconds after the pictures the sound begins. At the first second of `pause` the
    recorder stands still for the second number of seconds. `options` are the container's.
    Equal calls, equal files: no random numbers are written.
    """
    kind = path.suffix[1:]
    container, codec, rate, layout = spec or KINDS.get(kind) or RARE[kind]
    with av.open(
        str(path), "w", format=container, options={"fflags": "+bitexact", **(options or {})}
    ) as out:
        film = _film(out, FILMS[kind]) if kind in FILMS else None
        tracks = [_track(out, codec, rate, layout) for _ in languages]
        for number, (track, language) in enumerate(zip(tracks, languages, strict=True)):
            track.metadata.update({"language": language} if language else {})
            if default is not None:
                track.disposition = Disposition.default if number == default else Disposition(0)
        packets = [_heard(track, sound * (not n), late, pause) for n, track in enumerate(tracks)]
        if film is not None:
            packets.append(_seen(film, len(sound) / RATE + late + pause[1]))
        for together in itertools.zip_longest(*packets):
            out.mux([packet for some in together for packet in some or ()])
    return path


def record_pictures(path: Path, seconds: float) -> Path:
    """Write a film nobody can hear."""
    with av.open(str(path), "w", format=KINDS[path.suffix[1:]][0]) as out:
        for packets in _seen(_film(out, FILMS[path.suffix[1:]]), seconds):
            out.mux(packets)
    return path


def _track(out: Any, codec: str, rate: int, layout: str) -> Any:
    track = out.add_stream(codec, rate=rate, layout=layout)
    if codec == "vorbis":
        track.codec_context.options = {"strict": "experimental"}  # so libav calls its own encoder
    if codec == "wmav2":
        track.codec_context.bit_rate = 64_000
    return track


def _film(out: Any, codec: str) -> Any:
    film = out.add_stream(codec, rate=5)
    film.width, film.height, film.pix_fmt = 64, 64, "yuv420p"
    return film


def _seen(film: Any, seconds: float) -> Iterator[list[Any]]:
    for number in range(int(seconds * 5)):
        frame = av.VideoFrame.from_ndarray(PICTURE, format="gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 5)
        yield film.encode(frame)
    yield film.encode(None)


def _heard(
    track: Any, sound: Sound, late: float, pause: tuple[float, float]
) -> Iterator[list[Any]]:
    for at in range(0, len(sound), RATE // 5):
        samples = np.ascontiguousarray(sound[None, at : at + RATE // 5])
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = at + int(late * RATE)
        yield _stamped(track.encode(frame), pause)
    yield _stamped(track.encode(None), pause)


def _stamped(packets: list[Any], pause: tuple[float, float]) -> list[Any]:
    for packet in packets:
        if pause[1] and packet.pts * packet.time_base >= pause[0]:
            packet.pts = packet.dts = packet.pts + int(pause[1] / packet.time_base)
    return packets


def plain_wav(path: Path, sound: Sound) -> Path:
    """Write what needs neither resampling nor mixing: 16 kHz, mono."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path


def long_flac(path: Path, second: Sound, seconds: int) -> Path:
    """Write the same second over and over: of silence, a day is a few megabytes."""
    with av.open(str(path), "w", format="flac") as out:
        track = out.add_stream("flac", rate=RATE, layout="mono")
        minute = np.ascontiguousarray(np.tile(second, 60)[None])
        for at in range(0, seconds, 60):
            samples = minute[:, : (seconds - at) * RATE]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at * RATE
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def wav_header(*, channels: int, rate: int, bits: int = 16, data: int = 64_000) -> bytes:
    """Spell a RIFF header that may claim anything."""
    align = channels * bits // 8
    described = struct.pack(
        "<HHIIHH", 1, channels, rate, rate * align % 2**32, align % 65_536, bits
    )
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + data, 2**32 - 1))
        + b"WAVEfmt \x10\0\0\0"
        + described
        + b"data"
        + struct.pack("<I", min(data, 2**32 - 1))
    )


def sparse_rf64(path: Path, size: int) -> Path:
    """Write a header that promises gigabytes, and gigabytes that take no room on the disk."""
    header = wav_header(channels=1, rate=RATE)
    sizes = struct.pack("<QQQI", size - 8, size - 80, (size - 80) // 2, 0)
    head = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + sizes + header[12:-4] + b"\xff\xff\xff\xff"
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def cut_short(path: Path, share: float) -> Path:
    """Keep the first `share` of a file, like an upload that broke off."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def zero_tail(path: Path, share: float) -> Path:
    """Keep the first `share` and the size, like an upload whose size was set first."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)].ljust(len(whole), b"\0"))
    return path


def flip_bits(path: Path, *, flips: int, seed: int, keep: int = 4_096) -> Path:
    """Damage a file here and there behind its first `keep` bytes."""
    data, choose = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(flips):
        data[choose.randrange(keep, len(data))] ^= 1 << choose.randrange(8)
    path.write_bytes(bytes(data))
    return path


def join(path: Path, parts: Iterable[Path]) -> Path:
    """Join files end to end, as people do with MP3s."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
