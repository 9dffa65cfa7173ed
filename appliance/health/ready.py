"""Can the box take work right now? A table of questions: ledger, disk, engine, gates.

Not here: whether a closed gate may open (gates), showing the answers (web).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from appliance import wire
from appliance.errors import ApplianceError, DiskFull, EngineUnreachable
from appliance.health import room
from appliance.settings import GB, Settings
from appliance.store import gates
from appliance.store.ledger import Ledger

_DOOR_SECONDS: Final = 1.0


def ledger_writable(ledger: Ledger, _settings: Settings) -> None:
    """Take the ledger's lock and an empty transaction. Raises node.*."""
    with ledger.writing():
        pass


def room_on_disk(_ledger: Ledger, settings: Settings) -> None:
    """Is there more room than where we stop? Raises DiskFull."""
    where, free = room.tightest(settings)
    if free < settings.disk.stop_below_gb * GB:
        raise DiskFull(where=where, free_gb=free / GB)


def engine_answers(_ledger: Ledger, settings: Settings) -> None:
    """Knock at the engine's door. Raises EngineUnreachable."""
    try:
        wire.connect(settings.engine_socket, patience=_DOOR_SECONDS).close()
    except OSError as error:
        raise EngineUnreachable from error


def a_gate_is_open(ledger: Ledger, settings: Settings) -> None:
    """Could a recording of any share run? Raises what closed the gate before every one of them."""
    ways = [(one.name, settings.options_for(one).model) for one in settings.share] or [("", "")]
    shut = [gates.before(ledger, share=share, model=model) for share, model in ways]
    if all(shut) and (gate := gates.named(ledger, shut[0] or "")):
        raise gate.error


READY: Final[Mapping[str, Callable[[Ledger, Settings], None]]] = {
    "ledger": ledger_writable,
    "disk": room_on_disk,
    "engine": engine_answers,
    "gates": a_gate_is_open,
}


def answers(ledger: Ledger, settings: Settings) -> dict[str, ApplianceError | None]:
    """Ask every question; None where all is well."""
    return {name: _trouble(ask, ledger, settings) for name, ask in READY.items()}


def _trouble(
    ask: Callable[[Ledger, Settings], None], ledger: Ledger, settings: Settings
) -> ApplianceError | None:
    try:
        ask(ledger, settings)
    except ApplianceError as error:
        return error
    return None
