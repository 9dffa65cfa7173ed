"""A watched share in a temporary folder: real files, real events, a real ledger.

Not here: any test.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.nouns import display
from appliance.settings import Settings
from appliance.states import State
from appliance.store import jobs, schema, shares, sightings
from appliance.store.ledger import Ledger
from appliance.store.shares import ShareRow
from appliance.watch import adopt
from appliance.watch.rounds import Rounds

PATIENCE = 15.0  # seconds; the machine may be busy


def settings_for(folder: Path, **share: object) -> Settings:
    """A box with one share named `s`."""
    facts = {"name": "s", "root": str(folder / "share"), "quiet_seconds": 0.2, **share}
    return Settings.model_validate({"node": {"state_dir": str(folder / "state")}, "share": [facts]})


@dataclass
class Watched:
    """One share, its ledger, and the rounds over it, driven by the test."""

    folder: Path
    settings: Settings
    ledger: Ledger = field(init=False)
    rung: list[int] = field(default_factory=list)
    _skipped: float = 0.0

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        schema.prepare(self.settings.state_dir)
        self.ledger = Ledger(self.settings.state_dir)
        self._wake = threading.Event()
        self.rounds = self._new_rounds()

    def _new_rounds(self) -> Rounds:
        share = self.settings.share[0]
        return Rounds(self.ledger, self.settings, share, ring=self.rung.append, wake=self._wake.set)

    @property
    def root(self) -> Path:
        """The share's folder."""
        return self.folder / "share"

    def adopt(self, existing: str = "process") -> None:
        """What `appliance share adopt` does."""
        adopt(self.ledger, self.settings.share[0], existing=existing)

    def restart(self) -> None:
        """Stop watching and begin anew, as after a reboot."""
        self.rounds.close()
        self.rounds = self._new_rounds()

    def close(self) -> None:
        self.rounds.close()
        self.ledger.close()

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped += seconds

    def step(self) -> None:
        pause = self.rounds.step(time.monotonic() + self._skipped)
        self._wake.wait(min(pause, 0.02))
        self._wake.clear()

    def until(self, claim: Callable[[], bool]) -> None:
        """Go on until the claim holds; fail when it does not come true."""
        begun = time.monotonic()
        while not claim():
            assert time.monotonic() - begun < PATIENCE, (self.jobs, self.sightings, self.row)
            self.step()

    def go_on(self, seconds: float) -> None:
        """Go on for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.step()

    def look_again(self) -> None:
        """Let the time of a full scan come, and wait for its end."""
        before = self.row.scanned_ms
        time.sleep(0.002)
        self.skip(1000)
        self.until(lambda: self.row.scanned_ms not in (None, before))

    def drop(self, name: str | bytes, content: bytes = b"sound") -> Path:
        """Put a file into the share."""
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
        return Path(os.fsdecode(path))

    @property
    def row(self) -> ShareRow:
        return shares.get(self.ledger, "s")

    @property
    def jobs(self) -> dict[str, State]:
        """The newest job of each path."""
        return {
            display(job.source.path): job.state
            for job in jobs.listing(self.ledger, newest=False, limit=10_000)
        }

    @property
    def sightings(self) -> dict[str, str]:
        """What is known of each path: its state, or the rule against it."""
        return {
            display(seen.path): seen.why or seen.state
            for seen in sightings.of_share(self.ledger, "s")
        }

    def queued(self, *names: str) -> bool:
        """Whether exactly these have a job in the queue."""
        return self.jobs == dict.fromkeys(names, State.QUEUED)
