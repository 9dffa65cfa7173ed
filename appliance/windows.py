"""Cut sound into the windows that the model hears.

In: blocks of mono sound at 16 kHz, of any length, as they come out of the decoder.
Out: one Window after the other with its sound, as soon as it is certain. Three steps, each
a generator: `speech` (or `contiguous`) finds the cuts, `pack` joins them into at most 30 s,
`log_mel` turns a window's sound into what the encoder reads.

The cuts are those that faster-whisper finds when it holds the whole recording in memory.
We never do: what no later cut can need is forgotten, so ten hours take the room of a minute.
Windows are fuller than its own: what a window has room for yet is filled up to a breath.

Not here: files and codecs (decode), the model that listens (engine).
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.nouns import MEL_FRAMES, SAMPLE_RATE, WINDOW_SECONDS, Piece, Window

Samples = npt.NDArray[np.float32]
Block = npt.NDArray[np.int16] | npt.NDArray[np.float32]

# Read when onnxruntime is loaded: without it, it reports its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

LIMIT: Final = int(WINDOW_SECONDS * SAMPLE_RATE)  # samples in a full window
CHUNK: Final = 512  # samples the voice detector judges at once
CONTEXT: Final = 64  # samples before a chunk that it sees again
MARGIN: Final = 6_400  # samples left around speech, so that no first or last sound is lost
LOUD: Final = 0.5  # from here on it is speech
QUIET: Final = 0.35  # below here it is none; in between it is what it was before
LONGEST: Final = LIMIT - CHUNK - 2 * MARGIN  # samples of speech without a break
PAUSE: Final = 2_560  # samples of quiet that end a speech: 160 ms
BREATH: Final = 1_568  # samples of quiet where a speech too long may be split: 98 ms
GAP: Final = 3 * CHUNK  # samples of quiet where a window may end inside a speech: 96 ms
SHORTEST: Final = SAMPLE_RATE  # samples of speech that such an end leaves on either side
CHOICE: Final = 4 * SAMPLE_RATE  # samples in which the longest gap is chosen


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A piece in samples since the first one, and its sound."""

    start: int
    speech_start: int
    speech_end: int
    sound: Samples
    gaps: tuple[tuple[int, int], ...] = ()  # quiet inside the speech: from, and until before

    def split(self, room: int) -> tuple[Cut, Cut] | None:
        """Two of it, the first of at most `room` samples and about as long as can be; or None.

        In the middle of a gap, as far from words as it can be; no sample is in both. Of the last
        seconds that fit, the longest gap: a sentence is likelier to end there.
        """
        fit = [gap for gap in self.gaps if self._leaves_speech(gap) and self._until(gap) <= room]
        if not fit:
            return None
        late = [gap for gap in reversed(fit) if gap[0] >= fit[-1][0] - CHOICE]
        quiet, loud = longest = max(late, key=lambda gap: gap[1] - gap[0])
        at = self._until(longest)
        before = tuple(gap for gap in self.gaps if gap[1] <= quiet)
        behind = tuple(gap for gap in self.gaps if gap[0] >= loud)
        return (
            Cut(self.start, self.speech_start, quiet, self.sound[:at], before),
            Cut(self.start + at, loud, self.speech_end, self.sound[at:], behind),
        )

    def _leaves_speech(self, gap: tuple[int, int]) -> bool:
        return min(gap[0] - self.speech_start, self.speech_end - gap[1]) >= SHORTEST

    def _until(self, gap: tuple[int, int]) -> int:
        return sum(gap) // 2 - self.start


def windows(
    blocks: Iterable[Block], *, vad: bool = True, start: float = 0.0
) -> Iterator[tuple[Window, Samples]]:
    """Cut `blocks` into windows; `start` is where the first sample lies in the recording."""
    return pack(speech(blocks) if vad else contiguous(blocks), start=start)


def pack(cuts: Iterable[Cut], *, start: float = 0.0) -> Iterator[tuple[Window, Samples]]:
    """Join cuts into windows, each filled up to a breath of the cut that does not fit.

    A window costs what 30 s cost, whatever it holds (docs/decisions/0039).
    """
    index, length = 0, 0
    held: list[Cut] = []
    for cut in cuts:
        if held and length + len(cut.sound) > LIMIT:
            if parts := cut.split(LIMIT - length):
                held.append(parts[0])
                cut = parts[1]
            yield _window(index, held, start)
            index, length, held = index + 1, 0, []
        held.append(cut)
        length += len(cut.sound)
    if held:
        yield _window(index, held, start)


def contiguous(blocks: Iterable[Block]) -> Iterator[Cut]:
    """Cut every 30 s, whoever speaks or not."""
    tape = _Tape()
    for block in blocks:
        tape.record(block)
        while tape.end - tape.start >= LIMIT:
            yield _whole(tape, tape.start + LIMIT)
    if tape.end > tape.start:
        yield _whole(tape, tape.end)


def speech(blocks: Iterable[Block]) -> Iterator[Cut]:
    """Cut out what the voice detector takes for speech, with a margin around it."""
    cutter = _Cutter()
    for block in blocks:
        yield from cutter.hear(block)
    yield from cutter.finish()


def log_mel(sound: Samples, mels: int) -> Samples:
    """Turn at most 30 s of sound into the [mels, 3000] that the encoder reads."""
    heard = _feature_extractor(mels)(sound)[:, :-1]
    mel = np.zeros((mels, MEL_FRAMES), np.float32)
    frames = min(heard.shape[1], MEL_FRAMES)
    mel[:, :frames] = heard[:, :frames]
    return mel


class VoiceDetector:
    """Silero, fed bit by bit. It remembers what it heard: where blocks end changes nothing."""

    def __init__(self) -> None:
        self._session = _session()
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def judge(self, sound: Samples) -> Samples:
        """Say for each chunk of `sound`, whole chunks only, how likely it is speech."""
        if not len(sound):
            return np.zeros(0, np.float32)
        chunks = sound.reshape(-1, CHUNK)
        seen = np.empty((len(chunks), CONTEXT + CHUNK), np.float32)
        seen[:, CONTEXT:] = chunks
        seen[0, :CONTEXT] = self._context
        seen[1:, :CONTEXT] = chunks[:-1, -CONTEXT:]
        self._context = chunks[-1, -CONTEXT:].copy()
        likely, self._hidden, self._cell = self._session.run(
            None, {"input": seen, "h": self._hidden, "c": self._cell}
        )
        return np.ravel(likely)


class _Segmenter:
    """Where speech begins and ends, chunk after chunk.

    Speech begins with a loud chunk and ends where the quiet before a pause began. One that
    grows too long is split at its last breath, or right here when it had none.
    """

    def __init__(self) -> None:
        self.begin: int | None = None  # of the speech going on
        self._quiet = 0  # where the present quiet began, 0 while there is none
        self._breath = 0  # where the last quiet long enough to split at began
        self._resumed = 0  # where speech went on after that breath
        self._gaps: list[tuple[int, int]] = []  # inside a speech, as of a Cut

    def step(self, at: int, *, loud: bool, quiet: bool) -> tuple[int, int] | None:
        """Take the chunk at sample `at`; give back the speech that ended with it, if one did."""
        if loud and self._quiet:
            if at - self._quiet >= GAP:
                self._gaps.append((self._quiet, at))
            self._quiet = 0
            if self._resumed < self._breath:
                self._resumed = at
        if self.begin is None:
            if loud:
                self.begin = at
            return None
        if at - self.begin > LONGEST:
            return self._split(at, quiet=quiet)
        return self._pause(at) if quiet else None

    def gaps(self, begin: int, end: int) -> tuple[tuple[int, int], ...]:
        """Those of the speech from `begin` to `end`. What lies before `end` is forgotten."""
        inside = tuple(gap for gap in self._gaps if begin <= gap[0] and gap[1] <= end)
        self._gaps = [gap for gap in self._gaps if gap[0] >= end]
        return inside

    def _split(self, at: int, *, quiet: bool) -> tuple[int, int]:
        if not self._breath:
            return self._end(at)
        resumed = self._resumed if self._resumed > self._breath else None
        ended = self._end(self._breath)
        self.begin = resumed
        if resumed is not None and quiet:
            self._quiet = at
        return ended

    def _pause(self, at: int) -> tuple[int, int] | None:
        self._quiet = self._quiet or at
        if at - self._quiet > BREATH:
            self._breath = self._quiet
        return None if at - self._quiet < PAUSE else self._end(self._quiet)

    def _end(self, end: int) -> tuple[int, int]:
        begin, self.begin = self.begin, None
        self._quiet = self._breath = self._resumed = 0
        return (begin or 0, end)


class _Cutter:
    """Sound in, cuts out. A cut is certain once we know how far away the next speech is."""

    def __init__(self) -> None:
        self._tape = _Tape()
        self._detector = VoiceDetector()
        self._segmenter = _Segmenter()
        self._heard = 0  # samples judged so far
        self._ended: list[tuple[int, int]] = []  # speeches whose cut is not certain yet
        self._before: int | None = None  # where the speech before those ended

    def hear(self, block: Block) -> Iterator[Cut]:
        """Take a block; give the cuts that became certain."""
        self._tape.record(block)
        whole = (self._tape.end - self._heard) // CHUNK * CHUNK
        self._judge(self._tape.play(self._heard, self._heard + whole))
        yield from self._certain()
        self._tape.forget(self._needed_from())

    def finish(self) -> Iterator[Cut]:
        """Judge the unfinished chunk, filled up with silence; give the cuts that are left."""
        length = self._tape.end
        rest = np.zeros(CHUNK, np.float32)
        rest[: length - self._heard] = self._tape.play(self._heard, length)
        rest[-CONTEXT:] = 0  # the whole-file detector silences them, and we match it exactly
        self._judge(rest)
        if self._segmenter.begin is not None and self._segmenter.begin < length:
            self._ended.append((self._segmenter.begin, length))
        self._segmenter.begin = None
        yield from self._certain()
        if self._ended:
            yield self._cut(min(length, self._ended[0][1] + MARGIN))

    def _judge(self, sound: Samples) -> None:
        likely = self._detector.judge(sound)
        loud, quiet = (likely >= LOUD).tolist(), (likely < QUIET).tolist()
        for is_loud, is_quiet in zip(loud, quiet, strict=True):
            ended = self._segmenter.step(self._heard, loud=is_loud, quiet=is_quiet)
            if ended is not None:
                self._ended.append(ended)
            self._heard += CHUNK

    def _certain(self) -> Iterator[Cut]:
        while self._ended:
            end = self._ended[0][1]
            next_begin = self._ended[1][0] if len(self._ended) > 1 else self._segmenter.begin
            if next_begin is None and self._heard < end + 2 * MARGIN:
                return
            gap = 2 * MARGIN if next_begin is None else next_begin - end
            yield self._cut(end + min(gap // 2, MARGIN))

    def _cut(self, cut_end: int) -> Cut:
        begin, end = self._ended.pop(0)
        cut_start = self._cut_start(begin)
        self._before = end
        gaps = self._segmenter.gaps(begin, end)
        return Cut(cut_start, begin, end, self._tape.play(cut_start, cut_end), gaps)

    def _cut_start(self, begin: int) -> int:
        gap = 2 * MARGIN if self._before is None else begin - self._before
        return max(0, begin - min(gap // 2, MARGIN))

    def _needed_from(self) -> int:
        if self._ended:
            return self._cut_start(self._ended[0][0])
        if self._segmenter.begin is not None:
            return self._cut_start(self._segmenter.begin)
        return self._heard - MARGIN


class _Tape:
    """The last stretch of the sound, numbered from the first sample of all."""

    def __init__(self) -> None:
        self.start = 0
        self._kept = np.zeros(0, np.float32)

    @property
    def end(self) -> int:
        return self.start + len(self._kept)

    def record(self, block: Block) -> None:
        self._kept = np.concatenate([self._kept, _as_float(block)])

    def play(self, start: int, end: int) -> Samples:
        return self._kept[start - self.start : end - self.start].copy()

    def forget(self, before: int) -> None:
        if before > self.start:
            self._kept = self._kept[before - self.start :].copy()
            self.start = before


def _as_float(block: Block) -> Samples:
    if block.dtype == np.int16:
        return block.astype(np.float32) / np.float32(32_768)
    return block.astype(np.float32, copy=False)


def _whole(tape: _Tape, end: int) -> Cut:
    cut = Cut(tape.start, tape.start, end, tape.play(tape.start, end))
    tape.forget(end)
    return cut


def _window(index: int, cuts: list[Cut], start: float) -> tuple[Window, Samples]:
    pieces = tuple(_piece(cut, start) for cut in cuts)
    return Window(index, pieces), np.concatenate([cut.sound for cut in cuts])


def _piece(cut: Cut, start: float) -> Piece:
    ticks = (cut.start, cut.start + len(cut.sound), cut.speech_start, cut.speech_end)
    return Piece(*(start + tick / SAMPLE_RATE for tick in ticks))


@functools.cache
def _feature_extractor(mels: int) -> Any:  # noqa: ANN401 - the library has no types
    from faster_whisper.feature_extractor import FeatureExtractor

    return FeatureExtractor(feature_size=mels)


@functools.cache
def _session() -> Any:  # noqa: ANN401 - the library has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1  # a second thread doubles the work and halves nothing
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        _model_file(), providers=["CPUExecutionProvider"], sess_options=options
    )


def _model_file() -> str:
    found = importlib.util.find_spec("faster_whisper")
    if found is None or found.origin is None:
        raise FileNotFoundError("faster_whisper, which brings the voice detector's model")
    return os.path.join(os.path.dirname(found.origin), "assets", "silero_vad_v6.onnx")
