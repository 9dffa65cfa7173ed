"""Transcripts, recorded once per job, epoch and task, before anything is published.

Not here: rendering one (export), computing one (transcribe).
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib

from appliance.nouns import Options, Transcript
from appliance.store import jobs
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from appliance.values import from_json, to_json


def asked(options: Options, model_sha256: str) -> str:
    """A digest of everything that decides what the engine would say: equal asks, equal text."""
    speech = dataclasses.replace(
        options, profile="", formats=(), subtitle_rules="", language_suffix="", task=""
    )
    return hashlib.sha256(to_json(speech) + model_sha256.encode()).hexdigest()


def record(ledger: Ledger, job: Job, transcript: Transcript, *, asked_sha256: str) -> None:
    """Write a transcript down for good, fenced by the job's attempt. A second one is dropped."""
    body = to_json(transcript)
    with ledger.writing() as db:
        jobs.cancel_asked(ledger, job)  # raises Fenced when somebody newer has the job
        db.execute(
            "INSERT INTO transcript (job, epoch, task, source_sha256, asked_sha256, sha256,"
            " body, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                *(job.id, job.epoch, transcript.task),
                *(transcript.provenance.source_sha256, asked_sha256),
                hashlib.sha256(body).hexdigest(),
                zlib.compress(body, 6),
                ledger.clock().wall_ms,
            ],
        )


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


def same(ledger: Ledger, *, source_sha256: str, asked_sha256: str, task: str) -> Transcript | None:
    """A transcript of the same content, asked for in the same way, of whatever job."""
    row = ledger.row(
        "SELECT body FROM transcript WHERE source_sha256 = ? AND asked_sha256 = ? AND task = ?"
        " ORDER BY at_ms LIMIT 1",
        [source_sha256, asked_sha256, task],
    )
    return None if row is None else _transcript(row["body"])


def _transcript(body: bytes) -> Transcript:
    return from_json(Transcript, zlib.decompress(body))
