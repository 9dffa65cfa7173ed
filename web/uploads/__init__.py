"""Sending recordings to the box, under /api/v1/uploads: in turns (tus 1.0), or in one form.

    form    a form that is read as it comes
    wishes  what it is asked for
    slots   how much may come at once

In turns: `POST` with Upload-Length and Upload-Metadata opens an upload and says its address;
`PATCH` there with Upload-Offset adds bytes; `HEAD` tells how many are here; the last byte makes it
a job. The protocol is tus 1.0 with creation, creation-with-upload, termination and expiration
(tus.io/protocols/resumable-upload). In one go: `POST` a multipart form with a field `file`.

Each sees their own uploads and no other's: 404.

Not here: where the bytes go (appliance.receive), the page with the form (sending).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from flask import Response, abort, jsonify, make_response, request, url_for
from pydantic import BaseModel
from werkzeug.http import http_date

from appliance import receive
from appliance.errors import NotAllowed, TooBig, UploadRefused, UploadsOff
from appliance.nouns import UPLOADS, display
from appliance.receive import Wish
from appliance.rights import Right
from appliance.settings import Settings
from appliance.store import uploads as rows
from appliance.store.uploads import Upload
from web import bell, db, words
from web.access import origin
from web.access.asker import asker
from web.api.document import part, problems
from web.uploads import form, slots, wishes

bp = part("uploads", "Recordings sent to the box.", under="/api/v1/uploads")

VERSION: Final = "1.0.0"
_EXTENSIONS: Final = "creation,creation-with-upload,expiration,termination"
_BYTES: Final = "application/offset+octet-stream"
_LONGEST_KEY: Final = 255
_DAY_MS: Final = 86_400_000
# What may be wrong with bytes that are sent: not from there, not so, not like that, no room.
_REFUSED: Final = (
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.LOCKED,
    HTTPStatus.INSUFFICIENT_STORAGE,
)


class UploadPath(BaseModel):
    """An upload that is somebody's own."""

    upload: str


class UploadRow(BaseModel):
    """An upload, as programs see it."""

    id: str
    name: str
    size: int  # bytes it will have
    offset: int  # bytes that are here
    complete: bool
    job: int | None  # its number, once it is complete
    job_url: str | None
    url: str
    expires_at: str  # RFC 3339: when what is not finished by then is forgotten


def sender() -> str:
    """Who sends, as the audit log spells them. Raises access.not-allowed, policy.uploads-off.

    A key names the shares it is for, so it must name `uploads` as well; a person who may submit
    anywhere may send, and sees what they sent.
    """
    who = asker()
    if db.settings().share_named(UPLOADS) is None:
        raise UploadsOff
    if who.key is not None and not who.rights.may(Right.SUBMIT, UPLOADS):
        raise NotAllowed
    return who.who


def key() -> str | None:
    """What makes a repeated request the same one. Raises policy.upload-refused."""
    sent = request.headers.get("Idempotency-Key", "").strip()
    if len(sent) > _LONGEST_KEY or not sent.isprintable():
        raise UploadRefused(why=f"its Idempotency-Key is longer than {_LONGEST_KEY} characters")
    return sent or None


# --- the addresses ------------------------------------------------------------------------------


@bp.route("", methods=["OPTIONS"], provide_automatic_options=False)
def protocol() -> Response:
    """What this box can do of tus."""
    sender()
    return _told(make_response("", HTTPStatus.NO_CONTENT), db.settings())


@bp.post("", responses={201: UploadRow, **problems(*_REFUSED)})
def create() -> Response:
    """Open an upload (tus 1.0: Upload-Length, Upload-Metadata); or take a whole one, as a form."""
    settings = db.settings()
    who = sender()
    if form.boundary() is not None:
        return _whole(who)
    origin.check_word(request.headers.get("X-CSRF-Token", ""))
    _speaks_our_version()
    fields = _metadata(request.headers.get("Upload-Metadata", ""))
    name = next(iter(fields.get("filename", fields.get("name", []))), "")
    wish = Wish(who, receive.fit(name), wishes.options(settings, fields), key=key())
    upload = receive.begin(db.ledger(), settings, wish, size=_number("Upload-Length"))
    if upload.size == 0:
        raise UploadRefused(why="it is empty")
    if request.mimetype == _BYTES and receive.offset(db.ledger(), settings, upload) == 0:
        _append(upload, 0)  # else they are here from an earlier request: its sender is told how far
    response = _answer(upload, HTTPStatus.CREATED)
    response.headers["Location"] = url_for("uploads.show", upload=upload.id)
    return _told(response, settings)


def _whole(who: str) -> Response:
    upload = whole(who)
    return _answer(upload, HTTPStatus.CREATED)


def whole(who: str) -> Upload:
    """Take the recording in the form of this request, and make it a job."""
    settings, ledger = db.settings(), db.ledger()
    same = key()
    announced = request.content_length or 0
    with (
        slots.one_of("uploads"),
        receive.Whole(ledger, settings, who=who, announced=announced) as file,
    ):
        sent = form.read(file.write, before=check_word)
        if sent.filename is None:
            raise UploadRefused(why="its form has no field `file`")
        wish = Wish(who, receive.fit(sent.filename), wishes.options(settings, sent.fields))
        upload = file.keep(Wish(wish.who, wish.name, wish.options, key=same))
    _ring(upload)
    return upload


def check_word(sent: form.Form) -> None:
    """A person's form carries the word of their session before the recording."""
    origin.check_word(request.headers.get("X-CSRF-Token") or sent.one("csrf"))


@bp.get("/<upload>", responses={200: UploadRow, **problems(*_REFUSED)})
def show(path: UploadPath) -> Response:
    """How far it is; HEAD asks for the headers alone."""
    found = receive.mine(db.ledger(), path.upload, sender())
    return _answer(found, HTTPStatus.OK)


@bp.patch("/<upload>", responses={204: None, **problems(*_REFUSED)})
def append(path: UploadPath) -> Response:
    """Add the bytes of this request, from Upload-Offset on."""
    origin.check_word(request.headers.get("X-CSRF-Token", ""))
    found = receive.mine(db.ledger(), path.upload, sender())
    _speaks_our_version()
    if request.mimetype != _BYTES:
        abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the bytes as {_BYTES}.")
    _append(found, _number("Upload-Offset"))
    now = receive.mine(db.ledger(), path.upload, sender())
    response = _answer(now, HTTPStatus.NO_CONTENT)
    response.set_data(b"")
    return response


@bp.delete("/<upload>", responses={204: None, **problems(*_REFUSED)})
def drop(path: UploadPath) -> Response:
    """Forget an upload that is not complete."""
    origin.check_word(request.headers.get("X-CSRF-Token", ""))
    found = receive.mine(db.ledger(), path.upload, sender())
    _speaks_our_version()
    receive.drop(db.ledger(), db.settings(), found)
    return _told(make_response("", HTTPStatus.NO_CONTENT), db.settings())


# --- what they do -------------------------------------------------------------------------------


def _append(upload: Upload, offset: int) -> None:
    if (whole := offset + (request.content_length or 0)) > upload.size:
        raise TooBig(name=display(upload.name), size=whole, limit=upload.size)
    with slots.one_of("uploads"):
        now = receive.append(db.ledger(), db.settings(), upload, offset, form.pieces())
    if now == upload.size:
        _ring(upload)


def _ring(upload: Upload) -> None:
    job = receive.job_of(db.ledger(), upload)
    if job is not None:
        bell.ring(job.id)


def _answer(upload: Upload, status: HTTPStatus) -> Response:
    offset = receive.offset(db.ledger(), db.settings(), upload)
    job = receive.job_of(db.ledger(), upload) if offset == upload.size else None
    row = UploadRow(
        id=upload.id,
        name=display(upload.name),
        size=upload.size,
        offset=offset,
        complete=job is not None,
        job=job.id if job else None,
        job_url=url_for("pages.job", number=job.id) if job else None,
        url=url_for("uploads.show", upload=upload.id),
        expires_at=words.iso(_expires_ms(upload)),
    )
    response = jsonify(row.model_dump())
    response.status_code = status
    response.headers["Upload-Offset"] = str(offset)
    response.headers["Upload-Length"] = str(upload.size)
    response.headers["Cache-Control"] = "no-store"
    if job is not None:
        response.headers["Link"] = f'<{row.job_url}>; rel="related"'
    else:
        response.headers["Upload-Expires"] = http_date(_expires_ms(upload) / 1000)
    response.headers["Tus-Resumable"] = VERSION
    return response


def _expires_ms(upload: Upload) -> int:
    keep = db.settings().retention
    if upload.arrived_ms is None:
        return upload.created_ms + round(keep.partials_days * _DAY_MS)
    days = keep.uploads_days if upload.kind == rows.KEPT else keep.answered_days
    return upload.arrived_ms + round(days * _DAY_MS)


def _told(response: Response, settings: Settings) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Tus-Version"] = VERSION
    response.headers["Tus-Extension"] = _EXTENSIONS
    response.headers["Tus-Max-Size"] = str(settings.uploads.max_bytes)
    return response


def _speaks_our_version() -> None:
    if request.headers.get("Tus-Resumable", VERSION) != VERSION:
        abort(HTTPStatus.PRECONDITION_FAILED, f"This box speaks tus {VERSION}.")


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UploadRefused(why=f"the header {header} must say how many bytes")
    return int(text)


def _metadata(header: str) -> dict[str, list[str]]:
    """Upload-Metadata: names, each with a value in base64, commas between."""
    found: dict[str, list[str]] = {}
    for name, value in _pairs(header):
        try:
            text = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise UploadRefused(why="its Upload-Metadata cannot be read") from None
        found.setdefault(name, []).append(text)
    return found


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    for pair in header.split(","):
        name, _, value = pair.strip().partition(" ")
        if name:
            yield name, value.strip()
