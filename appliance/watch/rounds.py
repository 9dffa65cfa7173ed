"""What a share's child does, and when: is the share well, what has happened, scan, admit.

Time is an argument (seconds of a monotonic clock); a step does a slice of what is due
and says how long it may sleep. Nothing that was seen is believed while the share is not
online: no scan counts, nothing is missing, no job is born.

Not here: what becomes of a file (finds), the process around it (share).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance import admit, beneath, marker
from appliance.admit import rules
from appliance.admit.folder import NAME as FOLDER_FILE
from appliance.errors import ApplianceError, ShareError, ShareOffline, ShareWrongMarker
from appliance.settings import Settings, Share
from appliance.store import gates, restores, shares
from appliance.store.ledger import Ledger
from appliance.watch import standing
from appliance.watch.adoption import adopt
from appliance.watch.finds import Finds, Ring
from appliance.watch.hints import Hints, What
from appliance.watch.probe import Patience, writable
from appliance.watch.scan import LEAVE_ALONE, Piece, Scanner
from appliance.watch.standing import Standing

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 5.0  # how often we make sure of the share
CHANGES_SECONDS: Final = 30.0  # local: folders whose mtime moved
DEGRADED_SECONDS: Final = 10.0  # the same, when events cannot be had for every folder
FULL_SECONDS: Final = 900.0  # local: everything
NETWORK_SECONDS: Final = 10.0  # network: everything, or 20 times as long as it takes
_SLICE_SECONDS: Final = 0.2
_BREATH_SECONDS: Final = 1.0
_SUBTREES: Final = 1_000


@dataclass(slots=True)
class _Scan:
    """A scan under way."""

    pieces: Iterator[Piece]
    full: bool
    began: float
    blind: list[bytes]
    recordings: int = 0


class Rounds:
    """The work of one share's child."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        share: Share,
        *,
        ring: Ring,
        beat: Callable[[], None] = lambda: None,
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._share = share
        self._ring = ring
        self._beat = beat
        self._wake = wake
        self._clock = clock  # only to cut a scan into slices
        self._standing: Standing | None = None
        self._told: tuple[str, str | None, str | None] | None = None
        self._finds: Finds | None = None
        self._hints: Hints | None = None
        self._scanner = Scanner(share.root)
        self._scan: _Scan | None = None
        self._subtrees: list[bytes] = []
        self._check_due = self._changes_due = self._full_due = self._listen_due = 0.0
        self._patience = Patience()  # with a gate that others closed
        self._took = 0.0  # seconds of the last full scan
        self._suspect: str | None = None

    def step(self, now: float) -> float:
        """Do a slice of what is due; return the seconds until something is due again."""
        self._beat()
        try:
            if now >= self._check_due:
                self._check(now)
            if self._finds is None:
                return max(self._check_due - now, 0.0)
            return self._work(self._finds, now)
        except OSError as trouble:  # the root went away under our hands: begin anew
            log.warning("share %s: %s", self._share.name, trouble.strerror)
            self._leave()
            self._standing, self._check_due = None, now
            return _BREATH_SECONDS

    def _work(self, finds: Finds, now: float) -> float:
        self._listen(finds, now)
        self._begin_scan(finds, now)
        self._go_on(finds, now)
        finds.settle(now)
        return self._pause(finds, now)

    def close(self) -> None:
        """Let go of the share."""
        self._leave()

    def _pause(self, finds: Finds, now: float) -> float:
        if self._scan is not None or self._subtrees:
            return 0.0
        dues = [self._check_due, self._full_due, self._changes_due, finds.next_due()]
        return max(min(due for due in dues if due is not None) - now, 0.0)

    # --- is it well -----------------------------------------------------------------------------

    def _check(self, now: float) -> None:
        """Make sure of the share; begin anew when it, or its adoption, is not what it was."""
        self._check_due = now + CHECK_SECONDS
        before, found = self._standing, self._look()
        self._standing = found
        if not found.online:
            self._leave()
        elif before is None or not before.online or before.identity != found.identity:
            self._leave()
            self._enter(found, now)
        elif self._finds is not None:
            self._look_after(self._finds, now)
        self._tell(now)

    def _look(self) -> Standing:
        return standing.look(self._share, marker.expected(self._ledger, self._share))

    def _sure(self) -> bool:
        """Look once more, right before something is believed."""
        found = self._look()
        same = self._standing is not None and found.identity == self._standing.identity
        if not (found.online and same):
            self._check_due = 0.0
        return found.online and same

    def _enter(self, found: Standing, now: float) -> None:
        """The share is (back) here: listen to it, and look at everything."""
        self._finds = Finds(
            self._ledger,
            self._settings,
            self._share,
            found.mount,
            sure=self._sure,
            ring=self._ring,
            beat=self._beat,
        )
        self._full_due = now
        self._changes_due = now + CHANGES_SECONDS
        self._listen_anew(now)

    def _leave(self) -> None:
        self._finds = None
        self._scan = None
        self._suspect = None
        self._subtrees.clear()
        self._deafen()

    def _look_after(self, finds: Finds, now: float) -> None:
        """See to what lasts: files that must settle again, adoption, the events."""
        finds.unsettled(now)
        row = shares.get(self._ledger, self._share.name)
        if row.adopted_ms != finds.row.adopted_ms:
            finds.remember()
            self._full_due = now
        if row.rescan_ms is not None and self._scan is None:
            shares.scan_begins(self._ledger, self._share.name)
            self._full_due = now
        if self._hints is not None and not self._hints.alive:
            log.warning("share %s: the events have stopped; listening anew", self._share.name)
            self._listen_anew(now)
            self._full_due = now

    def _tell(self, now: float) -> None:
        """Write down how the share is, and open or close its gate."""
        found = self._standing
        if found is None:
            return
        name = self._share.name
        state, why = ("suspect", self._suspect) if self._suspect else (found.state, found.why)
        told = (state, why, self.method if found.online else None)
        if told != self._told:
            log.info("share %s: %s%s", name, state, f" ({why})" if why else "")
        known = shares.get(self._ledger, name)  # while we hung the supervisor has spoken for us
        if told != self._told or (known.state, known.why) != (state, why):
            shares.seen(self._ledger, name, state=state, why=why, method=told[2])
        self._told = told
        gate = gates.named(self._ledger, f"share:{name}")
        if found.error is not None and (gate is None or gate.error.code != found.error.code):
            gates.close(self._ledger, found.error)
        elif found.error is None and gate is not None and self._may_open(gate.error, now):
            gates.open_again(self._ledger, gate.name)

    def _may_open(self, error: ApplianceError, now: float) -> bool:
        """Whether what closed the gate of a share that is online is over. Others close it too."""
        if not self._patience.is_due(now):
            return False
        return isinstance(error, ShareOffline | ShareWrongMarker) or writable(self._share.root)

    # --- events ---------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """How we find files in this share, for people."""
        if self._hints is None:
            return "scan"
        return "events+scan" if not self._degraded else "scan (too few watches for events)"

    @property
    def _degraded(self) -> bool:
        watches = self._hints.watches if self._hints is not None else None
        return watches is not None and watches < self._scanner.folders * 0.99

    @property
    def _hard_of_hearing(self) -> bool:
        """Whether events come for a part of the folders at best."""
        return self._local and (self._hints is None or self._degraded)

    @property
    def _changes_pause(self) -> float:
        return DEGRADED_SECONDS if self._hard_of_hearing else CHANGES_SECONDS

    @property
    def _local(self) -> bool:
        return self._standing is not None and self._standing.mount.is_local

    def _listen_anew(self, now: float) -> None:
        """Ask the kernel for events, once more; without them the scans go on alone."""
        self._deafen()
        self._listen_due = now + FULL_SECONDS
        if not self._local:
            return
        try:
            hints = Hints(self._share.root, self._wake)
            hints.start(self._beat)
        except OSError as error:
            log.warning("share %s: no events: %s", self._share.name, error.strerror)
        else:
            self._hints = hints

    def _deafen(self) -> None:
        if self._hints is not None:
            self._hints.stop()
            self._hints = None

    def _listen(self, finds: Finds, now: float) -> None:
        """Follow the hints of the kernel."""
        if self._hints is None:
            return
        heard, overflow = self._hints.take()
        if overflow:
            log.warning("share %s: events were lost; scanning everything", self._share.name)
            self._full_due = now
        for path, what in heard.items():
            self._hear(finds, path, what, now)

    def _hear(self, finds: Finds, path: bytes, what: What, now: float) -> None:
        folder, _, name = path.rpartition(b"/")
        if name == LEAVE_ALONE:
            self._subtrees.append(folder)
        elif name == FOLDER_FILE:
            finds.folder_file(path)
        elif What.FOLDER in what:
            if rules.of_tree(path):
                return
            if What.DELETED in what:  # what lay in it is named by a full scan
                self._full_due = min(self._full_due, now + max(CHECK_SECONDS, 20 * self._took))
            if what & (What.CREATED | What.CLOSED):
                self._subtrees.append(path)
        else:
            if what & (What.CREATED | What.CLOSED):
                finds.touched(path, now, closed=What.CLOSED in what)
            if What.DELETED in what:
                finds.deleted(path)
                if path.endswith(b".ERROR.txt"):
                    finds.notes()
        if len(self._subtrees) > _SUBTREES:
            self._subtrees.clear()
            self._full_due = now

    # --- scans ----------------------------------------------------------------------------------

    def _begin_scan(self, finds: Finds, now: float) -> None:
        """Begin the most thorough scan that is due, when none is under way."""
        if self._scan is not None:
            return
        if finds.refused and finds.waiting < 5_000:
            self._full_due = now
        if now >= self._full_due:
            finds.refused = False
            finds.known.begin()
            self._subtrees.clear()
            self._scan = _Scan(self._scanner.full(), True, now, [])
        elif self._subtrees:
            self._scan = _Scan(self._scanner.below(self._subtrees.pop()), False, now, [])
        elif self._local and now >= self._changes_due:
            self._scan = _Scan(self._scanner.changes(), False, now, [])
            self._changes_due = now + self._changes_pause

    def _go_on(self, finds: Finds, now: float) -> None:
        """Take a slice of the scan under way; at its end, draw the conclusions."""
        scan = self._scan
        if scan is None:
            return
        until = self._clock() + _SLICE_SECONDS
        for piece in scan.pieces:
            self._beat()
            scan.blind.extend(piece.blind)
            scan.recordings += sum(entry.why is None for entry in piece.entries)
            finds.found(piece.entries, now)
            if self._clock() >= until:
                return
        self._scan = None
        if scan.full:
            self._finish(finds, scan, now)
        elif not self._subtrees:
            finds.notes()

    def _finish(self, finds: Finds, scan: _Scan, now: float) -> None:
        """A full scan is over: if the share is still the same, what it did not meet is gone."""
        self._took = now - scan.began
        often = max(NETWORK_SECONDS, 20 * self._took)
        self._full_due = now + (FULL_SECONDS if self._local else often)
        self._changes_due = now + self._changes_pause if self._local else self._full_due
        if self._hard_of_hearing and now >= self._listen_due:
            self._listen_anew(now)
        if not self._sure():
            self._full_due = now + CHECK_SECONDS
            return
        vanished = finds.missing(scan.blind)
        self._suspect = f"{vanished} files are gone at once" if vanished else None
        if vanished:
            self._full_due = now + NETWORK_SECONDS
        finds.notes()
        finds.returned(now)
        self._conclude(finds, scan.recordings, now)
        self._tell(now)

    def _conclude(self, finds: Finds, recordings: int, now: float) -> None:
        """Note the scan; after the first of a share, adopt it or leave that to a person."""
        row = finds.row
        finds.settle(now)  # writes down what was found and is not wanted
        if row.adopted_ms is None and row.scanned_ms is None:
            forgotten = restores.newest(self._ledger) is not None and self._is_marked()
            wish = admit.existing_files(self._share.existing, recordings, forgotten=forgotten)
            if wish != "ask":
                self._adopt(finds, wish, now)
                return
            log.warning(
                "share %s holds %d recordings: nothing runs until `appliance share adopt %s"
                " --existing ignore|process`",
                *(self._share.name, recordings, self._share.name),
            )
        old = row.old_files if row.scanned_ms is not None else recordings
        shares.scanned(self._ledger, self._share.name, old_files=old)
        finds.row = shares.get(self._ledger, self._share.name)

    def _is_marked(self) -> bool:
        """Whether the share was let in before: it has a marker, or needs none to be ours."""
        with beneath.root(self._share.root) as root_fd:
            return not self._share.require_marker or marker.read(root_fd) is not None

    def _adopt(self, finds: Finds, existing: str, now: float) -> None:
        try:
            adopt(self._ledger, self._share, existing=existing)
        except ShareError as error:
            log.warning("share %s cannot be adopted: %s", self._share.name, error)
            self._full_due = now + CHANGES_SECONDS
            return
        finds.remember()
        self._full_due = now
