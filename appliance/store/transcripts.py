"""Transcripts, recorded once per job, epoch and task, before anything is published.

Not here: rendering one (export), computing one (transcribe).
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from typing import Final

from appliance.nouns import Options, Transcript
from appliance.store import jobs, search
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.values import from_json, to_json

MADE: Final = 0  # by the engine
REGAINED: Final = 1  # read back from an export on a share: who may write there may have forged it
_OF_REGAINED: Final = 2  # of a job that has such a one


def asked(options: Options, model_sha256: str) -> str:
    """A digest of everything that decides what the engine would say: equal asks, equal text."""
    speech = dataclasses.replace(
        options, profile="", formats=(), subtitle_rules="", language_suffix="", task=""
    )
    return hashlib.sha256(to_json(speech) + model_sha256.encode()).hexdigest()


def record(
    ledger: Ledger, job: Job, transcript: Transcript, *, asked_sha256: str, origin: int = MADE
) -> None:
    """Write a transcript down for good, fenced by the job's attempt. A second one is dropped.

    From then on it is what `search` finds of this job. `origin` is MADE or REGAINED. What
    comes after a regained one of the same job may be made of it, and is not reused for
    another job either.
    """
    body = to_json(transcript)
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)  # raises Fenced when somebody newer has the job
        written = db.execute(
            "INSERT INTO transcript (job, epoch, task, source_sha256, asked_sha256, sha256,"
            " body, at_ms, regained) SELECT ?, ?, ?, ?, ?, ?, ?, ?, max(?, coalesce("
            " (SELECT ? FROM transcript WHERE job = ? AND epoch < ? AND regained > 0), 0))"
            " WHERE true ON CONFLICT DO NOTHING",
            [
                *(job.id, job.epoch, transcript.task),
                *(transcript.provenance.source_sha256, asked_sha256),
                hashlib.sha256(body).hexdigest(),
                zlib.compress(body, 6),
                *(ledger.clock().wall_ms, origin, _OF_REGAINED, job.id, job.epoch),
            ],
        ).rowcount
        if written:
            search.index(ledger, job, transcript)


def was_regained(ledger: Ledger, job: Job) -> bool:
    """Tell whether this epoch's transcripts were read back: what was delivered lies there."""
    sql = "SELECT 1 FROM transcript WHERE job = ? AND epoch = ? AND regained = ?"
    return ledger.row(sql, [job.id, job.epoch, REGAINED]) is not None


def of_job(ledger: Ledger, job: Job) -> tuple[Transcript, ...] | None:
    """Every transcript this job's epoch asks for; None while one of them is not recorded."""
    found = [get(ledger, job, task) for task in job.options.tasks]
    return None if None in found else tuple(one for one in found if one is not None)


def get(ledger: Ledger, job: Job, task: str) -> Transcript | None:
    """The transcript of this job's epoch, if it is recorded."""
    row = ledger.row(
        "SELECT body FROM transcript WHERE job = ? AND epoch = ? AND task = ?",
        [job.id, job.epoch, task],
    )
    return None if row is None else _transcript(row["body"])


def same(
    ledger: Ledger, job: Job, *, source_sha256: str, asked_sha256: str, task: str
) -> Transcript | None:
    """A transcript of the same content, asked for in the same way, for `job`.

    Of whatever job, but a regained one only of its own.
    """
    row = ledger.row(
        "SELECT body FROM transcript WHERE source_sha256 = ? AND asked_sha256 = ? AND task = ?"
        " AND (regained = 0 OR job = ?) ORDER BY at_ms LIMIT 1",
        [source_sha256, asked_sha256, task, job.id],
    )
    return None if row is None else _transcript(row["body"])


def _transcript(body: bytes) -> Transcript:
    return from_json(Transcript, zlib.decompress(body))


def forget(ledger: Ledger, job: Job) -> None:
    """Drop all that was said in a recording: its transcripts, their edits, what `search` knows."""
    with ledger.writing() as db:
        search.drop(ledger, job.id)
        for table in ("partial", "revision", "transcript"):
            db.execute(f"DELETE FROM {table} WHERE job = ?", [job.id])
