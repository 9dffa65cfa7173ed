"""Staging: a true copy with its sha256, or a named error and nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import beneath, marker, stage
from appliance.errors import (
    ApplianceError,
    Cancelled,
    DiskFull,
    LinkRefused,
    NotRegular,
    ShareBusy,
    ShareDenied,
    ShareOffline,
    ShareWrongMarker,
    SourceChanged,
    SourceEmpty,
    SourceMissing,
    SpoolFull,
    TooBig,
)
from appliance.health import room
from appliance.nouns import Source, Staged

PLENTY = 10**12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def spool(tmp_path: Path) -> str:
    return str(tmp_path / "spool")


def source_of(root: Path, name: str | bytes) -> Source:
    path = os.fsencode(name)
    found = os.stat(os.path.join(os.fsencode(root), path), follow_symlinks=False)
    return Source("s", path, found.st_size, found.st_mtime_ns)


def drop(root: Path, name: str | bytes, content: bytes = b"sound") -> Source:
    file = os.path.join(os.fsencode(root), os.fsencode(name))
    with open(file, "wb") as stream:
        stream.write(content)
    return source_of(root, name)


def run(
    root: Path,
    source: Source,
    spool: str,
    *,
    job: int = 7,
    spool_bytes: int = PLENTY,
    keep_free_bytes: int = 0,
    max_bytes: int | None = None,
    marker_id: str | None = None,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Staged:
    return stage.stage(
        str(root),
        source,
        spool,
        job=job,
        spool_bytes=spool_bytes,
        keep_free_bytes=keep_free_bytes,
        max_bytes=max_bytes,
        marker_id=marker_id,
        progress=progress,
        cancelled=cancelled,
    )


def test_the_copy_is_the_file_and_the_sum_is_of_the_copy(root: Path, spool: str) -> None:
    content = os.urandom(3 * stage.PIECE + 17)
    heard: list[int] = []
    staged = run(root, drop(root, "a.wav", content), spool, progress=heard.append)
    assert Path(staged.file).read_bytes() == content
    assert staged.file == os.path.join(spool, "7", "source")
    assert staged.sha256 == hashlib.sha256(content).hexdigest()
    assert heard[-1] == staged.size == len(content)
    assert len(heard) == 4


@pytest.mark.parametrize("name", [b"caf\xe9.mp3", b"two\nlines <b>.wav", b"x" * 251 + b".mp3"])
def test_any_name_can_be_staged(root: Path, spool: str, name: bytes) -> None:
    assert run(root, drop(root, name), spool).size == 5


def test_staging_again_replaces_what_a_dead_attempt_left(root: Path, spool: str) -> None:
    source = drop(root, "a.wav")
    os.makedirs(os.path.join(spool, "7"))
    Path(spool, "7", "source.part").write_bytes(b"half")
    assert run(root, source, spool) == run(root, source, spool)
    assert os.listdir(os.path.join(spool, "7")) == ["source"]


def test_free_takes_everything_away_and_may_come_twice(root: Path, spool: str) -> None:
    run(root, drop(root, "a.wav"), spool)
    stage.free(spool, 7)
    stage.free(spool, 7)
    assert os.listdir(spool) == []


def test_a_file_replaced_before_we_came_is_not_the_one(root: Path, spool: str) -> None:
    source = drop(root, "a.wav")
    drop(root, "a.wav", b"another one")
    with pytest.raises(SourceChanged):
        run(root, source, spool)


def test_a_file_replaced_while_we_copy_is_noticed(root: Path, spool: str) -> None:
    source = drop(root, "a.wav", b"x" * (2 * stage.PIECE))
    drop(root, "new", b"y" * (2 * stage.PIECE))
    with pytest.raises(SourceChanged):
        run(root, source, spool, progress=lambda _bytes: _replace(root / "new", root / "a.wav"))


def _replace(new: Path, old: Path) -> None:
    if new.exists():
        new.rename(old)


def test_a_file_growing_while_we_copy_is_noticed_and_nothing_stays(root: Path, spool: str) -> None:
    source = drop(root, "a.wav", b"x" * (2 * stage.PIECE))

    def grow(_bytes: int) -> None:
        with (root / "a.wav").open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(SourceChanged):
        run(root, source, spool, progress=grow)
    assert os.listdir(os.path.join(spool, "7")) == []


def test_a_cancelled_copy_leaves_nothing(root: Path, spool: str) -> None:
    with pytest.raises(Cancelled):
        run(root, drop(root, "a.wav"), spool, cancelled=lambda: True)
    assert os.listdir(os.path.join(spool, "7")) == []


def test_what_its_owner_can_mend_is_said_first(root: Path, spool: str) -> None:
    with pytest.raises(SourceEmpty):
        run(root, drop(root, "empty.wav", b""), spool)
    with pytest.raises(TooBig) as raised:
        run(root, drop(root, "big.wav", b"x" * 100), spool, max_bytes=99)
    assert raised.value.detail == {"name": "big.wav", "size": 100, "limit": 99}


def test_a_link_or_a_pipe_is_refused(root: Path, spool: str) -> None:
    (root / "link.wav").symlink_to("/etc/passwd")
    (root / "dir.wav").mkdir()
    os.mkfifo(root / "pipe.wav")
    with pytest.raises(LinkRefused):
        run(root, source_of(root, "link.wav"), spool)
    for name in ("pipe.wav", "dir.wav"):
        with pytest.raises(NotRegular):
            run(root, Source("s", name.encode(), 5, 1), spool)


def test_a_link_among_the_folders_is_refused(root: Path, spool: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    drop(tmp_path / "outside", "a.wav")
    (root / "in").symlink_to(tmp_path / "outside")
    with pytest.raises(LinkRefused):
        run(root, source_of(root, "in/a.wav"), spool)


def test_a_missing_file_and_a_missing_share_are_two_things(root: Path, spool: str) -> None:
    source = drop(root, "a.wav")
    (root / "a.wav").unlink()
    with pytest.raises(SourceMissing):
        run(root, source, spool)
    root.rename(root.with_name("away"))
    with pytest.raises(ShareOffline):
        run(root, source, spool)


def test_without_its_marker_the_share_is_not_the_share(root: Path, spool: str) -> None:
    with beneath.root(str(root)) as fd:
        known = marker.write(fd)
    source = drop(root, "a.wav")
    assert run(root, source, spool, marker_id=known).size == 5
    with pytest.raises(ShareWrongMarker):
        run(root, source, spool, marker_id="another")
    for file in root.iterdir():
        file.unlink()
    with pytest.raises(ShareOffline):  # the empty folder under a mount that failed
        run(root, source, spool, marker_id=known)


def test_the_spool_takes_no_more_than_its_share_but_always_one(root: Path, spool: str) -> None:
    source = drop(root, "a.wav", b"x" * 100)
    run(root, source, spool, job=1, spool_bytes=50)
    with pytest.raises(SpoolFull):
        run(root, source, spool, job=2, spool_bytes=150)
    run(root, source, spool, job=1, spool_bytes=50)  # its own old copy does not count
    run(root, source, spool, job=2, spool_bytes=200)


def test_what_is_still_being_copied_counts_as_what_it_is_going_to_be(
    root: Path, spool: str
) -> None:
    """Two that come at once have room for one: the second does not begin, and fills nothing."""
    first, second = (drop(root, name, b"x" * 4 * stage.PIECE) for name in ("a.wav", "b.wav"))
    refused: list[int] = []

    def meanwhile(copied: int) -> None:
        with pytest.raises(SpoolFull):
            run(root, second, spool, job=2, spool_bytes=5 * stage.PIECE)
        refused.append(copied)

    run(root, first, spool, job=1, spool_bytes=5 * stage.PIECE, progress=meanwhile)
    assert refused[0] == stage.PIECE
    assert room.spooled(spool) == room.Spooled(first.size, 0)


def test_a_disk_has_not_the_room_that_was_promised_to_another(
    root: Path, spool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (drop(root, name, b"x" * 4 * stage.PIECE) for name in ("a.wav", "b.wav"))
    disk = namedtuple("disk", "total used free")  # noqa: PYI024 - as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda _where: disk(0, 0, 6 * stage.PIECE))
    refused: list[int] = []

    def meanwhile(copied: int) -> None:
        if not refused:
            with pytest.raises(SpoolFull):
                run(root, second, spool, job=2)
            refused.append(copied)

    run(root, first, spool, job=1, progress=meanwhile)
    assert refused == [stage.PIECE]


def test_a_disk_that_must_stay_free_is_not_filled(root: Path, spool: str) -> None:
    with pytest.raises(DiskFull):
        run(root, drop(root, "a.wav"), spool, keep_free_bytes=10**18)


def test_a_file_larger_than_the_disk_waits_alone(root: Path, spool: str) -> None:
    big = root / "big.wav"
    big.touch()
    os.truncate(big, shutil.disk_usage(root).free + 10**9)  # a hole: it costs its owner nothing
    with pytest.raises(SpoolFull):
        run(root, source_of(root, "big.wav"), spool)
    run(root, drop(root, "small.wav"), spool, job=2)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EIO, ShareOffline),
        (errno.ESTALE, ShareOffline),
        (errno.EHOSTDOWN, ShareOffline),
        (errno.ENOTCONN, ShareOffline),
        (errno.ETIMEDOUT, ShareOffline),
        (errno.EACCES, ShareDenied),
        (errno.EBUSY, ShareBusy),
        (errno.ETXTBSY, ShareBusy),
        (errno.ENOENT, SourceMissing),
        (errno.EREMOTEIO, ShareOffline),
    ],
)
def test_what_the_server_answers_has_a_name(
    root: Path, spool: str, code: int, kind: type[ApplianceError]
) -> None:
    def fail(_bytes: int) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(kind):
        run(root, drop(root, "a.wav"), spool, progress=fail)
