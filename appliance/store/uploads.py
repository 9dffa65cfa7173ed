"""What was sent to the box: who sends it, what they ask for, where it will lie.

A row is written before the first byte lies in its place, so that whoever finds the file there
(the watch after a crash, too) knows what it is asked for and whose it is. How much has come is
not in here: the file knows.

Not here: the bytes (receive), the job it becomes (jobs), when it goes (retention).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from appliance.nouns import UPLOADS, Options, Source
from appliance.store.ledger import Ledger, Row
from appliance.values import from_json, to_json

KEPT: Final = "kept"  # a recording of the uploads share, like one that was dropped
ANSWERED: Final = "answered"  # its text goes straight back; it and its text are soon forgotten


@dataclass(frozen=True, slots=True)
class Upload:
    """One of them, as it was when we looked."""

    id: str  # 128 random bits in hex: its address
    who: str  # as the audit log spells them: user:anna, key:NAME
    kind: str  # KEPT or ANSWERED
    path: bytes  # below the root of the uploads share, once it is complete
    size: int  # bytes that it will have
    options: Options
    key: str | None  # its Idempotency-Key: one upload for each of one sender
    fingerprint: str  # of all that a second request with this key must say as well
    created_ms: int
    arrived_ms: int | None  # when it was complete and got its job

    @property
    def name(self) -> bytes:
        """The name of the recording."""
        return self.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Held:
    """What somebody's uploads amount to."""

    unfinished: int
    bytes: int


# --- reading ------------------------------------------------------------------------------------


def get(ledger: Ledger, upload: str, *, who: str | None = None) -> Upload | None:
    """The upload of that id, if it is `who`'s (None: whoever's)."""
    row = ledger.row("SELECT * FROM upload WHERE id = ?", [upload])
    return None if row is None or who not in (None, row["who"]) else _upload(row)


def by_key(ledger: Ledger, who: str, key: str) -> Upload | None:
    """The upload that somebody sent under this key."""
    row = ledger.row("SELECT * FROM upload WHERE who = ? AND key = ?", [who, key])
    return None if row is None else _upload(row)


def of_source(ledger: Ledger, source: Source) -> Upload | None:
    """The upload that lies at this place of the uploads share; None for any other file."""
    if source.share != UPLOADS:
        return None
    row = ledger.row("SELECT * FROM upload WHERE path = ?", [source.path])
    return None if row is None else _upload(row)


def held(ledger: Ledger, who: str) -> Held:
    """What somebody's uploads take, those that are still arriving with their whole size."""
    row = ledger.row(
        "SELECT total(arrived_ms IS NULL) AS unfinished, total(size) AS bytes"
        " FROM upload WHERE who = ?",
        [who],
    )
    return Held(int(row["unfinished"]), int(row["bytes"])) if row else Held(0, 0)


def all_(ledger: Ledger) -> Iterator[Upload]:
    """Every upload there is."""
    for row in list(ledger.rows("SELECT * FROM upload ORDER BY id")):
        yield _upload(row)


def unfinished(ledger: Ledger) -> Iterator[Upload]:
    """Every upload that has not become a job yet."""
    for row in list(ledger.rows("SELECT * FROM upload WHERE arrived_ms IS NULL ORDER BY id")):
        yield _upload(row)


def arrived_before(ledger: Ledger, kind: str, *, before_ms: int) -> Iterator[Upload]:
    """Uploads of a kind that were complete before then."""
    sql = "SELECT * FROM upload WHERE kind = ? AND arrived_ms < ? ORDER BY arrived_ms"
    for row in list(ledger.rows(sql, [kind, before_ms])):
        yield _upload(row)


def _upload(row: Row) -> Upload:
    return Upload(**{**row, "options": from_json(Options, row["options"])})


# --- written ------------------------------------------------------------------------------------


def add(ledger: Ledger, upload: Upload) -> Upload:
    """Write a new one down; or find the one that was sent under its key before."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO upload (id, who, kind, path, size, options, key, fingerprint,"
            " created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                *(upload.id, upload.who, upload.kind, upload.path, upload.size),
                *(to_json(upload.options).decode(), upload.key, upload.fingerprint),
                upload.created_ms,
            ],
        )
        there = get(ledger, upload.id)
        if there is None and upload.key is not None:
            there = by_key(ledger, upload.who, upload.key)
        if there is None:
            raise LookupError(f"upload {upload.id}: something else lies at its place")
        return there


def arrived(ledger: Ledger, upload: str) -> None:
    """Note that it lies in its place, whole. The first time counts."""
    with ledger.writing() as db:
        db.execute(
            "UPDATE upload SET arrived_ms = ? WHERE id = ? AND arrived_ms IS NULL",
            [ledger.clock().wall_ms, upload],
        )


def release(ledger: Ledger, upload: str) -> None:
    """Let its key be used again: what it led to has failed."""
    with ledger.writing() as db:
        db.execute("UPDATE upload SET key = NULL WHERE id = ?", [upload])


def disown(ledger: Ledger, who: str) -> None:
    """Forget who sent these: somebody else of that name may come."""
    with ledger.writing() as db:
        db.execute("UPDATE job SET submitter = NULL WHERE submitter = ?", [who])
        db.execute("UPDATE upload SET who = '', key = NULL WHERE who = ?", [who])


def forget(ledger: Ledger, upload: str) -> None:
    """Drop a row whose file is gone."""
    with ledger.writing() as db:
        db.execute("DELETE FROM upload WHERE id = ?", [upload])
