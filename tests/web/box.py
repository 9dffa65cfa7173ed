"""A box with something in every state and names that want to break the page.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from appliance import daemon, wire
from appliance.errors import (
    ApplianceError,
    DecoderCrash,
    EngineLost,
    NoAudioTrack,
    ShareOffline,
    SourceMissing,
)
from appliance.nouns import Notice, Options, Source
from appliance.settings import Settings
from appliance.states import Stage, State, Verdict
from appliance.store import exports, gates, jobs, schema, shares, sightings, transcripts
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.export import speech

HOSTILE = (
    b"<script>alert(1)</script>.mp4",
    b"line\nbreak\tand\x1b[31m.mp3",
    "invoice\u202egpj.mp3".encode(),
    "محضر الاجتماع.wav".encode(),
    b"caf\xe9 \xff\xfe.ogg",
    b'" onmouseover="alert(1).flac',
    b"{{ 7*7 }} {% raw %}.m4a",
    b"a-very-long-name-without-any-place-to-break-" * 4 + b".mp3",
)
WELL = Options(model="selftest")


def settings_of(folder: str, **more: object) -> Settings:
    """Two shares below `folder`, and a state directory."""
    named = [{"name": name, "root": os.path.join(folder, name)} for name in ("meetings", "archive")]
    return Settings.model_validate(
        {"node": {"state_dir": os.path.join(folder, "state")}, "share": named, **more}
    )


@dataclass
class Box:
    """A ledger, and the hands that fill it."""

    settings: Settings
    ledger: Ledger

    @classmethod
    def made(cls, settings: Settings) -> Box:
        """A box whose two shares are well and which has nothing to do."""
        schema.prepare(settings.state_dir)
        box = cls(settings, Ledger(settings.state_dir))
        for share in settings.share:
            shares.adopt(box.ledger, share.name, marker="m", existing="process")
            shares.seen(box.ledger, share.name, state="online", method="events+scan")
            shares.scanned(box.ledger, share.name, old_files=0)
        return box

    def add(self, path: bytes, *, share: str = "meetings", size: int = 48_000_000) -> Job:
        """A queued job."""
        job = jobs.add(
            self.ledger, Source(share, path, size, 1), WELL, correlation="c0ffee", who="watch"
        )
        assert job is not None
        return job

    def run(self, path: bytes, **more: str) -> Job:
        """A job in work."""
        job = jobs.claim(self.ledger, self.add(path, **more).id, owner="w1")  # type: ignore[arg-type]
        assert job is not None
        return jobs.enter(self.ledger, job, Stage.TRANSCRIBE, duration=3725.0)

    def stop(self, path: bytes, error: ApplianceError, state: State) -> Job:
        """A job that an error stopped."""
        verdict = Verdict(state, 90.0)
        return jobs.end(self.ledger, self.run(path), verdict, error, who="w1", rss_peak=90_000_000)

    def finish(self, path: bytes, *warnings: Notice, share: str = "meetings") -> Job:
        """A finished job with its transcript and two files."""
        job = self.run(path, share=share)
        said = speech.transcript(
            speech.segment(" Good morning, everybody.", 0.0, 2.5),
            speech.segment(f" {speech.HOSTILE}", 2.5, 9.0, index=1),
            name="talk.mp4",
        )
        said = replace(said, warnings=tuple(warnings))
        transcripts.record(self.ledger, job, said, asked_sha256=str(job.id))
        for suffix in (".srt", ".txt"):
            file = os.path.splitext(path)[0] + suffix.encode()
            facts = {"format_": suffix[1:], "suffix": suffix, "sha256": "0" * 64, "size": 1234}
            exports.intend(self.ledger, job, path=file, **facts)  # type: ignore[arg-type]
            exports.published(self.ledger, job, file)
        return jobs.finish(self.ledger, job, warnings, rss_peak=120_000_000)

    def progress(self, facts: dict[int, dict[str, object]]) -> None:
        """What running jobs say of themselves."""
        folder = os.path.join(self.settings.run_dir, "owners")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "w1.json"), "w", encoding="ascii") as stream:
            json.dump(facts, stream)

    def every_state(self) -> dict[State, Job]:
        """Something in every state, under the worst names there are."""
        found = {
            State.DONE: self.finish(HOSTILE[0], Notice("warning.low-confidence", {"percent": 31})),
            State.FAILED: self.stop(
                HOSTILE[1], NoAudioTrack(name=os.fsdecode(HOSTILE[1])), State.FAILED
            ),
            State.DEAD: self.stop(HOSTILE[2], DecoderCrash(times=3), State.DEAD),
            State.RETRY_WAIT: self.stop(HOSTILE[3], EngineLost(), State.RETRY_WAIT),
            State.SOURCE_MISSING: self.stop(HOSTILE[4], SourceMissing(), State.SOURCE_MISSING),
            State.WAITING: self.stop(
                b"2026/board.mp4", ShareOffline(share="archive"), State.WAITING
            ),
            State.RUNNING: self.run(HOSTILE[5]),
            State.QUEUED: self.add(HOSTILE[6]),
            State.CANCELLED: self._moved(b"no.wav", State.CANCELLED),
            State.HELD: self._moved(b"later.wav", State.HELD),
        }
        for state in (State.DISCOVERED, State.SKIPPED):
            job = self.stop(b"odd-%s.wav" % state.encode(), SourceMissing(), State.DISCOVERED)
            moved = job if state is job.state else jobs.move(self.ledger, job, state, who="t")
            found[state] = moved
        running = found[State.RUNNING].id
        facts = {"stage": "transcribe", "began": time.time() - 120, "done": 900.0, "total": 3725.0}
        facts["left"] = 377.0
        self.progress({running: facts})
        self._arriving(HOSTILE[7], b"big.mkv")
        return found

    def _moved(self, path: bytes, state: State) -> Job:
        return jobs.move(self.ledger, self.add(path), state, who="t")

    def _arriving(self, *paths: bytes) -> None:
        for path in paths:
            source = Source("meetings", path, 1_200_000_000, 1)
            sightings.note(self.ledger, source, sightings.RECEIVING, correlation="c")


def named_codes(seen: Iterable[dict[str, str]]) -> set[str]:
    """The codes among the needs of a status."""
    return {need["code"] for need in seen if need["code"]}


class Door:
    """An engine that only opens its door; a worker and a watch that only live."""

    def __init__(self, settings: Settings) -> None:
        os.makedirs(settings.run_dir, exist_ok=True)
        self._alive = contextlib.ExitStack()
        self._alive.enter_context(daemon.only_one(settings.state_dir, "worker"))
        self._alive.enter_context(daemon.only_one(settings.run_dir, "watch"))
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.bind(settings.engine_socket)
        self._sock.listen(64)
        wire.connect(settings.engine_socket, patience=1.0).close()

    def close(self) -> None:
        """Shut it."""
        self._sock.close()
        self._alive.close()


def close_gate(box: Box, error: ApplianceError) -> None:
    """Close the gate of this error."""
    gates.close(box.ledger, error)
