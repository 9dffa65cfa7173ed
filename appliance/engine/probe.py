"""How many windows a GPU bears at once: tried when a model is first loaded there, and remembered.

The answer depends on the card, the weights and their type, and holds until one of them changes.
Few windows are not remembered: another model, or somebody else's program, may have been there.
What it says is a beginning: memory that is short later still makes smaller turns (size).

Not here: processors, whose turns are small because that is fastest.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
from typing import Any, Final

import numpy as np

from appliance.engine.hearing import Ask, Hearing, Listener
from appliance.nouns import MEL_FRAMES, WINDOW_SECONDS

log = logging.getLogger("appliance.engine")
SIZES: Final = (4, 8, 16, 32, 64)  # from 64 windows on nothing is gained (faster-whisper#1143)
_PLENTY: Final = 16
_BEAM: Final = 5


class Probe:
    """What was found out, in a file of the state directory."""

    def __init__(self, folder: str) -> None:
        self._file = os.path.join(folder, "engine-probe.json")

    def batch(self, listener: Listener) -> int:
        """The largest turn this model bears on this card; tried out where nobody knows."""
        known = self._known()
        key = f"{card()} {listener.folder.sha256} {listener.compute_type}"
        if not isinstance(known.get(key), int):
            known[key] = largest(listener)
            log.info("turns of %d windows fit", known[key])
            if known[key] >= _PLENTY:  # less may be a matter of the moment: tried again next time
                self._keep(known)
        return int(known[key])

    def _known(self) -> dict[str, Any]:
        try:
            with open(self._file, encoding="ascii") as stream:
                found = json.load(stream)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, known: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # tried out again at the next start
            with open(f"{self._file}.new", "w", encoding="ascii") as stream:
                json.dump(known, stream)
            os.replace(f"{self._file}.new", self._file)


def largest(listener: Listener) -> int:
    """Try turns of noise, each larger than the one before; the last that went well, or 1."""
    noise = np.random.default_rng(1).normal(0, 0.3, (listener.mels, MEL_FRAMES))
    ask = Ask(noise.astype(np.float32), WINDOW_SECONDS, ("transcribe",), "en", beam=_BEAM)
    fits = 1
    for size in SIZES:
        try:
            listener.turn([Hearing(ask) for _ in range(size)])
        except RuntimeError as error:  # out of memory, in whatever words
            log.info("a turn of %d windows does not fit: %s", size, error)
            break
        fits = size
    return fits


def card() -> str:
    """The name of the first GPU, as its driver spells it."""
    for file in sorted(glob.glob("/proc/driver/nvidia/gpus/*/information")):
        with contextlib.suppress(OSError), open(file, encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("Model:"):
                    return line.partition(":")[2].strip()
    return "unknown"
