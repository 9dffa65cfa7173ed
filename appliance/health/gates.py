"""Is what closed a gate well again? A table: what the gate's name begins with, and how to look.

Not here: opening the gate (recover), and the gates of shares: their watch opens them,
because only its child may touch a share that perhaps hangs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Final

from appliance import weights, wire
from appliance.errors import ModelCorrupt, ModelMissing
from appliance.settings import GB, Settings


def _disk(_name: str, settings: Settings, _closed_for: float) -> bool:
    return shutil.disk_usage(settings.state_dir).free >= settings.disk.stop_below_gb * GB


def _spool(_name: str, settings: Settings, closed_for: float) -> bool:
    """Room comes when running jobs end; whether it is enough only the next try tells."""
    return closed_for > 10.0 and _disk("", settings, closed_for)


def _engine(_name: str, settings: Settings, _closed_for: float) -> bool:
    try:
        wire.connect(settings.engine_socket, patience=1.0).close()
    except OSError:
        return False
    return True


def _model(name: str, settings: Settings, _closed_for: float) -> bool:
    try:
        weights.find(name, settings.model_dir)
    except (ModelMissing, ModelCorrupt):
        return False
    return True


_LOOK: Final[Mapping[str, Callable[[str, Settings, float], bool]]] = {
    "disk": _disk,
    "spool": _spool,
    "engine": _engine,
    "model": _model,
}


def is_well(gate: str, settings: Settings, *, closed_for: float) -> bool:
    """Tell whether a gate, closed for that many seconds, may open."""
    kind, _, name = gate.partition(":")
    look = _LOOK.get(kind)
    return look is not None and look(name, settings, closed_for)
