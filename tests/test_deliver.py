"""A transcript lies beside its recording: once, whole, and in nobody's place."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import deliver as deliver_room
from appliance.deliver import deliver, names, place, sweep, withdraw
from appliance.errors import (
    ApplianceError,
    ExportConflict,
    Fenced,
    NameTooLong,
    NodeIO,
    ShareBusy,
    ShareFull,
    ShareOffline,
    ShareReadOnly,
    ShareWrongMarker,
    SourceChanged,
    SourceMissing,
)
from appliance.store import exports as table
from tests.folder import SOUND, Folder, export, lent, trio
from tests.witness import watching

TEXT = [export(".srt", b"one")]
CHANGED = [export(".srt", b"two, and longer")]


@pytest.fixture
def share() -> Iterator[Folder]:
    with lent() as folder:
        yield folder


class Turn:
    """A guard that does something when it is asked for the n-th time.

    One export asks three times: before writing, before choosing a name, before the file appears.
    """

    def __init__(self, n: int, then: Callable[[], object]) -> None:
        self.asked = 0
        self._n = n
        self._then = then

    def __call__(self) -> None:
        self.asked += 1
        if self.asked == self._n:
            self._then()


# --- names --------------------------------------------------------------------------------------


def test_exports_are_named_after_the_recording(share: Folder) -> None:
    job = share.drop(b"monday/talk.mp4")
    published = share.deliver(job, trio())
    assert share.exports(b"monday") == {
        b"talk.srt": b"one.srt",
        b"talk.en.srt": b"one.en.srt",
        b"talk.json": b"one.json",
    }
    assert {row.state for row in published} == {"published"}


def test_the_json_comes_last(share: Folder) -> None:
    published = share.deliver(share.drop(b"talk.mp4"), trio())
    assert [row.path for row in published] == [b"talk.srt", b"talk.en.srt", b"talk.json"]


@pytest.mark.parametrize("twin", ["talk.mp3", "TALK.WAV", "talk.MP3"])
def test_two_recordings_with_one_stem_keep_their_suffix(share: Folder, twin: str) -> None:
    share.write(twin.encode(), SOUND)
    share.deliver(share.drop(b"talk.mp4"), TEXT)
    assert share.exports() == {b"talk.mp4.srt": b"one"}


def test_a_stem_spelt_in_another_normal_form_is_the_same_stem(share: Folder) -> None:
    share.write("Caf\u00e9.mp3".encode(), SOUND)
    share.deliver(share.drop("Cafe\u0301.mp4".encode()), TEXT)
    assert list(share.exports()) == ["Cafe\u0301.mp4.srt".encode()]


def test_neither_a_folder_nor_a_text_is_a_twin(share: Folder) -> None:
    os.mkdir(share.full(b"talk.mp3"))
    share.write(b"talk.doc", b"minutes")
    share.deliver(share.drop(b"talk.mp4"), TEXT)
    assert b"talk.srt" in share.exports()


def test_a_twin_that_comes_later_renames_nothing(share: Folder) -> None:
    first = share.drop(b"talk.mp4")
    share.deliver(first, TEXT)
    share.deliver(share.drop(b"talk.mp3", SOUND), [export(".srt", b"the other")])
    share.deliver(share.again(first), CHANGED)
    assert share.exports() == {b"talk.srt": b"two, and longer", b"talk.mp3.srt": b"the other"}


@pytest.mark.parametrize("length", [240, 250, 251, 255])
def test_a_name_that_would_be_too_long_is_cut_and_marked(share: Folder, length: int) -> None:
    name = b"n" * (length - 4) + b".mp4"
    other = b"n" * (length - 5) + b"o.mp4"
    for recording in (name, other):
        share.deliver(share.drop(recording), trio())
    made = share.exports()
    assert len(made) == 6
    assert all(len(one) <= 255 for one in made)
    assert all(re.fullmatch(rb"n+o?(~[0-9a-f]{6})?(\.en)?\.(srt|json)", one) for one in made)


def test_a_cut_never_halves_a_character(share: Folder) -> None:
    share.deliver(share.drop("ü".encode() * 125 + b".mp4"), trio())
    assert all(name.decode() for name in share.exports())


def test_a_name_with_no_room_at_all_is_refused(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(NameTooLong):
        share.deliver(job, [export("." + "x" * 200 + "y" * 55, b"one")])
    assert share.exports() == {}


@pytest.mark.parametrize(
    "stem",
    [
        b"\xff\xfe not text",
        b"two\nlines",
        b"\x1b[31mred",
        b"-rf *",
        b"\xe2\x80\xae4pm",
        b" ",
        b"%s",
    ],
)
def test_a_strange_name_is_a_name(share: Folder, stem: bytes) -> None:
    job = share.drop(b"in\nside/" + stem + b".mp4")
    share.deliver(job, TEXT)
    share.deliver(share.again(job), CHANGED)
    assert share.exports(b"in\nside") == {stem + b".srt": b"two, and longer"}


@given(
    base=st.text(min_size=1, max_size=300).map(lambda text: text.encode("utf-8", "replace")[:251]),
    suffix=st.sampled_from([b".srt", b".en.json", b".ERROR.txt"]),
    longest=st.integers(40, 255),
)
def test_every_choice_of_a_name_fits_and_none_comes_twice(
    base: bytes, suffix: bytes, longest: int
) -> None:
    made = list(names.choices(base, suffix, recording=base, longest=longest))
    assert len(made) == len(set(made)) == names.LAST_NUMBER
    assert all(len(name) <= longest and name.endswith(suffix) for name in made)


# --- what is not ours ---------------------------------------------------------------------------


def _plant_link(share: Folder) -> None:
    share.write(b"elsewhere", b"one")
    os.symlink(b"elsewhere", share.full(b"talk.srt"))


def _plant_dangling_link(share: Folder) -> None:
    os.symlink(b"/nowhere/at/all", share.full(b"talk.srt"))


def _plant_folder(share: Folder) -> None:
    os.mkdir(share.full(b"talk.srt"))


def _plant_pipe(share: Folder) -> None:
    os.mkfifo(share.full(b"talk.srt"))


def _plant_file(share: Folder) -> None:
    share.write(b"talk.srt", b"a stranger's")


def _plant_same_size(share: Folder) -> None:
    share.write(b"talk.srt", b"eno")


def _plant_empty_file(share: Folder) -> None:
    share.write(b"talk.srt", b"")


@pytest.mark.parametrize(
    "plant",
    [
        _plant_link,
        _plant_dangling_link,
        _plant_folder,
        _plant_pipe,
        _plant_file,
        _plant_same_size,
        _plant_empty_file,
    ],
)
def test_what_is_in_the_way_stays_and_ours_gets_a_number(
    share: Folder, plant: Callable[[Folder], None]
) -> None:
    plant(share)
    before = os.lstat(share.full(b"talk.srt"))
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    share.deliver(share.again(job), CHANGED)
    after = os.lstat(share.full(b"talk.srt"))
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert share.read(b"talk (2).srt") == b"two, and longer"
    assert not [name for name in share.exports() if b"(3)" in name or name.startswith(b".~")]


def test_an_export_that_a_person_changed_is_never_written_again(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    share.write(b"talk.srt", b"one, corrected by hand")
    for content in (b"two", b"three", b"three"):
        job = share.again(job)
        share.deliver(job, [export(".srt", content)])
    assert share.exports() == {b"talk.srt": b"one, corrected by hand", b"talk (2).srt": b"three"}


def test_a_terabyte_of_nothing_saved_over_an_export_is_not_even_read(share: Folder) -> None:
    """It would be read for an hour, and its share be called away meanwhile."""
    share.deliver(share.drop(b"talk.mp4"), TEXT)
    os.truncate(share.full(b"talk.srt"), 10**12)
    (published,) = share.deliver(share.drop(b"talk.mp4", SOUND * 2), CHANGED)
    assert published.path == b"talk (2).srt"
    assert os.stat(share.full(b"talk.srt")).st_size == 10**12
    aside = b".~appliance-1.1.x." + b"-".join([b"0" * 16] * 2)
    os.rename(share.full(b"talk.srt"), share.full(aside))
    assert sweep(share.root, b"", 1, 99) == 0
    assert os.path.exists(share.full(aside)), "whoever's it is, it stays"


def test_an_export_that_a_person_emptied_stays_empty(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    share.write(b"talk.srt", b"")
    share.deliver(share.again(job), CHANGED)
    assert share.exports() == {b"talk.srt": b"", b"talk (2).srt": b"two, and longer"}


def test_an_export_that_a_person_deleted_comes_back_under_its_name(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    os.unlink(share.full(b"talk.srt"))
    share.deliver(share.again(job), CHANGED)
    assert share.exports() == {b"talk.srt": b"two, and longer"}


def test_the_text_of_another_recording_is_not_ours_to_replace(share: Folder) -> None:
    share.deliver(share.drop(b"talk.mp3"), TEXT)
    os.unlink(share.full(b"talk.mp3"))
    share.deliver(share.drop(b"talk.mp4"), CHANGED)
    assert share.exports() == {b"talk.srt": b"one", b"talk (2).srt": b"two, and longer"}


def test_a_delivery_that_cannot_tidy_up_is_not_over(
    share: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    job = share.again(job)

    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(ShareOffline):
            share.deliver(job, TEXT)
    share.deliver(share.again(job), TEXT)
    assert share.exports() == {b"talk.srt": b"one"}


def test_the_same_bytes_are_adopted_and_not_written_again(share: Folder) -> None:
    share.write(b"talk.srt", b"one")
    before = os.stat(share.full(b"talk.srt"))
    [row] = share.deliver(share.drop(b"talk.mp4"), TEXT)
    after = os.stat(share.full(b"talk.srt"))
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (row.path, row.state) == (b"talk.srt", "published")
    assert list(share.exports()) == [b"talk.srt"]


def test_ninety_nine_strangers_are_a_conflict(share: Folder) -> None:
    share.write(b"talk.srt", b"mine")
    for number in range(2, 100):
        share.write(b"talk (%d).srt" % number, b"mine")
    job = share.drop(b"talk.mp4")
    with pytest.raises(ExportConflict):
        share.deliver(job, TEXT)
    assert len(share.exports()) == 99


def test_a_stranger_who_is_faster_keeps_the_name(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT, Turn(3, lambda: share.write(b"talk.srt", b"a stranger's")))
    assert share.exports() == {b"talk.srt": b"a stranger's", b"talk (2).srt": b"one"}
    assert table.at(share.ledger, "talks", b"talk.srt") is None


def test_a_person_who_saves_at_the_last_moment_keeps_the_words(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    edit = Turn(3, lambda: share.write(b"talk.srt", b"by hand"))
    share.deliver(share.again(job), CHANGED, edit)
    assert share.exports() == {b"talk.srt": b"by hand", b"talk (2).srt": b"two, and longer"}


def saving(monkeypatch: pytest.MonkeyPatch, *, look: int, save: Callable[[], object]) -> None:
    """Let somebody save right after our look number `look` at what lies under `talk.srt`."""
    real, looks = place.sha256, [0]

    def sha256(folder: int, name: bytes) -> str | None:
        found = real(folder, name)
        looks[0] += name == b"talk.srt"
        if name == b"talk.srt" and looks[0] == look:
            save()
        return found

    monkeypatch.setattr(place, "sha256", sha256)


@pytest.mark.parametrize("by_rename", [True, False])
def test_a_person_who_saves_after_our_last_look_keeps_the_words(
    share: Folder, monkeypatch: pytest.MonkeyPatch, by_rename: bool
) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)

    def save() -> None:
        name = b"talk.new" if by_rename else b"talk.srt"
        share.write(name, b"by hand")
        os.rename(share.full(name), share.full(b"talk.srt"))

    again = share.again(job)
    saving(monkeypatch, look=2, save=save)
    share.deliver(again, CHANGED)
    assert share.exports() == {b"talk.srt": b"by hand", b"talk (2).srt": b"two, and longer"}


def test_a_person_who_takes_the_file_away_after_our_last_look_gets_the_new_one(
    share: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    again = share.again(job)
    saving(monkeypatch, look=2, save=lambda: os.unlink(share.full(b"talk.srt")))
    share.deliver(again, CHANGED)
    assert share.exports() == {b"talk.srt": b"two, and longer"}


def test_a_person_who_saves_while_we_take_a_file_away_keeps_the_words(
    share: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = share.drop(b"talk.mp4")
    (row,) = share.deliver(job, TEXT)
    again = share.again(job)
    saving(monkeypatch, look=1, save=lambda: share.write(b"talk.srt", b"by hand"))
    assert not withdraw(share.ledger, share.root, again, row)
    assert share.exports() == {b"talk.srt": b"by hand"}
    assert table.at(share.ledger, "talks", b"talk.srt") is None


def test_where_files_cannot_be_swapped_ours_is_replaced_all_the_same(
    share: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on SMB and NFS: their kernel modules refuse the flag."""
    real = place._rename

    def rename(folder: int, was: bytes, becomes: bytes, flag: int) -> None:
        if flag == place._EXCHANGE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(folder, was, becomes, flag)

    monkeypatch.setattr(place, "_rename", rename)
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    share.deliver(share.again(job), CHANGED)
    assert share.exports() == {b"talk.srt": b"two, and longer"}


@pytest.mark.parametrize("n", range(1, 5))
def test_who_dies_in_the_swap_while_a_person_saves_loses_none_of_the_words(
    share: Folder, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    again = share.again(job)
    steps = [0]
    real = place._rename

    def dying(folder: int, was: bytes, becomes: bytes, flag: int) -> None:
        steps[0] += 1
        if steps[0] == n:
            raise Dead
        real(folder, was, becomes, flag)

    with monkeypatch.context() as patch:
        patch.setattr(place, "_rename", dying)
        patch.setattr(deliver_room, "_tidy", lambda *_all: None)  # the dead tidy nothing up
        saving(patch, look=2, save=lambda: share.write(b"talk.srt", b"by hand"))
        with contextlib.suppress(Dead):
            share.deliver(again, CHANGED)
    share.deliver(share.again(again), CHANGED)
    assert b"by hand" in share.exports().values()


class Dead(Exception):
    """As good as kill -9: nothing of ours runs after it."""


def test_a_folder_under_our_hidden_name_is_a_conflict(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    os.mkdir(share.full(b".~appliance-%d.%d.srt" % (job.id, job.attempt)))
    with pytest.raises(ExportConflict):
        share.deliver(job, TEXT)


# --- the recording ------------------------------------------------------------------------------


def test_the_kernel_sees_nobody_touch_the_recording(share: Folder) -> None:
    share.write(b"talk.mp3", SOUND)
    job = share.drop(b"talk.mp4")
    before = os.stat(share.full(b"talk.mp4"))
    with watching(share.full(b"talk.mp4")) as touched:
        share.deliver(job, trio())
        share.write(b"talk.mp4.srt", b"by hand")
        share.deliver(share.again(job), trio(b"two"))
        assert not touched()  # not even opened
        assert share.read(b"talk.mp4") == SOUND
        assert touched()  # and the witness was awake
    after = os.stat(share.full(b"talk.mp4"))
    same = ("st_ino", "st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_ctime_ns")
    assert [getattr(before, one) for one in same] == [getattr(after, one) for one in same]


def test_a_recording_that_changed_gets_no_text_of_its_old_self(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(SourceChanged):
        share.deliver(job, TEXT, Turn(2, lambda: share.write(b"talk.mp4", b"longer" + SOUND)))
    assert list(share.exports()) == [b"talk.mp4"]


@pytest.mark.parametrize("turn", [1, 2])
def test_a_recording_that_is_gone_gets_no_text(share: Folder, turn: int) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(SourceMissing):
        share.deliver(job, TEXT, Turn(turn, lambda: os.unlink(share.full(b"talk.mp4"))))
    assert share.exports() == {}


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_folder_that_vanishes_takes_its_recording_with_it(share: Folder, turn: int) -> None:
    job = share.drop(b"monday/talk.mp4")
    vanish = Turn(turn, lambda: shutil.rmtree(share.full(b"monday")))
    with pytest.raises(SourceMissing):
        share.deliver(job, TEXT, vanish)
    assert share.exports() == {}


def test_a_link_on_the_way_leads_nowhere(share: Folder) -> None:
    job = share.drop(b"monday/talk.mp4")
    os.rename(share.full(b"monday"), share.full(b"tuesday"))
    os.symlink(b"tuesday", share.full(b"monday"))
    with pytest.raises(SourceMissing):
        share.deliver(job, TEXT)
    assert share.exports(b"tuesday") == {}


# --- attempts -----------------------------------------------------------------------------------


def test_delivering_twice_is_delivering_once(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, trio())
    before = {name: os.stat(share.full(name)).st_ino for name in share.exports()}
    share.deliver(job, trio())
    share.deliver(share.again(job), trio())
    assert {name: os.stat(share.full(name)).st_ino for name in share.exports()} == before


def test_new_content_replaces_our_own_file(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    share.deliver(share.again(job), CHANGED)
    assert share.exports() == {b"talk.srt": b"two, and longer"}


def test_a_new_recording_under_the_old_name_replaces_the_old_text(share: Folder) -> None:
    share.deliver(share.drop(b"talk.mp4"), TEXT)
    share.deliver(share.drop(b"talk.mp4", SOUND + SOUND), CHANGED)
    assert share.read(b"talk.srt") == b"two, and longer"
    assert sorted(share.contents()) == [b"talk.mp4", b"talk.srt"]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_late_attempt_leaves_no_trace(share: Folder, turn: int) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(Fenced):
        share.deliver(job, TEXT, Turn(turn, lambda: share.again(job)))
    assert share.exports() == {}


def test_a_late_attempt_cannot_undo_a_newer_one(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(Fenced):
        share.deliver(job, TEXT, Turn(3, lambda: share.deliver(share.again(job), CHANGED)))
    assert share.exports() == {b"talk.srt": b"two, and longer"}


def _offline() -> None:
    raise ShareOffline(share="talks")


def test_what_is_emptied_between_two_attempts_stays_empty(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    job = share.again(job)
    with pytest.raises(ShareOffline):
        share.deliver(job, CHANGED, Turn(3, _offline))
    share.write(b"talk.srt", b"")
    share.deliver(share.again(job), CHANGED)
    assert share.exports() == {b"talk.srt": b"", b"talk (2).srt": b"two, and longer"}


def test_a_name_once_announced_is_kept(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with pytest.raises(ShareOffline):
        share.deliver(job, TEXT, Turn(3, _offline))
    share.write(b"talk.mp3", SOUND)
    share.deliver(share.again(job), TEXT)
    assert share.exports() == {b"talk.srt": b"one"}


def test_sweeping_takes_older_attempts_of_this_job_and_nothing_else(share: Folder) -> None:
    stay = {b".~appliance-7.3.srt", b".~appliance-8.1.srt", b".~appliance-x.1.srt", b"talk.srt"}
    for name in stay | {b".~appliance-7.1.srt", b".~appliance-7.2.en.srt"}:
        share.write(b"monday/" + name, b"half")
    os.mkdir(share.full(b"monday/.~appliance-7.2.d"))
    assert sweep(share.root, b"monday", 7, 3) == 2
    assert set(share.exports(b"monday")) == stay | {b".~appliance-7.2.d"}
    assert sweep(share.root, b"tuesday", 7, 3) == 0


# --- shares that are not well -------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_another_share_in_this_place_gets_nothing(share: Folder, turn: int) -> None:
    def wrong() -> None:
        raise ShareWrongMarker(root=share.root, share="talks")

    with pytest.raises(ShareWrongMarker):
        share.deliver(share.drop(b"talk.mp4"), TEXT, Turn(turn, wrong))
    assert share.exports() == {}


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_share_that_cannot_be_asked_is_offline(share: Folder, turn: int) -> None:
    def fail() -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.raises(ShareOffline):
        share.deliver(share.drop(b"talk.mp4"), TEXT, Turn(turn, fail))
    assert share.exports() == {}


def test_a_root_that_is_gone_is_a_share_that_is_offline(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    os.rename(share.root, share.root + ".gone")
    with pytest.raises(ShareOffline) as raised:
        share.deliver(job, TEXT)
    assert raised.value.gate_name == "share:talks"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (errno.EROFS, ShareReadOnly),
        (errno.EPERM, ShareReadOnly),
        (errno.EACCES, ShareReadOnly),
        (errno.ENOSPC, ShareFull),
        (errno.EDQUOT, ShareFull),
        (errno.EIO, ShareOffline),
        (errno.ESTALE, ShareOffline),
        (errno.EHOSTDOWN, ShareOffline),
        (errno.ENOTCONN, ShareOffline),
        (errno.ETIMEDOUT, ShareOffline),
        (errno.EAGAIN, ShareOffline),  # of a file that CIFS had open before it connected anew
        (errno.ECONNABORTED, ShareOffline),
        (errno.ETXTBSY, ShareBusy),
        (errno.ENAMETOOLONG, NameTooLong),
        (errno.EBADMSG, NodeIO),
    ],
)
def test_every_errno_has_a_name(
    share: Folder, monkeypatch: pytest.MonkeyPatch, code: int, named: type[ApplianceError]
) -> None:
    job = share.drop(b"talk.mp4")

    def refuse(*_args: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(named) as raised:
        share.deliver(job, TEXT)
    assert "(" not in raised.value.sentence  # every fact of the sentence is there
    assert share.exports() == {}


@pytest.fixture
def small(share: Folder) -> Iterator[Folder]:
    """The same share on a file system of its own, with 64 KiB of room."""
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", share.root]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"needs to mount a file system: {mounted.stderr.decode().strip()}")
    try:
        yield share
    finally:
        subprocess.run(["umount", share.root], check=True)


def test_a_full_share_keeps_nothing_half_written(small: Folder) -> None:
    job = small.drop(b"talk.mp4")
    small.deliver(job, TEXT)
    job = small.again(job)
    with pytest.raises(ShareFull):
        small.deliver(job, [*CHANGED, export(".json", b"x" * 100_000)])
    assert small.exports() == {b"talk.srt": b"one"}
    small.deliver(small.again(job), CHANGED)
    assert small.exports() == {b"talk.srt": b"two, and longer"}


def test_a_share_mounted_read_only_is_named_so(small: Folder) -> None:
    job = small.drop(b"talk.mp4")
    subprocess.run(["mount", "-o", "remount,ro", small.root], check=True)
    with pytest.raises(ShareReadOnly) as raised:
        small.deliver(job, TEXT)
    assert raised.value.detail == {"name": "talk.mp4", "share": "talks"}
    subprocess.run(["mount", "-o", "remount,rw", small.root], check=True)
    small.deliver(small.again(job), TEXT)
    assert small.exports() == {b"talk.srt": b"one"}


# --- what others may do with it -----------------------------------------------------------------


def test_an_export_is_as_open_as_its_folder_and_the_umask_say(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    with contextlib.suppress(PermissionError):  # only root may choose any group
        os.chown(share.root, -1, 4711)
    before = os.umask(0o002)
    try:
        share.deliver(job, TEXT)
    finally:
        os.umask(before)
    seen = os.stat(share.full(b"talk.srt"))
    assert stat.S_IMODE(seen.st_mode) == 0o664
    assert seen.st_gid == os.stat(share.root).st_gid


@pytest.mark.parametrize(
    ("recording", "export"), [(0o644, 0o664), (0o640, 0o660), (0o600, 0o660), (0o666, 0o664)]
)
def test_who_may_read_a_recording_may_read_its_exports(
    share: Folder, recording: int, export: int
) -> None:
    """Under the worker's own umask; nobody is let in to write."""
    job = share.drop(b"talk.mp4")
    os.chmod(share.full(b"talk.mp4"), recording)
    before = os.umask(0o007)
    try:
        share.deliver(job, TEXT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(share.full(b"talk.srt")).st_mode) == export


def test_a_reader_keeps_the_old_text_until_the_new_one_is_whole(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    share.deliver(job, TEXT)
    with Path(os.fsdecode(share.full(b"talk.srt"))).open("rb") as reader:
        share.deliver(share.again(job), CHANGED)
        assert reader.read() == b"one"


def test_it_needs_no_guard(share: Folder) -> None:
    job = share.drop(b"talk.mp4")
    assert [row.path for row in deliver(share.ledger, share.root, job, TEXT)] == [b"talk.srt"]
