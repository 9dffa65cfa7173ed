"""Is what closed a gate well again? A table: what the gate's name begins with, and how to look.

Not here: opening the gate (recover), and the gates of shares: their watch opens them,
because only its child may touch a share that perhaps hangs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from appliance import weights, wire
from appliance.errors import ModelCorrupt, ModelMissing
from appliance.health import room
from appliance.settings import GB, Settings
from appliance.store.gates import Gate

_TRY_SECONDS: Final = 60.0
_DECODER_SECONDS: Final = 30.0  # as long as a nursery rests at most between two starts


def _disk(_gate: Gate, settings: Settings, _closed_for: float) -> bool:
    return room.is_enough_again(settings)


def _spool(gate: Gate, settings: Settings, closed_for: float) -> bool:
    """Is there room for the one that closed it? A smaller one that waits as well just tries."""
    if not _disk(gate, settings, closed_for):
        return False
    spool, size = settings.state("spool"), gate.error.detail.get("size")
    limit, keep_free = (
        int(one * GB) for one in (settings.node.spool_gb, settings.disk.stop_below_gb)
    )
    left = room.left(spool, limit=limit, keep_free=keep_free) if os.path.isdir(spool) else 0
    return (isinstance(size, int) and size <= left) or closed_for > _TRY_SECONDS


def _engine(_gate: Gate, settings: Settings, _closed_for: float) -> bool:
    try:
        wire.connect(settings.engine_socket, patience=1.0).close()
    except OSError:
        return False
    return True


def _model(gate: Gate, settings: Settings, _closed_for: float) -> bool:
    try:
        weights.find(gate.name.partition(":")[2], settings.model_dir)
    except (ModelMissing, ModelCorrupt):
        return False
    return True


def _decoder(_gate: Gate, _settings: Settings, closed_for: float) -> bool:
    """Only a worker can tell: the next job tries."""
    return closed_for > _DECODER_SECONDS


_LOOK: Final[Mapping[str, Callable[[Gate, Settings, float], bool]]] = {
    "disk": _disk,
    "spool": _spool,
    "decoder": _decoder,
    "engine": _engine,
    "model": _model,
}


def is_well(gate: Gate, settings: Settings, *, closed_for: float) -> bool:
    """Tell whether a gate, closed for that many seconds, may open."""
    look = _LOOK.get(gate.name.partition(":")[0])
    return look is not None and look(gate, settings, closed_for)
