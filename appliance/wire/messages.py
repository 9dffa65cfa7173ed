"""What can be said between worker, decode child and engine: a value each, in the order of the talk.

Not here: how it crosses a socket (channel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from appliance.nouns import Detail, Recording, Segment, Window

VERSION: Final = 4


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker to engine, with the ring: what this attempt wants."""

    kind: ClassVar = "hello"
    version: int
    model: str
    slots: int
    beam: int = 5
    vocabulary: tuple[str, ...] = ()
    initial_prompt: str | None = None
    about: Detail = field(default_factory=dict)  # job, correlation …: for the engine's log


@dataclass(frozen=True, slots=True)
class Welcome:
    """Engine to worker: who listens."""

    kind: ClassVar = "welcome"
    version: int
    engine: str  # "faster-whisper 1.2.1, ctranslate2 4.8.5"
    model: str
    model_sha256: str
    mels: int  # bins of log-mel the model wants
    multilingual: bool
    device: str
    compute_type: str
    fallback: bool  # a GPU was asked for and none was usable
    slots: int = 8  # windows of this attempt that it wants in hand


@dataclass(frozen=True, slots=True)
class Begin:
    """Worker to child, with source and ring: what to look for."""

    kind: ClassVar = "begin"
    name: str  # of the recording, for sentences
    mels: int
    slots: int
    max_seconds: float  # of decoded sound
    language: str | None  # prefer an audio track in this language
    vad: bool
    about: Detail = field(default_factory=dict)  # job, correlation …: for the child's log


@dataclass(frozen=True, slots=True)
class Free:
    """Worker to child: this slot may be written again."""

    kind: ClassVar = "free"
    slot: int


@dataclass(frozen=True, slots=True)
class Found:
    """Child to worker: the file is a recording."""

    kind: ClassVar = "found"
    recording: Recording


@dataclass(frozen=True, slots=True)
class Ready:
    """Child to worker: a window lies in a slot."""

    kind: ClassVar = "ready"
    window: Window
    slot: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Child to worker: how far we are; also the proof that something moves."""

    kind: ClassVar = "decoded"
    seconds: float
    speech: float  # of them


@dataclass(frozen=True, slots=True)
class Ended:
    """Child to worker: every window has been handed over."""

    kind: ClassVar = "ended"
    seconds: float
    speech: float
    windows: int
    damaged: int  # packets that could not be decoded
    missing: float  # seconds the container promised and did not hold
    broken_off: bool = False  # it does not end as its format ends; nobody knows what is missing
    blank: float = 0.0  # seconds at its end for which the file holds nothing but zeros
    behind: int = 0  # bytes behind its end that were not heard: another recording, most often


@dataclass(frozen=True, slots=True)
class Said:
    """Child to worker: what its libraries said, for the log of the attempt."""

    kind: ClassVar = "said"
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Child to worker: a named error instead of an end."""

    kind: ClassVar = "failed"
    code: str
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listen:
    """Worker to engine: transcribe what lies in this slot."""

    kind: ClassVar = "listen"
    window: Window
    slot: int
    tasks: tuple[str, ...]
    language: str | None  # None: say which it is
    alone: bool = False  # an engine died with it in hand: was it this one? Begun says when


@dataclass(frozen=True, slots=True)
class Begun:
    """Engine to worker: the window that is to be heard alone is, from now on."""

    kind: ClassVar = "begun"
    index: int


@dataclass(frozen=True, slots=True)
class Turned:
    """Engine to worker: it hears, others at the moment; windows of this attempt wait."""

    kind: ClassVar = "turned"


@dataclass(frozen=True, slots=True)
class Heard:
    """Engine to worker: one window's phrases, in seconds of the window."""

    kind: ClassVar = "heard"
    index: int
    task: str
    language: str
    probability: float
    segments: tuple[Segment, ...]
    redone: bool = False  # a shortened input was not enough
    full: bool = False  # no text may be longer: something said may be missing


@dataclass(frozen=True, slots=True)
class Fault:
    """Engine to worker: a named error; `index` -1 means the attempt, not one window."""

    kind: ClassVar = "fault"
    index: int
    code: str
    detail: Detail = field(default_factory=dict)


Message = (
    Hello
    | Welcome
    | Begin
    | Free
    | Found
    | Ready
    | Decoded
    | Ended
    | Said
    | Failed
    | Listen
    | Begun
    | Turned
    | Heard
    | Fault
)
KINDS: Final[dict[str, type[Message]]] = {
    kind.kind: kind
    for kind in (
        *(Hello, Welcome, Begin, Free, Found, Ready, Decoded, Ended, Said, Failed),
        *(Listen, Begun, Turned, Heard, Fault),
    )
}
