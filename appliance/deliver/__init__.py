"""Bytes become files beside their recording, whole or not at all, each exactly once.

In: a job and its rendered exports. Out: one file for each, named after the recording.
A reader on the share sees the old file or the new one, never half of one. What we did
not write, or what a person changed since, is never touched: ours takes a numbered name.
The recording itself is looked at, never opened.

Every file is written hidden first (`.~appliance-<job>.<attempt>.<format>`), announced
in the ledger, then put into its place; a later attempt finds the announcement and
finishes or adopts what an earlier one left, whatever moment that one died at.

Not here: rendering (export), the note about a failure (report), watching a share's
health (the guard comes in).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance import beneath
from appliance.deliver import names, place
from appliance.errors import (
    ApplianceError,
    ExportConflict,
    NameTooLong,
    NodeIO,
    ShareBusy,
    ShareFull,
    ShareOffline,
    ShareReadOnly,
    SourceChanged,
    SourceMissing,
)
from appliance.nouns import Export, display, mtime_ns_of
from appliance.store import exports as table
from appliance.store import jobs, revisions
from appliance.store.exports import Published
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger

Guard = Callable[[], None]  # raises share.* (or OSError) when this is not the share we know
LAST: Final = "json"  # the commit mark: where it is, the others are
_TEMP: Final = re.compile(rb"\.~appliance-(\d+)\.(\d+)\.")

_SAYS: Final[Mapping[int, type[ApplianceError]]] = {
    **dict.fromkeys((errno.EROFS, errno.EPERM, errno.EACCES), ShareReadOnly),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ShareFull),
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY), ShareBusy),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO), ShareOffline),
    **dict.fromkeys((errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH), ShareOffline),
    **dict.fromkeys((errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNRESET), ShareOffline),
    # CIFS says so of a file that was open when it had to connect anew.
    **dict.fromkeys((errno.EAGAIN, errno.ECONNABORTED), ShareOffline),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV), SourceMissing),
    errno.ENAMETOOLONG: NameTooLong,
    errno.EEXIST: ExportConflict,  # a folder, or a stranger's file, under one of our hidden names
}


def well() -> None:
    """A guard for a share that needs none."""


def deliver(
    ledger: Ledger,
    root: str,
    job: Job,
    exports: Sequence[Export],
    *,
    guard: Guard = well,
    whole_name: bool = False,
    beat: Callable[[], None] = well,
) -> list[Published]:
    """Put every export beside the recording of `job` and say which files they became.

    `root` is the folder of the job's share. `guard` is asked before anything is written
    and again before each file appears. `whole_name` appends the suffix to `talk.mp4`
    instead of `talk`. `beat` is called with every step that got on. Calling it again, in
    the same or a later attempt, is harmless.

    Raises share.offline, share.read-only, share.full, share.busy, source.missing,
    source.changed, source.name-too-long, source.export-conflict, node.io, Fenced, and
    whatever the guard raises. None of them leaves a hidden file of this attempt behind.
    """
    errand = _Errand(ledger, root, job, guard, beat)
    ordered = sorted(exports, key=lambda export: export.format == LAST)
    parcels = [_Parcel.of(job, export) for export in ordered]
    try:
        with errand.folder() as folder:
            base = _make_ready(errand, folder, parcels, whole_name=whole_name)
        return [_place(errand, parcel, base) for parcel in parcels]
    finally:
        _tidy(errand, parcels)


def withdraw(ledger: Ledger, root: str, job: Job, row: Published, *, guard: Guard = well) -> bool:
    """Remove a file of ours that nobody changed, and forget it; say whether it was there.

    A file that was changed stays, and is not ours any more. Raises as `deliver` does.
    """
    errand = _Errand(ledger, root, job, guard)
    with errand.folder() as folder:
        name = os.path.basename(row.path)
        _sweep(folder, _names_in(folder), job.id, before=job.attempt + 1)
        found = place.sha256(folder, name)
        ours = False
        if found is not None and row.wrote(found):
            jobs.cancel_asked(ledger, job)  # raises Fenced
            ours = place.take_away(folder, name, _temp(job, row.suffix), found)
            place.sync(folder)
        table.forget(ledger, job, row.path)
        return ours


def sweep(root: str, folder: bytes, job_id: int, attempt: int) -> int:
    """Remove what attempts before `attempt` left half written in `folder`; say how many.

    `folder` lies below the root; one that is gone has nothing to sweep. Raises OSError.
    """
    with _folder_at(root, folder) as fd:
        return 0 if fd is None else _sweep(fd, _names_in(fd), job_id, before=attempt)


@contextlib.contextmanager
def _folder_at(root: str, folder: bytes) -> Iterator[int | None]:
    """Lend a folder below the root; None where it is gone."""
    with beneath.root(root) as root_fd:
        try:
            fd = beneath.open_at(root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Hidden:
    """A file under one of our hidden names, by what its name says."""

    name: bytes
    job: int
    attempt: int
    bytes: int


def hidden(root: str, folder: bytes) -> list[Hidden]:
    """Every ordinary file under a hidden name of ours in `folder`; [] for one that is gone.

    Raises OSError.
    """
    with _folder_at(root, folder) as fd:
        if fd is None:
            return []
        named = [(name, _TEMP.match(name)) for name in _names_in(fd)]
        return [
            Hidden(name, int(said[1]), int(said[2]), place.size(fd, name) or 0)
            for name, said in named
            if said is not None and place.is_file(fd, name)
        ]


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One export on its way: what it is, what it hashes to, its hidden name meanwhile."""

    export: Export
    sha256: str
    temp: bytes

    @classmethod
    def of(cls, job: Job, export: Export) -> _Parcel:
        digest = hashlib.sha256(export.content).hexdigest()
        return cls(export, digest, _temp(job, export.suffix))


def _temp(job: Job, suffix: str) -> bytes:
    """Our hidden name for a file on its way."""
    return f".~appliance-{job.id}.{job.attempt}{suffix}".encode()


@dataclass(frozen=True, slots=True)
class _Errand:
    """One delivery: what each of its steps needs to know."""

    ledger: Ledger
    root: str
    job: Job
    guard: Guard
    beat: Callable[[], None] = well

    def ask(self) -> None:
        """Is this still the share we know? One that cannot even be asked does not answer."""
        try:
            self.guard()
        except OSError as error:
            raise ShareOffline(share=self.job.source.share) from error

    @contextlib.contextmanager
    def folder(self) -> Iterator[int]:
        """Lend the recording's folder while the recording is in it; name what goes wrong."""
        self.ask()
        try:
            with (
                beneath.root(self.root) as root_fd,
                beneath.folder_of(root_fd, self.job.source.path) as (folder, name),
            ):
                self._look_at_source(folder, name)
                yield folder
        except OSError as error:
            raise self._named(error) from error

    def _look_at_source(self, folder: int, name: bytes) -> None:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        source = self.job.source
        if (seen.st_size, mtime_ns_of(seen)) != (source.size, source.mtime_ns):
            raise SourceChanged(name=display(source.name))

    def _named(self, error: OSError) -> ApplianceError:
        if error.errno == errno.ENOENT:
            self.ask()  # a share that went away is not a recording that was removed
            jobs.cancel_asked(self.ledger, self.job)  # nor is a newer attempt that swept ours
            if not os.path.isdir(self.root):
                return ShareOffline(share=self.job.source.share)
        kind = _SAYS.get(error.errno or 0)
        if kind is None:
            return NodeIO(where=self.root, why=error.strerror or str(error))
        return kind(name=display(self.job.source.name), share=self.job.source.share)


# --- making ready -------------------------------------------------------------------------------


def _make_ready(
    errand: _Errand, folder: int, parcels: Iterable[_Parcel], *, whole_name: bool
) -> bytes:
    """Write every export under its hidden name; say what their final names begin with."""
    job = errand.job
    neighbours = _names_in(folder)
    _sweep(folder, neighbours, job.id, before=job.attempt + 1)
    for parcel in parcels:
        place.write(folder, parcel.temp, parcel.export.content, beside=job.source.name)
        errand.beat()
    twins = names.twins(job.source.name, neighbours)
    if whole_name or any(place.is_file(folder, twin) for twin in twins):
        return job.source.name
    return names.stem(job.source.name)


def _names_in(folder: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(folder)]


def _sweep(folder: int, neighbours: Iterable[bytes], job_id: int, *, before: int) -> int:
    swept = 0
    for name in neighbours:
        found = _TEMP.match(name)
        if found is None or int(found[1]) != job_id or int(found[2]) >= before:
            continue
        if place.is_file(folder, name) and not place.is_anothers(folder, name):
            place.remove(folder, name)
            swept += 1
    return swept


def _tidy(errand: _Errand, parcels: Iterable[_Parcel]) -> None:
    """Leave no hidden file behind; what cannot be removed now, the next attempt sweeps."""
    with (
        contextlib.suppress(OSError),
        beneath.root(errand.root) as root_fd,
        beneath.folder_of(root_fd, errand.job.source.path) as (folder, _),
    ):
        for parcel in parcels:
            place.remove(folder, parcel.temp)


# --- into its place -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spot:
    """A name we may use."""

    name: bytes
    path: bytes  # below the root
    holds: str | None  # sha256 of our own work that lies there; None: nothing does


def _place(errand: _Errand, parcel: _Parcel, base: bytes) -> Published:
    with errand.folder() as folder:
        for spot in _spots(errand, folder, parcel, base):
            if published := _put(errand, folder, parcel, spot):
                return published
    raise ExportConflict(name=display(errand.job.source.name))


def _spots(errand: _Errand, folder: int, parcel: _Parcel, base: bytes) -> Iterator[_Spot]:
    """Names we may use for an export: the one it has, then the best that is free or ours."""
    source = errand.job.source
    suffix = parcel.export.suffix
    kept = table.of_source(errand.ledger, source.share, source.path, suffix)
    if kept is not None and os.path.dirname(kept.path) == os.path.dirname(source.path):
        spot = _spot(errand, folder, parcel, os.path.basename(kept.path))
        if spot is not None and (spot.holds is not None or kept.state == "intended"):
            yield spot
    longest = min(names.LONGEST, os.fpathconf(folder, "PC_NAME_MAX"))
    choices = list(names.choices(base, suffix.encode(), recording=source.name, longest=longest))
    if not choices:
        raise NameTooLong(name=display(source.name))
    for name in choices:
        spot = _spot(errand, folder, parcel, name)
        if spot is not None:
            yield spot


def _spot(errand: _Errand, folder: int, parcel: _Parcel, name: bytes) -> _Spot | None:
    """Look at a name: free, ours as we left it, or (None) somebody else's."""
    path = os.path.join(os.path.dirname(errand.job.source.path), name)
    size = place.size(folder, name)
    if size is None:
        return _Spot(name, path, None)
    row = _row_of_ours(errand, path)
    if size < 0 or (row is None and size != len(parcel.export.content)):
        return None  # a stranger's file of another size is not even read
    found = place.sha256(folder, name)
    if found is not None and _is_ours(row, parcel, found):
        return _Spot(name, path, found)
    return None


def _row_of_ours(errand: _Errand, path: bytes) -> Published | None:
    """What the ledger says of a file that belongs to this very recording.

    One with words in it that a person corrected, when the recording was another, is theirs.
    """
    ledger, job = errand.ledger, errand.job
    row = table.at(ledger, job.source.share, path)
    owner = None if row is None else jobs.get(ledger, row.job)
    if row is None or owner is None or owner.source.path != job.source.path:
        return None
    theirs = row.job != job.id and revisions.is_edited(ledger, row.job, row.epoch)
    return None if theirs and not revisions.newest(ledger, job) else row


def _is_ours(row: Published | None, parcel: _Parcel, found: str) -> bool:
    if found == parcel.sha256:
        return True  # the very same bytes: nobody loses anything when we call them ours
    if row is None:
        return False
    claimed = found == place.EMPTY and row.state == "intended" and row.before is None
    return row.wrote(found) or claimed


def _put(errand: _Errand, folder: int, parcel: _Parcel, spot: _Spot) -> Published | None:
    """Announce, put and note one export; None when somebody was faster."""
    export, ledger, job = parcel.export, errand.ledger, errand.job
    table.intend(
        ledger,
        job,
        path=spot.path,
        format_=export.format,
        suffix=export.suffix,
        sha256=parcel.sha256,
        size=len(export.content),
        before=spot.holds,
    )
    errand.ask()
    if spot.holds == parcel.sha256:  # it lies there already
        place.remove(folder, parcel.temp)  # not left to `_tidy`: once it is done nobody sweeps
    elif not _put_there(errand, folder, parcel, spot):
        table.forget(ledger, job, spot.path)
        return None
    place.sync(folder)
    errand.beat()
    table.published(ledger, job, spot.path)
    return table.at(ledger, job.source.share, spot.path)


def _put_there(errand: _Errand, folder: int, parcel: _Parcel, spot: _Spot) -> bool:
    jobs.cancel_asked(errand.ledger, errand.job)  # raises Fenced; as late as can be
    if place.put(folder, parcel.temp, spot.name, over=spot.holds):
        return True
    # A server that repeats a request it has already served says "exists" of our own file.
    return place.sha256(folder, spot.name) == parcel.sha256
