"""Texts that were read a moment ago, so that whoever corrects one does not wait for each page.

To read five hours of speech out of the ledger takes a second of processor, and a page of it, an
edit, the next page want it again. A text at a revision never changes, so the last few are kept;
which revision is the newest is asked each time.

Not here: what is shown of a text (passages).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, cast

from flask import Flask, current_app

from appliance.nouns import Transcript
from appliance.store import revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

KEPT: Final = 4  # five hours of words take some 15 MB

Texts = tuple[Transcript, ...]
_Key = tuple[int, str, int, int]  # job, correlation, epoch, revision: a number may be used again


class Recall:
    """The last few texts. Usable from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._kept: OrderedDict[_Key, Texts] = OrderedDict()

    def get(self, key: _Key) -> Texts | None:
        """The text, if it is kept."""
        with self._guard:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: _Key, text: Texts) -> None:
        """Keep a text; the one that nobody wanted for longest goes."""
        with self._guard:
            self._kept[key] = text
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def keep_for(app: Flask) -> None:
    """Give the app its memory."""
    app.extensions["appliance.recall"] = Recall()


def newest(ledger: Ledger, job: Job) -> tuple[int, Texts | None]:
    """The newest revision of a job's text, and the text; None before it is recorded."""
    recall = cast(Recall, current_app.extensions["appliance.recall"])
    n = revisions.newest(ledger, job)
    key = (job.id, job.correlation, job.epoch, n)
    text = recall.get(key)
    if text is None:
        text = revisions.text(ledger, job, n)
        if text is not None:
            recall.put(key, text)
    return n, text
