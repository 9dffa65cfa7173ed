"""Run proofs and print their figures; exit 1 when one misses its bar.

    python -m tests.proof [--short] [NAME …]

`--short` runs those few that have a short version, or the named ones of them, in it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tests.proof import (
    Figure,
    crowd,
    day_of_silence,
    fuller,
    looks,
    mixed,
    pages,
    resume,
    sending,
    words,
)

PROOFS: Mapping[str, Callable[[], Iterable[Figure]]] = {
    "words": words.run,
    "mixed": mixed.run,
    "fuller": fuller.run,
    "resume": resume.run,
    "day-of-silence": day_of_silence.run,
    "looks": looks.run,
    "pages": pages.run,
    "crowd": crowd.run,
    "large-upload": sending.run,
}
SHORT: Mapping[str, Callable[[], Iterable[Figure]]] = {
    "pages": partial(pages.run, jobs=20_000, rounds=10),
    "crowd": partial(crowd.run, jobs=20_000, seconds=20),
    "large-upload": partial(sending.run, size=sending.GB // 4),
}


def main(names: list[str]) -> int:
    """Run the named proofs, or all of them."""
    short = "--short" in names
    proofs = SHORT if short else PROOFS
    named = [name for name in names if name != "--short"]
    figures: list[Figure] = []
    for name in named or list(proofs):
        begun = time.monotonic()
        for figure in proofs[name]():
            figures.append(figure)
            mark = "ok  " if figure.met else "MISS"
            print(f"{mark} {name}: {figure.what}: {figure.value} (bar {figure.bar})", flush=True)  # noqa: T201
        print(f"     {name}: {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
