"""A recording of 3 GB sent to the box, cut in its middle and gone on with: in how much memory?

It is made piece by piece while it is sent, and held whole by nobody. Half of it goes, the line
breaks; the same key finds the upload again; the rest goes; the same key finds the job. Bars: the
server's peak grows by 64 MB at most, what lies there is what was sent, and it is one job.

Not here: many small ones at once (crowd).
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import httpx

from appliance.nouns import UPLOADS
from appliance.store import jobs
from tests.proof import Figure
from tests.proof.served import Served, on, served

GB: Final = 1 << 30
MB: Final = 1 << 20
GROWTH_MB: Final = 64
_AT: Final = "/api/v1/uploads"
_PATIENCE: Final = 60.0


class Cut(Exception):
    """The sender's line breaks."""


def run(*, size: int = 3 * GB) -> Iterator[Figure]:
    """Send it, cut it, go on, send it again."""
    with served(0) as box, box.program() as client:
        yield on()
        client.get("/healthz")
        before = box.peak_mb()
        begun = time.perf_counter()
        address = _opened(client, size).headers["location"]
        _cut_in_the_middle(client, address, size)
        again = _opened(client, size)
        at = _here(client, address)
        told = f"{at / MB:.0f} of {size / MB:.0f} MB were there"
        yield Figure("cut in the middle", told, "some", met=0 < at < size)
        same = again.headers.get("location") == address
        yield Figure("the same key finds the upload", str(same), "True", met=same)
        answer = _patch(client, address, at, pieces(size, at))
        seconds = time.perf_counter() - begun
        grown = box.peak_mb() - before
        met = answer.status_code == HTTPStatus.NO_CONTENT
        yield Figure("the rest is taken", str(answer.status_code), "204", met=met)
        told = f"{grown:.0f} MB, from {before:.0f} MB"
        yield Figure(
            "the server's memory grew by", told, f"<= {GROWTH_MB} MB", met=grown <= GROWTH_MB
        )
        yield Figure("sent in", f"{seconds:.0f} s", "told", met=True)
        row: dict[str, Any] = client.get(address).json()
        yield from _one_job(box, client, row, size)


def _one_job(box: Served, client: httpx.Client, row: dict[str, Any], size: int) -> Iterator[Figure]:
    number = int(row["job"] or 0)
    whole = row["complete"] and _lies_there(box, number) == _digest(size)
    yield Figure("what lies there is what was sent", str(whole), "True", met=bool(whole))
    third = _opened(client, size)
    told = third.json().get("job")
    yield Figure("the same key once more", f"job {told}", f"job {number}", met=told == number)
    count = len(jobs.listing(box.ledger))
    yield Figure("jobs", str(count), "1", met=count == 1)


def pieces(size: int, start_at: int = 0) -> Iterator[bytes]:
    """`size` bytes of a recording, from `start_at` on; none like the one before it."""
    block = hashlib.shake_256(b"a recording").digest(MB)
    at = start_at
    while at < size:
        here = at % MB
        piece = (at // MB).to_bytes(8) + block[8:]
        yield piece[here : here + min(size - at, MB - here)]
        at += min(size - at, MB - here)


def _digest(size: int) -> str:
    hashed = hashlib.sha256()
    for piece in pieces(size):
        hashed.update(piece)
    return hashed.hexdigest()


def _lies_there(box: Served, number: int) -> str:
    path = jobs.must(box.ledger, number).source.path
    with open(os.path.join(os.fsencode(box.box.settings.state(UPLOADS)), path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(client: httpx.Client, size: int) -> httpx.Response:
    name = base64.b64encode(b"long.wav").decode()
    head = {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    return client.post(_AT, headers={**head, "Idempotency-Key": "the long one"})


def _patch(client: httpx.Client, address: str, at: int, body: Iterator[bytes]) -> httpx.Response:
    head = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    return client.patch(address, headers=head, content=body)


def _cut_in_the_middle(client: httpx.Client, address: str, size: int) -> None:
    def half() -> Iterator[bytes]:
        for count, piece in enumerate(pieces(size)):
            if count * MB >= size // 2:
                raise Cut
            yield piece

    try:
        _patch(client, address, 0, half())
    except Cut:
        return
    raise AssertionError("the line did not break")


def _here(client: httpx.Client, address: str) -> int:
    """Where it stands, once what was still on its way has been taken in."""
    before, at, until = -1, 0, time.monotonic() + _PATIENCE
    while before != at and time.monotonic() < until:
        before, at = at, int(client.head(address).headers["upload-offset"])
        time.sleep(0.5)
    return at
