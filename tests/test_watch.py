"""Watching: what is dropped gets a job, once; what is not ours or not there gets none."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import AlreadyRunning, NoAudioTrack, ShareFull
from appliance.nouns import Source
from appliance.states import State, Verdict
from appliance.store import exports, gates, jobs, schema, shares, sightings
from appliance.store.ledger import Ledger
from appliance.watch import standing, supervisor, watch
from appliance.watch.known import Known, key_of
from appliance.watch.mounts import Mount, misplaced, mount_of
from appliance.watch.probe import writable
from appliance.watch.rounds import CHECK_SECONDS
from appliance.watch.scan import Piece, Scanner
from appliance.watch.supervisor import Child
from tests.watched import PATIENCE, Watched, settings_for


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    box = Watched(tmp_path, settings_for(tmp_path))
    box.adopt()
    yield box
    box.close()


def ready(watched: Watched) -> Watched:
    """Wait until the first scan is over and events are heard."""
    watched.until(lambda: watched.row.scanned_ms is not None)
    return watched


# --- how files arrive ---------------------------------------------------------------------------


def test_a_dropped_file_gets_one_job_and_the_bell_is_rung(watched: Watched) -> None:
    ready(watched).drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))
    watched.look_again()
    assert len(watched.rung) == 1
    assert watched.sightings == {"talk.wav": "settled"}


def test_what_lay_there_before_is_found_by_the_scan(watched: Watched) -> None:
    watched.drop("a/b/old.mp3")
    watched.until(lambda: watched.queued("a/b/old.mp3"))


def test_a_file_moved_in_is_found(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"sound")
    ready(watched)
    (tmp_path / "talk.wav").rename(watched.root / "talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))


def test_a_hard_link_is_found(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(b"sound")
    ready(watched)
    os.link(tmp_path / "talk.wav", watched.root / "talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))


def test_a_download_counts_once_it_has_its_final_name(watched: Watched) -> None:
    part = ready(watched).drop("talk.mp4.part")
    watched.go_on(0.5)
    assert watched.sightings == {}
    part.rename(watched.root / "talk.mp4")
    watched.until(lambda: watched.queued("talk.mp4"))
    assert watched.sightings == {"talk.mp4": "settled"}


def test_a_slow_writer_is_waited_for_through_its_pauses(watched: Watched) -> None:
    ready(watched)
    with (watched.root / "talk.wav").open("wb") as stream:
        for _ in range(3):
            stream.write(b"sound")
            stream.flush()
            watched.go_on(0.6)  # three times the quiet time
            assert watched.jobs == {}
        assert watched.sightings == {"talk.wav": "receiving"}
    watched.until(lambda: watched.queued("talk.wav"))
    assert jobs.listing(watched.ledger)[0].source.size == 15


def test_files_in_a_tree_made_a_moment_ago_are_found(watched: Watched, tmp_path: Path) -> None:
    names = {f"tree/{a}/{b}/{c}.wav" for a in range(5) for b in range(5) for c in range(4)}
    ready(watched)
    for name in sorted(names)[:50]:
        watched.drop(name)
    for name in sorted(names)[50:]:
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(b"sound")
    shutil.copytree(tmp_path / "made" / "tree", watched.root / "tree", dirs_exist_ok=True)
    watched.until(lambda: watched.queued(*names))


def test_a_folder_moved_in_whole_is_found(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "talk.wav").write_bytes(b"sound")
    ready(watched)
    (tmp_path / "a").rename(watched.root / "a")
    watched.until(lambda: watched.queued("a/b/talk.wav"))


@pytest.mark.parametrize(
    "name", [b"caf\xe9.mp3", b"two\nlines <b>&.wav", b"x" * 251 + b".mp3", b"-rf *.ogg"]
)
def test_any_name_is_a_name(watched: Watched, name: bytes) -> None:
    ready(watched).drop(name)
    watched.until(lambda: len(watched.jobs) == 1)
    assert jobs.listing(watched.ledger)[0].source.path == name


def test_without_events_the_scan_finds_it_all(watched: Watched) -> None:
    ready(watched)
    watched.rounds._hints.stop()  # type: ignore[union-attr]  # as a dead observer would be
    watched.drop("deep/er/talk.wav")
    watched.skip(31)
    watched.until(lambda: watched.queued("deep/er/talk.wav"))


def test_dead_events_are_noticed_and_heard_anew(watched: Watched) -> None:
    ready(watched)
    dead = watched.rounds._hints
    assert dead is not None
    dead.stop()
    watched.skip(6)
    watched.until(lambda: watched.rounds._hints not in (dead, None))
    watched.drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))


def test_lost_events_make_us_look_at_everything(watched: Watched) -> None:
    hints = ready(watched).rounds._hints
    assert hints is not None
    watched.go_on(0.1)
    watched.drop("talk.wav")
    hints.take()  # lost
    hints._ear.overflow()
    watched.until(lambda: watched.queued("talk.wav"))


def test_a_file_that_changed_later_is_another_job(watched: Watched) -> None:
    ready(watched).drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))
    watched.drop("talk.wav", b"another sound")
    watched.until(lambda: len(watched.rung) == 2)
    sizes = [(job.source.size, job.state) for job in jobs.listing(watched.ledger)]
    assert sizes == [(13, State.QUEUED), (5, State.SOURCE_MISSING)]


def test_a_restart_brings_nothing_twice_and_forgets_nothing(watched: Watched) -> None:
    ready(watched).drop("done.wav")
    watched.until(lambda: watched.queued("done.wav"))
    stream = (watched.root / "half.wav").open("wb")
    stream.write(b"half")
    stream.flush()
    watched.until(lambda: watched.sightings.get("half.wav") == "receiving")
    watched.drop("gone.wav").unlink()
    watched.restart()
    stream.close()
    watched.until(lambda: watched.queued("done.wav", "half.wav"))
    assert len(watched.rung) == 2


def test_a_share_whose_root_is_a_link_is_heard_all_the_same(watched: Watched) -> None:
    watched.root.rename(watched.folder / "elsewhere")
    watched.root.symlink_to("elsewhere")
    ready(watched).drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))


# --- what is not ours ---------------------------------------------------------------------------


def test_our_own_files_are_never_recordings(watched: Watched) -> None:
    ready(watched)
    for name in ("talk.srt", "talk.mp4.ERROR.txt", ".~appliance-1.1.srt", "talk.en.vtt"):
        watched.drop(name)
    watched.go_on(0.6)
    watched.look_again()
    assert watched.sightings == {}


def test_links_pipes_and_loops_are_left_alone_and_said_so(watched: Watched) -> None:
    ready(watched)
    (watched.root / "link.wav").symlink_to("/etc/passwd")
    os.mkfifo(watched.root / "pipe.wav")
    for n in range(2):
        (watched.root / f"loop{n}").symlink_to(".")
    watched.look_again()
    assert watched.sightings == {"link.wav": "link", "pipe.wav": "not-regular"}
    assert watched.jobs == {}


def test_a_notranscribe_file_keeps_a_tree_out_from_then_on(watched: Watched) -> None:
    ready(watched).drop("private/before.wav")
    watched.until(lambda: watched.queued("private/before.wav"))
    watched.drop("private/.notranscribe", b"")
    watched.drop("private/deep/after.wav")
    watched.until(lambda: watched.sightings.get("private/deep/after.wav") == "notranscribe")
    watched.look_again()
    assert watched.queued("private/before.wav")  # neither gone nor new
    (watched.root / "private" / ".notranscribe").unlink()
    (watched.root / "private" / "deep" / "later.wav").write_bytes(b"sound")
    watched.until(lambda: watched.jobs.get("private/deep/later.wav") == State.QUEUED)


def test_a_folder_says_how_its_recordings_are_done(watched: Watched) -> None:
    ready(watched).drop("polish/.transcribe.toml", b'language = "pl"\nformats = ["txt"]')
    watched.drop("polish/talk.wav")
    watched.until(lambda: watched.queued("polish/talk.wav"))
    options = jobs.listing(watched.ledger)[0].options
    assert (options.language, options.formats) == ("pl", ("txt",))


def test_wrong_options_of_a_folder_are_answered_at_once(watched: Watched) -> None:
    note = watched.root / "a" / ".transcribe.ERROR.txt"
    ready(watched).drop("a/.transcribe.toml", b"langauge = 'de'")
    watched.until(note.exists)
    assert "did you mean language?" in note.read_text()
    watched.drop("a/.transcribe.toml", b"language = 'de'")
    watched.until(lambda: not note.exists())


# --- old files ----------------------------------------------------------------------------------


def box_with_old_files(tmp_path: Path, count: int, **share: object) -> Watched:
    box = Watched(tmp_path, settings_for(tmp_path, **share))
    for n in range(count):
        box.drop(f"{n % 7}/{n}.wav")
    return box


def test_a_scan_that_somebody_asks_for_begins_soon_and_once(watched: Watched) -> None:
    watched.until(lambda: watched.row.scanned_ms is not None)
    before = watched.row.scanned_ms
    shares.ask_for_scan(watched.ledger, "s")
    watched.skip(CHECK_SECONDS)  # and not FULL_SECONDS
    watched.until(lambda: watched.row.scanned_ms != before)
    assert watched.row.rescan_ms is None


def test_few_old_files_are_simply_done(tmp_path: Path) -> None:
    box = box_with_old_files(tmp_path, 200)
    box.until(lambda: len(box.jobs) == 200)
    assert (box.row.existing, box.row.old_files) == ("process", 200)
    assert (box.root / ".transcribe-id").read_text().strip() == box.row.marker
    box.close()


@pytest.mark.parametrize(("existing", "becomes"), [("process", 1001), ("ignore", 1)])
def test_many_old_files_wait_for_a_person(tmp_path: Path, existing: str, becomes: int) -> None:
    box = box_with_old_files(tmp_path, 1_000)
    box.until(lambda: box.row.scanned_ms is not None)
    box.look_again()
    assert box.jobs == {}
    assert set(box.sightings.values()) == {"not-adopted"}
    assert (box.row.adopted_ms, box.row.old_files) == (None, 1_000)
    assert not (box.root / ".transcribe-id").exists()
    box.adopt(existing)
    box.skip(6)
    box.until(lambda: box.row.scanned_ms is not None)
    box.drop("new.wav")
    box.until(lambda: len(box.jobs) == becomes)
    box.look_again()
    assert len(box.jobs) == becomes
    assert len(box.rung) <= 64 * 3
    box.close()


def test_old_files_are_left_alone_where_the_settings_say_so(tmp_path: Path) -> None:
    box = box_with_old_files(tmp_path, 5, existing="ignore")
    box.until(lambda: box.row.scanned_ms is not None)
    box.drop("new.wav")
    box.until(lambda: box.queued("new.wav"))
    assert sorted(box.sightings.values()) == ["old-file"] * 5 + ["settled"]
    box.adopt("process")  # somebody thinks better of it
    box.skip(6)
    box.until(lambda: len(box.jobs) == 6)
    box.close()


# --- a share that is not well -------------------------------------------------------------------


def gate_codes(box: Watched) -> list[str]:
    return [gate.error.code for gate in gates.closed(box.ledger)]


def test_a_root_that_vanishes_and_returns_loses_and_repeats_nothing(watched: Watched) -> None:
    for n in range(30):
        watched.drop(f"{n}.wav")
    watched.until(lambda: len(watched.rung) == 30)
    away = watched.root.rename(watched.folder / "away")
    watched.skip(6)
    watched.until(lambda: gate_codes(watched) == ["share.offline"])
    assert watched.row.state == "offline"
    watched.skip(1000)
    watched.go_on(0.3)
    watched.root.mkdir()  # the empty folder below a mount that failed
    watched.skip(1000)
    watched.go_on(0.3)
    assert set(watched.jobs.values()) == {State.QUEUED}
    watched.root.rmdir()
    away.rename(watched.root)
    watched.drop("meanwhile.wav")
    watched.skip(6)
    watched.until(lambda: "meanwhile.wav" in watched.jobs)
    assert gate_codes(watched) == []
    assert len(watched.rung) == 31
    watched.drop("after.wav")  # and events are heard where the root is now
    watched.until(lambda: "after.wav" in watched.jobs)


def test_what_was_seen_just_before_the_share_went_is_not_believed(watched: Watched) -> None:
    ready(watched).drop("old.wav")
    watched.until(lambda: watched.queued("old.wav"))
    with (watched.root / "new.wav").open("wb") as stream:
        stream.write(b"sound")
        stream.flush()
        watched.until(lambda: watched.sightings.get("new.wav") == "receiving")
        (watched.root / "old.wav").unlink()
        away = watched.root.rename(watched.folder / "away")
        watched.root.mkdir()  # no check of the share is due yet
    watched.go_on(1.0)
    assert watched.queued("old.wav")
    watched.root.rmdir()
    (away / "old.wav").write_bytes(b"sound")
    away.rename(watched.root)
    watched.skip(6)
    watched.until(lambda: watched.jobs.get("new.wav") == State.QUEUED)


def test_a_share_with_another_marker_is_not_ours(watched: Watched) -> None:
    ready(watched)
    (watched.root / ".transcribe-id").write_text("another\n")
    watched.drop("talk.wav")
    watched.skip(6)
    watched.until(lambda: gate_codes(watched) == ["share.wrong-marker"])
    watched.skip(1000)
    watched.go_on(0.5)
    assert watched.jobs == {}
    (watched.root / ".transcribe-id").write_text(f"{watched.row.marker}\n")
    watched.skip(6)
    watched.until(lambda: watched.queued("talk.wav"))


def test_a_marker_is_never_made_again_by_itself(watched: Watched) -> None:
    ready(watched).drop("talk.txt")
    (watched.root / ".transcribe-id").unlink()
    watched.skip(6)
    watched.until(lambda: gate_codes(watched) == ["share.wrong-marker"])
    watched.restart()
    watched.go_on(0.3)
    assert not (watched.root / ".transcribe-id").exists()


def test_a_network_share_that_is_a_local_folder_is_not_mounted(tmp_path: Path) -> None:
    box = Watched(tmp_path, settings_for(tmp_path, kind="smb"))
    box.drop("talk.wav")
    box.until(lambda: box.row.state == "offline")
    assert "not an SMB mount" in str(box.row.why)
    assert box.jobs == {}
    box.close()


def test_what_somebody_else_said_of_a_share_is_put_right(watched: Watched) -> None:
    ready(watched)
    shares.seen(watched.ledger, "s", state="offline", why="the file server has not answered")
    watched.skip(6)
    watched.until(lambda: watched.row.state == "online")
    assert watched.row.why is None


def test_a_share_whose_automount_fails_says_so(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_of: object) -> object:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("appliance.watch.standing.mount_of", lambda _at: Mount(7, "autofs", ""))
    monkeypatch.setattr("appliance.watch.standing.marker.rooted", refuses)
    found = standing.look(watched.settings.share[0], None)
    assert not found.online
    assert str(found.why).startswith("it cannot be mounted")


def test_a_gate_somebody_else_closed_opens_once_the_share_takes_a_file(watched: Watched) -> None:
    ready(watched)
    gates.close(watched.ledger, ShareFull(share="s", name="talk.wav"))
    watched.skip(6)
    watched.until(lambda: gate_codes(watched) == [])
    assert sorted(os.listdir(watched.root)) == [".transcribe-id"]


# --- gone ---------------------------------------------------------------------------------------


def test_a_deleted_file_ends_its_waiting_job(watched: Watched) -> None:
    file = ready(watched).drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))
    file.unlink()
    watched.until(lambda: watched.jobs == {"talk.wav": State.SOURCE_MISSING})
    assert watched.sightings == {"talk.wav": "gone"}
    watched.drop("talk.wav", b"back")
    watched.until(lambda: watched.queued("talk.wav"))


def test_a_deleted_folder_ends_the_jobs_in_it(watched: Watched) -> None:
    ready(watched)
    for n in range(3):
        watched.drop(f"a/b/{n}.wav")
    watched.until(lambda: len(watched.rung) == 3)
    (watched.root / "a").rename(watched.folder / "elsewhere")
    watched.skip(31)
    watched.until(lambda: set(watched.jobs.values()) == {State.SOURCE_MISSING})


def test_much_missing_at_once_is_believed_only_the_second_time(watched: Watched) -> None:
    for n in range(40):
        watched.drop(f"{n}.wav")
    watched.until(lambda: len(watched.rung) == 40)
    watched.rounds.close()  # it happens while nobody listens
    for n in range(30):
        (watched.root / f"{n}.wav").unlink()
    watched.restart()
    watched.until(lambda: watched.row.state == "suspect")
    assert set(watched.jobs.values()) == {State.QUEUED}
    watched.skip(11)
    watched.until(lambda: watched.row.state == "online")
    assert list(watched.jobs.values()).count(State.SOURCE_MISSING) == 30


def test_a_folder_we_may_not_look_into_has_lost_nothing(watched: Watched) -> None:
    watched.drop("a/talk.wav")
    watched.until(lambda: watched.queued("a/talk.wav"))
    (watched.root / "a" / ".notranscribe").touch()
    watched.look_again()
    assert watched.queued("a/talk.wav")


# --- try again ----------------------------------------------------------------------------------


def failed_with_note(box: Watched) -> tuple[jobs.Job, Path]:
    box.drop("talk.mp4")
    box.until(lambda: box.queued("talk.mp4"))
    job = jobs.claim(box.ledger, box.rung[-1], owner="w")
    assert job is not None
    note = box.drop("talk.mp4.ERROR.txt", b"sorry")
    facts = {"path": b"talk.mp4.ERROR.txt", "format_": "error", "suffix": ".ERROR.txt"}
    exports.intend(box.ledger, job, sha256="0", size=5, **facts)  # type: ignore[arg-type]
    exports.published(box.ledger, job, b"talk.mp4.ERROR.txt")
    error = NoAudioTrack(name="talk.mp4")
    return jobs.end(box.ledger, job, Verdict(State.FAILED), error, who="w"), note


def test_deleting_the_error_file_means_try_again(watched: Watched) -> None:
    _job, note = failed_with_note(ready(watched))
    watched.go_on(0.3)
    assert watched.jobs == {"talk.mp4": State.FAILED}
    note.unlink()
    watched.until(lambda: watched.queued("talk.mp4"))
    assert len(watched.rung) == 2
    watched.look_again()
    assert len(watched.rung) == 2


def test_an_error_file_deleted_while_we_were_away_counts_too(watched: Watched) -> None:
    _job, note = failed_with_note(ready(watched))
    watched.rounds.close()
    note.unlink()
    watched.restart()
    watched.until(lambda: watched.queued("talk.mp4"))


def test_deleting_recording_and_error_file_is_only_tidying_up(watched: Watched) -> None:
    _job, note = failed_with_note(ready(watched))
    (watched.root / "talk.mp4").unlink()
    note.unlink()
    watched.look_again()
    assert watched.jobs == {"talk.mp4": State.FAILED}


def test_a_file_that_changed_while_we_copied_it_settles_again(watched: Watched) -> None:
    ready(watched).drop("talk.wav")
    watched.until(lambda: watched.queued("talk.wav"))
    job = jobs.claim(watched.ledger, watched.rung[-1], owner="w")
    assert job is not None
    jobs.move(watched.ledger, job, State.DISCOVERED, who="w")
    watched.skip(6)
    watched.until(lambda: watched.queued("talk.wav"))
    assert watched.rung == [job.id, job.id]


# --- events that cannot be had ------------------------------------------------------------------

FEW_WATCHES = """
import pathlib, sys
from tests.watched import Watched, settings_for
folder = pathlib.Path(sys.argv[1])
box = Watched(folder, settings_for(folder))
box.adopt()
for n in range(100):
    (box.root / f"{n}").mkdir()
box.until(lambda: box.row.scanned_ms is not None)
for n in range(100):
    box.drop(f"{n}/talk.wav")
box.skip(11)
box.until(lambda: len(box.jobs) == 100)
print(box.row.method)
box.close()
"""


@pytest.mark.parametrize(
    ("limit", "value", "method"),
    [
        ("max_inotify_watches", 50, "scan (too few watches for events)"),
        ("max_inotify_watches", 0, "scan"),
        ("max_inotify_instances", 0, "scan"),
    ],
)
def test_a_limit_of_the_kernel_makes_us_scan_and_is_said(
    tmp_path: Path, limit: str, value: int, method: str
) -> None:
    limited = f'echo {value} > /proc/sys/user/{limit} && exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", limited, "sh"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespace of our own to be had here")
    found = subprocess.run(
        [*command, sys.executable, "-c", FEW_WATCHES, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert found.stdout.strip() == method


# --- parts --------------------------------------------------------------------------------------


def walked(pieces: Iterator[Piece]) -> set[bytes]:
    return {entry.path for piece in pieces for entry in piece.entries}


def test_a_scan_for_changes_looks_only_where_something_changed(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}" / "old.wav").touch()
    scanner = Scanner(str(tmp_path))
    assert len(walked(scanner.full())) == 3
    walked(scanner.changes())
    (tmp_path / "1" / "new.wav").touch()
    (tmp_path / "2" / "a" / "b").mkdir(parents=True)
    (tmp_path / "2" / "a" / "b" / "new.wav").touch()
    found = walked(scanner.changes())
    assert found == {b"1/old.wav", b"1/new.wav", b"2/old.wav", b"2/a/b/new.wav"}
    walked(scanner.changes())
    assert walked(scanner.changes()) == set()


def test_a_tree_of_forty_folders_is_walked_to_thirty_two(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"d" * 40)
    deep.mkdir(parents=True)
    (deep / "talk.wav").touch()
    entries = [e for piece in Scanner(str(tmp_path)).full() for e in piece.entries]
    assert [(entry.path.count(b"/"), entry.why) for entry in entries] == [(32, "too-deep")]


def test_known_files_cost_eight_bytes_and_are_told_from_new_ones() -> None:
    keys = [key_of(b"%d.wav" % n, n, n) for n in range(25_000)]
    known = Known(keys[:10_000])
    for key in keys[10_000:20_000]:
        known.add(key)
    assert known.meets(keys) == [True] * 20_000 + [False] * 5_000
    known.drop(keys[0])
    assert keys[0] not in known
    known.begin()
    known.meets(keys[2:])
    assert known.unmet().tolist() == [keys[1]]


TABLE = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv/nas rw - cifs //nas/x rw,vers=3.1.1,actimeo=10
31 30 0:41 / /srv/nas/in\\040box rw - nfs4 nas:/x rw,vers=4.2
32 22 0:42 / /mnt rw - btrfs /dev/sdb rw,compress=zstd
33 32 0:43 / /mnt rw - fuse.sshfs host: rw
"""


def test_the_innermost_and_topmost_mount_counts(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    found = {
        path: mount_of(path, table=str(table)).fstype
        for path in ("/", "/srv", "/srv/nas", "/srv/nasty", "/srv/nas/in box/a", "/mnt/x")
    }
    assert list(found.values()) == ["ext4", "ext4", "cifs", "ext4", "nfs4", "fuse.sshfs"]


def test_patience_follows_the_mount(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    nas = mount_of("/srv/nas", table=str(table))
    assert (nas.patience(None).quiet, nas.patience(None).looks) == (20, 3)
    assert mount_of("/", table=str(table)).patience(None).quiet == 2
    assert misplaced("smb", nas) is None
    assert misplaced("nfs", Mount(1, "ext4", "")) is not None
    assert misplaced("auto", Mount(1, "ext4", "")) is None


def test_a_share_that_takes_no_file_is_told_from_one_that_does(tmp_path: Path) -> None:
    assert writable(str(tmp_path))
    assert not writable(str(tmp_path / "away"))
    assert os.listdir(tmp_path) == []


# --- processes ----------------------------------------------------------------------------------


def test_the_supervisor_watches_and_stops_in_good_order(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "talk.wav").write_bytes(b"sound")
    stop = threading.Event()
    turns: list[int] = []
    errors: list[str] = []

    def alive() -> None:
        turns.append(1)
        with Ledger(settings.state_dir) as ledger:
            if jobs.listing(ledger) or len(turns) > 2 * PATIENCE:
                stop.set()
        if not errors:
            try:
                watch(settings, stop=stop)
            except AlreadyRunning as error:
                errors.append(error.code)

    watch(settings, stop=stop, alive=alive)
    with Ledger(settings.state_dir) as ledger:
        assert [job.source.path for job in jobs.listing(ledger)] == [b"talk.wav"]
    assert errors == ["node.already-running"]


def test_a_watch_whose_round_does_not_end_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    stop, hangs, go_on = threading.Event(), threading.Event(), threading.Event()
    signs: list[bool] = []

    def turn(*_of: object) -> None:
        if signs:
            hangs.set()
            assert go_on.wait(PATIENCE)
            stop.set()

    monkeypatch.setattr("appliance.watch.supervisor._turn", turn)
    thread = threading.Thread(
        target=watch, args=(settings,), kwargs={"stop": stop, "alive": lambda: signs.append(True)}
    )
    thread.start()
    assert hangs.wait(PATIENCE)
    assert len(signs) == 1, "of the round that ended"
    go_on.set()
    thread.join()


def until(claim: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not claim():
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.05)


def test_a_child_that_falls_silent_is_killed_and_started_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        child = Child(settings, settings.share[0], deadline=3.0)
        child.turn(time.monotonic())
        first = child.pid
        assert first is not None
        until(lambda: child.turn(time.monotonic()) or _state(ledger) == "online")
        os.kill(first, signal.SIGSTOP)  # as good as a server that does not answer
        death = None
        begun = time.monotonic()
        while death is None and time.monotonic() - begun < PATIENCE:
            time.sleep(0.05)
            death = child.turn(time.monotonic())
        assert death is not None
        assert death.hung
        until(lambda: child.turn(time.monotonic()) or child.pid not in (None, first))
        child.stop()
        child.end(PATIENCE)


def test_a_share_is_shown_down_long_before_its_child_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.watch.supervisor.QUIET_SECONDS", 3.0)
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        child = Child(settings, settings.share[0], deadline=60.0)

        def becomes(state: str) -> bool:
            supervisor._turn(ledger, [child])
            return _state(ledger) == state

        until(lambda: becomes("online"))
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        until(lambda: becomes("offline"))
        assert shares.get(ledger, "s").why == "the file server has not answered for 3 s"
        os.kill(first, signal.SIGCONT)
        until(lambda: becomes("online"))
        assert child.pid == first
        child.stop()
        child.end(PATIENCE)


def test_a_child_is_where_it_was_when_it_was_last_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mount may have come only when it looked, or another since."""
    numbers = iter((3, *[5] * 1_000))
    monkeypatch.setattr("appliance.watch.supervisor.links.mount_id", lambda _root: next(numbers))
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    schema.prepare(settings.state_dir)
    child = Child(settings, settings.share[0], deadline=60.0)
    until(lambda: child.turn(time.monotonic()) or child._mount == 5)
    child.stop()
    child.end(PATIENCE)


def _state(ledger: Ledger) -> str:
    return shares.get(ledger, "s").state


SUPERVISOR = """
import sys
from appliance.settings import Settings
from appliance.watch import watch
watch(Settings.model_validate_json(sys.argv[1]))
"""


def test_the_children_die_with_their_supervisor(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "share").mkdir()
    schema.prepare(settings.state_dir)
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISOR, settings.model_dump_json()])
    with Ledger(settings.state_dir) as ledger:
        until(lambda: _state(ledger) == "online")
    task = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    children = task.read_text().split()
    assert len(children) == 2  # the share, and the box's own
    parent.kill()
    parent.wait()
    until(lambda: all(map(_dead, children)))


def _dead(pid: str) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_an_empty_file_is_admitted_after_ten_minutes_for_the_line_to_end(
    watched: Watched,
) -> None:
    ready(watched).drop("empty.wav", b"")
    watched.until(lambda: watched.sightings == {"empty.wav": "settling"})
    assert watched.jobs == {}
    watched.skip(601)
    watched.until(lambda: watched.queued("empty.wav"))


def test_a_sighting_of_a_file_that_never_arrived_is_closed(watched: Watched) -> None:
    source = Source("s", b"never.wav", 1, 1)
    sightings.note(watched.ledger, source, sightings.RECEIVING, correlation="c")
    watched.restart()
    watched.until(lambda: watched.row.scanned_ms is not None)
    watched.skip(6)
    watched.until(lambda: watched.sightings == {"never.wav": "gone"})
