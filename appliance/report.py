"""How a job ended, told where people look: a note in the folder and a line in the journal.

In: a job and the error that ended it, or none. Out: `talk.mp4.ERROR.txt` in plain
words when a person can mend it, gone again when the recording has its text; and one
log record whose extra fields (job, share, code, state, correlation) the journal keeps.
No log record and no note ever holds a word of a transcript.

Not here: deciding how it ended (states), the sentences (errors), alerts (notify).
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from typing import Final

from appliance import deliver
from appliance.deliver import Guard
from appliance.errors import (
    ApplianceError,
    NodeIO,
    SourceChanged,
    SourceError,
    SourceMissing,
)
from appliance.nouns import Export, display
from appliance.settings import Share
from appliance.states import State
from appliance.store import exports as table
from appliance.store.jobs import REEXPORT, Job
from appliance.store.ledger import Ledger

NOTE_FORMAT: Final = "error"
NOTE_SUFFIX: Final = ".ERROR.txt"
log = logging.getLogger(__name__)

_OVER: Final = frozenset({State.FAILED, State.DEAD})
_ISOLATE, _POP = "\u2068", "\u2069"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_JOINERS: Final = "\u200c\u200d"  # invisible, and part of how Persian and some emoji are spelt


def report(
    job: Job,
    error: ApplianceError | None = None,
    *,
    became: State | None = None,
    note: Callable[[], None],
) -> None:
    """Tell how `job` ended: done (no `error`), or stopped by one.

    `became` is where the error sends the job; without it, where the job is. `note` brings
    the folder up to date (see `note` below; a worker has it done by a porter). Call it
    before the job's last step is written: repeated after a crash it changes nothing.

    A share that is not well raises its share.*: the job waits, as it does with any other
    file that cannot be written. A name or a file in the way of the note costs no job its
    end: that is logged, and so is a box that cannot take a note back. Raises Fenced, node.*.
    """
    state = became or (State.DONE if error is None else job.state)
    _journal(job, error, state)
    try:
        note()
    except (SourceError, SourceChanged, SourceMissing, NodeIO) as trouble:
        if isinstance(trouble, NodeIO) and error is not None:
            raise
        log.warning("job %d: no note: %s", job.id, trouble.code, extra=_fields(job, trouble, state))


def is_note_due(
    ledger: Ledger, share: Share, job: Job, error: ApplianceError | None, state: State
) -> bool:
    """Tell whether anything is to be written or removed beside the recording.

    A note is written only when that is the end (failed, dead), the error is one that a
    person can mend and the share wants such files. When the job is done, our note goes.
    """
    if error is None:
        source = job.source
        return table.of_source(ledger, source.share, source.path, NOTE_SUFFIX) is not None
    return error.note and share.error_files and state in _OVER


def note(
    ledger: Ledger,
    share: Share,
    job: Job,
    error: ApplianceError | None = None,
    *,
    guard: Guard = deliver.well,
    beat: Callable[[], None] = deliver.well,
) -> None:
    """Put the note about `error` beside the recording; without an error, take ours away.

    Raises as `deliver` does.
    """
    if error is None:
        _take_note_back(ledger, share, job, guard)
        return
    parcel = Export(NOTE_FORMAT, NOTE_SUFFIX, error_note(error, job))
    deliver.deliver(ledger, share.root, job, [parcel], guard=guard, whole_name=True, beat=beat)


def _take_note_back(ledger: Ledger, share: Share, job: Job, guard: Guard) -> None:
    """Remove the note of an earlier failure, if it is as we wrote it."""
    source = job.source
    while ours := table.of_source(ledger, source.share, source.path, NOTE_SUFFIX):
        deliver.withdraw(ledger, share.root, job, ours, guard=guard)


def _journal(job: Job, error: ApplianceError | None, state: State) -> None:
    level = logging.INFO if error is None or state not in _OVER else logging.WARNING
    code = "" if error is None else f" ({error.code})"
    log.log(level, "job %d: %s%s", job.id, state, code, extra=_fields(job, error, state))


def _fields(job: Job, error: ApplianceError | None, state: State) -> dict[str, object]:
    return {**job.about, "code": None if error is None else error.code, "state": str(state)}


# --- the note -----------------------------------------------------------------------------------


def error_note(error: ApplianceError, job: Job) -> bytes:
    """Write the text of NAME.ERROR.txt: UTF-8, CRLF, the same bytes for the same failure."""
    told = for_people(error, job)
    edited = job.workload == REEXPORT
    lines = (
        "The corrected text of this recording could not be saved here."
        if edited
        else "This recording could not be turned into text.",
        "",
        f"File: {shown(display(job.source.name))}",
        "",
        "What happened",
        f"  {told.sentence}",
        "",
        "What it means",
        "  The recording itself is untouched. No new transcript was saved for it."
        if not edited
        else "  The recording and your corrections are safe; the files here are older.",
        "",
        "What you can do",
        f"  {told.next_step}",
        "  Then delete this note: that means \u201ctry again\u201d.",
        "  A new copy of the recording is tried by itself. Once there is a transcript,",
        "  this note disappears.",
        "",
        "--",
        f"Job {job.id}, code {error.code}. The administrator may ask for these.",
        "",
    )
    return "\r\n".join(lines).encode("utf-8")


def for_people(error: ApplianceError, job: Job) -> ApplianceError:
    """The same error with facts that cannot disturb a page of text."""
    facts = {"name": display(job.source.name), "share": job.source.share, **error.detail}
    return spelled(type(error)(**facts))


def spelled(error: ApplianceError) -> ApplianceError:
    """The same error with every stranger's word in it spelt by `shown`."""
    safe = {
        key: shown(fact) if isinstance(fact, str) else fact for key, fact in error.detail.items()
    }
    return type(error)(**safe)


def shown(text: str) -> str:
    """Spell a stranger's text so that it disturbs nothing around it.

    Control characters become their visible pictures, invisible ones (direction marks,
    line separators) their escapes; text written from right to left is set apart, so
    that it cannot turn the rest of the line around.
    """
    visible = "".join(map(_visible, text))
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in visible):
        return f"{_ISOLATE}{visible}{_POP}"
    return visible


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in _JOINERS:
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{code:04x}"
    return character
