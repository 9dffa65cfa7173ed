"""Take a recording that is sent to the box, whole or not at all, and make it a job once.

In: who sends it, what it is called, how large it is, what is asked for, and its bytes, in as
many turns as it takes. Out: a file in the uploads share, and its job. While it arrives it lies
under its id in a hidden folder beside; how much has come is the length of that file and stands
nowhere else. When the last byte is there it is synced, renamed into its place and admitted,
under the ledger's lock: the watch, who sees it at the same moment, finds its job.

Whoever dies in between leaves a row that says where the file belongs; the next one to ask, and
the watch, finish what was begun.

    names      what it is called
    arriving   the file while it arrives: one writer, room on the disk, what a power cut leaves
    placing    the file that is whole: into its place, and a job

Not here: requests and their forms (web), the rows (store.uploads), when it goes (retention).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from appliance import admit
from appliance.errors import (
    ApplianceError,
    KeyReused,
    NoSuchUpload,
    OverQuota,
    TooBig,
    UploadArrived,
    UploadBusy,
    UploadMoved,
    UploadRefused,
    on_the_box,
)
from appliance.nouns import UPLOADS, Options, display
from appliance.receive import arriving
from appliance.receive.names import fit
from appliance.receive.placing import finish, incoming, place
from appliance.settings import GB, Settings
from appliance.states import ENDED, State
from appliance.store import gates, jobs, transcripts, uploads
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.store.uploads import Upload
from appliance.values import to_json

MOST_UNFINISHED: Final = 100  # of one sender
_FORM_BYTES: Final = 1 << 20  # of a form, around the recording in it
_STARTED: Final = "uploads.boot"  # the start of the machine since which lengths are believed
_NO_ANSWER: Final = ENDED - {State.DONE}


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to send, and what for."""

    who: str  # as the audit log spells them
    name: bytes  # as `fit` made it
    options: Options
    kind: str = uploads.KEPT
    key: str | None = None  # an Idempotency-Key


def prepare(ledger: Ledger, settings: Settings) -> None:
    """Make the folders that uploads come into, and look at what a power cut left. Raises node.*."""
    folder = incoming(settings)
    with on_the_box(folder):
        os.makedirs(folder, mode=0o770, exist_ok=True)
        note = settings.state(_STARTED)
        arriving.after_a_start(folder, note, ledger.clock().boot_id)


# --- in turns -----------------------------------------------------------------------------------


def begin(ledger: Ledger, settings: Settings, wish: Wish, *, size: int) -> Upload:
    """Open an upload of `size` bytes; or find the one that was begun under the same key.

    Raises source.too-big, policy.quota, policy.key-reused, policy.upload-refused,
    node.disk-full, node.io.
    """
    prepare(ledger, settings)
    fingerprint = _digest(wish, str(size))
    known = _known(ledger, wish, fingerprint)
    if known is not None:
        return _with_its_file(ledger, settings, known)
    _check_size(settings, size, wish.name)
    _check_announced(ledger, settings, size)
    made = _row(ledger, wish, size, fingerprint)
    file = incoming(settings, made.id)
    with on_the_box(file):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660))
    with contextlib.ExitStack() as unless_added:
        unless_added.callback(os.unlink, file)
        there = ledger.insist(lambda: _added(ledger, settings, made))
        unless_added.pop_all()
    if there.id != made.id:  # somebody else with this key was faster
        os.unlink(file)
        return _same(there, fingerprint)
    return there


def _with_its_file(ledger: Ledger, settings: Settings, known: Upload) -> Upload:
    """An upload begun before, with the file it comes into: a power cut may have taken that."""
    file = incoming(settings, known.id)
    with ledger.writing(), on_the_box(file):  # under its lock no file goes into its place
        now = uploads.get(ledger, known.id) or known
        if now.arrived_ms is None and not os.path.lexists(place(settings, now)):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660))
    return now


def offset(ledger: Ledger, settings: Settings, upload: Upload) -> int:
    """How many bytes of it are here. One that is complete and has no job yet gets it now."""
    prepare(ledger, settings)
    size = arriving.size(incoming(settings, upload.id))
    if size is not None and size < upload.size:
        return size
    if upload.arrived_ms is None:
        finish(ledger, settings, upload)
    return upload.size


def append(
    ledger: Ledger, settings: Settings, upload: Upload, at: int, pieces: Iterable[bytes]
) -> int:
    """Add bytes to an upload that stands at `at`; say where it stands now.

    What came before the sender went away is kept. Raises policy.upload-offset, .upload-busy,
    .upload-arrived, source.too-big, node.disk-full, node.io, and what `pieces` raises.
    """
    if upload.arrived_ms is not None:
        raise UploadArrived
    if offset(ledger, settings, upload) == upload.size:
        raise UploadArrived
    keep_free = int(settings.disk.stop_below_gb * GB)
    with arriving.opened(incoming(settings, upload.id), keep_free=keep_free) as file:
        if file.size != at:
            raise UploadMoved(offset=file.size, given=at)
        for piece in pieces:
            if file.size + len(piece) > upload.size:
                raise TooBig(
                    name=display(upload.name), size=file.size + len(piece), limit=upload.size
                )
            file.write(piece)
        now = file.size
    if now == upload.size:
        finish(ledger, settings, upload)
    return now


def drop(ledger: Ledger, settings: Settings, upload: Upload) -> None:
    """Forget an upload that is not complete. Raises policy.upload-arrived, .upload-busy."""
    if upload.arrived_ms is not None or offset(ledger, settings, upload) == upload.size:
        raise UploadArrived
    with arriving.opened(incoming(settings, upload.id), keep_free=0):
        arriving.remove(incoming(settings, upload.id))
        uploads.forget(ledger, upload.id)


def abandon(ledger: Ledger, settings: Settings, upload: str) -> None:
    """Forget an upload that its sender has left, whatever is there of it.

    One that somebody is sending to stays; one that is whole becomes a job after all. Raises node.*.
    """
    prepare(ledger, settings)
    file = incoming(settings, upload)
    known = uploads.get(ledger, upload)
    if known is not None and os.path.lexists(place(settings, known)):
        offset(ledger, settings, known)
        return
    with contextlib.suppress(NoSuchUpload, UploadBusy), arriving.opened(file, keep_free=0) as part:
        if known is None or part.size < known.size:
            arriving.remove(file)
    here = arriving.size(file)
    if here is None:
        uploads.forget(ledger, upload)
    elif known is not None and here >= known.size:
        offset(ledger, settings, known)


def forget(ledger: Ledger, settings: Settings, upload: Upload) -> None:
    """Remove a recording whose days are over, with all that lies beside it.

    Nobody else puts anything into its folder. Of one that was to be answered alone the text
    goes as well; its job stays, as every job does. One that was asked for again since its days
    were counted stays. Raises OSError.
    """
    folder = os.path.dirname(place(settings, upload))
    with ledger.writing():  # nobody takes the job meanwhile
        job = job_of(ledger, upload)
        if job is not None and job.state not in ENDED:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), folder)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # others of that day are still there
            os.rmdir(os.path.dirname(folder))
        admit.gone(ledger, UPLOADS, upload.path)
        if job is not None and upload.kind == uploads.ANSWERED:
            transcripts.forget(ledger, job)
        uploads.forget(ledger, upload.id)


# --- in one go ----------------------------------------------------------------------------------


class Whole:
    """A recording that comes in one request, of a length nobody has announced.

    Use it as a context manager: what was not kept is gone at the end.
    """

    def __init__(
        self, ledger: Ledger, settings: Settings, *, who: str = "", announced: int = 0
    ) -> None:
        """`announced` are bytes of which nearly all will be the recording; 0: nobody has said.

        Raises source.too-big, policy.quota, policy.upload-refused, node.disk-full, node.io.
        """
        prepare(ledger, settings)
        _check_announced(ledger, settings, announced)
        _check_quota(ledger, settings, who, max(0, announced - _FORM_BYTES))
        self.id = secrets.token_hex(16)
        self._ledger = ledger
        self._settings = settings
        self._hash = hashlib.sha256()
        self._row: Upload | None = None  # written down, and not in its place yet
        self._file = incoming(settings, self.id)
        keep_free = int(settings.disk.stop_below_gb * GB)
        self._opened = arriving.opened(self._file, keep_free=keep_free, make=True)

    def __enter__(self) -> Self:
        self._bytes = self._opened.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.__exit__(None, None, None)
        arriving.remove(self._file)
        if self._row is not None:
            with contextlib.suppress(ApplianceError):  # retention finds it
                _give_up(self._ledger, self._settings, self._row)

    def write(self, piece: bytes) -> None:
        """Add bytes. Raises source.too-big, node.disk-full, node.io."""
        _check_size(self._settings, self._bytes.size + len(piece))
        self._hash.update(piece)
        self._bytes.write(piece)

    def keep(self, wish: Wish) -> Upload:
        """It is whole: make it a job, or find the one that the same request led to before.

        An answer that is asked for again waits for the job that is under way; one that failed
        is no answer. Raises as `begin`.
        """
        size = self._bytes.size
        if not size:
            raise UploadRefused(why="it is empty")
        fingerprint = _digest(wish, self._hash.hexdigest())
        if wish.kind == uploads.ANSWERED and wish.key is None:
            wish = Wish(wish.who, wish.name, wish.options, wish.kind, f"same:{fingerprint}")
        known = _known(self._ledger, wish, fingerprint)
        if known is None:
            made = _row(self._ledger, wish, size, fingerprint, upload=self.id)
            there = self._ledger.insist(lambda: _added(self._ledger, self._settings, made))
            self._row = made if there.id == made.id else None
            known = _same(there, fingerprint)
        if known.arrived_ms is None:
            self._lend(known)
            finish(self._ledger, self._settings, known)
        self._row = None
        return uploads.get(self._ledger, known.id) or known

    def _lend(self, known: Upload) -> None:
        """Give ours to an earlier request that has left its row here and lost its bytes."""
        file = incoming(self._settings, known.id)
        if arriving.size(file) != known.size and not os.path.lexists(place(self._settings, known)):
            with on_the_box(file):
                os.rename(self._file, file)


def _give_up(ledger: Ledger, settings: Settings, row: Upload) -> None:
    """Forget a row whose bytes have come to nothing: neither in their place nor on their way."""
    with ledger.writing():
        here = os.path.lexists(place(settings, row)) or os.path.lexists(incoming(settings, row.id))
        if not here:
            uploads.forget(ledger, row.id)


# --- both ---------------------------------------------------------------------------------------


def _check_size(settings: Settings, size: int, name: bytes = b"") -> None:
    most = settings.uploads.max_bytes
    if size > most:
        raise TooBig(name=display(name) or "that was sent", size=size, limit=most)


def _check_announced(ledger: Ledger, settings: Settings, announced: int) -> None:
    _check_size(settings, announced - _FORM_BYTES)
    if gate := gates.named(ledger, "disk"):  # it opens again with some room to spare
        raise gate.error
    keep_free = int(settings.disk.stop_below_gb * GB)
    arriving.check_room(incoming(settings), announced + keep_free)


def _check_quota(ledger: Ledger, settings: Settings, who: str, size: int) -> None:
    held, limit = uploads.held(ledger, who), int(settings.uploads.per_person_gb * GB)
    if held.bytes + size > limit:
        raise OverQuota(size=held.bytes + size, limit=limit)
    if held.unfinished >= MOST_UNFINISHED:
        raise UploadRefused(why=f"{held.unfinished} others of yours are not finished")


def _added(ledger: Ledger, settings: Settings, made: Upload) -> Upload:
    """Write an upload down where its sender still has room: others of theirs come meanwhile."""
    with ledger.writing():
        known = None if made.key is None else uploads.by_key(ledger, made.who, made.key)
        if known is None:
            _check_quota(ledger, settings, made.who, made.size)
        return uploads.add(ledger, made)


def job_of(ledger: Ledger, upload: Upload) -> Job | None:
    """The job that an upload has become."""
    return next(jobs.at(ledger, UPLOADS, upload.path), None)


def mine(ledger: Ledger, upload: str, who: str) -> Upload:
    """The upload of that id that somebody sends. Raises policy.no-such-upload."""
    found = uploads.get(ledger, upload, who=who)
    if found is None:
        raise NoSuchUpload
    return found


def _known(ledger: Ledger, wish: Wish, fingerprint: str) -> Upload | None:
    if wish.key is None:
        return None
    known = uploads.by_key(ledger, wish.who, wish.key)
    if known is None:
        return None
    job = job_of(ledger, known)
    over = known.arrived_ms is not None if job is None else job.state in _NO_ANSWER
    if known.kind == uploads.ANSWERED and over:
        uploads.release(ledger, known.id)
        return None
    return _same(known, fingerprint)


def _same(known: Upload, fingerprint: str) -> Upload:
    if known.fingerprint != fingerprint:
        raise KeyReused
    return known


def _digest(wish: Wish, content: str) -> str:
    """Of all that a request says; what it is asked for counts, what it is called as well."""
    said = (wish.kind, wish.name.hex(), to_json(wish.options).decode(), content)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _row(
    ledger: Ledger, wish: Wish, size: int, fingerprint: str, *, upload: str | None = None
) -> Upload:
    now = ledger.clock().wall_ms
    upload = upload or secrets.token_hex(16)
    day = time.strftime("%Y-%m-%d", time.gmtime(now / 1000)).encode()
    # A folder of its own: nothing is ever in the way of its exports, and all goes as one.
    path = b"/".join((day, upload[:12].encode(), wish.name))
    facts = (wish.who, wish.kind, path, size, wish.options, wish.key, fingerprint, now)
    return Upload(upload, *facts, arrived_ms=None)


__all__ = [
    "MOST_UNFINISHED",
    "Whole",
    "Wish",
    "abandon",
    "append",
    "begin",
    "drop",
    "fit",
    "forget",
    "incoming",
    "job_of",
    "mine",
    "offset",
    "place",
    "prepare",
]
