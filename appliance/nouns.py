"""The words of the trade, as values: what every other room of the house talks about.

Here: frozen values without behaviour beyond arithmetic on themselves. Times are
seconds from the start of the recording unless a name says otherwise.

Not here: anything that reads or writes, the job's row (store), a folder we watch
(settings), a subtitle line (export).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SAMPLE_RATE = 16_000  # Hz, what Whisper hears
WINDOW_SECONDS = 30.0  # what Whisper hears at once
MEL_FRAMES = 3_000  # 30 s at 10 ms a frame

Detail = Mapping[str, str | int | float]

# What Whisper's models know: ISO 639-1 but for haw and yue, and jw for what is jv by now.
# fmt: off
LANGUAGES = (
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy",
    "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw",
    "he", "hi", "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn",
    "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt",
    "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si",
    "sk", "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl",
    "tr", "tt", "uk", "ur", "uz", "vi", "yi", "yo", "zh", "yue",
)
# fmt: on

UPLOADS: Final = "uploads"  # the share that is the box's own: what comes over the page and the API
SEVERAL: Final = "several"  # in the place of a language: each window has its own

# What the names of recordings end with.
# fmt: off
EXTENSIONS: Final = frozenset((
    "wav", "wave", "mp3", "m4a", "m4b", "aac", "flac", "ogg", "oga", "opus", "wma", "amr", "aif",
    "aiff", "caf", "au", "ac3", "mka", "mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "asf",
    "mpg", "mpeg", "ts", "mts", "m2ts", "flv", "3gp", "3g2", "ogv", "vob", "mxf",
))
# fmt: on

_LEAST, _MOST = -(2**63), 2**63 - 1  # what the ledger can hold of a number


def display(path: bytes) -> str:
    """Spell a path for people: what is not UTF-8 becomes an escape, nothing is lost or refused."""
    return path.decode("utf-8", "backslashreplace")


def mtime_ns_of(found: os.stat_result) -> int:
    """A file's mtime as a Source has it: one beyond the years 1677 to 2262 counts as their end."""
    return min(max(found.st_mtime_ns, _LEAST), _MOST)


@dataclass(frozen=True, slots=True)
class Source:
    """A file on a share, as it looked when it stopped changing."""

    share: str  # name of the share in appliance.toml
    path: bytes  # below the share's root, as the kernel spells it
    size: int  # bytes
    mtime_ns: int

    def same_file(self, other: Source) -> bool:
        """Tell whether nothing was written to the file between the two looks."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)

    @property
    def name(self) -> bytes:
        """The file's own name, without its folders."""
        return os.path.basename(self.path)


@dataclass(frozen=True, slots=True)
class Staged:
    """Our own copy of a source, in the spool: what the rest of the line reads."""

    file: str  # path in the spool
    sha256: str  # hex, of the bytes that were copied
    size: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What the decoder found inside a file."""

    container: str  # libav's name of the format, "wav"
    codec: str  # of the track we listen to, "pcm_s16le"
    tracks: int  # audio tracks in the file
    track: int  # the one we listen to, counted from 0 among the audio tracks
    rate: int  # Hz, of that track
    channels: int
    declared: float | None  # seconds the file says, or its bit rate suggests; None: neither does
    start: float  # seconds by which this track begins after the container's own zero


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of speech that the voice detector heard, and the cut around it."""

    start: float  # where the cut begins, a breath before the speech
    end: float
    speech_start: float  # where the speech itself begins
    speech_end: float

    @property
    def seconds(self) -> float:
        """How much sound the cut holds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Window:
    """At most 30 s of speech out of a recording: the unit of batching, progress and resume.

    Silence between the pieces is left out; `at` says where a second of the window
    lies in the recording.
    """

    index: int  # counted from 0 in the order of the recording
    pieces: tuple[Piece, ...]

    @property
    def start(self) -> float:
        """Where the window begins in the recording."""
        return self.pieces[0].start

    @property
    def end(self) -> float:
        """Where the window ends in the recording."""
        return self.pieces[-1].end

    @property
    def seconds(self) -> float:
        """How much sound the window holds, silence left out."""
        return sum(piece.seconds for piece in self.pieces)

    def piece_at(self, second: float) -> tuple[Piece, float]:
        """Find the piece that holds `second` of the window, and where that piece begins in it."""
        begins = 0.0
        for piece in self.pieces:
            if second < begins + piece.seconds:
                return piece, begins
            begins += piece.seconds
        last = self.pieces[-1]
        return last, begins - last.seconds


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word. `word` keeps the space before it, as Whisper spells it."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase as the model cut it. Fields as in openai-whisper."""

    id: int
    seek: int  # hundredths of a second: where the window of this segment begins
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()
    language: str | None = None  # where the recording has several


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader of the transcript should know: a `warning.*` code and its facts."""

    code: str
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A spelling that people want: wherever the model writes `heard`, `written` stands."""

    heard: str
    written: str


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: written down with the job once, never changed afterwards."""

    profile: str = "default"
    model: str = "selftest"
    language: str | None = None  # ISO 639-1; None: listen and find out; or SEVERAL
    task: str = "transcribe"  # transcribe | translate | both
    vocabulary: tuple[str, ...] = ()  # names and words the model should expect
    replacements: tuple[Replacement, ...] = ()  # of whole words, whatever their case
    initial_prompt: str | None = None
    beam: int = 5
    vad: bool = True
    formats: tuple[str, ...] = ("txt", "srt", "vtt", "json", "docx", "md")
    subtitle_rules: str = "standard"
    language_suffix: str = "translations"  # never | always | translations

    @property
    def tasks(self) -> tuple[str, ...]:
        """The transcripts this asks for, one after the other."""
        return ("transcribe", "translate") if self.task == "both" else (self.task,)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a transcript comes from: enough to ask for the same again."""

    appliance: str  # our version
    engine: str  # "faster-whisper 1.2.1, ctranslate2 4.8.5"
    model: str
    model_sha256: str
    device: str  # cpu | cuda
    compute_type: str
    options: Mapping[str, object]
    source_name: str
    source_sha256: str
    source_size: int
    source_mtime_ns: int
    correlation: str  # ties log lines, events and exports of one sighting together


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a recording, and how we know. Recorded once, never computed again."""

    task: str  # transcribe | translate
    language: str  # ISO 639-1, as spoken (a translation's text is English)
    language_probability: float
    duration: float  # decoded seconds of the recording
    model: str
    segments: tuple[Segment, ...]
    warnings: tuple[Notice, ...]
    provenance: Provenance

    @property
    def text_language(self) -> str:
        """The language the text is written in."""
        return "en" if self.task == "translate" else self.language


@dataclass(frozen=True, slots=True)
class Change:
    """What a person made of a stretch of a transcript: these segments instead of those."""

    task: str  # of the transcript
    first: int  # the place of the first segment that goes
    count: int  # how many go, at least 1
    segments: tuple[Segment, ...]  # what stands there instead; none: it was removed


@dataclass(frozen=True, slots=True)
class Usage:
    """What the decode child of one attempt has used up."""

    memory_peak: int | None  # bytes
    cpu_seconds: float
    wall_seconds: float  # from its birth to its end
    throttled_seconds: (
        float | None
    )  # it wanted a processor and had used up its share; None: unknown


@dataclass(frozen=True, slots=True)
class Export:
    """One format of one transcript, rendered and not yet delivered."""

    format: str  # a key of export.EXPORTERS
    suffix: str  # what follows the recording's stem: ".srt", ".en.srt"
    content: bytes
