"""The time left that the board shows, asked when a quarter of a job is heard.

Jobs of several lengths on GPUs of several speeds, and one on the processor. The truth is what
the clock said when the last export lay there.

Not here: how it is reckoned (transcribe.pace).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance import daemon
from tests.bench import Amount, Figure, box, models, recordings
from tests.bench.box import Engine

_Case = tuple[Engine, float]  # and minutes of recording
_WITHIN: Final = 0.25
_ENOUGH: Final = 0.8  # four of five
_ASKED_AT: Final = 0.25


def run(amount: Amount, folder: Path) -> list[Figure]:
    """Ask each."""
    answers = [_asked(engine, recordings.speech(folder, m)) for engine, m in _cases(amount, folder)]
    right = sum(truth > 0 and abs(told - truth) <= _WITHIN * truth for told, truth in answers)
    how = ", ".join(f"{told:.0f} for {truth:.0f} s" for told, truth in answers)
    return [
        Figure(
            "time left at a quarter, within 25 %",
            right,
            f"of {len(answers)}",
            least=_ENOUGH * len(answers),
            how=how,
        )
    ]


def _cases(amount: Amount, folder: Path) -> Sequence[_Case]:
    if amount is Amount.SMOKE:
        return [(Engine(gpu=20.0), 1.0)]
    small = Engine(model="base", model_dir=str(models.folder_of(folder, "base")))
    factor = 0.6 if amount is Amount.SHORT else 6
    return [
        (Engine(gpu=20.0), 5 * factor),
        (Engine(gpu=50.0), 20 * factor),
        (Engine(gpu=100.0), 30 * factor),
        (Engine(gpu=300.0), 60 * factor),
        (small, 8 * factor),
    ]


def _asked(engine: Engine, file: str) -> tuple[float, float]:
    """What the board said was left, and what was; 0 and 0 where it never said anything."""
    told: list[tuple[float, float]] = []
    with box.box(engine) as one:
        run_dir = one.running.settings.run_dir

        def look() -> None:
            for facts in daemon.progress_board(run_dir).values():
                done, total, left = (facts.get(key) for key in ("done", "total", "left"))
                if not told and total and left and done >= _ASKED_AT * total:
                    told.append((float(left), time.time()))

        ran = one.wait(one.drop([file]), each=look)[0]
    return (told[0][0], ran.ended - told[0][1]) if told else (0.0, 0.0)
