"""Copy a file as a slow client does: in pieces, with a stall after each, its time set at the end.

    python -m tests.box.guest.inside.upload FROM TO PIECES STALL

Not here: when it may be touched (nas).
"""

from __future__ import annotations

import os
import sys
import time


def main(arguments: list[str]) -> None:
    """Copy it."""
    source, target, pieces, stall = *arguments[:2], int(arguments[2]), float(arguments[3])
    with open(source, "rb") as stream:
        content = stream.read()
    size = -(-len(content) // pieces)
    with open(target, "wb", buffering=0) as stream:
        for at in range(0, len(content), size):
            if at:
                time.sleep(stall)
            stream.write(content[at : at + size])
            os.fsync(stream.fileno())
    when = int(time.time())
    os.utime(target, (when, when))


if __name__ == "__main__":
    main(sys.argv[1:])
