"""Drop recordings into a share of the box itself, one after the other, each whole on its disk.

    python -m tests.box.guest.inside.drip ROOT COUNT SEED

What is there already stays; so it goes on after a cut of the power where it was. The bytes of a
recording follow from its number and the seed.

Not here: what must become of them (power).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time

from tests.faults.recordings import Kind, wav


def name_of(number: int) -> str:
    """What a recording is called."""
    return f"{number:04}.wav"


def content_of(number: int, seed: int) -> bytes:
    """What it holds."""
    return wav(Kind.GOOD, random.Random(f"{seed} {number}"))


def main(arguments: list[str]) -> None:
    """Drop them all."""
    root, count, seed = arguments[0], int(arguments[1]), int(arguments[2])
    aside = os.path.join(os.path.dirname(root), "aside")
    pause = random.Random(os.urandom(8))
    for number in range(count):
        path = os.path.join(root, name_of(number))
        if os.path.exists(path):
            continue
        with open(aside, "wb") as stream:
            stream.write(content_of(number, seed))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o660)
        shutil.chown(aside, "appliance", "appliance")
        os.rename(aside, path)
        folder = os.open(root, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        time.sleep(pause.uniform(0.5, 4.0))


if __name__ == "__main__":
    main(sys.argv[1:])
