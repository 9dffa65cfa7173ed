"""Run proofs and print their figures; exit 1 when one misses its bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping

from tests.proof import Figure, day_of_silence, mixed, resume, words

PROOFS: Mapping[str, Callable[[], Iterable[Figure]]] = {
    "words": words.run,
    "mixed": mixed.run,
    "resume": resume.run,
    "day-of-silence": day_of_silence.run,
}


def main(names: list[str]) -> int:
    """Run the named proofs, or all of them."""
    figures: list[Figure] = []
    for name in names or list(PROOFS):
        begun = time.monotonic()
        for figure in PROOFS[name]():
            figures.append(figure)
            mark = "ok  " if figure.met else "MISS"
            print(f"{mark} {name}: {figure.what}: {figure.value} (bar {figure.bar})", flush=True)  # noqa: T201
        print(f"     {name}: {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
