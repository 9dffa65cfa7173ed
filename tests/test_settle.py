"""Waiting: a file is handed out once it is complete, and never before."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.nouns import Source
from appliance.settle import Glance, Patience, Settling, look_at, on_network

PATH = b"a.wav"


def seen(
    size: int = 10, *, mtime_ns: int = 1, writer: bool | None = None, holes: bool = False
) -> Glance:
    return Glance(Source("s", PATH, size, mtime_ns), writer=writer, holes=holes)


def waits(settling: Settling, seconds: list[float]) -> list[float]:
    """The moments at which something was handed out."""
    return [now for now in seconds if list(settling.settled(now))]


def every(step: float, until: float) -> list[float]:
    return [n * step for n in range(round(until / step) + 1)]


def changing(glances: Iterator[Glance]) -> Callable[[bytes], Glance]:
    return lambda _path: next(glances)


def test_a_growing_file_is_never_handed_out() -> None:
    settling = Settling(changing(seen(size) for size in range(1, 1000)))
    settling.touch(PATH, 0.0)
    assert waits(settling, every(1, 100)) == []


def test_a_quiet_file_is_handed_out_once_after_two_seconds() -> None:
    settling = Settling(lambda _path: seen())
    settling.touch(PATH, 0.0)
    assert waits(settling, every(0.5, 20)) == [2.0]
    assert len(settling) == 0


def test_a_closed_file_that_nobody_writes_is_handed_out_at_once() -> None:
    settling = Settling(lambda _path: seen(writer=False))
    settling.touch(PATH, 0.0, closed=True)
    assert waits(settling, every(0.1, 5)) == [pytest.approx(0.3)]


def test_a_recorder_that_appends_every_ten_seconds_is_trusted_three_times_and_no_more() -> None:
    size = 1
    settling = Settling(lambda _path: seen(size, mtime_ns=size, writer=False))
    handed_out = []
    for tenth in range(36_000):  # an hour
        now = tenth / 10
        if tenth % 100 == 0:
            size += 1
            settling.touch(PATH, now, closed=True)
        handed_out += [now for _ in settling.settled(now)]
    assert handed_out == [0.3, 12.0, 28.0]
    assert waits(settling, every(1, 3_700)[3_600:]) == [pytest.approx(3_590 + 32)]


def test_a_file_that_is_looked_at_again_unchanged_waits_no_longer_for_it() -> None:
    settling = Settling(lambda _path: seen(writer=False))
    for begun in (0.0, 100.0, 200.0):
        settling.touch(PATH, begun, closed=True)
        handed_out = waits(settling, [begun + step for step in every(0.25, 5)])
        assert handed_out == [begun + 0.5]


def test_an_hour_later_a_file_is_trusted_as_if_it_were_new() -> None:
    size = 1
    settling = Settling(lambda _path: seen(size, writer=False))
    settling.touch(PATH, 0.0, closed=True)
    assert waits(settling, every(0.1, 5))
    size = 2
    settling.touch(PATH, 4_000.0, closed=True)
    assert waits(settling, [4_000 + step for step in every(0.25, 5)]) == [4_000.5]


def test_a_close_event_alone_is_not_believed_where_no_lease_can_be_had() -> None:
    settling = Settling(lambda _path: seen(writer=None))
    settling.touch(PATH, 0.0, closed=True)
    assert waits(settling, every(0.5, 5)) == [2.0]


def test_a_file_somebody_has_open_for_writing_waits_without_limit() -> None:
    settling = Settling(lambda _path: seen(writer=True))
    settling.touch(PATH, 0.0)
    assert waits(settling, every(10, 86_400)) == []


def test_a_writer_who_goes_away_lets_the_file_go() -> None:
    writing = [True]
    settling = Settling(lambda _path: seen(writer=writing[0]))
    settling.touch(PATH, 0.0)
    assert waits(settling, every(0.5, 60)) == []
    writing[0] = False
    assert waits(settling, every(0.5, 70)[121:]) != []


def test_a_file_whose_size_came_before_its_data_waits_a_minute() -> None:
    settling = Settling(lambda _path: seen(writer=False, holes=True))
    settling.touch(PATH, 0.0, closed=True)
    assert waits(settling, every(1, 100)) == [60.0]


def test_an_empty_file_waits_ten_minutes_and_then_goes() -> None:
    settling = Settling(lambda _path: seen(0, writer=False))
    settling.touch(PATH, 0.0, closed=True)
    assert waits(settling, every(1, 700)) == [600.0]


def test_only_the_mtime_moved_and_the_wait_begins_again() -> None:
    glances = iter([seen(mtime_ns=1), *[seen(mtime_ns=2)] * 50])
    settling = Settling(changing(glances))
    settling.touch(PATH, 0.0)
    assert waits(settling, [0.0, 1.9, 2.0, 3.9, 4.0, 5.9, 6.0]) == [4.0]


def test_on_a_network_share_three_equal_looks_over_fifteen_seconds_are_needed() -> None:
    looks: list[float] = []
    now = [0.0]

    def look(_path: bytes) -> Glance:
        looks.append(now[0])
        return seen()

    settling = Settling(look, patience=on_network())
    settling.touch(PATH, 0.0)
    handed_out = []
    for now[0] in every(0.5, 30):
        handed_out += [now[0] for _ in settling.settled(now[0])]
    assert handed_out == [15.0]
    assert len(looks) == 3


def test_a_long_attribute_cache_makes_us_wait_twice_as_long() -> None:
    assert on_network(60).quiet == 120
    assert on_network(1).quiet == 15


def test_a_file_that_goes_away_is_told_and_forgotten() -> None:
    there = [True]
    settling = Settling(lambda _path: seen() if there[0] else None)
    settling.touch(PATH, 0.0)
    list(settling.settled(0.0))
    there[0] = False
    list(settling.settled(5.0))
    assert [news.state for news in settling.news()] == ["receiving", "gone"]
    assert len(settling) == 0


def test_news_come_once_and_again_when_the_file_has_grown() -> None:
    sizes = iter([1, 2, 2, 2])
    settling = Settling(lambda _path: seen(next(sizes)), patience=Patience(quiet=100, looks=3))
    settling.touch(PATH, 0.0)
    told = []
    for now in (0.0, 100.0, 200.0, 250.0):
        list(settling.settled(now))
        told += [(news.source.size, news.state) for news in settling.news()]
    assert told == [(1, "receiving"), (2, "receiving"), (2, "settling")]


def test_no_more_files_wait_than_there_is_room_for() -> None:
    settling = Settling(lambda _path: seen(), capacity=2)
    assert [settling.touch(b"%d" % n, 0.0) for n in range(3)] == [True, True, False]
    assert settling.touch(b"0", 1.0)


def test_files_we_may_never_read_do_not_keep_the_others_out() -> None:
    settling = Settling(lambda _path: seen(writer=True), capacity=2)
    settling.touch(b"0", 0.0)
    settling.touch(b"1", 0.0)
    list(settling.settled(1.0))
    assert not settling.touch(b"2", 500.0)
    assert settling.touch(b"2", 700.0)
    assert b"0" not in settling


# --- real files ---------------------------------------------------------------------------------


def look(root: Path, path: bytes = PATH, *, local: bool = True) -> Glance | None:
    return look_at("s", str(root), path, local=local, holes_tell=True)


def test_the_lease_tells_whether_anybody_writes(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    with file.open("wb") as stream:
        stream.write(b"x")
        stream.flush()
        while_open = look(tmp_path)
    after = look(tmp_path)
    assert while_open is not None
    assert while_open.writer is True
    assert after is not None
    assert after.writer is False


def test_a_reader_does_not_count_as_a_writer(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    with (tmp_path / "a.wav").open("rb"):
        glance = look(tmp_path)
    assert glance is not None
    assert glance.writer is False


def test_no_lease_is_asked_for_on_a_network_share(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb"):
        glance = look(tmp_path, local=False)
    assert glance is not None
    assert glance.writer is None
    assert glance.ctime_ns == 0


def test_a_file_with_its_size_set_first_has_holes(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb") as stream:
        stream.truncate(10_000_000)
        glance = look(tmp_path)
    assert glance is not None
    assert glance.holes


@pytest.mark.parametrize("kind", ["missing", "folder", "link", "pipe"])
def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.wav"
    if kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(file)
    assert look(tmp_path) is None


def test_somebody_may_write_right_after_we_looked_and_nobody_dies(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"x")
    fd = os.open(file, os.O_RDONLY)
    try:
        assert look(tmp_path) is not None
        with file.open("ab") as stream:  # our lease is gone: this does not block
            fcntl.flock(stream, fcntl.LOCK_EX)
    finally:
        os.close(fd)


@contextlib.contextmanager
def as_a_stranger() -> Iterator[None]:
    """Go on as somebody who may not read everything."""
    me = os.geteuid()
    os.seteuid(65_534 if me == 0 else me)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - that is what it is for
        yield Path(folder)


def test_a_file_we_may_not_open_is_being_written(anybodys: Path) -> None:
    (anybodys / "a.wav").write_bytes(b"x")
    (anybodys / "a.wav").chmod(0)
    with as_a_stranger():
        glance = look(anybodys)
    assert glance is not None
    assert (glance.writer, glance.source.size) == (True, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file that belongs to somebody else")
def test_of_a_strangers_file_the_kernel_does_not_tell_who_writes(anybodys: Path) -> None:
    (anybodys / "a.wav").write_bytes(b"x")
    with as_a_stranger():
        glance = look(anybodys)
    assert glance is not None
    assert glance.writer is None
