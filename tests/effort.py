"""What SQLite has to do for an answer, in steps of its machine: the same on every computer.

Seconds say how busy a machine is, steps say how a question grows with what is in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.store.ledger import Ledger

_GRAIN: Final = 10


def steps(ledger: Ledger, ask: Callable[[], object]) -> int:
    """How many steps an answer took, to the nearest ten; asked by this thread."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += _GRAIN
        return 0

    connection = ledger.db.conn
    connection.set_progress_handler(tick, _GRAIN)
    try:
        ask()
    finally:
        connection.set_progress_handler(None, 0)
    return count
