"""Models for the bench: of a published shape, random, and with the same lines for everybody.

Not here: their weights (tests.noise_model).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests import noise_model

TOKENS: Final = 30  # about every window


def folder_of(folder: Path, shape: str) -> Path:
    """A folder of models with one of this shape in it; made once."""
    models = folder / "models"
    if not (models / shape).exists():
        noise_model.make(shape, str(models / shape), says=TOKENS)
    return models
