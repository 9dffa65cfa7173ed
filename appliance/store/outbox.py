"""Messages that are to leave the box: written with what they tell about, sent afterwards.

A row a message and channel; its id is the delivery's, the same for every try. Beside it
what is known of each channel: failures in a row, and whether it rests.

Not here: what a message says (alarm), sending it and when to try again (notify).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.store.ledger import Ledger

WAITING: Final = "waiting"
SENT: Final = "sent"
GIVEN_UP: Final = "given-up"
TEST: Final = "test"  # the kind of a letter that a person waits for
JOBS: Final = "jobs"  # bookmarks: the last step of a job that was told of,
DAILY: Final = "daily"  # and when the last digest was made


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one channel."""

    id: str
    channel: str
    body: Mapping[str, Any]  # what is told, as it goes over the wire
    made_ms: int
    tries: int = 0

    @property
    def is_test(self) -> bool:
        """Whether somebody waits for it, who asked whether the channel works."""
        return bool(self.body.get("kind") == TEST)


@dataclass(frozen=True, slots=True)
class Channel:
    """How a channel fares."""

    name: str
    failures: int = 0  # in a row
    rests: bool = False
    why: str | None = None  # it failed last


def letters(channels: Sequence[str], body: Mapping[str, Any], made_ms: int) -> list[Letter]:
    """The same message for each of these channels."""
    return [Letter(uuid.uuid4().hex, name, body, made_ms) for name in channels]


def put(ledger: Ledger, posted: Sequence[Letter]) -> None:
    """Write letters down, in the caller's transaction."""
    with ledger.writing() as db:
        for one in posted:
            db.execute(
                "INSERT INTO outbox (id, channel, body, made_ms, tries, state)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [one.id, one.channel, json.dumps(one.body), one.made_ms, one.tries, WAITING],
            )


def due(ledger: Ledger, channel: str, *, limit: int = 20) -> list[Letter]:
    """Letters of a channel whose time has come, tests before all, the oldest first."""
    now = ledger.clock()
    rows = ledger.rows(
        "SELECT id, channel, body, made_ms, tries FROM outbox WHERE channel = ? AND state = ?"
        " AND (due_bt IS NULL OR due_bt <= ? OR boot_id <> ?)"
        " ORDER BY json_extract(body, '$.kind') IS NOT ?, made_ms, rowid LIMIT ?",
        [channel, WAITING, now.boot_s, now.boot_id, TEST, limit],
    )
    return [Letter(**{**row, "body": json.loads(row["body"])}) for row in rows]


def sent(ledger: Ledger, letter: Letter) -> None:
    """Note that a letter arrived; its channel is well."""
    with ledger.writing() as db:
        _end(ledger, letter, SENT, None)
        db.execute(
            "INSERT INTO channel (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET"
            " failures = 0, rests_bt = NULL, boot_id = NULL, why = NULL",
            [letter.channel],
        )


def failed(
    ledger: Ledger, letter: Letter, why: str, *, again: float | None, rest: tuple[int, float]
) -> None:
    """Note a try that failed; `again` in so many seconds, or never.

    After `rest[0]` failures in a row its channel rests for `rest[1]` seconds.
    """
    now = ledger.clock()
    most, seconds = rest
    with ledger.writing() as db:
        if again is None:
            _end(ledger, letter, GIVEN_UP, why)
        else:
            db.execute(
                "UPDATE outbox SET tries = ?, due_bt = ?, boot_id = ?, why = ? WHERE id = ?",
                [letter.tries + 1, now.boot_s + again, now.boot_id, why, letter.id],
            )
        db.execute(
            "INSERT INTO channel (name, failures, why) VALUES (?, 1, ?)"
            " ON CONFLICT (name) DO UPDATE SET failures = failures + 1, why = excluded.why",
            [letter.channel, why],
        )
        db.execute(
            "UPDATE channel SET rests_bt = ?, boot_id = ? WHERE name = ? AND failures >= ?",
            [now.boot_s + seconds, now.boot_id, letter.channel, most],
        )


def give_up(ledger: Ledger, channel: str, why: str, *, before_ms: int) -> int:
    """End what waits for a channel and was made before then, untried; say how many.

    No try has failed, so nothing is noted of the channel.
    """
    with ledger.writing() as db:
        return db.execute(
            "UPDATE outbox SET state = ?, why = ?, ended_ms = ?"
            " WHERE channel = ? AND state = ? AND made_ms < ?",
            [GIVEN_UP, why, ledger.clock().wall_ms, channel, WAITING, before_ms],
        ).rowcount


def forgive(ledger: Ledger, channel: str) -> None:
    """Forget how a channel fared: it is another one now. In the caller's transaction."""
    with ledger.writing() as db:
        db.execute("DELETE FROM channel WHERE name = ?", [channel])


def _end(ledger: Ledger, letter: Letter, state: str, why: str | None) -> None:
    with ledger.writing() as db:
        db.execute(
            "UPDATE outbox SET state = ?, tries = ?, why = ?, ended_ms = ? WHERE id = ?",
            [state, letter.tries + 1, why, ledger.clock().wall_ms, letter.id],
        )


def channel(ledger: Ledger, name: str, *, most: int) -> Channel:
    """How a channel fares; one that failed `most` times in a row rests until its time has come."""
    row = ledger.row("SELECT * FROM channel WHERE name = ?", [name])
    if row is None:
        return Channel(name)
    now = ledger.clock()
    rests = (
        row["failures"] >= most and row["boot_id"] == now.boot_id and row["rests_bt"] > now.boot_s
    )
    return Channel(name, row["failures"], rests, row["why"])


def counts(ledger: Ledger) -> list[tuple[str, str, int]]:
    """How many letters of each channel are in each state."""
    rows = ledger.rows("SELECT channel, state, count(*) AS n FROM outbox GROUP BY channel, state")
    return [(row["channel"], row["state"], row["n"]) for row in rows]


def expired(ledger: Ledger, *, before_ms: int) -> int:
    """How many letters were made before then."""
    row = ledger.row("SELECT count(*) AS n FROM outbox WHERE made_ms < ?", [before_ms])
    return int(row["n"]) if row else 0


def expire(ledger: Ledger, *, before_ms: int) -> int:
    """Delete those, sent or not; say how many."""
    with ledger.writing() as db:
        return db.execute("DELETE FROM outbox WHERE made_ms < ?", [before_ms]).rowcount


# --- bookmarks ----------------------------------------------------------------------------------


def bookmark(ledger: Ledger, what: str) -> int | None:
    """How far somebody has told; None: not begun."""
    row = ledger.row("SELECT at FROM bookmark WHERE what = ?", [what])
    return None if row is None else int(row["at"])


def move_bookmark(ledger: Ledger, what: str, at: int) -> None:
    """Say how far somebody has told, in the caller's transaction."""
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO bookmark (what, at) VALUES (?, ?)"
            " ON CONFLICT (what) DO UPDATE SET at = excluded.at",
            [what, at],
        )


# --- looked at ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posted:
    """A letter, and what became of it."""

    id: str
    channel: str
    body: Mapping[str, Any]
    made_ms: int
    tries: int
    state: str  # WAITING, SENT or GIVEN_UP
    why: str | None  # the last try failed
    ended_ms: int | None


_POSTED: Final = "SELECT id, channel, body, made_ms, tries, state, why, ended_ms FROM outbox"


def posted(ledger: Ledger, number: str) -> Posted | None:
    """One letter, and what became of it."""
    row = ledger.row(f"{_POSTED} WHERE id = ?", [number])
    return Posted(**{**row, "body": json.loads(row["body"])}) if row else None


def listing(ledger: Ledger, channel: str, *, limit: int) -> list[Posted]:
    """Letters of a channel, the newest first."""
    sql = f"{_POSTED} WHERE channel = ? ORDER BY made_ms DESC, rowid DESC LIMIT ?"
    rows = ledger.rows(sql, [channel, limit])
    return [Posted(**{**row, "body": json.loads(row["body"])}) for row in rows]


def again(ledger: Ledger, channel: str, number: str) -> bool:
    """Let a letter that has come to its end be sent once more; say whether there is one."""
    with ledger.writing() as db:
        return (
            db.execute(
                "UPDATE outbox SET state = ?, tries = 0, due_bt = NULL, why = NULL,"
                " ended_ms = NULL WHERE id = ? AND channel = ? AND state <> ?",
                [WAITING, number, channel, WAITING],
            ).rowcount
            > 0
        )
