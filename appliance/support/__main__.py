"""The child that gathers one part: `python -m appliance.support PART [--names] [FILE]`.

Each line that it prints is a file of the archive and a line of it, already scrubbed; its last
one may be why something is missing. What it was made with comes in the environment.

Not here: the parts (parts), who starts it (bundle).
"""

from __future__ import annotations

import json
import os
import sys

from appliance.support.bundle import KEY
from appliance.support.parts import PARTS, place, told


def main(words: list[str]) -> int:
    """Gather the part that is named first."""
    name, *more = words
    files = [word for word in more if word != "--names"]
    key = bytes.fromhex(os.environ[KEY])
    at = place(files[0] if files else None, key, names="--names" in more)
    for one in told(PARTS[name], at):
        sys.stdout.write(json.dumps(one, ensure_ascii=True, default=str) + "\n")
        sys.stdout.flush()  # what comes after it may hang
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
