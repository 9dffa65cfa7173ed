"""What becomes of a file that was found on a share, or found missing.

In: entries of a scan, paths of events, the time. Out: sightings and jobs in the ledger.
Everything here assumes a share that is online; its caller makes sure of it.

Not here: finding (scan, hints), whether the share is well (standing), when (rounds).
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from appliance import admit, beneath, choices
from appliance.admit import rules
from appliance.admit.folder import FolderOptions
from appliance.nouns import Options, Source, display, mtime_ns_of
from appliance.settings import Settings, Share
from appliance.settle import Glance, News, Settling, look_at
from appliance.store import exports, overdue, shares, sightings
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow
from appliance.watch.known import Known, key_of, within
from appliance.watch.mounts import Mount
from appliance.watch.scan import LEAVE_ALONE, Entry

log = logging.getLogger("appliance.watch")
Ring = Callable[[int], None]
_Row = tuple[Source, str, str | None, str]  # with its state, why, and correlation id
_BATCH: Final = 1_000  # rows a transaction
_RINGS: Final = 64  # a batch; whoever recovers lost bells rings for the rest in good time
_MANY: Final = 20  # files that may vanish at once before we ask for a second look
_LATELY_MS: Final = 3_600_000  # older jobs are asked after at the end of a full scan
_LOGGED: Final = 20  # files of one batch that get a line of their own in the log
_NEWS_SECONDS: Final = 0.5  # how often at most the waiting files are written down


class Finds:
    """The files of one share between being found and having a job."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        share: Share,
        mount: Mount,
        *,
        sure: Callable[[], bool],
        ring: Ring,
        beat: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._share = share
        self._mount = mount
        self._files = settings
        self._sure = sure  # asked right before anything is believed
        self._ring = ring
        self._beat = beat
        self._options = FolderOptions()
        self._settling = Settling(self._look, patience=mount.patience(share.quiet_seconds))
        self._ignored: list[tuple[Source, str]] = []
        self._told = -_NEWS_SECONDS
        self._leftover: list[bytes] = []  # was waiting when the watch was stopped
        self._suspected: bytes | None = None
        self.row = ShareRow(share.name)
        self.refused = False  # somebody found no room to wait: scan again
        self.known = Known()
        self.remember()

    def remember(self) -> None:
        """Read what the ledger knows of this share."""
        self.row = shares.get(self._ledger, self._share.name)
        self.known = Known(self._keys())

    def _keys(self) -> Iterator[int]:
        for count, seen in enumerate(sightings.of_share(self._ledger, self._share.name)):
            if count % 10_000 == 0:
                self._beat()
            if seen.state in (sightings.SETTLED, sightings.IGNORED):
                yield key_of(seen.path, seen.size, seen.mtime_ns)
            elif seen.state != sightings.GONE:
                self._leftover.append(seen.path)

    @property
    def waiting(self) -> int:
        """How many files have not settled yet."""
        return len(self._settling)

    def next_due(self) -> float | None:
        """When the next waiting file must be looked at, or what is new written down."""
        look = self._settling.next_due()
        if not self._settling.has_news:
            return look
        tell = self._told + _NEWS_SECONDS
        return tell if look is None else min(look, tell)

    # --- found ----------------------------------------------------------------------------------

    def found(self, entries: Sequence[Entry], now: float) -> None:
        """Take up what a scan has met: known files cost a comparison, new ones begin to wait."""
        keys = [key_of(entry.path, entry.size, entry.mtime_ns) for entry in entries]
        for entry, known in zip(entries, self.known.meets(keys), strict=True):
            if not known:
                self._take_up(entry, now, closed=False)

    def touched(self, path: bytes, now: float, *, closed: bool) -> None:
        """Take up a file that an event named."""
        if rules.of_path(path):
            return
        entry = self._entry(path)
        if entry is not None and key_of(entry.path, entry.size, entry.mtime_ns) not in self.known:
            self._take_up(entry, now, closed=closed)

    def _take_up(self, entry: Entry, now: float, *, closed: bool) -> None:
        decision = admit.decide(entry.path, self.row)
        why = entry.why or decision.why
        if why is not None:
            source = Source(self._share.name, entry.path, entry.size, entry.mtime_ns)
            self._ignored.append((source, why))
            self.known.add(key_of(entry.path, entry.size, entry.mtime_ns))
        elif not self._settling.touch(entry.path, now, closed=closed):
            self.refused = True

    def _default(self) -> Options:
        """What the share's profile asks for at this moment."""
        return choices.in_force(self._ledger, self._files).options_for(self._share)

    def folder_file(self, path: bytes) -> None:
        """Somebody wrote a folder's options: say at once when they are wrong."""
        with beneath.root(self._share.root) as root_fd:
            self._options.options(root_fd, path, self._default())

    def unsettled(self, now: float) -> None:
        """Let files settle again that changed while somebody copied them, or we were away."""
        jobs = overdue.unsettled(self._ledger, self._share.name)
        paths, self._leftover = [job.source.path for job in jobs] + self._leftover, []
        self._settle_again(paths, now)
        self.returned(now, since_ms=self._ledger.clock().wall_ms - _LATELY_MS)

    def returned(self, now: float, *, since_ms: int = 0) -> None:
        """Let files settle again that were away just while their job looked for them."""
        jobs = overdue.back_in_place(self._ledger, self._share.name, since_ms=since_ms)
        self._settle_again([job.source.path for job in jobs], now)

    def _settle_again(self, paths: Iterable[bytes], now: float) -> None:
        for path in paths:
            if self._is_missing(path):
                self._gone([path])
            elif path not in self._settling and not self._settling.touch(path, now):
                self._leftover.append(path)

    # --- settled --------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Look at the waiting files; those that are complete become jobs."""
        ready = list(self._settling.settled(now))
        told_enough = not self._settling.has_news or now - self._told < _NEWS_SECONDS
        if told_enough and not (ready or self._ignored):
            return
        if not self._sure():
            for source in ready:
                self._settling.touch(source.path, now)
            return
        self._write_down(self._settling.news())
        for start in range(0, len(ready), _BATCH):
            self._admit(ready[start : start + _BATCH])
        self._told = now

    def _write_down(self, news: Iterable[News]) -> None:
        """Note what is new about files that have no job yet."""
        rows: dict[bytes, _Row] = {}
        for source, why in self._ignored:
            rows[source.path] = (source, sightings.IGNORED, why, admit.new_correlation())
        self._ignored.clear()
        for item in news:
            rows[item.source.path] = (item.source, item.state, None, admit.new_correlation())
        told = list(self._tellable(list(rows.values())))
        sightings.note_many(self._ledger, list(rows.values()))
        for source, state, rule, correlation in told:
            log.info(state, extra={**_facts(source, correlation), "why": rule})
        if len(rows) > _LOGGED:
            log.info("more files were seen", extra={"files": len(rows) - _LOGGED})
        self._beat()

    def _tellable(self, rows: Sequence[_Row]) -> Iterator[_Row]:
        """What the log says of files before they are written down: nothing twice, few of many."""
        for source, state, why, correlation in rows[:_LOGGED]:
            before = sightings.get(self._ledger, source.share, source.path)
            if before is None or before.state != state:
                yield source, state, why, before.correlation if before else correlation

    def _admit(self, ready: Sequence[Source]) -> None:
        born = []
        wishes = [self._wish(source.path) for source in ready]  # before the ledger is locked
        with self._ledger.writing():
            for source, options in zip(ready, wishes, strict=True):
                self._forget_signature(source.path)
                self.known.add(key_of(source.path, source.size, source.mtime_ns))
                if options is None:
                    self._ignored.append((source, "notranscribe"))
                    continue
                job = admit.admit(self._ledger, source, options)
                if job is not None:
                    born.append(job)
        self._write_down(())
        for job in born:
            facts = _facts(job.source, job.correlation)
            log.info("settled", extra=facts)
            log.info("admitted", extra={**facts, **job.about})
        for job in born[:_RINGS]:
            self._ring(job.id)

    def _wish(self, path: bytes) -> Options | None:
        """What a recording is asked for; None where a folder above it says that it is not ours."""
        self._beat()
        with beneath.root(self._share.root) as root_fd:
            if _left_alone(root_fd, path):
                return None
            return self._options.options(root_fd, path, self._default())

    def _forget_signature(self, path: bytes) -> None:
        seen = sightings.get(self._ledger, self._share.name, path)
        if seen is not None:
            self.known.drop(key_of(seen.path, seen.size, seen.mtime_ns))

    # --- missing --------------------------------------------------------------------------------

    def deleted(self, path: bytes) -> None:
        """An event says that this file is gone: look, and believe the look."""
        seen = sightings.get(self._ledger, self._share.name, path)
        if seen is not None and seen.state != sightings.GONE and self._is_missing(path):
            self._gone([path])

    def _gone(self, paths: Sequence[bytes]) -> None:
        """Write down that files are gone, if the share is still here."""
        for start in range(0, len(paths), _BATCH):
            self._beat()
            if not self._sure():
                return
            with self._ledger.writing():
                for path in paths[start : start + _BATCH]:
                    self._forget_signature(path)
                    admit.gone(self._ledger, self._share.name, path)

    def missing(self, blind: Sequence[bytes]) -> int:
        """Take up what a full scan has not met; `blind` are the folders it did not look into.

        Returns 0, or how many files have vanished when they are so many that a second scan
        must say the same before it is believed.
        """
        unmet = self.known.unmet()
        if not len(unmet):
            self._suspected = None
            return 0
        paths, stale = [], []
        for count, seen in enumerate(sightings.of_share(self._ledger, self._share.name)):
            if count % 1_000 == 0:
                self._beat()
            key = key_of(seen.path, seen.size, seen.mtime_ns)
            if within(unmet, key) and not _lies_in(seen.path, blind):
                if self._is_missing(seen.path):
                    paths.append(seen.path)
                elif self._is_other(seen.path, key):
                    stale.append(key)
        for key in stale:
            self.known.drop(key)
        print_of_them = np.sort(unmet).tobytes()
        many = len(paths) > _MANY and len(paths) * 2 > len(self.known)
        if many and self._suspected != print_of_them:
            self._suspected = print_of_them
            return len(paths)
        self._suspected = None
        self._gone(paths)
        return 0

    def notes(self) -> None:
        """Try again what somebody asks for by deleting the error file beside it."""
        for note in list(exports.error_notes(self._ledger, self._share.name)):
            recording = admit.source_of(self._ledger, note)
            if recording is None or not self._is_missing(note.path):
                continue
            if not self._is_missing(recording.path) and self._sure():
                job = admit.try_again(self._ledger, note)
                if job is not None:
                    self._ring(job.id)

    # --- looking --------------------------------------------------------------------------------

    def _look(self, path: bytes) -> Glance | None:
        self._beat()
        return look_at(
            self._share.name,
            self._share.root,
            path,
            local=self._mount.is_local,
            holes_tell=self._mount.counts_blocks,
        )

    def _entry(self, path: bytes) -> Entry | None:
        try:
            with beneath.root(self._share.root) as root_fd:
                found = os.stat(path, dir_fd=root_fd, follow_symlinks=False)
        except OSError:
            return None
        mode = found.st_mode
        why = "link" if stat.S_ISLNK(mode) else None if stat.S_ISREG(mode) else "not-regular"
        if stat.S_ISDIR(mode):
            return None
        return Entry(path, found.st_size, mtime_ns_of(found), why)

    def _is_missing(self, path: bytes) -> bool:
        """Whether the file is not there: any other trouble than ENOENT says nothing.

        Raises OSError when the root itself is away.
        """
        self._beat()
        with beneath.root(self._share.root) as root_fd:
            try:
                os.stat(path, dir_fd=root_fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return True
            except OSError:
                return False
        return False

    def _is_other(self, path: bytes, key: int) -> bool:
        entry = self._entry(path)
        return entry is None or key_of(entry.path, entry.size, entry.mtime_ns) != key


def _facts(source: Source, correlation: str) -> dict[str, object]:
    """What the log says of a file."""
    facts = {"recording": display(source.path), "size": source.size}
    return {"share": source.share, "correlation": correlation, **facts}


def _lies_in(path: bytes, folders: Sequence[bytes]) -> bool:
    return any(folder in (b"", path) or path.startswith(folder + b"/") for folder in folders)


def _left_alone(root_fd: int, path: bytes) -> bool:
    """Whether a folder above this file says that it is not ours."""
    parts = path.split(b"/")[:-1]
    for count in range(len(parts) + 1):
        marked = os.path.join(b"/".join(parts[:count]), LEAVE_ALONE)
        try:
            os.stat(marked, dir_fd=root_fd, follow_symlinks=False)
        except OSError:
            continue
        return True
    return False
