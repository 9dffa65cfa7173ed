"""Files we have seen on a share and what they are waiting for: not jobs yet, or never.

Not here: looking at files (watch), waiting (settle), deciding (admit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.nouns import Source
from appliance.rights import Shares
from appliance.store.ledger import Ledger, Row
from appliance.store.schema import IS_ARRIVING
from appliance.store.sight import within

RECEIVING: Final = "receiving"  # it still grows, or somebody has it open
SETTLING: Final = "settling"  # it has stopped; we look again
SETTLED: Final = "settled"  # it has a job
IGNORED: Final = "ignored"  # and `why` names the rule
GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file as we last saw it."""

    share: str
    path: bytes
    size: int
    mtime_ns: int
    state: str
    why: str | None
    correlation: str
    first_ms: int
    last_ms: int


def note(
    ledger: Ledger, source: Source, state: str, *, correlation: str, why: str | None = None
) -> None:
    """Write one file down, or what is new about it. Its first correlation id stays its own."""
    note_many(ledger, [(source, state, why, correlation)])


def note_many(
    ledger: Ledger, seen: Sequence[tuple[Source, str, str | None, str]], *, chunk: int = 1000
) -> None:
    """Write many files down: source, state, why, correlation id; `chunk` rows a transaction."""
    for start in range(0, len(seen), chunk):
        with ledger.writing() as db:
            now = ledger.clock().wall_ms
            db.conn.executemany(
                "INSERT INTO sighting (share, path, size, mtime_ns, state, why, correlation,"
                " first_ms, last_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (share, path) DO UPDATE SET size = excluded.size,"
                " mtime_ns = excluded.mtime_ns, state = excluded.state, why = excluded.why,"
                " last_ms = excluded.last_ms",
                [
                    (s.share, s.path, s.size, s.mtime_ns, state, why, correlation, now, now)
                    for s, state, why, correlation in seen[start : start + chunk]
                ],
            )


def get(ledger: Ledger, share: str, path: bytes) -> Sighting | None:
    """What we know of one file."""
    row = ledger.row("SELECT * FROM sighting WHERE share = ? AND path = ?", [share, path])
    return None if row is None else _sighting(row)


def of_share(ledger: Ledger, share: str) -> Iterator[Sighting]:
    """Every file of a share, by path; a generator, so that a million cost no memory."""
    for row in ledger.rows("SELECT * FROM sighting WHERE share = ? ORDER BY path", [share]):
        yield _sighting(row)


def below(ledger: Ledger, share: str, folder: bytes) -> int:
    """How many files we know of that lie in a folder, or deeper."""
    row = ledger.row(
        "SELECT count(*) AS files FROM sighting"
        " WHERE share = ? AND path > ? AND path < ? AND state <> ?",
        [share, folder + b"/", folder + b"0", GONE],  # "0" comes right after "/"
    )
    return int(row["files"]) if row else 0


def arriving(ledger: Ledger, *, limit: int = 100, shares: Shares = None) -> list[Sighting]:
    """Files that are not complete yet, newest first; `shares` (None: all) bounds what is seen."""
    seen, values = within(shares, "sighting.share")
    rows = ledger.rows(
        f"{_SHARES} SELECT sighting.* FROM arm JOIN sighting ON sighting.share = arm.share"
        f" AND sighting.path IN (SELECT path FROM sighting WHERE share = arm.share"
        f" AND {IS_ARRIVING} AND {seen} ORDER BY last_ms DESC LIMIT ?)"
        " ORDER BY sighting.last_ms DESC LIMIT ?",
        [*values, limit, limit],
    )
    return [_sighting(row) for row in rows]


# The shares in which files arrive, from one to the next: no file is looked at for that.
_SHARES: Final = (
    f"WITH RECURSIVE arm (share) AS (SELECT min(share) FROM sighting WHERE {IS_ARRIVING}"
    f" UNION ALL SELECT (SELECT min(share) FROM sighting WHERE {IS_ARRIVING}"
    " AND share > arm.share) FROM arm WHERE arm.share IS NOT NULL)"
)


def forget(ledger: Ledger, share: str, paths: Iterable[bytes]) -> None:
    """Drop files, so that the next scan meets them as new."""
    with ledger.writing() as db:
        db.conn.executemany(
            "DELETE FROM sighting WHERE share = ? AND path = ?", [(share, path) for path in paths]
        )


def forget_ignored(ledger: Ledger, share: str, *, why: str) -> None:
    """Drop what one rule has kept out of a share, so that the next scan meets it as new."""
    with ledger.writing() as db:
        db.execute(
            "DELETE FROM sighting WHERE share = ? AND state = ? AND why = ?", [share, IGNORED, why]
        )


def gone_since(ledger: Ledger, *, before_ms: int, limit: int = -1) -> list[tuple[str, bytes]]:
    """Files that were taken away before that; -1: all of them."""
    rows = ledger.rows(
        "SELECT share, path FROM sighting WHERE state = ? AND last_ms < ? LIMIT ?",
        [GONE, before_ms, limit],
    )
    return [(row["share"], row["path"]) for row in rows]


def expire(ledger: Ledger, *, before_ms: int, batch: int = 500) -> int:
    """Drop those, `batch` a transaction; say how many. What came back meanwhile stays."""
    gone = 0
    while found := gone_since(ledger, before_ms=before_ms, limit=batch):
        with ledger.writing() as db:
            db.conn.executemany(
                "DELETE FROM sighting WHERE share = ? AND path = ? AND state = ?",
                [(*one, GONE) for one in found],
            )
        gone += len(found)
    return gone


def _sighting(row: Row) -> Sighting:
    return Sighting(**row)
