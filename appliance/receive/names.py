"""What an uploaded recording is called on this box: its sender's name for it, made harmless.

Not here: the folder it comes into (the package).
"""

from __future__ import annotations

import os
import re
from typing import Final

from appliance.admit import rules
from appliance.errors import UploadRefused

LONGEST: Final = 180  # bytes: names of exports and notes are made of it
_FOLDERS: Final = re.compile(rb"[/\\]")
_HIDDEN: Final = b".~$ "  # what a name begins with that is left alone in a share


def fit(name: str) -> bytes:
    """The name of a recording in its folder. Raises UploadRefused for what is none.

    Only the last part of a path counts. The rest is a stranger's text, as any name in a share
    is; whoever shows it spells it (report.shown).
    """
    plain = name.encode("utf-8", "replace").replace(b"\0", b"")
    last = _FOLDERS.split(plain)[-1].lstrip(_HIDDEN).strip()
    stem, suffix = os.path.splitext(last)
    room = LONGEST - len(suffix)
    if len(stem) > room > 0:
        last = stem[:room].decode("utf-8", "ignore").encode() + suffix
    if not last:
        raise UploadRefused(why="it has no name")
    if rule := rules.of_file(last):
        raise UploadRefused(why=rules.SENTENCES[rule].rstrip(".").lower())
    return last
