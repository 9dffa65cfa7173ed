"""Playing a recording: its bytes, as ranges of them are asked for.

This process never opens a file of a share: a porter reads it out and is killed when its file
server hangs (appliance.porter). A piece at a time is in memory, and so many are read out at
once, at most: each holds a thread, and the rest of the pages must go on. Who asks for
everything from some place on gets a part and asks again, so that a player that pauses holds
nothing.

Not here: what a pass is (passes), the page around the player (pages).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Generator, Iterator, Mapping
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import quote

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestedRangeNotSatisfiable, ServiceUnavailable

from appliance.errors import LinkRefused, NotRegular, ShareOffline, SourceChanged, SourceMissing
from appliance.nouns import display
from appliance.porter import Porters
from appliance.rights import Right, Sight, of_person
from appliance.settings import Settings
from appliance.store import accounts, audit, jobs, shares
from appliance.store.jobs import Job
from web import db, passes, words
from web.access import sees
from web.access.asker import asker, person

bp = Blueprint("media", __name__)

AT_ONCE: Final = 8  # of the threads that serve pages
_PATIENCE: Final = 3.0  # seconds to wait for one of them
_SILENCE: Final = 15.0  # a person waits at the other end
_PART: Final = 4 * 1024 * 1024  # bytes: what is sent of "from here on"
_STALLED: Final = 60.0  # seconds in which a listener takes nothing: their thread is wanted back

# Ours, and not what a stranger's file says of itself. `video` shows pictures.
_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("wav", "wave"), "audio/wav"),
    "mp3": "audio/mpeg",
    **dict.fromkeys(("m4a", "m4b"), "audio/mp4"),
    "aac": "audio/aac",
    "flac": "audio/flac",
    **dict.fromkeys(("ogg", "oga", "opus"), "audio/ogg"),
    "mka": "audio/x-matroska",
    **dict.fromkeys(("mp4", "m4v", "mov"), "video/mp4"),
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "ogv": "video/ogg",
    **dict.fromkeys(("mpg", "mpeg"), "video/mpeg"),
}
_ANY: Final = "application/octet-stream"
_GONE: Final = (SourceMissing, SourceChanged, LinkRefused, NotRegular)


def type_of(name: bytes) -> str:
    """The media type of a recording, by the end of its name."""
    suffix = os.path.splitext(display(name))[1].removeprefix(".").lower()
    return _TYPES.get(suffix, _ANY)


def keep_for(app: Flask, settings: Settings) -> None:
    """Give the app its porters; the first is started when somebody wants to listen."""
    app.extensions["appliance.listening"] = Listening(settings)


def close(app: Flask) -> None:
    """Kill the porters, when the app's process ends."""
    cast(Listening, app.extensions["appliance.listening"]).close()


class Listening:
    """The porters of this process, and how many may be read out by at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = threading.Lock()
        self._porters: Porters | None = None
        self.places = threading.BoundedSemaphore(AT_ONCE)

    def porters(self) -> Porters:
        """Them, started by the first who asks."""
        with self._guard:
            if self._porters is None:
                self._porters = Porters(self._settings, silence=_SILENCE)
            return self._porters

    def close(self) -> None:
        """Kill them."""
        with self._guard:
            if self._porters is not None:
                self._porters.close()
                self._porters = None


def listening() -> Listening:
    """Those of this request's app."""
    return cast(Listening, current_app.extensions["appliance.listening"])


# --- addresses ----------------------------------------------------------------------------------


@bp.get("/jobs/<int:number>/media")
def play(number: int) -> ResponseReturnValue:
    """The recording of a job, whole or a range of it."""
    return _served(jobs.get(db.ledger(), number, shares=sees()) or abort(404))


@bp.post("/jobs/<int:number>/pass")
def hand_out(number: int) -> ResponseReturnValue:
    """A pass, for a player outside this browser."""
    job = jobs.get(db.ledger(), number, shares=sees()) or abort(404)
    text = passes.made(job.id, person().account.id)
    audit.add(db.ledger(), asker().actor, "pass-made", str(job.id), share=job.source.share)
    address = url_for("media.play_elsewhere", text=text, _external=True)
    minutes = passes.SECONDS // 60
    return render_template("text/pass.html", job=job, address=address, minutes=minutes)


@bp.get("/listen/<text>")
def play_elsewhere(text: str) -> ResponseReturnValue:
    """The recording that a pass is for, while whoever made it may still see it."""
    found = passes.read(text) or abort(404)
    account = accounts.get(db.ledger(), found.account) or abort(404)
    granted = of_person(account.role, account.grants).shares(Right.READ)
    seen = None if granted is None else Sight(granted, f"user:{account.name}")
    return _served(jobs.get(db.ledger(), found.job, shares=seen) or abort(404))


# --- serving ------------------------------------------------------------------------------------


def _served(job: Job) -> Response:
    """The answer: 200, 206, 304, 416; 404 for a file that is not there as it was, 503."""
    size = job.source.size
    response = Response(mimetype=type_of(job.source.name))
    response.accept_ranges = "bytes"
    response.set_etag(f"{job.source.mtime_ns & (1 << 64) - 1:x}-{size:x}")
    name = quote(words.name(job.source.name), safe="")  # RFC 8187: a header is ASCII
    response.headers["Content-Disposition"] = f"inline; filename*=UTF-8''{name}"
    # Whatever it is: a browser that were to show it as a page would run nothing of it.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    etag = response.get_etag()[0] or ""
    if request.if_none_match.contains(etag):
        response.status_code = HTTPStatus.NOT_MODIFIED
        return response
    part = _wanted(size, etag)
    first, until = part or (0, size)
    if part is not None:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response.content_range.set(first, until, size)
    response.content_length = until - first
    if request.method != "HEAD" and until > first:
        pieces = _pieces(job, first, until)
        head = next(pieces)  # what fails at the beginning is told as an error
        response.response = _after(head, pieces, request.environ.get("gunicorn.socket"))
        response.call_on_close(pieces.close)
    return response


def _wanted(size: int, etag: str) -> tuple[int, int] | None:
    """The range that is asked for, and what of that is sent; None: all of it."""
    asked = request.range
    same = request.if_range.etag in (None, etag) and request.if_range.date is None
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1 or not same:
        return None
    begins, ends = asked.ranges[0]
    if begins < 0:
        return max(0, size + begins), size  # so many from the end
    if begins >= size:
        raise RequestedRangeNotSatisfiable(length=size)
    return begins, min(size, begins + _PART if ends is None else ends)


def _pieces(job: Job, first: int, until: int) -> Generator[bytes]:
    """The bytes, read out by a porter. Raises share.* and 503 where nothing can be."""
    share = db.settings().share_named(job.source.share)
    if share is None or shares.get(db.ledger(), share.name).state == "offline":
        raise ShareOffline(share=job.source.share)
    here = listening()
    if not here.places.acquire(timeout=_PATIENCE):
        raise ServiceUnavailable("Too many people listen at once; try again.")
    try:
        reading = here.porters().read(job, share, first, until)
        try:
            yield from reading
        except _GONE:
            abort(404)
        finally:
            reading.close()
    finally:
        here.places.release()


def _after(head: bytes, pieces: Iterator[bytes], sock: socket.socket | None) -> Iterator[bytes]:
    """The first piece and the others, as long as somebody takes them at the other end."""
    if sock is not None:
        sock.settimeout(_STALLED)
    try:
        yield head
        yield from pieces
    finally:
        if sock is not None:
            with contextlib.suppress(OSError):  # they hung up
                sock.settimeout(None)
