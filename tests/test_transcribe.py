"""The relay between a real decode child and engines that behave badly; and where words land."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from appliance import wire
from appliance.decoders import Decoders
from appliance.errors import (
    ApplianceError,
    Cancelled,
    ChildKilled,
    DecoderUnreachable,
    DiskFull,
    EngineLost,
    EngineUnreachable,
    EngineVersion,
    GpuMemory,
    Interrupted,
    NoAudioTrack,
    NodeIO,
    SourceTimeout,
    SourceUnreadable,
    Stalled,
)
from appliance.limits import Limits, probe
from appliance.nouns import (
    Notice,
    Options,
    Piece,
    Provenance,
    Recording,
    Segment,
    Source,
    Staged,
    Usage,
    Window,
    Word,
)
from appliance.transcribe import Request, Result, checkpoint, door, relay, transcribe
from appliance.transcribe.assemble import assemble, so_far
from appliance.transcribe.checkpoint import Checkpoint
from appliance.transcribe.pace import Pace
from appliance.transcribe.relay import Outcome
from appliance.transcribe.tally import Tally
from appliance.wire import Ended, Heard
from tests.engines.__main__ import WELCOME
from tests.line import sounds

SECONDS = 200  # of speech: some seven windows


def nowhere() -> Checkpoint:
    """A checkpoint that keeps nothing."""
    return Checkpoint(lambda _made_by: {}, lambda _made_by, _rows: None)


@dataclass
class Bench:
    """A recording, decoders, and an engine of the test's choice."""

    folder: Path
    decoders: Decoders
    recording: str
    checkpoint: Checkpoint = field(default_factory=nowhere)
    deadline: float = 600.0  # seconds
    used: list[Usage] = field(default_factory=list)

    @property
    def door(self) -> str:
        return str(self.folder / "engine.sock")

    @contextlib.contextmanager
    def engine(self, mode: str) -> Iterator[None]:
        """Run an engine and start it again when it dies, as the supervisor does."""
        stopping = threading.Event()

        def keep_running() -> None:
            while not stopping.is_set():
                command = [sys.executable, "-m", "tests.engines", mode, self.door]
                engine = subprocess.Popen(command)
                while engine.poll() is None and not stopping.wait(0.05):
                    pass
                engine.kill()
                engine.wait()

        thread = threading.Thread(target=keep_running)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def transcribe(self, file: str | None = None, **options: object) -> Result:
        staged = Staged(file or self.recording, "0" * 64, 1)
        request = Request(
            source=Source("s", b"talk.wav", 1, 1),
            staged=staged,
            options=Options(**options),  # type: ignore[arg-type]
            correlation="c",
            max_seconds=3600,
            timeout_factor=0.001,  # of the recording's length: the least counts
            timeout_least=self.deadline,
        )
        return transcribe(
            request,
            engine_socket=self.door,
            decoders=self.decoders,
            checkpoint=self.checkpoint,
            progress=lambda _done, _total, _left: None,
            stop=self.stop,
            used=self.used.append,
        )

    def stop(self) -> None:
        """Nobody stops it."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sounds") / "talk.wav"
    return sounds.write(str(path), sounds.long(SECONDS))


@pytest.fixture
def bench(tmp_path: Path, recording: str) -> Iterator[Bench]:
    with Decoders(Limits(memory_mb=1024)) as decoders:
        yield Bench(tmp_path, decoders, recording)


def becoming(*arguments: str) -> list[str]:
    """A template whose children run Python with these arguments."""
    return [sys.executable, "-m", "tests.forked", sys.executable, *arguments]


def words(result: Result) -> list[str]:
    return "".join(segment.text for segment in result.transcripts[0].segments).split()


def windows_heard(result: Result) -> list[int]:
    return sorted({int(word[1:].partition(".")[0]) for word in words(result)})


@pytest.mark.parametrize("mode", ["good", "repeats", "dies-once", "deafens", "wavers"])
def test_every_window_is_heard_once_and_in_its_place(bench: Bench, mode: str) -> None:
    with bench.engine(mode):
        result = bench.transcribe()
    said = words(result)
    assert len(said) == len(set(said))
    assert windows_heard(result) == list(range(len(windows_heard(result))))
    assert len(windows_heard(result)) >= 5
    starts = [s.start for s in result.transcripts[0].segments]
    assert starts == sorted(starts)
    assert result.transcripts[0].language == "en"
    assert result.duration == pytest.approx(SECONDS, abs=0.1)


def test_both_tasks_give_two_transcripts(bench: Bench) -> None:
    with bench.engine("good"):
        result = bench.transcribe(task="both", language="de")
    assert [t.task for t in result.transcripts] == ["transcribe", "translate"]
    assert [t.text_language for t in result.transcripts] == ["de", "en"]
    assert [s.text for s in result.transcripts[0].segments] == [
        s.text for s in result.transcripts[1].segments
    ]


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("poisoned", EngineLost),
        ("out-of-memory", GpuMemory),
        ("stranger", EngineVersion),
    ],
)
def test_a_bad_engine_is_a_named_error(
    bench: Bench, mode: str, error: type[ApplianceError]
) -> None:
    with bench.engine(mode), pytest.raises(error):
        bench.transcribe()


def test_an_engine_that_babbles_is_lost_not_believed(bench: Bench) -> None:
    with bench.engine("babbles"), pytest.raises(EngineLost):
        bench.transcribe()


@pytest.mark.parametrize("seconds", [SECONDS, 2 * SECONDS], ids=["few", "more than slots"])
def test_an_engine_that_says_nothing_is_given_up_like_a_dead_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Even while the child says once a second that it waits for a free slot."""
    file = sounds.write(str(bench.folder / "talk.wav"), sounds.long(seconds))
    monkeypatch.setattr(relay, "STALL_SECONDS", 2.0)
    with bench.engine("mute"), pytest.raises(EngineLost):
        bench.transcribe(file)


def test_waiting_for_the_engine_takes_no_processor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has ended and hung up, which a poll would tell again and again, at once."""
    file = sounds.write(str(bench.folder / "memo.wav"), sounds.long(8))
    monkeypatch.setattr(relay, "STALL_SECONDS", 2.0)
    before = time.thread_time()
    with bench.engine("mute"), pytest.raises(EngineLost):
        bench.transcribe(file)
    assert time.thread_time() - before < 0.7  # of more than two seconds


def test_an_engine_that_stays_away_costs_the_job_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "ENGINE_PATIENCE_SECONDS", 1.0)
    with bench.engine("leaves"), pytest.raises(EngineUnreachable):
        bench.transcribe()


def test_an_engine_that_is_stopped_is_no_engine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its door still opens, the kernel sees to that; nobody says welcome."""
    monkeypatch.setattr(relay, "STALL_SECONDS", 2.0)
    monkeypatch.setattr(door, "WELCOME_SECONDS", 2.0)
    with bench.engine("stops"), pytest.raises(EngineUnreachable):
        bench.transcribe()


def test_nobody_waits_for_ever_at_a_door_where_too_many_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KNOCK_SECONDS", 0.5)
    full = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    full.bind(bench.door)
    full.listen(0)
    with full, wire.connect(bench.door), pytest.raises(EngineUnreachable):
        bench.transcribe()


def test_an_engine_that_does_not_read_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire.channel, "SEND_PATIENCE_SECONDS", 1)
    path = str(tmp_path / "door")

    def talk_to_the_deaf(channel: wire.Channel) -> None:
        for _ in range(100_000):
            channel.send(wire.Failed("x", {"y": "z" * 10_000}))

    with wire.listen(path) as opened, wire.connect(path) as channel:
        deaf, _ = opened.accept()
        with deaf, pytest.raises(wire.Hung):
            talk_to_the_deaf(channel)


def test_an_engine_that_is_at_others_windows_is_not_taken_for_dead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "STALL_SECONDS", 4.0)
    bench.recording = sounds.write(str(bench.folder / "short.wav"), sounds.long(10))
    with bench.engine("crowded"):
        assert bench.transcribe().transcripts


def test_a_recording_is_not_heard_with_one_model_and_another(bench: Bench) -> None:
    """Somebody brought newer weights, and the engine was started anew in the middle."""
    with bench.engine("grows"), pytest.raises(Interrupted):
        bench.transcribe()


@pytest.mark.parametrize("stopped", ["import time; time.sleep(100)", "os.kill(os.getpid(), 19)"])
def test_a_child_that_says_nothing_is_a_stall(
    tmp_path: Path, recording: str, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    monkeypatch.setattr(relay, "STALL_SECONDS", 1.0)
    with Decoders(Limits(), argv=becoming("-c", f"import os; {stopped}")) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"), pytest.raises(Stalled):
            bench.transcribe()


def test_a_job_ends_when_its_time_is_over_and_not_a_second_later(bench: Bench) -> None:
    bench.deadline = 1.2
    with bench.engine("mute"), pytest.raises(SourceTimeout):
        bench.transcribe()
    (used,) = bench.used
    assert 1.2 <= used.wall_seconds < 2.2
    assert used.cpu_seconds > 0
    assert (used.memory_peak or 0) > 1 << 20


def test_a_box_that_starts_no_child_is_a_named_error(tmp_path: Path, recording: str) -> None:
    with Decoders(Limits(), argv=["/nowhere/python"]) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"), pytest.raises(DecoderUnreachable, match="No decoder starts"):
            bench.transcribe()


WITHOUT = """
import sys
from appliance.limits import landlock, seccomp
{wall}.restrict = lambda *_: False
from appliance.decode.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("wall", "error"), [("seccomp", NodeIO), ("landlock", DecoderUnreachable), ("seccomp", None)]
)
def test_a_decoder_that_must_have_every_wall_reads_nothing_without_one(
    tmp_path: Path, recording: str, wall: str, error: type[ApplianceError] | None
) -> None:
    """The one goes up in each child, the other in the template already."""
    if probe().missing():
        pytest.skip("not every wall stands on this platform")
    argv = [sys.executable, "-c", WITHOUT.format(wall=wall)]
    with Decoders(Limits(memory_mb=1024, every_wall=error is not None), argv=argv) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"):
            if error is None:
                assert bench.transcribe().transcripts
                return
            with pytest.raises(error):
                bench.transcribe()


def test_no_engine_at_all_costs_the_job_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KNOCK_SECONDS", 0.5)
    with pytest.raises(EngineUnreachable):
        bench.transcribe()


def test_a_job_that_is_cancelled_ends_within_two_seconds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel() -> None:
        raise Cancelled

    monkeypatch.setattr(bench, "stop", cancel)
    with bench.engine("mute"), pytest.raises(Cancelled):
        bench.transcribe()


def test_what_the_child_finds_wrong_with_the_file_is_told(bench: Bench, tmp_path: Path) -> None:
    words = tmp_path / "words.wav"
    words.write_bytes(b"only words" * 100)
    with bench.engine("good"), pytest.raises(ApplianceError) as caught:
        bench.transcribe(str(words))
    assert caught.value.code == "source.unreadable"
    assert "talk.wav" in caught.value.sentence
    assert NoAudioTrack.code != caught.value.code


@pytest.mark.parametrize(
    "program",
    ["import sys; sys.exit(3)", "import os; os.kill(os.getpid(), 11)", "print('no frames')"],
)
def test_a_child_that_dies_is_a_named_error(tmp_path: Path, recording: str, program: str) -> None:
    argv = becoming("-c", program)
    with Decoders(Limits(), argv=argv) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"), pytest.raises(ChildKilled):
            bench.transcribe()


CHILD = """
import socket, sys, time
from appliance import wire
from appliance.nouns import Piece, Window, Recording
talk = wire.Channel(socket.socket(fileno=int(sys.argv[-1])))
talk.receive()
def window(*pieces, index=0): return wire.Ready(Window(index, pieces), 0)
good = Piece(0.0, 5.0, 0.1, 4.9)
def end(**lie):
    true = {"seconds": 5.0, "speech": 5.0, "windows": 0, "damaged": 0, "missing": 0.0}
    return wire.Ended(**{**true, **lie})
lies = {
    "ends-at-infinity": end(seconds=1e308),
    "ends-before": end(seconds=-1.0),
    "ends-with-more": end(windows=3),
    "no-pieces": window(),
    "too-long": window(Piece(0.0, 90.0, 0.0, 90.0)),
    "backwards": window(good, Piece(1.0, 2.0, 1.0, 2.0)),
    "after-the-end": window(Piece(9e6, 9e6 + 1, 9e6, 9e6 + 1)),
    "endless": window(*[Piece(n / 100, (n + 1) / 100, n / 100, n / 100) for n in range(2000)]),
    "out-of-turn": window(good, index=7),
    "fenced": wire.Failed("policy.fenced", {"job": 1}),
    "offline": wire.Failed("share.offline", {"share": "another"}),
    "changed": wire.Failed("source.changed", {}),
    "settings": wire.Failed("settings.invalid", {}),
}
talk.send(lies[sys.argv[1]])
time.sleep(5)
"""


@pytest.mark.parametrize(
    "lie",
    [
        *("no-pieces", "too-long", "backwards", "after-the-end", "endless", "out-of-turn"),
        *("fenced", "offline", "changed", "settings"),
        *("ends-at-infinity", "ends-before", "ends-with-more"),
    ],
)
def test_a_child_that_was_taken_over_is_not_believed(
    tmp_path: Path, recording: str, lie: str
) -> None:
    argv = becoming("-c", CHILD, lie)
    with Decoders(Limits(), argv=argv) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"), pytest.raises(ChildKilled):
            bench.transcribe()


FLOOD = """
import socket, sys, time
from appliance import wire
from appliance.nouns import Piece, Recording, Window
talk = wire.Channel(socket.socket(fileno=int(sys.argv[-1])))
talk.receive()
reads, free = sys.argv[1] == "reads", list(range(8))
for n in range(100_000):
    piece = Piece(n / 1e4, (n + 1) / 1e4, n / 1e4, (n + 1) / 1e4)
    while reads and not free:
        free.append(talk.receive()[0].slot)
    talk.send(wire.Ready(Window(n, (piece,)), free.pop(0) if reads else n % 8))
    if not reads:
        time.sleep(0.02)  # until it is heard, and its slot free: nobody has to be told that
"""


@pytest.mark.parametrize(
    ("reads", "why"), [("reads", "a window that cannot be"), ("deaf", "does not read")]
)
def test_windows_without_end_and_ears_without_use_end_the_child(
    tmp_path: Path, recording: str, monkeypatch: pytest.MonkeyPatch, reads: str, why: str
) -> None:
    """The worker's thread must not hang in what it tells to a child, nor keep what has no end."""
    monkeypatch.setattr(wire.channel, "CHILD_PATIENCE_SECONDS", 1)
    monkeypatch.setattr(wire.channel, "MAX_FRAME", 1 << 15)
    with Decoders(Limits(), argv=becoming("-c", FLOOD, reads)) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        with bench.engine("good"), pytest.raises(ChildKilled, match=why):
            bench.transcribe()


TALKS = """
import socket, sys, time
from appliance import wire
from appliance.nouns import Recording
talk = wire.Channel(socket.socket(fileno=int(sys.argv[-1])))
talk.receive()
found = wire.Found(Recording("wav", "pcm_s16le", 1, 0, 8_000, 1, 43_200.0, 0.0))
said = {
    "frames": [wire.Said(("x",))] * 500,
    "nothing": [wire.Said(())] * 500,
    "lines": [wire.Said(("x",) * 500)],
    "a-line": [wire.Said(("x" * 900_000,))],
    "again": [found, found],
    "honest": [wire.Said(("x" * 400,))] * 201 + [wire.Failed("source.unreadable", {})],
}
for one in said[sys.argv[1]]:
    talk.send(one)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("talk", "why"),
    [
        *((talk, "talks without end") for talk in ("frames", "nothing", "lines", "a-line")),
        ("again", "another recording"),
        ("honest", None),
    ],
)
def test_a_child_that_talks_without_end_is_ended(
    tmp_path: Path, recording: str, talk: str, why: str | None
) -> None:
    with Decoders(Limits(), argv=becoming("-c", TALKS, talk)) as decoders:
        bench = Bench(tmp_path, decoders, recording)
        error = ChildKilled if why else SourceUnreadable
        with bench.engine("good"), pytest.raises(error, match=why):
            bench.transcribe()


def test_an_engine_that_never_says_welcome_is_no_engine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "WELCOME_SECONDS", 1.0)
    with wire.listen(bench.door), pytest.raises(EngineUnreachable):
        bench.transcribe()


def test_nothing_is_left_open_after_a_hundred_turns(bench: Bench) -> None:
    with bench.engine("good"):
        bench.transcribe()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            bench.transcribe()
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # the template's next child


# --- where words land ---------------------------------------------------------------------------

ORIGIN = Provenance(
    "1", "test engine", "selftest", "0", "cpu", "int8", {}, "talk.wav", "f", 1, 1, "c"
)
# Speech from 10.2 to 11.8 and from 60.2 to 61.8 s, cut a breath wider, joined in one window.
JOINED = Window(0, (Piece(10.0, 12.0, 10.2, 11.8), Piece(60.0, 62.0, 60.2, 61.8)))


def assembled(words: list[Word], *, window: Window = JOINED, ended: Ended | None = None) -> object:
    text = "".join(word.word for word in words)
    segment = Segment(0, 0, 0.0, 4.0, text, (), 0.0, -0.1, 1.0, 0.0, tuple(words))
    outcome = Outcome(
        recording=Recording("wav", "pcm_s16le", 1, 0, 16_000, 1, 70.0, 0.0),
        ended=ended or Ended(seconds=70.0, speech=4.0, windows=1, damaged=0, missing=0.0),
        welcome=WELCOME,
        windows=(window,),
        heard={(0, "transcribe"): Heard(0, "transcribe", "en", 1.0, (segment,))},
        language="en",
        probability=1.0,
    )
    return assemble(outcome, "transcribe", ORIGIN)


def placed(words: list[Word]) -> list[tuple[float, float, str]]:
    transcript = assembled(words)
    return [(s.start, s.end, s.text.strip()) for s in transcript.segments]  # type: ignore[attr-defined]


def test_words_go_back_to_the_side_of_the_silence_they_were_spoken_on() -> None:
    spoken = [Word(0.3, 0.8, " one", 1.0), Word(1.0, 1.6, " two", 1.0), Word(2.3, 3.5, " six", 1.0)]
    assert placed(spoken) == [(10.2, 11.8, "one two"), (60.2, 61.8, "six")]


def test_an_edge_word_begins_and_ends_with_the_speech() -> None:
    assert placed([Word(0.0, 0.5, " one", 1.0), Word(0.5, 1.3, " two", 1.0)]) == [
        (10.2, 11.8, "one two")
    ]


def test_a_word_far_from_the_edge_of_its_speech_stays() -> None:
    assert placed([Word(0.9, 1.0, " one", 1.0)]) == [(10.9, 11.0, "one")]


def test_words_never_overlap_and_never_run_backwards() -> None:
    spoken = [Word(1.0, 1.9, " a", 1.0), Word(0.5, 1.2, " b", 1.0), Word(0.4, 0.6, " c", 1.0)]
    transcript = assembled(spoken)
    found = [w for s in transcript.segments for w in s.words]  # type: ignore[attr-defined]
    for one, two in pairwise(found):
        assert one.start <= one.end <= two.start <= two.end


def test_the_reader_is_told_what_to_doubt() -> None:
    ended = Ended(70.0, 4.0, 1, damaged=3, missing=12.34, broken_off=True, blank=7.77)
    unsure = [Word(n / 4, n / 4 + 0.2, " hm", 0.1) for n in range(8)]
    codes = {w.code: w.detail for w in assembled(unsure, ended=ended).warnings}  # type: ignore[attr-defined]
    assert codes["warning.missing-seconds"] == {"seconds": 12.3}
    assert codes["warning.decode-errors"] == {"count": 3}
    assert codes["warning.blank-end"] == {"seconds": 7.8}
    assert "warning.broken-off" in codes
    assert codes["warning.low-confidence"] == {"percent": 100}
    assert "warning.selftest-model" in codes
    silent = assembled([])
    assert Notice("warning.no-speech") in silent.warnings  # type: ignore[attr-defined]


# --- going on where another attempt was stopped -------------------------------------------------


class Rows:
    """Rows as the ledger keeps them, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, bytes]] = {}
        self.stop_at: int | None = None

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(lambda made_by: dict(self.rows.get(made_by, {})), self.save)

    def save(self, made_by: str, rows: Mapping[int, bytes]) -> None:
        self.rows.setdefault(made_by, {}).update(rows)
        if self.stop_at and len(self.rows[made_by]) >= self.stop_at:
            self.stop_at = None
            raise Interrupted


@pytest.mark.parametrize("language", [None, "en"])
@pytest.mark.parametrize("task", ["transcribe", "both"])
def test_the_next_attempt_hears_only_the_rest_and_ends_the_same(
    bench: Bench, language: str | None, task: str
) -> None:
    kept = Rows()
    with bench.engine("counts"):
        whole = bench.transcribe(language=language, task=task)
        once = heard_by(bench)
        bench.checkpoint = kept.checkpoint()
        kept.stop_at = 4
        with pytest.raises(Interrupted):
            bench.transcribe(language=language, task=task)
        before = heard_by(bench) - once
        bench.checkpoint = kept.checkpoint()
        resumed = bench.transcribe(language=language, task=task)
        after = heard_by(bench) - once - before
    assert resumed.transcripts == whole.transcripts
    there = sum(number >= 0 for rows in kept.rows.values() for number in rows)
    assert there == once, "the rest is kept as well"
    assert after < once
    assert before + after <= once + 8, "what was in the engine's hands at most"


def heard_by(bench: Bench) -> int:
    """How many windows the counting engine has heard so far."""
    try:
        return os.path.getsize(f"{bench.door}.heard")
    except FileNotFoundError:
        return 0


def test_what_was_asked_for_differently_is_not_taken_over(bench: Bench) -> None:
    kept = Rows()
    with bench.engine("counts"):
        bench.checkpoint = kept.checkpoint()
        bench.transcribe(language="en")
        once = heard_by(bench)
        bench.checkpoint = kept.checkpoint()
        bench.transcribe(language="de")
    assert heard_by(bench) == 2 * once
    assert len(kept.rows) == 2


def test_a_kept_window_that_cannot_be_read_is_heard_again(bench: Bench) -> None:
    kept = Rows()
    with bench.engine("counts"):
        bench.checkpoint = kept.checkpoint()
        whole = bench.transcribe()
        once = heard_by(bench)
        for rows in kept.rows.values():
            rows[1], rows[2] = b"torn", zlib.compress(b'{"no": "window"}')
        bench.checkpoint = kept.checkpoint()
        again = bench.transcribe()
    assert again.transcripts == whole.transcripts
    assert heard_by(bench) - once == 2


def test_the_words_so_far_can_be_read_along(bench: Bench) -> None:
    kept = Rows()
    bench.checkpoint = kept.checkpoint()
    with bench.engine("good"):
        result = bench.transcribe()
    (rows,) = kept.rows.values()
    said = list(so_far(checkpoint.kept(rows), "transcribe"))
    assert tuple(said) == result.transcripts[0].segments


def test_a_ledger_that_takes_nothing_stops_nobody(bench: Bench) -> None:
    tries = []

    def full(_made_by: str, rows: Mapping[int, bytes]) -> None:
        tries.append(len(rows))
        raise DiskFull(where="here", free_gb=0.0)

    bench.checkpoint = Checkpoint(lambda _made_by: {}, full)
    with bench.engine("good"):
        result = bench.transcribe()
    assert len(windows_heard(result)) >= 5
    assert tries[-1] > tries[0], "what could not be kept is tried again"


# --- the language, and how far it is ------------------------------------------------------------


def ready(index: int, *, seconds: float = 30.0) -> Window:
    start = index * seconds
    return Window(index, (Piece(start, start + seconds, start, start + seconds),))


def said(index: int, language: str, probability: float = 0.9) -> Heard:
    return Heard(index, "transcribe", language, probability, ())


def test_the_first_windows_vote_and_who_heard_otherwise_listens_again() -> None:
    tally = Tally(Options())
    for index in range(5):
        tally.take(ready(index), index)
    for out in tally.wanting():
        out.sent = True
    for index, language in enumerate(["en", "de", "de", "de", "en"]):
        tally.answer(said(index, language, 0.95 if language == "en" else 0.6))
    settled = tally.settle()
    assert tally.language is not None
    assert (tally.language.code, tally.voted) == ("de", True)
    assert tally.language.probability == pytest.approx(0.4)
    assert [out.window.index for out in settled] == [1, 2, 3]
    assert [out.window.index for out in tally.wanting()] == [0, 4]
    assert tally.asked == "de"


def test_with_several_languages_nobody_votes_and_the_most_spoken_names_the_whole() -> None:
    tally = Tally(Options(language="several"))
    for index, language in enumerate(["en", "de", "de"]):
        tally.take(ready(index), index)
        tally.answer(said(index, language))
        assert [out.window.index for out in tally.settle()] == [index]
    assert tally.asked is None
    assert tally.spoken().code == "de"


def test_a_short_recording_votes_with_what_it_has() -> None:
    tally = Tally(Options())
    tally.take(ready(0), 0)
    tally.answer(said(0, "es"))
    assert tally.settle() == []
    tally.complete = True
    assert [out.window.index for out in tally.settle()] == [0]
    assert tally.is_over()


def test_the_time_left_follows_the_pace_and_forgets_what_others_did() -> None:
    pace = Pace(0.0)
    assert pace.left(0.0, 100.0) is None
    pace.jumped(0.0, 500.0)
    for second in range(1, 61):
        pace.moved(float(second), 500.0 + 10.0 * second)
    assert pace.speed(60.0) == pytest.approx(10.0)
    assert pace.left(60.0, 1_600.0) == pytest.approx(50.0)
    for second in range(61, 400):  # somebody else shares the engine from here on
        pace.moved(float(second), 1_100.0 + 5.0 * (second - 60))
    assert pace.speed(399.0) == pytest.approx(5.0, rel=0.2)
    assert pace.left(399.0, None) is None


def test_the_time_left_runs_down_between_turns_and_grows_when_one_is_late() -> None:
    pace = Pace(0.0)
    for turn in range(1, 6):  # of 100 s in 4 s
        pace.moved(4.0 * turn, 100.0 * turn)
    left = [pace.left(20.0 + waited, 1_000.0) for waited in range(5)]
    assert left == [pytest.approx(20.0 - waited) for waited in range(5)]
    late = pace.left(44.0, 1_000.0)  # ten times as long as usual, and nothing has come
    assert late is not None
    assert late > 30.0
