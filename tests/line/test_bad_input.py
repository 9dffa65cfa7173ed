"""Every bad file ends in its named error, a note where a person can mend it, and nothing else."""

from __future__ import annotations

import os
import shutil
import wave

import pytest

from appliance.states import State
from tests.line import sounds
from tests.line.running import SAMPLES, Running

pytestmark = pytest.mark.line
ENGLISH = os.path.join(SAMPLES, "welcome-english.wav")

BAD = {
    "words.mp3": (b"these are only words\n" * 200, "source.unreadable"),
    "script.mp3": (b"ffconcat version 1.0\nfile talk.wav\n", "source.playlist-refused"),
    "list.mp3": (
        b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "source.playlist-refused",
    ),
    "zeros.mp4": (bytes(50_000), "source.truncated-upload"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_its_named_error_and_a_note(box: Running, name: str) -> None:
    content, code = BAD[name]
    folder = f"bad-{name}"
    os.makedirs(box.path(folder))
    with open(box.path(folder, name), "wb") as stream:
        stream.write(content)
    job = box.ended(os.fsencode(f"{folder}/{name}"))
    assert (job.state, job.code) == (State.FAILED, code)
    assert box.names(folder) == sorted([name, f"{name}.ERROR.txt"])
    with open(box.path(folder, f"{name}.ERROR.txt"), encoding="utf-8") as stream:
        note = stream.read()
    assert name in note
    assert code in note
    assert "Traceback" not in note


def test_a_program_named_mp3_is_no_recording(box: Running) -> None:
    job = box.ended(box.drop("/bin/true", "program", "true.mp3"))
    assert (job.state, job.code) == (State.FAILED, "source.unreadable")


def test_a_wav_without_sound_is_told_apart_from_silence(box: Running) -> None:
    sounds.write(box.path("nothing", "talk.wav"), sounds.silence(0))
    job = box.ended(b"nothing/talk.wav")
    assert (job.state, job.code) == (State.FAILED, "source.no-audio-data")


def test_255_channels_are_refused(box: Running) -> None:
    os.makedirs(box.path("channels"))
    with wave.open(box.path("channels", "many.wav"), "wb") as stream:
        stream.setnchannels(255)
        stream.setsampwidth(2)
        stream.setframerate(16_000)
        stream.writeframes(bytes(255 * 2 * 1_000))
    job = box.ended(b"channels/many.wav")
    assert job.state is State.FAILED
    assert job.code in {"source.over-limit", "source.unreadable"}


def test_deleting_the_note_means_try_again(box: Running) -> None:
    os.makedirs(box.path("retry"))
    with open(box.path("retry", "talk.mp3"), "wb") as stream:
        stream.write(b"no sound at all" * 50)
    path = b"retry/talk.mp3"
    first = box.ended(path)
    note = box.path("retry", "talk.mp3.ERROR.txt")
    os.unlink(note)
    box.until(lambda: (job := box.job(path)) is not None and job.attempt > first.attempt, "a retry")
    box.until(lambda: os.path.exists(note), "the note again")
    assert box.ended(path).code == "source.unreadable"


def test_a_good_copy_takes_the_note_away(box: Running) -> None:
    os.makedirs(box.path("mended"))
    with open(box.path("mended", "talk.wav"), "wb") as stream:
        stream.write(b"no sound at all" * 50)
    path = b"mended/talk.wav"
    assert box.ended(path).state is State.FAILED
    box.drop(ENGLISH, "mended", "talk.wav")
    box.until(lambda: (job := box.job(path)) is not None and job.state is State.DONE, "done")
    assert "talk.wav.ERROR.txt" not in box.names("mended")


HOSTILE = [
    b"new\nline.wav",
    b"<b onmouseover=alert(1)>.wav",
    b"caf\xe9.wav",
    b"http:talk.wav",
    b"%03d.wav",
    b"-rf.wav",
    b"\xe2\x80\xaegnp.wav",
    b"a" * 251 + b".wav",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_only_a_name(box: Running, name: bytes) -> None:
    folder = os.fsencode(box.path(f"name-{HOSTILE.index(name)}"))
    os.makedirs(folder)
    shutil.copyfile(os.fsencode(ENGLISH), os.path.join(folder, name))
    path = os.path.relpath(os.path.join(folder, name), os.fsencode(box.root))
    job = box.ended(path)
    assert job.state is State.DONE, job
    assert len(os.listdir(folder)) == 7


def test_links_and_pipes_are_left_alone(box: Running) -> None:
    os.makedirs(box.path("odd"))
    os.symlink(ENGLISH, box.path("odd", "link.wav"))
    os.symlink(".", box.path("odd", "loop"))
    os.mkfifo(box.path("odd", "pipe.wav"))
    box.ended(box.drop(ENGLISH, "odd", "talk.wav"))
    assert box.job(b"odd/link.wav") is None
    assert box.job(b"odd/pipe.wav") is None
    assert not [name for name in box.names("odd") if name.startswith(("link.t", "pipe.t"))]
