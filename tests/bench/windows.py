"""Windows made of a recording: each more than the peer makes is work that nobody asked for.

Not here: what is in them (tests/test_windows.py compares the cuts themselves).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance import weights
from tests.bench import Amount, Figure, box, peers, recordings

_MINUTES: Final = {Amount.SMOKE: 1.0, Amount.SHORT: 10.0, Amount.FULL: 180.0}
_FAST: Final = 20_000.0  # a GPU that nobody waits for


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Count both."""
    file = recordings.speech(folder, _MINUTES[amount])
    ours = box.take(box.Engine(gpu=_FAST), [file])
    model = weights.find(weights.SELFTEST, "").path
    theirs = peers.batched([file], model, speed=_FAST, batch_size=16, language="en")
    heard = int(ours.status["windows"])
    return [
        Figure(
            "windows, of those that bare makes",
            heard / theirs.windows,
            "x",
            most=1.03,
            how=f"{heard} : {theirs.windows}",
        )
    ]
