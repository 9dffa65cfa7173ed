"""What people are, or were, to be told about: a row an alert, from the first sight to its end.

Not here: when one opens or closes (alarm), the messages about it (outbox).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final

from appliance.store.ledger import Ledger


class Phase(enum.StrEnum):
    """How far an alert has come."""

    PENDING = "pending"  # seen; perhaps it passes
    OPEN = "open"  # told
    CLEARING = "clearing"  # well again; perhaps it comes back
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong with the box, and since when."""

    name: str  # "disk", "share meetings"
    code: str  # of the check
    level: int  # 1: a warning, 2: a failure
    text: str
    remedy: str
    error: str | None  # code in the catalogue
    phase: Phase
    since_ms: int
    phase_bt: float  # when it came into its phase, on the clock of this boot
    boot_id: str
    opened_ms: int | None = None
    closed_ms: int | None = None


_COLUMNS: Final = tuple(field.name for field in fields(Alert))


def live(ledger: Ledger) -> list[Alert]:
    """Every alert that is not over, the oldest first."""
    rows = ledger.rows(
        f"SELECT {', '.join(_COLUMNS)} FROM alert WHERE phase <> ? ORDER BY since_ms, name",
        [Phase.CLOSED],
    )
    return [_alert(row) for row in rows]


def told(ledger: Ledger) -> list[Alert]:
    """Those of them that people have been told about."""
    return [one for one in live(ledger) if one.phase is not Phase.PENDING]


def closed(ledger: Ledger, *, limit: int) -> Iterator[Alert]:
    """What is over, the newest end first."""
    for row in ledger.rows(
        f"SELECT {', '.join(_COLUMNS)} FROM alert WHERE phase = ?"
        " ORDER BY closed_ms DESC, id DESC LIMIT ?",
        [Phase.CLOSED, limit],
    ):
        yield _alert(row)


def endings(ledger: Ledger, alert: Alert, *, since_ms: int) -> int:
    """How often this alert, of this cause, has been over since then."""
    row = ledger.row(
        "SELECT count(*) AS n FROM alert WHERE name = ? AND error IS ? AND phase = ?"
        " AND closed_ms >= ?",
        [alert.name, alert.error, Phase.CLOSED, since_ms],
    )
    return int(row["n"]) if row else 0


def keep(ledger: Ledger, changed: Sequence[Alert], passed: Sequence[str] = ()) -> None:
    """Write alerts down; forget those of these names that passed before anybody was told."""
    marks = ", ".join("?" * len(_COLUMNS))
    sets = ", ".join(f"{name} = ?" for name in _COLUMNS)
    with ledger.writing() as db:
        for name in passed:
            db.execute("DELETE FROM alert WHERE name = ? AND phase = ?", [name, Phase.PENDING])
        for one in changed:
            values = list(astuple(one))
            found = db.execute(
                f"UPDATE alert SET {sets} WHERE name = ? AND phase <> 'closed'",
                [*values, one.name],
            )
            if not found.rowcount:
                db.execute(f"INSERT INTO alert ({', '.join(_COLUMNS)}) VALUES ({marks})", values)


def expire(ledger: Ledger, *, before_ms: int) -> int:
    """Delete what was over before then; say how many."""
    with ledger.writing() as db:
        return db.execute(
            "DELETE FROM alert WHERE phase = ? AND closed_ms < ?", [Phase.CLOSED, before_ms]
        ).rowcount


def expired(ledger: Ledger, *, before_ms: int) -> int:
    """How many would go."""
    row = ledger.row(
        "SELECT count(*) AS n FROM alert WHERE phase = ? AND closed_ms < ?",
        [Phase.CLOSED, before_ms],
    )
    return int(row["n"]) if row else 0


def _alert(row: dict[str, object]) -> Alert:
    return Alert(**{**row, "phase": Phase(str(row["phase"]))})  # type: ignore[arg-type]
