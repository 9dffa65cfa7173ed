"""What training draws its windows from, and its file.

Not here: making the utterances (synthesise), putting them into windows (windows).
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance from the first to the last voiced sample."""

    mel: NDArray[np.float16]  # [80, frames of 10 ms], log10 of power, neither clipped nor scaled
    language: int  # column of WORDS
    words: tuple[int, ...]  # rows of WORDS
    bounds: tuple[float, ...]  # frames: start of every word, then the end of the last


@dataclass(frozen=True, slots=True)
class Corpus:
    """Utterances, and clips in which nobody speaks."""

    spoken: tuple[list[Spoken], ...]  # by language
    nobody: list[NDArray[np.float16]]  # [80, frames], log10 of power


def write(corpus: Corpus, path: str) -> None:
    """Keep a corpus for `read`."""
    with open(path, "wb") as file:
        pickle.dump(corpus, file, protocol=4)


def read(path: str) -> Corpus:
    """Load what `write` kept."""
    with open(path, "rb") as file:
        corpus: Corpus = pickle.load(file)  # noqa: S301 - we wrote it
    return corpus
