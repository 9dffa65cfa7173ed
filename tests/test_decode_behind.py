"""What lies behind a recording or in the middle of it, and is none: told, and no memory spent."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest

from appliance import wire
from tests.media import files, sounds, worker

SECONDS = 20.0
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
PICTURE = bytes(range(200)) * 100  # in a tag; nothing in it looks like a frame


@pytest.fixture(scope="module")
def talk() -> sounds.Sound:
    return sounds.meeting(SECONDS)


def made(path: Path, talk: sounds.Sound, kind: str) -> bytes:
    return files.record(path / f"whole.{kind}", talk).read_bytes()


def decoded(path: Path) -> wire.Ended:
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    return heard.ended


@pytest.mark.parametrize(
    ("first", "second"),
    [("wav", "wav"), ("m4a", "m4a"), ("flac", "wav"), ("mkv", "mp3"), ("aiff", "aiff")],
)
def test_a_second_recording_in_the_same_file_is_reported(
    first: str, second: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    path, other = tmp_path / f"both.{first}", made(tmp_path, talk, second)
    path.write_bytes(made(tmp_path, talk, first) + other)
    ended = decoded(path)
    assert ended.seconds == pytest.approx(SECONDS, abs=0.1)
    assert ended.behind == len(other)


def test_a_second_recording_that_was_heard_is_no_warning(
    talk: sounds.Sound, tmp_path: Path
) -> None:
    path = tmp_path / "both.flac"
    path.write_bytes(2 * made(tmp_path, talk, "flac"))
    ended = decoded(path)
    assert ended.seconds == pytest.approx(2 * SECONDS, abs=0.1)
    assert ended.behind == 0


def test_a_wav_that_is_longer_than_its_header_can_say_is_reported(
    talk: sounds.Sound, tmp_path: Path
) -> None:
    data = bytearray(made(tmp_path, talk, "wav"))
    at, path = data.index(b"data") + 4, tmp_path / "long.wav"
    size = struct.unpack_from("<I", data, at)[0]
    struct.pack_into("<I", data, at, size // 4)  # what is left of it modulo 2**32
    path.write_bytes(bytes(data))
    ended = decoded(path)
    assert ended.behind == pytest.approx(size * 3 / 4, rel=0.01)


def test_nothing_that_lies_behind_a_wav_is_no_warning(talk: sounds.Sound, tmp_path: Path) -> None:
    path = tmp_path / "room.wav"
    path.write_bytes(made(tmp_path, talk, "wav") + bytes(900_000))
    ended = decoded(path)
    assert (ended.behind, ended.blank, ended.broken_off) == (0, 0.0, False)


@pytest.mark.parametrize("kind", ["flac", "mp3", "ac3"])
def test_hundreds_of_megabytes_of_zeros_cost_no_memory(
    kind: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    whole, path = made(tmp_path, talk, kind), tmp_path / f"long.{kind}"
    with path.open("wb") as file:
        file.write(whole)
        file.truncate(len(whole) + (200 << 20))
    heard = worker.decode(path)
    assert heard.ended is not None, heard
    assert heard.ended.seconds == pytest.approx(SECONDS, abs=0.1)
    assert heard.ended.broken_off
    assert heard.peak_mb < 150  # some 70 are the process


def test_behind_megabytes_of_zeros_the_recording_goes_on(
    talk: sounds.Sound, tmp_path: Path
) -> None:
    whole, path = made(tmp_path, talk, "mp3"), tmp_path / "hole.mp3"
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes(20 << 20) + whole[half:])
    ended = decoded(path)
    assert ended.seconds == pytest.approx(SECONDS, abs=0.2)
    assert ended.damaged > 0


@pytest.mark.parametrize("kind", ["aac", "flv", "mp2", "wtv"])
def test_a_hole_of_zeros_is_reported(kind: str, talk: sounds.Sound, tmp_path: Path) -> None:
    data, path = bytearray(made(tmp_path, talk, kind)), tmp_path / f"hole.{kind}"
    start, end = 7 * len(data) // 20, 12 * len(data) // 20
    if kind in ("aac", "mp2"):  # elsewhere than between two frames, the decoder complains
        places = _places(tmp_path / f"whole.{kind}")
        start, end = places[len(places) // 5], places[len(places) // 2]
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    ended = decoded(path)
    assert ended.damaged or ended.missing or ended.broken_off


@pytest.mark.parametrize("kind", ["mp3", "aac", "mp2"])
def test_tags_between_two_recordings_are_no_damage(
    kind: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    size = bytes((len(PICTURE) >> 7 * place) & 127 for place in (3, 2, 1, 0))
    tagged = b"ID3\3\0\0" + size + PICTURE + made(tmp_path, talk, kind) + b"TAG" + b" " * 125
    path = tmp_path / f"joined.{kind}"
    path.write_bytes(2 * tagged)
    ended = decoded(path)
    assert ended.seconds == pytest.approx(2 * SECONDS, abs=0.2)
    assert (ended.damaged, ended.missing, ended.broken_off, ended.behind) == (0, 0.0, False, 0)


@pytest.mark.parametrize("kind", ["caf", "w64", "voc", "rm"])
def test_a_cut_between_two_blocks_is_told_by_the_header(
    kind: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    whole, path = made(tmp_path, talk, kind), tmp_path / f"cut.{kind}"
    path.write_bytes(whole)
    ended = decoded(path)
    assert (ended.missing, ended.broken_off) == (0.0, False)
    places = _places(path)
    path.write_bytes(whole[: places[len(places) // 2]])
    ended = decoded(path)
    assert (ended.missing > 0, ended.broken_off) in [(True, False), (False, True)]


def _places(path: Path) -> list[int]:
    """Where the blocks of sound begin."""
    with av.open(str(path)) as file:
        return [packet.pos or 0 for packet in file.demux() if packet.size]


@pytest.mark.parametrize("told", ["index", "length", "nothing"])
def test_a_film_cut_between_two_fragments_is_reported_where_anything_tells(
    told: str, talk: sounds.Sound, tmp_path: Path
) -> None:
    flags = FRAGMENTS + "+dash" * (told == "index")
    path = files.record(
        tmp_path / "film.mp4",
        talk,
        spec=files.KINDS["m4a"],
        options={"movflags": flags, "frag_duration": "1000000"},
    )
    if told == "length":
        path.write_bytes(_with_length(path.read_bytes()))
    ended = decoded(path)
    assert (ended.missing, ended.broken_off) == (0.0, False)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof", len(data) // 2) - 4])
    ended = decoded(path)
    assert bool(ended.missing or ended.broken_off) == (told != "nothing")


def _with_length(film: bytes) -> bytes:
    """Say in the index how long all fragments are together (ISO/IEC 14496-12, 8.8.2)."""
    data = bytearray(film)
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    inner = data.index(b"mvex") - 4
    for at in (data.index(b"moov") - 4, inner):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + 16)
    data[inner + 8 : inner + 8] = struct.pack(">I4sII", 16, b"mehd", 0, int(SECONDS * scale))
    return bytes(data)
