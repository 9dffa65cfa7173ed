"""Run the bench and write what it found; exit 1 when a bar was missed.

    python -m tests.bench [--full] [PART …]

With parts named, those run and are printed, and the page stays as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench import (
    Amount,
    Figure,
    eta,
    fairness,
    feeding,
    machine,
    memory,
    memos,
    peers,
    processor,
    report,
    scale,
    search,
    stages,
    windows,
    words,
)

PARTS: Final[Mapping[str, Callable[[Amount, Path], list[Figure]]]] = {
    "feeding": feeding.run,
    "stages": stages.run,
    "processor": processor.run,
    "memos": memos.run,
    "windows": windows.run,
    "memory": memory.run,
    "fairness": fairness.run,
    "eta": eta.run,
    "words": words.run,
    "scale": scale.run,
    "search": search.run,
}


def main(names: Sequence[str], amount: Amount) -> int:
    """Run the named parts, or all of them."""
    described = machine.describe()
    found: dict[str, list[Figure]] = {}
    peers.FOLDER.mkdir(exist_ok=True)  # on a disk, as recordings are
    with tempfile.TemporaryDirectory(dir=peers.FOLDER) as folder:
        for name in names or PARTS:
            begun = time.monotonic()
            found[name] = _measured(name, amount, Path(folder).resolve())
            _show(name, found[name], time.monotonic() - begun)
    if not names and amount is not Amount.SMOKE:
        report.write(amount, described, found)
    every = [figure for figures in found.values() for figure in figures]
    return 1 if any(figure.met is False for figure in every) else 0


def _measured(name: str, amount: Amount, folder: Path) -> list[Figure]:
    """The figures of a part; one that breaks off has missed a bar, and the others go on."""
    try:
        return PARTS[name](amount, folder)
    except SystemExit as why:
        print(why, file=sys.stderr)  # noqa: T201
        return [Figure("parts that broke off", 1, most=0, how=str(why).partition("\n")[0])]


def _show(name: str, figures: Sequence[Figure], seconds: float) -> None:
    for one in figures:
        bar = f" (bar {one.bar})" if one.bar else ""
        how = f"   [{one.how}]" if one.how else ""
        print(f"{one.mark:<7}{name}: {one.what}: {report.number(one)}{bar}{how}", flush=True)  # noqa: T201
    print(f"       {name}: {seconds:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="What the appliance costs.")
    asked.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    asked.add_argument("--full", action="store_true", help="an hour and a half instead")
    asked.add_argument(
        "--smoke", action="store_true", help="whether it works; figures mean nothing"
    )
    given = asked.parse_args()
    chosen = Amount.SMOKE if given.smoke else Amount.FULL if given.full else Amount.SHORT
    sys.exit(main(given.parts, chosen))
