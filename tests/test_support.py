"""A support bundle holds what a call asks first, and nothing that is not ours to send."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.credentials import keys, tokens
from appliance.doctor.asking import Answer
from appliance.errors import DiskFull, SourceUnreadable
from appliance.logbook import file_of
from appliance.nouns import Options, Source
from appliance.settings import Settings, load
from appliance.states import State, Verdict
from appliance.store import jobs, schema
from appliance.store.ledger import Ledger
from appliance.support import bundle, chosen, lines, parts, scrub
from appliance.support.bundle import Bundle
from appliance.support.lines import Sentences
from appliance.support.scrub import Scrubber

_, KEY = keys.make()
SPOKEN = "the merger with Zarquon will be announced on Thursday"
PLANTED = {  # what must not be in there, wherever it stood
    "a word of the vocabulary": "Schönhausen",
    "a word that is heard": "opun-eye-heard",
    "a word that is written": "OpunEyeWritten",
    "a prompt": "Minutes-of-the-secret-board",
    "a password in an address": "hunter2pw",
    "a topic": "topic-9f8e7d6c",
    "a user of a mail server": "mailbox-user",
    "an address": "anna.privat@example.org",
    "a password in a file": "correct horse battery",
    "a key": KEY,
    "a session": tokens.session(),
    "a set-up code": tokens.code(),
    "a hash of a password": "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaGhhc2g",
    "an account": "kontoinhaberin",
    "what was said": SPOKEN,
    "a word of what was said": "Zarquon",
    "why somebody paused": "because-of-the-audit-of-Anna",
    "a tag": "tag-betriebsrat",
}
NAME = b"Q\xff<b>Kuendigung\n\x1b[31mMeier\xe2\x80\xae.mp3"  # hostile, and nobody's business
NAMES = ("Kuendigung", "Meier")


@dataclass
class Box:
    """A box full of secrets, and its settings."""

    folder: Path
    file: str
    settings: Settings
    job: int

    @property
    def ledger(self) -> str:
        return self.settings.state("ledger.db")

    def bundle(self, *words: str, out: str = "b.tar.gz", expect: int = 0) -> str:
        """Run the verb; what it printed."""
        path = str(self.folder / out)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        argv = [sys.executable, "-m", "appliance", "--settings", self.file]
        ran = subprocess.run(
            [*argv, "support-bundle", "--out", path, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert ran.returncode == expect, ran.stdout + ran.stderr
        return ran.stdout

    def opened(self, out: str = "b.tar.gz") -> dict[str, bytes]:
        """Every file of a bundle, unpacked, by its name below the top."""
        with tarfile.open(self.folder / out) as archive:
            found = {}
            for member in archive.getmembers():
                stream = archive.extractfile(member)
                assert stream is not None
                found[member.name.partition("/")[2]] = stream.read()
            return found


def planted(folder: Path) -> Box:
    """Make a box in which secrets, names and words stand wherever they could get out."""
    root = folder / "talks"
    root.mkdir()
    (root / "Kuendigung Meier.mp3").write_bytes(b"x")
    secret = folder / "webhook.key"
    secret.write_text(PLANTED["a password in a file"])
    secret.chmod(0o600)
    file = folder / "appliance.toml"
    file.write_text(f"""
[node]
state_dir = "{folder}/state"
[[share]]
name = "talks"
root = "{root}"
source = "//{PLANTED["a user of a mail server"]}:{PLANTED["a password in an address"]}@nas/talks"
[profile.default]
vocabulary = ["{PLANTED["a word of the vocabulary"]}"]
initial_prompt = "{PLANTED["a prompt"]}"
replacements = {{ "{PLANTED["a word that is heard"]}" = "{PLANTED["a word that is written"]}" }}
[[notify.channel]]
name = "phone"
kind = "ntfy"
url = "https://ntfy.example.org/{PLANTED["a topic"]}"
[[notify.channel]]
name = "office"
kind = "email"
url = "smtps://mail.example.org"
user = "{PLANTED["a user of a mail server"]}"
secret = "{secret}"
sender = "{PLANTED["an address"]}"
to = ["{PLANTED["an address"]}"]
""")
    settings = load(str(file))
    schema.prepare(settings.state_dir)
    with Ledger(settings.state_dir) as ledger:
        born = jobs.add(ledger, Source("talks", NAME, 10, 5), Options(), correlation="c")
        assert born is not None
        job = jobs.claim(ledger, born.id, owner="me")
        assert job is not None
        error = SourceUnreadable(name=f"Kuendigung Meier {SPOKEN}")
        ended = jobs.end(ledger, job, Verdict(State.FAILED), error, who="me")
    box = Box(folder, str(file), settings, ended.id)
    _plant_rows(box)
    _plant_logs(box)
    return box


def _plant_rows(box: Box) -> None:
    body = zlib.compress(SPOKEN.encode())
    why = f"{SPOKEN} {KEY} Kuendigung"
    rows: dict[str, list[str | int | bytes]] = {
        "INSERT INTO transcript VALUES (?, 1, 'transcribe', 'a', 'b', 'c', ?, 0, 0)": [
            box.job,
            body,
        ],
        "INSERT INTO spoken VALUES (1, 0, ?, 0)": [SPOKEN],
        "INSERT INTO account VALUES (1, ?, ?, 'admin', 0, 0, 0)": [
            PLANTED["an account"],
            PLANTED["a hash of a password"],
        ],
        "INSERT INTO pause VALUES (1, 'me', ?, 0)": [PLANTED["why somebody paused"]],
        "INSERT INTO tag (job, name) VALUES (?, ?)": [box.job, PLANTED["a tag"]],
        "INSERT INTO restore VALUES (0, NULL, ?, NULL)": [why],
        "INSERT INTO channel VALUES ('phone', 12, NULL, NULL, ?)": [f"401: {why}"],
        "INSERT INTO share (name, state, why) VALUES ('talks', 'suspect', ?)": [why],
        "INSERT INTO gate VALUES ('share:talks', 'share.denied', ?, 0)": [
            json.dumps({"share": "talks", "name": why})
        ],
        "INSERT INTO outbox VALUES ('x', 'phone', ?, 0, 1, 'waiting', NULL, NULL, NULL, ?)": [
            why,
            why,
        ],
    }
    with contextlib.closing(sqlite3.connect(box.ledger)) as db:
        for sql, values in rows.items():
            db.execute(sql, values)
        db.commit()


def _plant_logs(box: Box) -> None:
    file = file_of(box.settings.state("logs"), box.job, 1)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    told = [
        {"at": "2026-01-01T00:00:00Z", "event": "begin", "stage": "stage"},
        {"event": "recording", "container": "mp3", "codec": "mp3", "title": SPOKEN},
        {"event": "said", "line": f"[mp3] Invalid data found: {SPOKEN}"},
        {"event": "export", "name": "Kuendigung Meier.srt", "share": "talks", "bytes": 7},
        {"event": SPOKEN, "codec": SPOKEN, "password": "pw", "token": KEY},
        {"event": "ended", "state": "failed", "code": "source.unreadable", "seconds": 1.5},
        [SPOKEN],
    ]
    with open(file, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in told)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("APPLIANCE_SETTINGS", "APPLIANCE_STATE_DIR"):
            patch.delenv(name, raising=False)
        yield planted(tmp_path_factory.mktemp("box"))


def must_hold_nothing(found: dict[str, bytes], *, but_names: bool = False) -> None:
    everything = b"\n".join(found.values()) + "\n".join(found).encode()
    spelt = everything.decode("utf-8", "replace")
    for what, secret in PLANTED.items():
        for form in (secret, json.dumps(secret)[1:-1]):
            assert form not in spelt, f"{what} got out"
    if not but_names:
        for name in NAMES:
            assert name not in spelt


def rows_of(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


# --- the whole ----------------------------------------------------------------------------------


def test_nothing_planted_gets_out_and_everything_asked_is_there(box: Box) -> None:
    told = box.bundle()
    found = box.opened()
    must_hold_nothing(found)
    log = f"attempts/{box.job}-1.jsonl"
    asked = {"check", "doctor", "failed", "ledger", "room", "settings", "versions"}
    assert {f"{name}.jsonl" for name in asked} | {"MANIFEST.txt", log} <= found.keys()
    for file, content in found.items():
        if file != "MANIFEST.txt":
            assert rows_of(content), file
            assert f"{len(content):>10,}  {file}" in told  # the list is the manifest's
    assert found["MANIFEST.txt"].decode() in told
    assert "systemd does not run here" in told or "journal.jsonl" in found
    assert os.stat(box.folder / "b.tar.gz").st_mode & 0o777 == 0o600
    (failed,) = rows_of(found["failed.jsonl"])
    assert (failed["job"], failed["code"], failed["size"]) == (box.job, "source.unreadable", 10)
    assert failed["recording"].startswith("file-")
    assert failed["recording"].endswith(".mp3")
    ended = rows_of(found[log])[-1]
    assert ended == {
        "event": "ended",
        "state": "failed",
        "code": "source.unreadable",
        "seconds": 1.5,
    }
    tables = {row["table"]: row["rows"] for row in rows_of(found["ledger.jsonl"]) if "table" in row}
    assert (tables["job"], tables["transcript"]) == (1, 1)
    assert any(row.get("journal_mode") == "wal" for row in rows_of(found["ledger.jsonl"]))
    settings = {row["key"]: row["value"] for row in rows_of(found["settings.jsonl"])}
    assert settings["profile.default.vocabulary"] == "(1, left out)"
    assert settings["notify.channel[1].url"] == "https://ntfy.example.org/…"
    assert settings["share[1].source"].endswith("@nas/talks")


def test_pseudonyms_are_the_same_in_every_bundle_and_names_come_only_when_asked(box: Box) -> None:
    (first,) = rows_of(box.opened()["failed.jsonl"])
    told = box.bundle("--with-names")
    found = box.opened()
    must_hold_nothing(found, but_names=True)
    (named,) = rows_of(found["failed.jsonl"])
    assert all(name in named["recording"] for name in NAMES)
    assert named["recording"].isprintable()
    assert "--with-names was given" in told
    mine = Scrubber(scrub.identity()).name("talks", NAME)
    if os.path.exists("/etc/machine-id"):
        assert mine == first["recording"]
    assert Scrubber(b"another box").name("talks", NAME) != first["recording"]


def test_no_share_is_ever_touched(box: Box) -> None:
    if not shutil.which("strace"):
        pytest.fail("the tests need strace")
    trace = str(box.folder / "trace")
    code = (
        "from appliance.support.parts import PARTS, place, told\n"
        f"at = place({box.file!r}, b'key', names=False)\n"
        "found = [one for part in PARTS.values() for one in told(part, at)]\n"
        "assert {'doctor.jsonl', 'room.jsonl'} <= {one.get('file') for one in found}\n"
    )
    watched = ["strace", "-f", "-qq", "-e", "trace=%file,statfs", "-o", trace]
    subprocess.run([*watched, sys.executable, "-c", code], check=True)
    with open(trace, encoding="utf-8", errors="replace") as stream:
        named = [line for line in stream if f"{box.folder}/talks" in line]
    # The settings follow links of folders on this box's own disks: `links` stops at a server's.
    assert [line for line in named if "readlink" not in line] == []


# --- a box that is not well ---------------------------------------------------------------------


def test_a_damaged_ledger_costs_its_own_part_alone(box: Box, tmp_path: Path) -> None:
    shutil.copytree(box.settings.state_dir, tmp_path / "state")
    (tmp_path / "appliance.toml").write_text(f"[node]\nstate_dir = '{tmp_path}/state'\n")
    with open(tmp_path / "state" / "ledger.db", "r+b") as stream:
        stream.write(b"\xff" * 65_536)
    before = (tmp_path / "state" / "ledger.db").read_bytes()
    mine = Box(tmp_path, str(tmp_path / "appliance.toml"), load(None), box.job)
    told = mine.bundle()
    found = mine.opened()
    must_hold_nothing(found)
    assert "the ledger does not answer" in told
    assert f"attempts/{box.job}-1.jsonl" in found  # the newest logs, instead of failed jobs
    (ledger,) = [row for row in rows_of(found["doctor.jsonl"]) if row["code"] == "ledger"]
    assert ledger["error"] == "node.ledger-damaged"
    assert (tmp_path / "state" / "ledger.db").read_bytes() == before


def test_a_box_without_ledger_and_with_wrong_settings_is_told_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    (tmp_path / "appliance.toml").write_text(
        "[disk]\nwarn_below = 1\n[[notify.channel]]\nname = 'a'\nkind = 'email'\n"
        f"url = 'smtps://{PLANTED['an account']}:{PLANTED['a password in an address']}@mail'\n"
        f"sender = 'no {PLANTED['an address']}'\n"
    )
    mine = Box(tmp_path, str(tmp_path / "appliance.toml"), Settings(), 0)
    told = mine.bundle()
    found = mine.opened()
    must_hold_nothing(found)
    assert "did you mean warn_below_gb?" in found["settings.jsonl"].decode()
    assert "there is no ledger" in told
    assert sorted(os.listdir(tmp_path)) == ["appliance.toml", "b.tar.gz"]


def test_a_locked_ledger_is_waited_for_no_longer_than_seconds(box: Box) -> None:
    with contextlib.closing(sqlite3.connect(box.ledger, isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        with open(box.settings.state("ledger.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = bundle.gather(box.file, names=False, seconds=50)
    assert any(why.startswith("ledger: ") for why in made.left_out)
    assert "versions.jsonl" in made.files
    assert "room.jsonl" in made.files


# --- whole or not at all, and no larger than it may be ------------------------------------------


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    made = Bundle()
    made.add("check.jsonl", os.urandom(300_000), "random")

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    pid = os.fork()
    if not pid:  # the limit is the whole process's, so one of its own bears it
        full()
        try:
            bundle.write(str(tmp_path / "b.tar.gz"), made, names=False, at=0.0)
        except DiskFull:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        bundle.write(str(path), Bundle(), names=False, at=0.0)
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["b.tar.gz"]


def test_what_is_too_large_is_cut_and_told() -> None:
    made = Bundle()
    line = b"x" * 999_999 + b"\n"
    assert [made.add("journal.jsonl", line, "t") for _ in range(3)] == [True, True, False]
    held = sum(made.add(f"attempts/{n}-1.jsonl", line, "t") for n in range(40))
    assert held == 22


def test_parts_that_time_does_not_allow_are_named(box: Box) -> None:
    begun = time.monotonic()
    made = bundle.gather(box.file, names=False, seconds=0.0)
    assert time.monotonic() - begun < 5
    by_child = [one for one in parts.PARTS.values() if one.seconds is not None]
    assert len(made.left_out) == len(by_child)
    assert "the time for all parts was over" in bundle.manifest(made, names=False, at=0.0)


def test_a_child_cannot_choose_where_its_lines_go() -> None:
    made = Bundle()
    said = (
        b'{"file": "../../etc/passwd", "line": 1}\n{"file": "a.jsonl", "line": 2}\n{"file": "a.js'
    )
    assert list(bundle._take(bundle._read(Answer(said, "", 0)), made, "t", [])) == []
    assert made.files == {"a.jsonl": [b"2\n"]}


# --- the journal --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talk() -> tuple[Sentences, Scrubber]:
    scrubber = Scrubber(b"key", nouns=["talks", "failed"], roots=["/srv/talks"])
    return Sentences(scrubber), scrubber


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        # ours: the words stay, what was filled in does not
        ({"MESSAGE": "share talks: events were lost; scanning everything"}, None),
        ({"MESSAGE": f"job 7: share.denied: {SPOKEN}", "JOB_ID": "7"}, "job 7: share.denied"),
        ({"MESSAGE": "hung up on a worker that talks nonsense: " + SPOKEN}, None),
        # nobody's: only what is known to be harmless
        (
            {"MESSAGE": f"CUDA failed with error out of memory while Meier: {SPOKEN}"},
            "CUDA failed with error out of memory …",
        ),
        ({"MESSAGE": list(SPOKEN.encode())}, "…"),
        ({"MESSAGE": "[Errno 13] Permission denied: 'Meier'"}, "[Errno 13] Permission denied: …"),
        ({"MESSAGE": "exit 78"}, "exit 78"),
        ({"MESSAGE": "4 million 200 for Meier"}, "…"),
        ({"MESSAGE": json.dumps({"event": SPOKEN, "recording": "Meier.mp3", "x": SPOKEN})}, None),
        ({"MESSAGE": "settled", "RECORDING": "Kuendigung Meier.mp3", "SHARE": "talks"}, "settled"),
        ({"MESSAGE": "bug", "WHY": f"{KEY} {SPOKEN}", "AUDIT_WHO": "kontoinhaberin"}, None),
        # systemd's own: it knows units and nothing else
        (
            {"MESSAGE": "Started appliance-worker.service.", "_PID": "1"},
            "Started appliance-worker.service.",
        ),
    ],
)
def test_a_line_of_the_journal_keeps_our_words_and_no_others(
    talk: tuple[Sentences, Scrubber], entry: dict[str, Any], told: str | None
) -> None:
    shown = lines.of_journal({"__REALTIME_TIMESTAMP": "1", "PRIORITY": "6", **entry}, *talk)
    must_hold_nothing({"x": json.dumps(shown, ensure_ascii=False).encode()})
    if told is not None:
        assert shown["event"] == told
    assert shown["at_us"] == "1"


def test_an_entry_about_a_recording_has_its_pseudonym_and_where_it_broke(
    talk: tuple[Sentences, Scrubber],
) -> None:
    raised = f'  File "/opt/x/appliance/tasks.py", line 7, in perform\nValueError: {SPOKEN}'
    entry = {"MESSAGE": "bug", "RECORDING": "Meier.mp3", "SHARE": "talks", "TRACEBACK": raised}
    shown = lines.of_journal(entry, *talk)
    assert shown["recording"] == talk[1].name("talks", "Meier.mp3")
    assert shown["traceback"] == ["x/appliance/tasks.py:7 perform", "ValueError"]


def test_our_own_sentences_are_found_in_our_source(talk: tuple[Sentences, Scrubber]) -> None:
    sentences, _ = talk
    assert sentences.of("a window that was kept cannot be read: Meier") == (
        "a window that was kept cannot be read: …"
    )
    assert sentences.of("turns of 16 windows fit") == "turns of 16 windows fit"


def test_a_traceback_tells_where_and_of_what_kind_alone() -> None:
    try:
        raise ValueError(f"{SPOKEN} {KEY}")
    except ValueError:
        import traceback

        told = lines.places(traceback.format_exc())
    assert told[-1] == "ValueError"
    assert told[0].startswith("wt") or "test_support.py" in told[0]
    must_hold_nothing({"x": json.dumps(told).encode()})


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("password=hunter2pw and more", "password=(removed) and more"),
        ("PASSWORT: hunter2pw", "PASSWORT: (removed)"),
        ('{"api_key": "hunter2pw x"}', '{"api_key": (removed)}'),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer (removed)"),
        ("https://anna:hunter2pw@host/x?token=1", "https://(removed)@host/…"),
        ("//anna:hunter2pw@nas/talks", "//(removed)@nas/talks"),
        ("write to anna.privat@example.org now", "write to (address) now"),
        ("x 4f9d8aB7c6D5e4F3a2B1c0 y", "x (removed) y"),
        ("ledger-2026-11-29T02-38-32Z.db", "ledger-2026-11-29T02-38-32Z.db"),
        ("/srv/talks/Meier/Kuendigung.mp3 is gone", "/srv/talks/…"),
        ("77.4 GB free in /var/lib/appliance", "77.4 GB free in /var/lib/appliance"),
        ("model large-v3-turbo@0123456789ab", "model large-v3-turbo@0123456789ab"),
    ],
)
def test_a_sentence_loses_what_looks_like_a_secret(
    talk: tuple[Sentences, Scrubber], text: str, told: str
) -> None:
    assert talk[1].text(text) == told


def test_a_secret_that_stands_in_a_file_goes_from_everywhere(tmp_path: Path) -> None:
    (tmp_path / "shares").mkdir()
    (tmp_path / "shares" / "talks").write_text('username=appliance\npassword=it is "mine"\n')
    known = bundle.secrets_of(Settings(), str(tmp_path))
    text = json.dumps({"x": 'and it is "mine" indeed'})
    assert "mine" not in bundle._cleared(text, known)


def test_the_name_of_an_account_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "shares").mkdir()
    told = "username=appliance\ndomain=example\nuser=other%after-it\npassword=hunter2pw\n"
    (tmp_path / "shares" / "talks").write_text(told)
    (tmp_path / "notify").write_text("user=of-a-channel\n")
    known = bundle.secrets_of(Settings(), str(tmp_path))
    text = "appliance-worker at example: hunter2pw, after-it, of-a-channel"
    assert bundle._cleared(text, known) == (
        "appliance-worker at example: (removed), (removed), (removed)"
    )


def test_every_word_of_the_settings_is_shown_or_left_out_on_purpose() -> None:
    """Whoever adds a text to the settings says here whether it may leave the house."""

    def texts(value: object, key: str = "") -> Iterator[str]:
        if isinstance(value, dict):
            for name, one in value.items():
                yield from texts(one, name)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from texts(one, key)
        elif isinstance(value, str) or value is None:
            yield key

    whole = load(os.path.join(os.path.dirname(__file__), "..", "config", "appliance.toml"))
    channel = {"name": "a", "kind": "ntfy", "url": "https://h/t"}
    full = Settings.model_validate(
        {
            **whole.model_dump(),
            "share": [{"name": "a", "root": "/a"}],
            "profile": {"default": {}},
            "notify": {"channel": [channel]},
        }
    )
    known = chosen.SHOWN | chosen.COUNTED | {"url"}
    figures = {"job_memory_mb", "job_cpu", "job_timeout_factor", "quiet_seconds"}
    assert set(texts(full.model_dump())) - figures <= known
