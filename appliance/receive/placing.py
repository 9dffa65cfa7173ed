"""A recording that is here whole: put into its place, safe on the disk, and admitted.

Not here: how it came (arriving, the package), what becomes of its job (admit).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from typing import Final

from appliance import admit
from appliance.errors import NoSuchUpload, on_the_box
from appliance.nouns import UPLOADS, Source, mtime_ns_of
from appliance.receive import arriving
from appliance.settings import Settings
from appliance.store import uploads
from appliance.store.ledger import Ledger
from appliance.store.uploads import Upload

_INCOMING: Final = ".incoming"


def incoming(settings: Settings, upload: str = "") -> str:
    """Where an upload lies while it arrives."""
    return settings.state(UPLOADS, _INCOMING, upload)


def place(settings: Settings, upload: Upload) -> bytes:
    """Where it lies afterwards."""
    return os.path.join(os.fsencode(settings.state(UPLOADS)), upload.path)


def finish(ledger: Ledger, settings: Settings, upload: Upload) -> None:
    """Put a file that is whole into its place, and admit it: both or, to all others, neither.

    Raises policy.no-such-upload where it has gone, node.*.
    """
    target = place(settings, upload)
    source = os.fsencode(incoming(settings, upload.id))
    with on_the_box(os.fsdecode(os.path.dirname(target))):
        os.makedirs(os.path.dirname(target), mode=0o770, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody has put it there meanwhile
            arriving.sync(source)

    def arrive() -> None:
        with ledger.writing(), on_the_box(os.fsdecode(target)):
            if uploads.get(ledger, upload.id) is None:  # given up by who sent it
                raise NoSuchUpload
            if not os.path.lexists(target):
                if not os.path.lexists(source):
                    raise NoSuchUpload
                os.rename(source, target)
                for folder in _folders(settings, target):
                    arriving.sync(folder)
            admit.admit(ledger, _looked(target, upload), upload.options)

    ledger.insist(arrive)


def _looked(target: bytes, upload: Upload) -> Source:
    found = os.lstat(target)
    if not stat.S_ISREG(found.st_mode):
        raise NoSuchUpload
    return Source(UPLOADS, upload.path, found.st_size, mtime_ns_of(found))


def _folders(settings: Settings, target: bytes) -> Iterable[bytes]:
    """The folders that say where it is, from its own up to that of the box's state."""
    folder, root = os.path.dirname(target), os.fsencode(settings.state_dir)
    while len(folder) >= len(root):
        yield folder
        folder = os.path.dirname(folder)
    yield os.fsencode(incoming(settings))
