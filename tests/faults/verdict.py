"""The judge of every lane: what the share and the ledger look like when all has settled.

In: the state directory, the roots of the shares, what was dropped and how it must have
ended. Out: a sentence for every violation, none when all is well. It reads the ledger's
tables and the files by itself and believes no function of the product but three, which are
what an export must equal: the pure rendering, the reading of a recorded transcript, and what a
revision makes of one.

    lost        a dropped file without a job, or whose job did not end as it must
    duplicate   two jobs or two ends for one ask, two contents under one name, a second file
    torn        an export that is not the rendering of the newest revision, to the byte
    stray       hidden files, copies in the spool, dead owners, files nobody can explain
    touched     a recording whose bytes, times or mode are not what they were
    mixed       a transcript of other bytes than those of its recording
    damaged     a database that is not sound

Not here: breaking anything (the lanes).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from appliance import export
from appliance.nouns import Change, Options, Transcript
from appliance.states import ENDED
from appliance.store import revisions
from appliance.values import from_json, from_plain
from tests.faults.recordings import Dropped

NOTE: Final = b".ERROR.txt"
MARKER: Final = b".transcribe-id"
Contents = Mapping[tuple[str, bytes], set[str]]  # share and path: every sha256 that was seen there


@dataclass(slots=True)
class _Case:
    """What the judge has before him."""

    roots: Mapping[str, str]
    dropped: Sequence[Dropped]
    ledger: sqlite3.Connection
    explained: set[tuple[str, bytes]] = field(default_factory=set)  # files that may lie there

    def rows(self, sql: str, *arguments: object) -> list[sqlite3.Row]:
        return self.ledger.execute(sql, arguments).fetchall()

    def content(self, share: str, path: bytes) -> bytes | None:
        try:
            with open(os.path.join(os.fsencode(self.roots[share]), path), "rb") as stream:
                return stream.read()
        except FileNotFoundError:
            return None


def judge(
    state_dir: str,
    roots: Mapping[str, str],
    dropped: Iterable[Dropped],
    *,
    run_dir: str | None = None,
    seen: Contents | None = None,
) -> list[str]:
    """Look at everything and name every violation.

    `seen` is what a witness read under each export's name while faults went on.
    """
    connection = _opened(state_dir, "ledger.db")
    found = list(_databases(state_dir, connection))
    try:
        case = _Case(roots, tuple(dropped), connection)
        found += [
            *(*_jobs(case), *_steps(case), *_exports(case)),
            *(*_published_twice(case, seen or {}), *_sources(case), *_strays(case)),
            *_leftovers(state_dir, run_dir or os.path.join(state_dir, "run")),
        ]
    except sqlite3.DatabaseError as error:
        found.append(f"damaged: ledger.db cannot be read: {error}")
    finally:
        connection.close()
    return found


def _opened(state_dir: str, name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(os.path.join(state_dir, name), isolation_level=None, timeout=30)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.row_factory = sqlite3.Row
    return connection


def _databases(state_dir: str, ledger: sqlite3.Connection) -> Iterator[str]:
    for problem in _unsound(ledger):
        yield f"damaged: ledger.db: {problem}"
    if os.path.exists(os.path.join(state_dir, "huey.db")):
        with contextlib.closing(_opened(state_dir, "huey.db")) as queue:
            for problem in _unsound(queue):
                yield f"damaged: huey.db: {problem}"


def _unsound(connection: sqlite3.Connection) -> Iterator[str]:
    for check in ("integrity_check", "foreign_key_check"):
        try:
            rows = connection.execute(f"PRAGMA {check}").fetchall()
        except sqlite3.DatabaseError as error:
            rows = [(str(error),)]
        for row in rows:
            if tuple(row) != ("ok",):
                yield f"{check} {tuple(row)}"


# --- jobs ---------------------------------------------------------------------------------------


def _jobs(case: _Case) -> Iterator[str]:
    """Every file has its one job, and every job has ended as its file demands."""
    for file in case.dropped:
        rows = case.rows(
            "SELECT id, state, code FROM job WHERE share = ? AND path = ? AND size = ?"
            " AND mtime_ns = ?",
            *(file.share, file.path, file.size, file.mtime_ns),
        )
        if len(rows) > 1:
            yield f"duplicate: {file.path!r} has {len(rows)} jobs"
        if not rows:
            yield f"lost: {file.path!r} has no job"
        for row in rows:
            if row["state"] != file.ends:
                found = f"{row['state']} ({row['code']})"
                yield f"lost: job {row['id']} of {file.path!r} is {found} instead of {file.ends}"
    known = {(file.share, file.path) for file in case.dropped}
    for row in case.rows("SELECT id, share, path, state, code FROM job"):
        if row["state"] not in ENDED:
            yield f"lost: job {row['id']} of {row['path']!r} is still {row['state']}"
        if (row["share"], row["path"]) not in known:
            yield f"stray: job {row['id']} is of {row['path']!r}, which nobody dropped"
        if row["code"] == "bug":
            yield f"lost: job {row['id']} of {row['path']!r} ended in a bug"


def _steps(case: _Case) -> Iterator[str]:
    """Every epoch of a job was done once at most, and once more for each of its revisions; each
    step begins where the last ended.
    """
    ends: Counter[tuple[int, int]] = Counter()
    at: dict[int, str] = {}
    for row in case.rows("SELECT job, epoch, was, became FROM event ORDER BY id"):
        ends[row["job"], row["epoch"]] += row["became"] == "done"
        if row["was"] != at.get(row["job"]):
            yield f"duplicate: job {row['job']} left {row['was']} while it was {at[row['job']]}"
        at[row["job"]] = row["became"]
    for (job, epoch), count in ends.items():
        if count > 1 + len(_revisions(case, job, epoch)):
            yield f"duplicate: job {job}, epoch {epoch} was done {count} times"
    for row in case.rows("SELECT id, epoch, state FROM job"):
        if at.get(row["id"]) != row["state"]:
            yield f"lost: job {row['id']} is {row['state']}, its events end {at.get(row['id'])}"
        if row["state"] == "done" and not ends[row["id"], row["epoch"]]:
            yield f"lost: job {row['id']} is done and no event says so"


# --- exports ------------------------------------------------------------------------------------


def _exports(case: _Case) -> Iterator[str]:
    """Every done job has its files, each the rendering of what is recorded; no other has any."""
    contents = {(file.share, file.path): file.sha256 for file in case.dropped}
    for row in case.rows(
        "SELECT job.id, job.share, job.path, job.epoch, job.state, epoch.options"
        " FROM job JOIN epoch ON epoch.job = job.id AND epoch.n = job.epoch"
    ):
        wanted: dict[bytes, bytes] = {}
        if row["state"] == "done":
            for transcript, body in _transcripts(case, row["id"], row["epoch"]):
                yield from _mixed(row, transcript, body, contents.get((row["share"], row["path"])))
                changes = _changes(case, row["id"], row["epoch"])
                wanted |= _renderings(row, revisions.applied(transcript, changes))
            if not wanted:
                yield f"lost: job {row['id']} is done without a transcript"
            for revision in _revisions(case, row["id"], row["epoch"]):
                if revision["exported_ms"] is None:
                    yield f"lost: revision {revision['n']} of job {row['id']} is in no file"
        yield from _compared(case, row, wanted)
    yield from _second_files(case)


def _transcripts(case: _Case, job: int, epoch: int) -> Iterator[tuple[Transcript, bytes]]:
    for row in case.rows(
        "SELECT sha256, body FROM transcript WHERE job = ? AND epoch = ?", job, epoch
    ):
        body = zlib.decompress(row["body"])
        if hashlib.sha256(body).hexdigest() == row["sha256"]:
            yield from_json(Transcript, body), body


def _revisions(case: _Case, job: int, epoch: int) -> list[sqlite3.Row]:
    return case.rows(
        "SELECT n, body, exported_ms FROM revision WHERE job = ? AND epoch = ? ORDER BY n",
        *(job, epoch),
    )


def _changes(case: _Case, job: int, epoch: int) -> list[Change]:
    """What was edited; no lane undoes anything."""
    bodies = [zlib.decompress(row["body"]) for row in _revisions(case, job, epoch)]
    return [from_plain(Change, one) for body in bodies for one in json.loads(body)]


def _mixed(
    row: sqlite3.Row, transcript: Transcript, body: bytes, expected: str | None
) -> Iterator[str]:
    """Is it of these very bytes? The test engine's words name what it heard, too."""
    if expected is None:
        return
    heard = body.partition(b"heard ")[2][:64]
    if transcript.provenance.source_sha256 != expected or heard not in (b"", expected.encode()):
        yield f"mixed: job {row['id']} of {row['path']!r} has the transcript of other bytes"


def _renderings(row: sqlite3.Row, transcript: Transcript) -> dict[bytes, bytes]:
    options = from_json(Options, row["options"])
    return {one.suffix.encode(): one.content for one in export.render_all(transcript, options)}


def _compared(case: _Case, row: sqlite3.Row, wanted: Mapping[bytes, bytes]) -> Iterator[str]:
    for suffix, content in wanted.items():
        known = case.rows(
            "SELECT path, sha256, state FROM export WHERE job = ? AND suffix = ?",
            *(row["id"], suffix.decode()),
        )
        if len(known) != 1:
            yield f"duplicate: job {row['id']} has {len(known)} {suffix.decode()} in the ledger"
            continue
        path = known[0]["path"]
        case.explained.add((row["share"], path))
        found = case.content(row["share"], path)
        if found is None:
            yield f"lost: {path!r} of job {row['id']} is not there"
        elif found != content:
            yield f"torn: {path!r} of job {row['id']} is not the rendering of its transcript"
        if (known[0]["state"], known[0]["sha256"]) != ("published", sha256(content)):
            yield f"torn: the ledger does not know {path!r} of job {row['id']} as it is"


def _second_files(case: _Case) -> Iterator[str]:
    """An export is named after its recording, or after its whole name beside a twin."""
    for row in case.rows(
        "SELECT export.path, export.suffix, job.path AS source FROM export"
        " JOIN job ON job.id = export.job"
    ):
        stem = os.path.splitext(row["source"])[0]
        if row["path"] not in (
            stem + row["suffix"].encode(),
            row["source"] + row["suffix"].encode(),
        ):
            yield f"duplicate: {row['path']!r} is a second export of {row['source']!r}"


def _published_twice(case: _Case, seen: Contents) -> Iterator[str]:
    """As many contents lay under a name as somebody asked for, no more."""
    asked: Counter[tuple[str, bytes]] = Counter()
    for row in case.rows("SELECT share, path, epoch FROM job"):
        asked[row["share"], os.path.splitext(row["path"])[0]] += row["epoch"]
    for row in case.rows("SELECT share, path FROM job JOIN revision ON revision.job = job.id"):
        asked[row["share"], os.path.splitext(row["path"])[0]] += 1
    for (share, path), contents in seen.items():
        if path.endswith(NOTE):
            continue
        allowed = max(1, asked[share, os.path.splitext(path)[0]])
        if len(contents) > allowed:
            yield f"duplicate: {path!r} held {len(contents)} different contents"


def sha256(content: bytes) -> str:
    """Digest, in hex."""
    return hashlib.sha256(content).hexdigest()


# --- files --------------------------------------------------------------------------------------


def _sources(case: _Case) -> Iterator[str]:
    for file in case.dropped:
        case.explained.add((file.share, file.path))
        full = os.path.join(os.fsencode(case.roots[file.share]), file.path)
        try:
            now = os.stat(full, follow_symlinks=False)
        except FileNotFoundError:
            yield f"touched: {file.path!r} has gone"
            continue
        if (now.st_size, now.st_mtime_ns, now.st_mode) != (file.size, file.mtime_ns, file.mode):
            yield f"touched: {file.path!r} has another size, time or mode"
        elif sha256(case.content(file.share, file.path) or b"") != file.sha256:
            yield f"touched: {file.path!r} has other bytes"


def _strays(case: _Case) -> Iterator[str]:
    """Every other file of a share is a note that is due, or should not be there."""
    due = {
        (row["share"], row["path"] + NOTE): row["id"]
        for row in case.rows("SELECT id, share, path FROM job WHERE state IN ('failed', 'dead')")
    }
    for share, root in case.roots.items():
        there = set(_files_below(os.fsencode(root)))
        for path in sorted(there):
            if (share, path) not in case.explained | due.keys() and path != MARKER:
                yield f"stray: {path!r}"
        for (of, path), job in due.items():
            if of == share and path not in there:
                yield f"lost: job {job} has failed and left no {path!r}"


def _files_below(root: bytes) -> Iterator[bytes]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def _leftovers(state_dir: str, run_dir: str) -> Iterator[str]:
    spool = os.path.join(state_dir, "spool")
    for name in _names_in(spool):
        yield f"stray: {name} in the spool"
    owners = os.path.join(run_dir, "owners")
    for name in _names_in(owners):
        if _is_dead(os.path.join(owners, name.partition(".")[0])):
            yield f"stray: {name} of a dead owner"


def _names_in(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _is_dead(file: str) -> bool:
    try:
        fd = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def facts(state_dir: str) -> dict[str, Any]:
    """Counts out of the ledger, for a lane's figures: attempts, jobs by state, losses by code."""
    with contextlib.closing(_opened(state_dir, "ledger.db")) as ledger:
        by_state = dict(ledger.execute("SELECT state, count(*) FROM job GROUP BY state"))
        ended = "SELECT coalesce(code, outcome, 'open'), count(*) FROM attempt GROUP BY 1"
        return {
            "jobs": json.dumps(by_state),
            "attempts": json.dumps(dict(tuple(row) for row in ledger.execute(ended))),
        }


def intended(state_dir: str) -> list[tuple[bytes, str]]:
    """Path and sha256 of every export that is meant to be written and not known to be there."""
    with contextlib.closing(_opened(state_dir, "ledger.db")) as ledger:
        sql = "SELECT path, sha256 FROM export WHERE state = 'intended'"
        return [(row["path"], row["sha256"]) for row in ledger.execute(sql)]


def codes(state_dir: str) -> set[str]:
    """Every named error that stopped a job or closed a gate."""
    with contextlib.closing(_opened(state_dir, "ledger.db")) as ledger:
        return {row["code"] for row in ledger.execute("SELECT code FROM event") if row["code"]}
