"""Finished work that a restored ledger has forgotten, found again beside its recording.

In: a claimed job that this ledger never saw done. Out: its transcripts and its exports in
the ledger again, when our own JSON export lies beside it: unchanged (its checksum), of
this very file (name, size, mtime) and older than the restore. Nothing is written to the
share, and nothing is transcribed again.

What is read here anybody may have written: it is opened beneath the root, is bounded in
size and in parts, and every field is checked.

Not here: why the ledger has forgotten (store.repair), the shape of the JSON (export.json).
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance import beneath, export
from appliance.deliver import Guard, names, place
from appliance.errors import ShareOffline
from appliance.export import json as export_json
from appliance.export.text import clean_text
from appliance.nouns import Options, Source, Transcript, display, mtime_ns_of
from appliance.settings import Profile
from appliance.store import exports as table
from appliance.store import jobs, restores, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.values import from_plain

log = logging.getLogger(__name__)
MOST_BYTES: Final = 64 << 20  # of a JSON export; a day of speech has 40
_SKEW_NS: Final = 3_600 * 10**9  # by which a file server's clock may be wrong
_MOST_NAMES: Final = 200  # looked into for one recording
_LONG: Final = 150  # bytes of a stem; a longer one may have been cut
_AFTER: Final = re.compile(
    rb"(~[0-9a-f]{6})?( \(\d\d?\))?(\.translated)?(\.[a-z]{2,3})?\.json", re.DOTALL
)
_NOT_THERE: Final = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.ENXIO)
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A JSON export of ours."""

    name: bytes
    content: bytes
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class _Ours:
    """A file beside the recording that is as we wrote it."""

    path: bytes
    format: str
    suffix: str
    sha256: str
    size: int


def regain(
    ledger: Ledger, root: str, job: Job, *, guard: Guard, beat: Callable[[], None] = lambda: None
) -> bool:
    """Fill the ledger with what `job` came to before it was forgotten; False where nothing is.

    The job gets the options it was done with. All is written in one transaction, and may be
    done again. `guard` is asked first. Raises what it raises, ShareOffline when the server
    fails, Fenced when somebody newer has the job.
    """
    forgotten = restores.may_have_forgotten(ledger, job)
    if forgotten is None:
        return False
    guard()
    before = forgotten.at_ms * 1_000_000 + _SKEW_NS
    try:
        with (
            beneath.root(root) as root_fd,
            beneath.folder_of(root_fd, job.source.path) as (folder, _name),
        ):
            found = _found(folder, job.source, before, beat)
            if not found:
                return False
            options = _options(found[0].transcript.provenance.options)
            ours = list(_ours(folder, job.source, options, found, beat))
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise ShareOffline(share=job.source.share) from error
    _write_down(ledger, job, options, found, ours)
    log.info("job %d: done before the ledger was lost", job.id, extra={"job": job.id})
    return True


def _write_down(
    ledger: Ledger, job: Job, options: Options, found: Sequence[_Found], ours: Sequence[_Ours]
) -> None:
    provenance = found[0].transcript.provenance
    asked = transcripts.asked(options, provenance.model_sha256)
    with ledger.writing():
        job = jobs.reminded(ledger, job, options, sha256=provenance.source_sha256, who="regain")
        for one in found:
            transcripts.record(
                ledger, job, one.transcript, asked_sha256=asked, origin=transcripts.REGAINED
            )
        for file in ours:
            table.intend(
                ledger,
                job,
                path=file.path,
                format_=file.format,
                suffix=file.suffix,
                sha256=file.sha256,
                size=file.size,
            )
            table.published(ledger, job, file.path)


# --- looking beside the recording ---------------------------------------------------------------


def _found(folder: int, source: Source, before: int, beat: Callable[[], None]) -> list[_Found]:
    """Our JSON export of every transcript that was asked for; none where one is missing."""
    seen = os.stat(source.name, dir_fd=folder, follow_symlinks=False)
    if (seen.st_size, mtime_ns_of(seen)) != (source.size, source.mtime_ns):
        return []  # it has changed: the line says so
    by_task: dict[str, _Found] = {}
    for name in _candidates(folder, source):
        beat()
        content = _read(folder, name, before)
        try:
            transcript = export_json.read(content)
            tasks = _options(transcript.provenance.options).tasks
        except ValueError as error:
            log.debug("not taken back: %s", error)
            continue
        if _is_of(transcript, source) and transcript.task in tasks:
            by_task.setdefault(transcript.task, _Found(name, content, transcript))
        first = next(iter(by_task.values()), None)
        if first and (whole := _whole(by_task, first.transcript.provenance.options)):
            return whole
    return []


def _whole(by_task: Mapping[str, _Found], options: Mapping[str, object]) -> list[_Found]:
    found = [by_task[task] for task in _options(options).tasks if task in by_task]
    same = all(one.transcript.provenance.options == options for one in found)
    return found if same and len(found) == len(_options(options).tasks) else []


def _is_of(transcript: Transcript, source: Source) -> bool:
    said = transcript.provenance
    return (said.source_name, said.source_size, said.source_mtime_ns) == (
        clean_text(display(source.name)),
        source.size,
        source.mtime_ns,
    )


def _candidates(folder: int, source: Source) -> list[bytes]:
    """Names that our JSON export of this recording may have, the likeliest first."""
    fits = [name for name in map(os.fsencode, os.listdir(folder)) if _may_be(name, source.name)]
    return sorted(fits, key=lambda name: (len(name), name))[:_MOST_NAMES]


def _may_be(name: bytes, recording: bytes) -> bool:
    for base in (names.stem(recording), recording):
        if name.startswith(base) and _AFTER.fullmatch(name, len(base)):
            return True
        if len(base) > _LONG and name.startswith(base[:_LONG]) and name.endswith(b".json"):
            return True
    return False


def _read(folder: int, name: bytes, before: int) -> bytes:
    """Read a file that may be ours; b"" for one that cannot be, by its looks and its end."""
    try:
        fd = beneath.open_at(folder, name)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return b""
        raise
    with os.fdopen(fd, "rb", buffering=0) as stream:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or not 0 < seen.st_size <= MOST_BYTES:
            return b""
        if seen.st_mtime_ns > before:
            return b""  # written since: whoever wrote it, the ledger cannot have forgotten it
        end = os.pread(fd, export_json.END_BYTES, max(seen.st_size - export_json.END_BYTES, 0))
        if not export_json.may_be_ours(end):
            return b""
        return stream.read(seen.st_size) or b""


def _options(plain: Mapping[str, object]) -> Options:
    """What was asked for, out of a stranger's hand. Raises ValueError."""
    options = from_plain(Options, dict(plain))
    said = {key: value for key, value in plain.items() if key != "profile"}
    said["replacements"] = {one.heard: one.written for one in options.replacements}
    Profile.model_validate(said)
    if len(options.profile) > 100:
        raise ValueError("no profile of ours")
    return options


# --- what is ours -------------------------------------------------------------------------------


def _ours(
    folder: int,
    source: Source,
    options: Options,
    found: Sequence[_Found],
    beat: Callable[[], None],
) -> Iterator[_Ours]:
    """Each file beside the recording that is byte for byte what we would write."""
    there = set(map(os.fsencode, os.listdir(folder)))
    for one in found:
        for made in export.render_all(one.transcript, options):
            beat()
            if made.format == "json":  # ours whatever version wrote it: its checksum says so
                name, content = one.name, one.content
            else:
                spots = _spots(source, one.name, made.suffix.encode(), there)
                content = made.content
                name = next((spot for spot in spots if _holds(folder, spot, content)), b"")
            if name:
                path = os.path.join(os.path.dirname(source.path), name)
                yield _Ours(path, made.format, made.suffix, _digest(content), len(content))


def _holds(folder: int, name: bytes, content: bytes) -> bool:
    same_size = place.size(folder, name) == len(content)
    return same_size and place.sha256(folder, name) == _digest(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _spots(source: Source, beside: bytes, suffix: bytes, there: set[bytes]) -> Iterator[bytes]:
    """Names of an export, those first that begin as the JSON does: a twin's may read the same."""
    bases = [names.stem(source.name), source.name]
    for base in sorted(bases, key=len, reverse=beside.startswith(source.name)):
        for name in names.choices(base, suffix, recording=source.name, longest=names.LONGEST):
            if name in there:
                yield name
