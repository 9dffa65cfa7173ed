"""Good, damaged and hostile files, each in a real decode child at the end of the real wire."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from appliance import windows, wire
from appliance.decode import complaints
from appliance.limits import Limits
from appliance.nouns import SAMPLE_RATE
from tests.media import files, sounds, worker

TALK_SECONDS = 40.0
HOUR = 3_600.0


@pytest.fixture(scope="module")
def talk() -> sounds.Sound:
    return sounds.meeting(TALK_SECONDS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, talk: sounds.Sound) -> dict[str, Path]:
    """The same talk in every kind of file."""
    folder = tmp_path_factory.mktemp("shelf")
    return {kind: files.record(folder / f"talk.{kind}", talk) for kind in files.KINDS}


@pytest.mark.parametrize("kind", files.KINDS)
def test_every_kind_of_recording_is_heard_to_its_end(kind: str, shelf: dict[str, Path]) -> None:
    heard = worker.decode(shelf[kind])
    assert heard.code == "ended", heard.log
    assert heard.ended is not None
    assert heard.ended.seconds == pytest.approx(TALK_SECONDS, abs=0.1)
    assert (heard.ended.damaged, heard.ended.missing) == (0, 0.0)
    assert (heard.ended.broken_off, heard.ended.blank) == (False, 0.0)
    assert heard.ended.windows == len(heard.windows) == 2
    assert heard.ended.speech > TALK_SECONDS / 2
    assert heard.recording is not None
    assert heard.recording.declared == pytest.approx(TALK_SECONDS, abs=0.2)
    assert heard.recording.start == 0.0
    assert heard.verdict is not None
    assert heard.verdict.exit_code == 0


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "webm"])
def test_the_sound_is_the_one_faster_whisper_hears(kind: str, shelf: dict[str, Path]) -> None:
    heard = worker.decode(shelf[kind], keep_mels=True, mels=128)
    sound = decode_audio(str(shelf[kind]))
    expected = list(windows.windows([sound]))
    assert heard.windows == [window for window, _ in expected]
    for mel, (_, samples) in zip(heard.mels, expected, strict=True):
        assert np.allclose(mel, windows.log_mel(samples, 128), atol=1e-5)  # BLAS adds in its order


def test_the_first_window_comes_while_the_file_is_still_being_decoded(tmp_path: Path) -> None:
    path = files.plain_wav(tmp_path / "long.wav", sounds.meeting(300))
    assert worker.decode(path).first_window_after <= 140  # and it decodes ahead


def sealed(pid: int) -> list[str]:
    """The mode of seccomp of every thread: 2 is a filter."""
    return [
        line.split()[1]
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for line in (thread / "status").read_text().splitlines()
        if line.startswith("Seccomp:")
    ]


def test_a_worker_that_keeps_every_slot_hears_that_the_child_lives(tmp_path: Path) -> None:
    path = files.plain_wav(tmp_path / "long.wav", sounds.meeting(120))
    ring = wire.Ring.create(1)
    with worker.child() as (channel, child), path.open("rb") as source:
        begin = wire.Begin("long.wav", 80, 1, HOUR, None, vad=True)
        channel.send(begin, [source.fileno(), ring.fd])
        said: list[wire.Message] = []
        until = time.monotonic() + 4
        while (left := until - time.monotonic()) > 0:
            received = channel.receive(left)
            said += [received[0]] if received else []
        assert sum(isinstance(message, wire.Ready) for message in said) == 1
        assert isinstance(said[-1], wire.Decoded)
        assert said[-1] == said[-2]  # it waits, and says so
        assert sealed(child.pid) == ["2", "2"]  # it, and the thread that decodes ahead
        channel.close()
        ended = child.wait(5)  # we hung up
    assert ended is not None
    assert ended.exit_code == 0
    ring.close()


def test_a_child_at_work_holds_its_source_its_ring_its_line_and_nothing_else(
    tmp_path: Path,
) -> None:
    path = files.plain_wav(tmp_path / "long.wav", sounds.meeting(120))
    ring = wire.Ring.create(1)
    with (
        worker.child(stderr=subprocess.DEVNULL) as (channel, child),
        path.open("rb") as source,
    ):
        begin = wire.Begin("long.wav", 80, 1, HOUR, None, vad=True)
        channel.send(begin, [source.fileno(), ring.fd])
        while not isinstance((channel.receive(60) or (None,))[0], wire.Ready):
            pass
        proc = Path(f"/proc/{child.pid}")
        held = sorted(os.readlink(fd) for fd in (proc / "fd").iterdir())
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        limits = (proc / "limits").read_text()
        child.kill()
        assert child.wait(10) is not None
    ring.close()
    # Python's map of the ring keeps a descriptor of its own.
    line = [name for name in held if name.startswith("socket:")]
    assert len(line) == 1
    assert held == sorted(["/dev/null"] * 3 + ["/memfd:ring (deleted)"] * 2 + line + [str(path)])
    assert (status["Seccomp"], status["NoNewPrivs"], status["Threads"]) == ("2", "1", "2")
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh")} == {0}
    for limit, soft in (("core file size", "0"), ("processes", "0"), ("open files", "64")):
        assert re.search(rf"Max {limit} +{soft} ", limits), limits


def test_a_child_nobody_needs_leaves_quietly() -> None:
    with worker.child() as (channel, child):
        channel.close()
        ended = child.wait(10)
    assert ended is not None
    assert ended.exit_code == 0


def test_without_voice_detection_everything_is_a_window(shelf: dict[str, Path]) -> None:
    heard = worker.decode(shelf["flac"], vad=False)
    assert [round(window.seconds) for window in heard.windows] == [30, 10]


# --- tracks and times ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_times_count_from_where_the_film_begins(kind: str, tmp_path: Path) -> None:
    sound = np.concatenate([sounds.silence(1), sounds.say("good morning everybody")])
    heard = worker.decode(files.record(tmp_path / f"late.{kind}", sound, late=2.0))
    assert heard.recording is not None
    assert heard.recording.start == pytest.approx(2.0, abs=0.03)
    assert heard.windows[0].pieces[0].speech_start == pytest.approx(3.0, abs=0.2)
    assert heard.ended is not None
    assert heard.ended.missing == 0.0


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "ts"])
def test_what_is_said_after_a_pause_of_the_recorder_is_not_too_early(
    kind: str, tmp_path: Path
) -> None:
    words = sounds.say("good morning everybody")
    sound = np.concatenate([words, sounds.silence(2), words])
    heard = worker.decode(files.record(tmp_path / f"paused.{kind}", sound, pause=(2.0, 30.0)))
    pieces = [piece for window in heard.windows for piece in window.pieces]
    first, second = pieces[0].speech_start, pieces[-1].speech_start
    assert second - first == pytest.approx(len(words) / SAMPLE_RATE + 32, abs=0.2)


@pytest.mark.parametrize(("language", "track"), [("de", 0), ("fr", 2), ("en", 1), (None, 1)])
def test_the_track_in_the_language_asked_for_is_heard(
    language: str | None, track: int, tmp_path: Path
) -> None:
    path = tmp_path / "film.mkv"
    sound = sounds.say("good morning everybody")
    files.record(path, sound, languages=("ger", "eng", "fra"), default=1)
    heard = worker.decode(path, language=language)
    assert heard.recording is not None
    assert (heard.recording.track, heard.recording.tracks) == (track, 3)
    assert len(heard.windows) == (1 if track == 0 else 0)  # only the first one holds the sound


# --- damaged files ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "mkv", "wma"])
def test_half_an_upload_is_heard_and_the_rest_reported_missing(
    kind: str, shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"half.{kind}"
    path.write_bytes(shelf[kind].read_bytes())
    heard = worker.decode(files.cut_short(path, 0.5))
    assert heard.ended is not None, heard
    assert heard.ended.seconds == pytest.approx(TALK_SECONDS / 2, rel=0.15)
    assert heard.ended.seconds + heard.ended.missing == pytest.approx(TALK_SECONDS, abs=0.5)


# Formats, or ways to write them, that hold no length.
UNMEASURED: dict[str, tuple[files.Spec, dict[str, str]]] = {
    "mp3": (files.KINDS["mp3"], {"write_xing": "0"}),
    "mp4": (
        files.KINDS["m4a"],
        {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"},
    ),
    "webm": (files.KINDS["webm"], {"live": "1"}),
    **{
        kind: (files.RARE[kind], {})
        for kind in ("mp2", "ac3", "eac3", "avi", "w64", "caf", "vob", "mpg", "nut")
    },
}


@pytest.mark.parametrize("kind", ["mp4", "m4a"])
def test_half_an_upload_whose_index_comes_last_has_not_arrived(
    kind: str, shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"half.{kind}"
    path.write_bytes(shelf[kind].read_bytes())
    assert worker.decode(files.cut_short(path, 0.5)).code == "source.truncated-upload"
    path.write_bytes(shelf[kind].read_bytes())
    assert worker.decode(files.zero_tail(path, 0.5)).code == "source.truncated-upload"


@pytest.mark.parametrize("kind", ["ogg", "opus", "ts", "aac", *UNMEASURED])
def test_where_nobody_knows_the_length_a_cut_is_reported(
    kind: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    spec, options = UNMEASURED.get(kind, (None, {}))
    path = files.record(tmp_path / f"cut.{kind}", talk, spec=spec, options=options)
    whole = worker.decode(path)
    assert whole.ended is not None, whole
    assert not whole.ended.broken_off
    half = worker.decode(files.cut_short(path, 0.503))
    if kind == "mp4" and half.code == "source.truncated-upload":
        return  # the cut fell into the index of a fragment, and libav opens none of it
    assert half.ended is not None, half
    assert half.ended.broken_off
    assert half.ended.missing == 0.0  # it would be a guess


@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_zeros_instead_of_the_rest_are_reported_in_seconds(
    kind: str, shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"half.{kind}"
    path.write_bytes(shelf[kind].read_bytes())
    heard = worker.decode(files.zero_tail(path, 0.5))
    assert heard.ended is not None
    assert heard.ended.blank == pytest.approx(TALK_SECONDS / 2, abs=0.1)
    assert (heard.ended.missing, heard.ended.broken_off) == (0.0, False)


def test_zeros_in_place_of_whole_fragments_are_reported(talk: sounds.Sound, tmp_path: Path) -> None:
    spec, options = UNMEASURED["mp4"]
    path = files.record(tmp_path / "half.mp4", talk, spec=spec, options=options)
    data = path.read_bytes()
    # All that is left is in order: the zeros begin where the next fragment would.
    boundary = data.index(b"moof", len(data) // 2) - 4
    path.write_bytes(data[:boundary].ljust(len(data), b"\0"))
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    assert heard.ended.damaged == 0
    assert heard.ended.broken_off


def test_zeros_that_another_codec_takes_for_sound_are_reported(tmp_path: Path) -> None:
    path = files.record(tmp_path / "half.amr", sounds.meeting(20))
    heard = worker.decode(files.zero_tail(path, 0.5))
    assert heard.ended is not None
    assert heard.ended.broken_off


@pytest.mark.parametrize("kind", ["flac", "mkv", "ogg", "opus"])
def test_damage_costs_itself_and_is_counted(
    kind: str, shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"bent.{kind}"
    path.write_bytes(shelf[kind].read_bytes())
    heard = worker.decode(files.flip_bits(path, flips=20, seed=2))
    assert heard.ended is not None, heard
    assert heard.ended.damaged > 0
    assert heard.ended.seconds == pytest.approx(TALK_SECONDS, abs=3)


@pytest.mark.parametrize("kind", ["m4a", "wma", "webm"])
def test_a_hole_that_becomes_silence_is_missing(
    kind: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    options = {"movflags": "faststart"} if kind == "m4a" else {}
    path = files.record(tmp_path / f"hole.{kind}", talk, options=options)
    data = bytearray(path.read_bytes())
    start, end = 2 * len(data) // 5, 3 * len(data) // 5
    data[start:end] = random.Random(1).randbytes(end - start)
    path.write_bytes(data)
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    assert heard.ended.damaged > 0
    assert heard.ended.missing == pytest.approx(TALK_SECONDS / 5, rel=0.3)


@pytest.mark.parametrize("seed", range(6))
def test_a_file_full_of_holes_ends_with_a_name_or_a_count(
    seed: int, shelf: dict[str, Path], tmp_path: Path
) -> None:
    kind = list(files.KINDS)[seed * 2]
    path = tmp_path / f"holes.{kind}"
    path.write_bytes(shelf[kind].read_bytes())
    heard = worker.decode(files.flip_bits(path, flips=400, seed=seed, keep=0))
    crashed = heard.verdict is not None and heard.verdict.signal is not None
    assert crashed or heard.code == "ended" or heard.code.startswith("source."), heard
    assert heard.verdict is not None
    assert heard.verdict.signal is None


def test_two_joined_mp3s_of_different_shape_are_heard_to_the_end(tmp_path: Path) -> None:
    words = sounds.meeting(10)
    mono = files.record(tmp_path / "a.mp3", words, spec=("mp3", "libmp3lame", 22_050, "mono"))
    stereo = files.record(tmp_path / "b.mp3", words)
    heard = worker.decode(files.join(tmp_path / "joined.mp3", [mono, stereo]))
    assert heard.ended is not None
    assert heard.ended.seconds == pytest.approx(20, abs=0.3)
    assert heard.ended.missing == 0.0


@pytest.mark.parametrize("channels", [1, 6, 9, 32, 64])
def test_every_channel_of_a_mixing_desk_is_heard(channels: int, tmp_path: Path) -> None:
    sound = np.zeros((10 * SAMPLE_RATE, channels), np.int16)
    sound[:, -1] = sounds.meeting(10)
    path = tmp_path / "desk.wav"
    header = files.wav_header(channels=channels, rate=SAMPLE_RATE, data=sound.nbytes)
    path.write_bytes(header + sound.tobytes())
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    assert heard.ended.seconds == 10.0
    assert heard.ended.speech > 5


def test_samples_of_64_bits_that_nobody_placed_are_heard(tmp_path: Path) -> None:
    sound = sounds.meeting(10).astype(np.int64) << 48
    path = tmp_path / "wide.wav"
    header = files.wav_header(channels=1, rate=SAMPLE_RATE, bits=64, data=sound.nbytes)
    path.write_bytes(header + sound.tobytes())
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    assert heard.ended.seconds == 10.0
    assert heard.ended.speech > 5


def test_a_wav_whose_recorder_never_wrote_its_length_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    header = files.wav_header(channels=1, rate=SAMPLE_RATE, data=2**32 - 1)
    path.write_bytes(header + sounds.meeting(10).tobytes())
    heard = worker.decode(path)
    assert heard.ended is not None
    assert (heard.ended.seconds, heard.ended.missing) == (10.0, 0.0)


# --- no recordings ---------------------------------------------------------------------------

RANDOM = random.Random(3).randbytes(1_000_000)
SOMETHING_ELSE = {
    "empty.mp3": (b"", "source.empty"),
    "text.mp3": (b"Dear all, please find attached the minutes.\n" * 500, "source.unreadable"),
    "program.mp3": (Path(os.path.realpath("/bin/true")).read_bytes(), "source.unreadable"),
    "random.mp3": (RANDOM, "source.unreadable"),
    "tag.mp3": (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + RANDOM, "source.unreadable"),
    "header.wav": (files.wav_header(channels=1, rate=16_000, data=0), "source.no-audio-data"),
    "channels.wav": (files.wav_header(channels=255, rate=16_000) + RANDOM, "source.over-limit"),
    "mute.wav": (files.wav_header(channels=0, rate=16_000) + RANDOM, "source.unreadable"),
    "slow.wav": (files.wav_header(channels=1, rate=1) + RANDOM, "source.over-limit"),
    "fast.wav": (files.wav_header(channels=1, rate=4_000_000_000) + RANDOM, "source.unreadable"),
    "bits.wav": (
        files.wav_header(channels=1, rate=16_000, bits=0) + RANDOM,
        "source.codec-unsupported",
    ),
}


@pytest.mark.parametrize("name", SOMETHING_ELSE)
def test_what_is_no_recording_is_told_apart(name: str, tmp_path: Path) -> None:
    content, code = SOMETHING_ELSE[name]
    (tmp_path / name).write_bytes(content)
    heard = worker.decode(tmp_path / name)
    assert heard.code == code, heard
    assert heard.failed is not None
    assert heard.failed.detail["name"] == name


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    heard = worker.decode(files.record_pictures(tmp_path / "mute.mp4", 2))
    assert heard.code == "source.no-audio-track"


@pytest.mark.parametrize("tag", [b"enca", b"drms"])
def test_a_protected_recording_is_not_tried(
    tag: bytes, shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "bought.m4a"
    path.write_bytes(shelf["m4a"].read_bytes().replace(b"mp4a", tag, 1))
    assert worker.decode(path).code == "source.protected"


class Opened(FileSystemEventHandler):
    """Which files of a folder were opened."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_opened(self, event: FileSystemEvent) -> None:
        self.names.append(os.path.basename(os.fsdecode(event.src_path)))


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "talk.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile secret.wav\n",
    "talk.mp4": "ffconcat version 1.0\nfile 'secret.wav'\n",
    "short.wav": "file secret.wav\nfile secret.wav\n",
    "talk.mpd": '<?xml version="1.0"?>\n<MPD><BaseURL>{url}</BaseURL></MPD>',
    "talk.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "disc.cue": 'REM DATE 1999\nPERFORMER "x"\nFILE "secret.wav" WAVE\n  TRACK 01 AUDIO\n',
    "radio.pls": "\ufeff[playlist]\r\nFile1={url}\r\n",
    "radio.m3u": "{url}\nhttp://127.0.0.1/x.mp3\n",
    "radio.asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_list_of_other_files_is_refused_and_nothing_else_is_opened(
    name: str, tmp_path: Path
) -> None:
    secret = files.plain_wav(tmp_path / "secret.wav", sounds.meeting(2))
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].replace("{url}", secret.as_uri()), encoding="utf-8")
    opened, observer = Opened(), Observer()
    observer.schedule(opened, str(tmp_path))
    observer.start()
    try:
        heard = worker.decode(path)
        secret.read_bytes()  # the watch works: this is the one time it was opened
        _eventually(lambda: "secret.wav" in opened.names)
    finally:
        observer.stop()
        observer.join()
    assert heard.code == "source.playlist-refused", heard
    assert opened.names.count("secret.wav") == 1


# --- too much --------------------------------------------------------------------------------


def test_six_gigabytes_of_nothing_are_too_long_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    heard = worker.decode(
        files.sparse_rf64(tmp_path / "sparse.wav", 6_000_000_000), max_seconds=HOUR
    )
    assert heard.code == "source.too-long"
    assert heard.failed is not None
    assert heard.failed.detail["limit_hours"] == 1.0
    assert time.monotonic() - began < 5


def test_a_recording_that_hides_its_length_is_stopped_when_it_becomes_too_long(
    tmp_path: Path,
) -> None:
    path = files.record(
        tmp_path / "talk.aac", sounds.silence(120), spec=("adts", "aac", 8_000, "mono")
    )
    heard = worker.decode(path, max_seconds=60.0)
    assert heard.code == "source.too-long"
    assert heard.recording is not None  # it took decoding to find out


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours in which nobody speaks, in some hundred kilobytes."""
    path = tmp_path_factory.mktemp("night") / "night.flac"
    return files.long_flac(path, sounds.silence(1), 2 * 3_600)


def test_a_declared_length_over_the_limit_is_refused_before_decoding(night: Path) -> None:
    heard = worker.decode(night, max_seconds=HOUR)
    assert heard.code == "source.too-long"
    assert heard.recording is None


def test_silent_hours_give_no_windows_and_cost_no_memory(night: Path) -> None:
    heard = worker.decode(night)
    assert heard.ended is not None
    assert (heard.ended.seconds, heard.ended.windows) == (2 * HOUR, 0)
    assert heard.peak_mb <= 250


def test_a_file_that_needs_more_memory_than_allowed_says_so(shelf: dict[str, Path]) -> None:
    tried = (worker.decode(shelf["mp3"], limits=Limits(memory_mb=mb)) for mb in range(144, 90, -6))
    heard = next(heard for heard in tried if heard.code != "ended")
    assert heard.code == "source.over-memory", heard
    assert heard.verdict is not None
    assert heard.verdict.out_of_memory


def test_a_child_out_of_time_is_ended_by_the_clock(tmp_path: Path) -> None:
    path = files.plain_wav(tmp_path / "talk.wav", sounds.meeting(120))
    ring = wire.Ring.create(1)
    with worker.child(Limits(wall_seconds=1)) as (channel, child), path.open("rb") as source:
        begin = wire.Begin("talk.wav", 80, 1, HOUR, None, vad=True)
        channel.send(begin, [source.fileno(), ring.fd])  # and no slot is ever given back
        ended = child.wait(10)
    assert ended is not None
    assert ended.signal == signal.SIGALRM
    ring.close()


def test_a_talker_of_nonsense_is_our_bug_and_not_the_files(tmp_path: Path) -> None:
    path = files.plain_wav(tmp_path / "talk.wav", sounds.meeting(120))
    ring = wire.Ring.create(1)
    with (
        worker.child(stderr=subprocess.DEVNULL) as (channel, child),
        path.open("rb") as source,
    ):
        begin = wire.Begin("talk.wav", 80, 1, HOUR, None, vad=True)
        channel.send(begin, [source.fileno(), ring.fd])
        channel.send(wire.Free(99))
        while not isinstance(message := (channel.receive(20) or (None,))[0], wire.Failed):
            assert message is not None
        assert message.code == "bug"
        assert child.wait(10) is not None
    ring.close()


def test_libavs_complaints_are_the_attempts_log_and_stay_short(
    shelf: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "bent.m4a"
    path.write_bytes(shelf["m4a"].read_bytes())
    heard = worker.decode(files.flip_bits(path, flips=300, seed=1))
    assert any("libav" in line for line in heard.said)
    assert len(heard.said) <= complaints.LINES + 1
    (logged,) = map(json.loads, heard.log.splitlines())
    assert logged["event"] == "reading", "what follows goes to the worker alone"


def test_a_bug_says_where_it_is_however_much_was_said_before() -> None:
    heard = complaints.Complaints()
    log = logging.getLogger("a decoder's")
    log.addHandler(heard)
    for number in range(2 * complaints.LINES):
        log.warning("line %d", number)
    try:
        complaints.without_content(None)  # type: ignore[arg-type]  # the bug
    except AttributeError:
        log.exception("bug")
    log.removeHandler(heard)
    said = heard.taken()
    assert len(said) == complaints.LINES + 1
    assert re.fullmatch(
        r"a decoder's: bug at test_decode\.py:\d+ test_\w+ > complaints\.py:\d+ without_content",
        said[-1],
    )


def test_what_libav_quotes_of_a_file_is_left_out() -> None:
    said = complaints.without_content("tag 'Dear Anna,\x1b[0m' of \"the board\" is caf\xe9 'and on")
    assert said == "tag '…' of '…' is caf? '…'"
    assert len(complaints.without_content("x" * 9_999)) == complaints.LENGTH


def _eventually(question: object, *, patience: float = 5.0) -> None:
    assert callable(question)
    deadline = time.monotonic() + patience
    while not question():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
