"""Adopt a share: mark it as ours, and write down what becomes of the files already in it.

The only place that makes a marker. Called by a person's command, by `up` and `demo` for
their own folder, and by the watch for a share that holds few enough old files.

Not here: checking the marker (standing).
"""

from __future__ import annotations

import errno
import os
from typing import Final

from appliance import marker
from appliance.errors import ShareDenied, ShareOffline, ShareReadOnly
from appliance.settings import Share
from appliance.store import shares
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow
from appliance.watch.mounts import misplaced, mount_of

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


def adopt(ledger: Ledger, share: Share, *, existing: str) -> ShareRow:
    """Let jobs of this share run; `existing` (ignore | process) is said of its old files.

    A share that carries a marker already keeps it. Raises share.offline, .read-only or
    .denied, and leaves the ledger as it was.
    """
    if misplaced(share.kind, mount_of(os.path.realpath(share.root))):
        raise ShareOffline(share=share.name)
    marker_id = _marked(share) if share.require_marker else None
    shares.adopt(ledger, share.name, marker=marker_id, existing=existing)
    return shares.get(ledger, share.name)


def _marked(share: Share) -> str:
    try:
        with marker.rooted(share.name, share.root, None) as root_fd:
            return marker.read(root_fd) or marker.write(root_fd)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise ShareReadOnly(share=share.name, name=os.fsdecode(marker.NAME)) from error
        if error.errno in _DENIED:
            raise ShareDenied(share=share.name, name=os.fsdecode(marker.NAME)) from error
        raise ShareOffline(share=share.name) from error
