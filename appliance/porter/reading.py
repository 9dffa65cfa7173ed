"""What a porter does for the pages: it reads a recording out, and looks whether a share answers.

In: a job's number and a range of bytes; or the name of a share. Out: the bytes, handed over
as they are taken; or a named error. The recording is the one that the job is about, of the
share we mean, or nothing is read. Nothing here writes anywhere.

Not here: the process around it (__main__), who may listen (web), what a worker wants (errands).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from appliance import beneath, marker, stage
from appliance.errors import ShareOffline, SourceChanged, SourceMissing
from appliance.nouns import display
from appliance.porter.talk import Carried, Looking, Reading, Talk
from appliance.settings import Settings, Share
from appliance.store import jobs
from appliance.store.ledger import Ledger

PIECE: Final = 64 * 1024  # bytes of a frame; a socket holds three of them


def read_out(ledger: Ledger, settings: Settings, talk: Talk, asked: Reading) -> Carried:
    """Hand over a range of a recording. Raises as `stage.opened`; HungUp when nobody listens."""
    job = jobs.get(ledger, asked.job)
    if job is None:
        raise SourceMissing(name=str(asked.job))
    share = _share(settings, job.source.share)
    marker_id = marker.expected(ledger, share)
    with stage.opened(share.root, job.source, marker_id) as (_root, fd):
        for piece in _pieces(fd, asked.first, min(asked.until, job.source.size)):
            if not piece:
                raise SourceChanged(name=display(job.source.name))
            talk.read_out(piece)
    return Carried()


def _pieces(fd: int, first: int, until: int) -> Iterator[bytes]:
    while first < until:
        piece = os.pread(fd, min(PIECE, until - first), first)
        yield piece
        first += len(piece)


def look(ledger: Ledger, settings: Settings, asked: Looking) -> Carried:
    """See whether a share is the one we know and lists its folder. Raises share.*."""
    share = _share(settings, asked.share)
    marker.guard(ledger, share)()
    with stage.share_errors(share.name, share.root), beneath.root(share.root) as root_fd:
        fd = beneath.open_at(root_fd, b"", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                next(entries, None)
        finally:
            os.close(fd)
    return Carried()


def _share(settings: Settings, name: str) -> Share:
    found = settings.share_named(name)
    if found is None:
        raise ShareOffline(share=name)
    return found
