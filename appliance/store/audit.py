"""Who did what: lines that are only ever added, each with the hash of the one before.

Triggers refuse to change or delete one; whoever goes round them, file in hand, breaks the
chain, which `verify` tells. What a chain cannot tell by itself is that its last lines were
cut off: hashes also go to the journal, and `verify` takes one to look for. One covers all
that came before it, so what a console adds is covered by the next line of a process with
a journal, and at the latest by `tell`, once a day.

Not here: the steps of jobs (events), which deeds are written down (accounts).
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Final

from appliance.errors import AuditBroken
from appliance.store.ledger import Ledger, Row

log = logging.getLogger(__name__)

_BEGINNING: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    who: str  # user:anna | key:7g2kmx4t | cli:root | somebody
    address: str = ""  # of their machine, as far as it is known


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    n: int
    at_ms: int
    who: str
    address: str
    did: str
    about: str  # whom or what it was done to
    detail: str  # JSON
    hash: str


@dataclass(frozen=True, slots=True)
class Chain:
    """All of it, when it holds together."""

    length: int
    head: str  # hash of the last line


def add(ledger: Ledger, actor: Actor, did: str, about: str = "", **detail: object) -> None:
    """Write down a deed, in the transaction that does it. No secret may be in `detail`."""
    with ledger.writing() as db:
        last = ledger.row("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")
        n, before = (last["n"] + 1, last["hash"]) if last else (1, _BEGINNING)
        line = {
            "n": n,
            "at_ms": ledger.clock().wall_ms,
            "who": actor.who,
            "address": actor.address,
            "did": did,
            "about": about,
            "detail": json.dumps(detail, sort_keys=True),
            "before": before,
        }
        line["hash"] = _hash(line)
        db.execute(
            f"INSERT INTO audit ({', '.join(line)}) VALUES ({', '.join('?' * len(line))})",
            list(line.values()),
        )
    told = {key: line[key] for key in ("n", "who", "did", "about", "hash")}
    log.info("audit", extra={f"audit_{key}": fact for key, fact in told.items()})


def tell(ledger: Ledger) -> None:
    """Have the journal keep the newest hash."""
    for newest in page(ledger, limit=1):
        log.info("audit head", extra={"audit_n": newest.n, "audit_hash": newest.hash})


def page(ledger: Ledger, *, before: int | None = None, limit: int = 100) -> list[Entry]:
    """Lines below number `before`, the newest first."""
    rows = ledger.rows(
        "SELECT n, at_ms, who, address, did, about, detail, hash FROM audit"
        " WHERE n < ? ORDER BY n DESC LIMIT ?",
        [before if before is not None else (1 << 63) - 1, limit],
    )
    return [Entry(**row) for row in rows]


def verify(ledger: Ledger, *, holds: str | None = None) -> Chain:
    """Walk along the whole chain. Raises AuditBroken at the first line that does not fit.

    `holds`: a hash the journal or an earlier `verify` has told; it must be in the chain.
    """
    n, head, seen = 0, _BEGINNING, holds is None
    for row in ledger.rows("SELECT * FROM audit ORDER BY n"):
        if row["n"] != n + 1:
            raise AuditBroken(n=n + 1, why="it is missing")
        if row["before"] != head:
            raise AuditBroken(n=row["n"], why="it does not follow the entry before it")
        if row["hash"] != _hash(row):
            raise AuditBroken(n=row["n"], why="it was changed")
        n, head = row["n"], row["hash"]
        seen = seen or head == holds
    if not seen:
        raise AuditBroken(n=n + 1, why="the entry with that hash is gone")
    return Chain(n, head)


def _hash(line: Row) -> str:
    facts = [line[key] for key in sorted(line) if key != "hash"]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=True).encode()).hexdigest()
