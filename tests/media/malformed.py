"""The malformed corpus: more than 500 inputs that nobody should send, made on the spot.

Each has a name, a family and what may come of it: a named error, or a transcript that
accounts for every second, with a warning wherever something is wrong with the file.
Nothing is stored. Equal seeds, equal bytes.

Not here: how a good file is made (files), headers and texts made by hand (forged), running
them (tests.faults.malformed).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.media import files, forged, sounds

SECONDS: Final = 20.0  # of talk in the recordings that were good once
TOLERANCE: Final = 2.2  # seconds nobody need account for: the product's own, and a frame

Make = Callable[[Path], object]

# Whatever a damaged file is taken for is right, as long as it has a name.
BROKEN: Final = frozenset(
    f"source.{what}"
    for what in (
        *("unreadable", "truncated-upload", "no-audio-track", "no-audio-data"),
        *("codec-unsupported", "over-limit", "over-memory", "too-long"),
    )
)
NOTHING: Final = frozenset(
    {"source.unreadable", "source.no-audio-track", "source.no-audio-data", "source.empty"}
)


@dataclass(frozen=True)
class Outcome:
    """How an input ended, whoever was asked: the decode child alone or the whole line."""

    code: str  # "done", the code of an error, or what else happened
    seconds: float = 0.0
    missing: float = 0.0
    blank: float = 0.0
    damaged: int = 0
    broken_off: bool = False
    behind: float = 0  # bytes, or megabytes: as it was told

    @property
    def warned(self) -> bool:
        """Whether the reader of the transcript is told that something is wrong."""
        return bool(self.damaged or self.missing or self.blank or self.broken_off or self.behind)


@dataclass(frozen=True)
class Case:
    """One input, and what may come of it."""

    family: str
    name: str  # of the file
    make: Make
    codes: frozenset[str] = frozenset()  # errors that are right
    seconds: float | None = None  # of sound, where a transcript is right as well
    warned: bool | None = None  # a transcript must, or must not, say that something is wrong

    @property
    def label(self) -> str:
        """For the table; a hostile name must not break it."""
        return f"{self.family}/{self.name!a}"

    def verdict(self, outcome: Outcome) -> str:
        """What is wrong with `outcome`, in words; empty when nothing is."""
        if outcome.code != "done":
            return "" if outcome.code in self.codes else f"{outcome.code} is no right end"
        if self.seconds is None:
            return "done, and it is no recording"
        if self.warned is not None and outcome.warned != self.warned:
            return "not warned" if self.warned else "warned without a reason"
        heard = outcome.seconds + outcome.missing  # longer is no cut: a clock that jumped
        if outcome.warned or heard >= self.seconds - TOLERANCE:
            return ""
        return f"a silent cut: {heard:.1f} of {self.seconds:.1f} s"


class Shelf:
    """The talk in every kind of file, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._talk = sounds.meeting(SECONDS)
        self._whole: dict[str, bytes] = {}
        self._making = threading.Lock()

    def whole(self, kind: str) -> bytes:
        """A good recording of this kind."""
        with self._making:
            if kind not in self._whole:
                spec, options = UNUSUAL.get(kind, (None, {}))
                path = self._folder / f"talk.{kind.partition('-')[0]}"
                files.record(path, self._talk, spec=spec, options=options)
                self._whole[kind] = path.read_bytes()
            return self._whole[kind]


# Kinds of the same ending that are written in another way.
UNUSUAL: Final[dict[str, tuple[files.Spec, dict[str, str]]]] = {
    "mp3-bare": (files.KINDS["mp3"], {"write_xing": "0"}),
    "m4a-fast": (files.KINDS["m4a"], {"movflags": "faststart"}),
    "mp4-pieces": (
        files.KINDS["m4a"],
        {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"},
    ),
    "webm-live": (files.KINDS["webm"], {"live": "1"}),
    "wav-adpcm": (("wav", "adpcm_ima_wav", 16_000, "mono"), {}),
    "wav-float": (("wav", "pcm_f32le", 48_000, "mono"), {}),
    "m4a-alac": (("ipod", "alac", 44_100, "mono"), {}),
}
ALL_KINDS: Final = (*files.KINDS, *files.RARE, *UNUSUAL)
CUTS: Final = (0.05, 0.25, 0.5, 0.75, 0.88)


def catalogue(shelf: Shelf, *, seed: int, port: int = 1) -> list[Case]:
    """Every input there is; `port` is the one of a listener that no playlist may reach."""
    return [
        *_damaged(shelf, seed),
        *_joined(shelf),
        *_behind(shelf),
        *_whole(shelf),
        *(Case(*row) for row in forged.headers(shelf.whole)),
        *(Case(*row) for row in forged.playlists(port)),
        *(Case(*row) for row in forged.protected(shelf.whole)),
        *(Case(*row) for row in forged.nothing(seed)),
        *_strangers(shelf),
        *_names(shelf),
    ]


def _damaged(shelf: Shelf, seed: int) -> Iterator[Case]:
    for number, kind in enumerate(ALL_KINDS):
        stem, ending = kind, kind.partition("-")[0]
        for share in CUTS:
            name = f"{stem}-{round(share * 100)}.{ending}"
            yield Case("cut short", name, _cut(shelf, kind, share), BROKEN, SECONDS, warned=True)
        yield Case(
            "zero tail", f"{stem}.{ending}", _zeros(shelf, kind), BROKEN, SECONDS, warned=True
        )
        for flips in (12, 600):
            bent = _flips(shelf, kind, flips, seed + number)
            yield Case("flipped bits", f"{stem}-{flips}.{ending}", bent, BROKEN, SECONDS)
        yield Case("a hole", f"{stem}.{ending}", _hole(shelf, kind, seed), BROKEN, SECONDS)
        blank = _hole(shelf, kind, None)
        yield Case("a hole", f"{stem}-zeros.{ending}", blank, BROKEN, SECONDS)


def _cut(shelf: Shelf, kind: str, share: float) -> Make:
    """Never between two frames: a stream without a length or an end is whole there, for anybody."""

    def make(path: Path) -> None:
        data = shelf.whole(kind)
        path.write_bytes(data[: int(len(data) * share) - (12 if kind == "amr" else 11)])

    return make


def _zeros(shelf: Shelf, kind: str) -> Make:
    return lambda path: files.zero_tail(_put(path, shelf.whole(kind)), 0.5)


def _flips(shelf: Shelf, kind: str, flips: int, seed: int) -> Make:
    return lambda path: files.flip_bits(
        _put(path, shelf.whole(kind)), flips=flips, seed=seed, keep=0
    )


def _hole(shelf: Shelf, kind: str, seed: int | None) -> Make:
    """Noise in the middle; without a seed, zeros, as where a block of a disk was never written."""

    def make(path: Path) -> None:
        data = bytearray(shelf.whole(kind))
        start, end = 2 * len(data) // 5, 3 * len(data) // 5
        length = end - start
        data[start:end] = bytes(length) if seed is None else random.Random(seed).randbytes(length)
        path.write_bytes(bytes(data))

    return make


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _joined(shelf: Shelf) -> Iterator[Case]:
    """Recordings end to end: what a person hears is all of them."""
    for first, second in (
        *(("mp3", "mp3-bare"), ("mp3-bare", "mp3"), ("mp3", "mp2")),
        *(("aac", "aac"), ("ogg", "ogg"), ("opus", "opus"), ("ac3", "ac3")),
    ):
        ending = first.partition("-")[0]
        yield Case(
            "joined",
            f"{first}+{second}.{ending}",
            _written(shelf, first, second),
            seconds=2 * SECONDS,
        )
    for rate, layout in ((8_000, "mono"), (22_050, "stereo"), (48_000, "mono")):
        yield Case(
            "joined",
            f"mp3+{rate}-{layout}.mp3",
            _another_shape(shelf, rate, layout),
            seconds=SECONDS + 5,
        )


SECOND_FILES: Final = (  # where the first says how long it is, the second is not heard
    *(("wav", "wav"), ("wav", "mp3"), ("m4a", "m4a"), ("m4a-fast", "wav"), ("mp4-pieces", "m4a")),
    *(("flac", "wav"), ("flac", "ogg"), ("mkv", "mp3"), ("webm", "ogg"), ("wma", "wma")),
    *(("aiff", "aiff"), ("caf", "m4a"), ("au", "flac"), ("w64", "mp3"), ("sox", "mp3")),
    *(("avi", "mkv"), ("flv", "flv"), ("tta", "tta"), ("vob", "wav"), ("wav-adpcm", "flac")),
)
ZEROS: Final = (  # in which libav's parsers would wait for the next frame; behind and inside
    *(("wav", 1.0), ("mp3", 1.0), ("flac", 1.0), ("ac3", 1.0), ("loas", 1.0), ("amr", 1.0)),
    *(("mp3", 0.5), ("flac", 0.5), ("loas", 0.5)),
)
MUCH: Final = 400 << 20  # bytes of zeros


def _behind(shelf: Shelf) -> Iterator[Case]:
    """What lies behind the end, or in it, and is no sound of this recording."""
    for first, second in SECOND_FILES:
        name = f"{first}+{second}.{first.partition('-')[0]}"
        both = _written(shelf, first, second)
        yield Case("second file", name, both, BROKEN, 2 * SECONDS, warned=True)
    for kind, share in ZEROS:
        name = f"{kind}-{round(100 * share)}.{kind}"
        warned = None if kind == "wav" else True  # which says where it ends
        yield Case("zeros", name, _wide(shelf, kind, share), BROKEN, SECONDS, warned)


def _wide(shelf: Shelf, kind: str, share: float) -> Make:
    """Put hundreds of megabytes that take no room on the disk behind `share` of a recording."""

    def make(path: Path) -> None:
        data = shelf.whole(kind)
        half = int(share * len(data))
        with path.open("wb") as file:
            file.write(data[:half])
            file.seek(MUCH, os.SEEK_CUR)
            file.write(data[half:])
            file.truncate(len(data) + MUCH)

    return make


def _written(shelf: Shelf, *kinds: str, before: bytes = b"", behind: bytes = b"") -> Make:
    def make(path: Path) -> None:
        path.write_bytes(before + b"".join(shelf.whole(kind) for kind in kinds) + behind)

    return make


def _another_shape(shelf: Shelf, rate: int, layout: str) -> Make:
    def make(path: Path) -> None:
        files.record(path, sounds.meeting(5), spec=("mp3", "libmp3lame", rate, layout))
        path.write_bytes(shelf.whole("mp3") + path.read_bytes())

    return make


def _whole(shelf: Shelf) -> Iterator[Case]:
    """Nothing is wrong with these, and nobody may say so."""
    for kind in ALL_KINDS:
        ending = kind.partition("-")[0]
        yield Case(
            "whole",
            f"{kind}.{ending}",
            _written(shelf, kind),
            seconds=SECONDS,
            warned=False,
        )


def _strangers(shelf: Shelf) -> Iterator[Case]:
    """A recording that is something else at the same time: what can be heard is heard."""
    for name, before, after in forged.POLYGLOTS:
        yield Case(
            "polyglot",
            f"{name}.mp3",
            _written(shelf, "mp3", before=before, behind=after),
            NOTHING,
            SECONDS,
        )


def _names(shelf: Shelf) -> Iterator[Case]:
    """A hostile name is only a name."""
    for name in NAMES:
        yield Case(
            "hostile name",
            name,
            _written(shelf, "mp3"),
            seconds=SECONDS,
            warned=False,
        )


NAMES: Final = (
    *("http:talk.mp3", "file:talk.mp3", "pipe:0.mp3", "concat:a.mp3|b.mp3", "data:audio.mp3"),
    *("subfile,,start,0,end,9,,:talk.mp3", "crypto:talk.mp3", "unix:talk.mp3", "async:x.mp3"),
    *("new\nline.mp3", "<b onmouseover=alert(1)>.mp3", "caf\udce9.mp3", "%03d.mp3", "%n%n%s.mp3"),
    *('it\'s "quoted".mp3', "`reboot`.mp3", "$(reboot).mp3", "back\\slash.mp3", "-rf.mp3"),
    *("\u202egnp.mp3", "\U0001f3a4\U0001f937\u200d\u2640\ufe0f.mp3", " leading blank.mp3"),
    *("a" * 251 + ".mp3", "\u00e4" * 124 + ".mp3", "tab\there.mp3", "\x1b[31mred.mp3", "con.mp3"),
    *("a;b&c|d.mp3", "*?[x].mp3", "{braces}.mp3", "trailing dot..mp3", "e\u0301 decomposed.mp3"),
)
