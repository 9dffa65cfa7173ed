"""Closed gates: what is unwell, since when, and which jobs wait for it.

Not here: looking whether it is well again (health), requeueing (recover).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from appliance import errors
from appliance.errors import ApplianceError
from appliance.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Gate:
    """Something unwell that jobs wait for."""

    name: str  # "share:meetings", "disk", "model:large-v3"
    error: ApplianceError  # the failure that closed it
    since_ms: int


def close(ledger: Ledger, error: ApplianceError) -> None:
    """Close the gate of this error; one that is closed already keeps its since."""
    if error.gate_name is None:
        raise ValueError(f"{error.code} closes no gate")
    with ledger.writing() as db:
        db.execute(
            "INSERT INTO gate (name, code, detail, since_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET code = excluded.code, detail = excluded.detail",
            [error.gate_name, error.code, json.dumps(error.detail), ledger.clock().wall_ms],
        )


def open_again(ledger: Ledger, name: str) -> None:
    """Open a gate that is well again. Its jobs are queued by recover."""
    with ledger.writing() as db:
        db.execute("DELETE FROM gate WHERE name = ?", [name])


def closed(ledger: Ledger) -> Iterator[Gate]:
    """Every closed gate."""
    for row in ledger.rows("SELECT name, code, detail, since_ms FROM gate ORDER BY since_ms"):
        yield Gate(
            row["name"], errors.named(row["code"], json.loads(row["detail"])), row["since_ms"]
        )


def named(ledger: Ledger, name: str) -> Gate | None:
    """The gate of that name, if it is closed."""
    return next((gate for gate in closed(ledger) if gate.name == name), None)


def before(ledger: Ledger, *, share: str, model: str | None) -> str | None:
    """The closed gate that a job of this share and model would run into, if there is one.

    Without a model it asks nothing of the engine. Not the spool's: what does not fit keeps
    out nobody who may.
    """
    names = ["disk", f"share:{share}"]
    names += [] if model is None else ["decoder", "engine", f"model:{model}"]
    marks = ", ".join("?" * len(names))
    row = ledger.row(f"SELECT name FROM gate WHERE name IN ({marks})", names)
    return None if row is None else str(row["name"])
