"""Say of any file what became of it, or what it waits for: nothing is skipped silently.

In: the path of a file, whether it is a recording, one of ours, or neither, or of a folder.
Out: sentences for the person who dropped it. Reads the ledger and asks no file server
anything, so it answers while one hangs; `look` may, and takes care of its own patience.

Not here: the sentences of failures (errors) and of rules (admit.rules).
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from appliance.admit import rules
from appliance.errors import named
from appliance.nouns import display
from appliance.settings import Settings, Share
from appliance.states import State
from appliance.store import board, exports, gates, jobs, queue, shares, sightings
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow
from appliance.store.sightings import Sighting

_LIVES_BELOW: Final = frozenset({"too-deep", "other-filesystem", "link"})


class There(enum.Enum):
    """What lies at a path just now."""

    FILE = "file"
    FOLDER = "folder"
    NOTHING = "nothing"
    UNKNOWN = "unknown"  # nobody looked, or nobody answered


Look = Callable[[bytes], There]


def explain(
    ledger: Ledger,
    settings: Settings,
    path: str | bytes,
    *,
    look: Look = lambda _path: There.UNKNOWN,
) -> list[str]:
    """Say what is known of the file at `path` (absolute, or below the working directory).

    `look` is asked what lies there when the share is online.
    """
    absolute = os.path.abspath(os.fsencode(path))
    share = next((one for one in settings.watched if _holds(one, absolute)), None)
    if share is None:
        return ["It does not lie in any share of this box; nobody looks there."]
    below = os.path.relpath(absolute, os.fsencode(share.root))
    row = shares.get(ledger, share.name)
    below = b"" if below == b"." else below
    there = look(absolute) if row.state == "online" else There.UNKNOWN
    if below and _is_folder(ledger, row.name, below, there):
        return [*_of_share(row), *_of_folder(ledger, row.name, below)]
    absent = ["There is no such file now."] if there is There.NOTHING else []
    return [*_of_share(row), *absent, *_of_file(ledger, row, below, absent=bool(absent))]


def _is_folder(ledger: Ledger, share: str, path: bytes, there: There) -> bool:
    if there is not There.UNKNOWN:
        return there is There.FOLDER
    known = sightings.get(ledger, share, path) or next(jobs.at(ledger, share, path), None)
    holds = sightings.below(ledger, share, path) or board.below(ledger, share, path)
    return known is None and bool(holds)


def _of_folder(ledger: Ledger, share: str, path: bytes) -> Iterator[str]:
    """What keeps a folder out, or how what lies in it stands."""
    inside = os.path.join(path, b"any.wav")
    if rule := rules.of_tree(path) or _rule_above(ledger, share, inside):
        yield f"It is a folder. {_ignored(rule)}"
        return
    states = board.below(ledger, share, path)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    files = sightings.below(ledger, share, path)
    yield f"It is a folder; we know of {files} recordings in it{f': {counts}' if counts else ''}."
    yield "Ask for one of its files to hear what became of it."


def _holds(share: Share, path: bytes) -> bool:
    root = os.fsencode(share.root)
    return os.path.commonpath([root, path]) == root


def _of_share(row: ShareRow) -> Iterator[str]:
    """What keeps the whole share back."""
    why = f" ({row.why})" if row.why else ""
    if row.state == "unknown":
        yield f"The share {row.name} has not been looked at yet{why}: is the watch running?"
    elif row.state != "online":
        yield f"The share {row.name} is {row.state}{why}; what is in it waits until it is back."
    if row.adopted_ms is None and row.scanned_ms is not None:
        yield (
            f"The share {row.name} held {row.old_files} recordings when we first saw it; nothing"
            f" runs until you decide: `appliance share adopt {row.name}"
            " --existing ignore|process`."
        )


def _of_file(ledger: Ledger, row: ShareRow, path: bytes, *, absent: bool) -> Iterator[str]:
    if not path:
        yield f"It is the folder of the share {row.name}, found by {row.method or 'nobody yet'}."
        return
    if ours := exports.at(ledger, row.name, path):
        yield f"It was written by the appliance: the {ours.format} file of job {ours.job}."
        return
    seen = sightings.get(ledger, row.name, path)
    if seen is not None and seen.state in _ARRIVING:
        yield _ARRIVING[seen.state].format(size=f"{seen.size:,}")
    job = next(jobs.at(ledger, row.name, path), None)
    if job is not None:
        yield from _of_job(ledger, job)
    elif seen is None and not absent:
        yield _unseen(ledger, row, path)
    elif seen is not None and seen.state not in _ARRIVING:
        yield _ignored(seen.why) if seen.state == sightings.IGNORED else _without_job(seen)


_ARRIVING: Final[Mapping[str, str]] = {
    sightings.RECEIVING: "{size} bytes of it are here. It is still arriving, somebody has it"
    " open for writing, or we may not read it; it is taken when that is over.",
    sightings.SETTLING: "It has stopped growing at {size} bytes; we make sure that it is complete.",
}


def _without_job(seen: Sighting) -> str:
    if seen.state == sightings.GONE:
        return "It was there, and was taken away before it was complete."
    return "It is complete and about to be queued."


def _ignored(rule: str | None) -> str:
    return f"It is ignored ({rule}). {rules.SENTENCES.get(rule or '', '')}".strip()


def _unseen(ledger: Ledger, row: ShareRow, path: bytes) -> str:
    """A file nobody has written down: by its name, by a folder above it, or not there."""
    if rule := rules.of_path(path) or _rule_above(ledger, row.name, path):
        return _ignored(rule)
    if row.scanned_ms is None:
        return "The share has not been scanned to its end yet."
    return "We have not seen it. If it is there, it is found within a minute."


def _rule_above(ledger: Ledger, share: str, path: bytes) -> str | None:
    """The rule that keeps out a folder which holds this file."""
    folder = os.path.dirname(path)
    while True:
        marked = sightings.get(ledger, share, os.path.join(folder, b".notranscribe"))
        if marked is not None and marked.state == sightings.IGNORED:
            return "notranscribe"
        seen = sightings.get(ledger, share, folder)
        if seen is not None and seen.why in _LIVES_BELOW:
            return seen.why
        if not folder:
            return None
        folder = os.path.dirname(folder)


# --- jobs ---------------------------------------------------------------------------------------


def _of_job(ledger: Ledger, job: Job) -> Iterator[str]:
    """How its newest job stands, and what the person may do."""
    yield f"Job {job.id}: {_JOB[job.state](ledger, job)}"
    if job.code is not None:
        error = named(job.code, job.detail)
        yield error.sentence
        yield error.next_step


def _queued(ledger: Ledger, job: Job) -> str:
    ahead = queue.ahead(ledger, job)
    return "it is the next in the queue." if not ahead else f"it is queued, {ahead} before it."


def _waiting(ledger: Ledger, job: Job) -> str:
    gate = gates.named(ledger, job.gate or "")
    why = f" {gate.error.sentence}" if gate is not None else ""
    return f"it waits and goes on by itself.{why}"


def _done(ledger: Ledger, job: Job) -> str:
    written = [display(os.path.basename(one.path)) for one in exports.of_job(ledger, job.id)]
    return f"it is done; beside it lie {', '.join(written)}." if written else "it is done."


def _always(text: str) -> Callable[[Ledger, Job], str]:
    return lambda _ledger, _job: text


_JOB: Final[Mapping[State, Callable[[Ledger, Job], str]]] = {
    State.DISCOVERED: _always("it changed while we read it; it must be complete again first."),
    State.QUEUED: _queued,
    State.RUNNING: lambda _ledger, job: f"it is being worked on ({job.stage or 'just begun'}).",
    State.DONE: _done,
    State.HELD: _always("somebody put it on hold."),
    State.WAITING: _waiting,
    State.RETRY_WAIT: _always("it is tried again by itself in a while."),
    State.FAILED: _always("it failed. Delete its ERROR.txt to try it again."),
    State.DEAD: _always("it failed too often. Delete its ERROR.txt to try it again."),
    State.CANCELLED: _always("it was cancelled."),
    State.SKIPPED: _always("it was skipped."),
    State.SOURCE_MISSING: _always("the file is gone, or was replaced."),
}
