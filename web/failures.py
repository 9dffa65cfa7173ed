"""The one place where errors of the pages end: a page for people, problem+json for programs.

Problem documents are RFC 9457; their `type` is the page of `/help` for a named error.

Not here: the sentences (appliance.errors).
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NoReturn

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, SecurityError

from appliance.errors import (
    AccessError,
    ApplianceError,
    ChoiceOfFiles,
    ChoiceStale,
    ChoiceTaken,
    ChoiceUnfit,
    ChoiceUnread,
    ConfirmNeeded,
    DiskFull,
    EditRefused,
    Fenced,
    KeyRefused,
    LastAdmin,
    LedgerDamaged,
    NameTaken,
    NodeError,
    NoSuchAccount,
    NoSuchKey,
    NoSuchModel,
    NoSuchUpload,
    NotAllowed,
    NothingChosen,
    NothingToEdit,
    NotReady,
    OverQuota,
    RequestUnfit,
    SignInNeeded,
    SignInSlow,
    SignInWrong,
    StaleEdit,
    StepRefused,
    StillWorking,
    StreamsFull,
    TagMissing,
    TooBig,
    TooManyAtOnce,
    UploadArrived,
    UploadBroken,
    UploadBusy,
    UploadError,
    UploadMoved,
    UploadsOff,
)
from appliance.report import spelled
from web import db

log = logging.getLogger(__name__)

_DETAILS: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Nothing of that kind can be done at this address.",
    HTTPStatus.TOO_MANY_REQUESTS: "You ask more often than this box answers; wait a minute.",
}
# The mistakes of whoever asks. Of every other error the box is the cause: 503.
_STATUS: Final[Mapping[type[ApplianceError], HTTPStatus]] = {
    SignInNeeded: HTTPStatus.UNAUTHORIZED,
    KeyRefused: HTTPStatus.UNAUTHORIZED,
    SignInWrong: HTTPStatus.FORBIDDEN,
    NotAllowed: HTTPStatus.FORBIDDEN,
    ConfirmNeeded: HTTPStatus.FORBIDDEN,
    NameTaken: HTTPStatus.CONFLICT,
    LastAdmin: HTTPStatus.CONFLICT,
    NoSuchKey: HTTPStatus.NOT_FOUND,
    NoSuchAccount: HTTPStatus.NOT_FOUND,
    SignInSlow: HTTPStatus.TOO_MANY_REQUESTS,
    RequestUnfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    NothingChosen: HTTPStatus.UNPROCESSABLE_ENTITY,
    StepRefused: HTTPStatus.CONFLICT,
    Fenced: HTTPStatus.CONFLICT,
    NotReady: HTTPStatus.CONFLICT,
    NothingToEdit: HTTPStatus.CONFLICT,
    EditRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    StaleEdit: HTTPStatus.PRECONDITION_FAILED,
    TagMissing: HTTPStatus.PRECONDITION_REQUIRED,
    ChoiceUnfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    ChoiceTaken: HTTPStatus.CONFLICT,
    ChoiceOfFiles: HTTPStatus.CONFLICT,
    ChoiceStale: HTTPStatus.PRECONDITION_FAILED,
    ChoiceUnread: HTTPStatus.PRECONDITION_REQUIRED,
    StreamsFull: HTTPStatus.TOO_MANY_REQUESTS,
    # of what is sent to the box
    TooBig: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    OverQuota: HTTPStatus.INSUFFICIENT_STORAGE,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    UploadsOff: HTTPStatus.NOT_FOUND,
    NoSuchUpload: HTTPStatus.NOT_FOUND,
    NoSuchModel: HTTPStatus.NOT_FOUND,
    UploadBroken: HTTPStatus.BAD_REQUEST,
    UploadMoved: HTTPStatus.CONFLICT,
    UploadArrived: HTTPStatus.CONFLICT,
    UploadBusy: HTTPStatus.LOCKED,
    TooManyAtOnce: HTTPStatus.SERVICE_UNAVAILABLE,
    StillWorking: HTTPStatus.SERVICE_UNAVAILABLE,
}
_LONGEST: Final = 200  # letters of a stranger's word that are told back
_BUSY: Final = HTTPStatus.SERVICE_UNAVAILABLE
_FOR_PROGRAMS: Final = ("/api/", "/v1/")
_OPENAI: Final = "/v1/"
_OUR_FAULT: Final = HTTPStatus.INTERNAL_SERVER_ERROR
_KINDS: Final = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
_STRANGE_NAME: Final = (
    "This box does not answer to that name. Use its own name, localhost or 127.0.0.1.\n"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is told, to people or to programs."""

    status: HTTPStatus
    title: str
    detail: str
    request_id: str
    code: str | None = None
    step: str | None = None

    def as_json(self) -> dict[str, object]:
        """The members of RFC 9457, and ours."""
        return {
            "type": f"/help/{self.code}" if self.code else "about:blank",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            "instance": request.path,
            "code": self.code,
            "next_step": self.step,
            "request_id": self.request_id,
        }


def catch(app: Flask) -> None:
    """Send every error of the app here."""
    app.register_error_handler(Exception, _answer)


def refuse(error: ValidationError) -> NoReturn:
    """Raise RequestUnfit for what does not fit the shape that an address takes."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:_LONGEST] or "the body"
    more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    raise RequestUnfit(where=where, why=f"{first['msg']}{more}") from error


def _answer(error: Exception) -> Response:
    if isinstance(error, SecurityError):  # an untrusted Host: no address of ours may be built
        return Response(_STRANGE_NAME, HTTPStatus.BAD_REQUEST, mimetype="text/plain")
    problem = _problem(error)
    if request.path.startswith(_OPENAI):
        told = f"{problem.detail} {problem.step}" if problem.step else problem.detail
        response = jsonify(as_openai(told, problem.status, problem.code))
    elif is_for_programs(request.path):
        response = jsonify(problem.as_json())
        response.mimetype = "application/problem+json"
    else:
        response = make_response(render_template("failure.html", problem=problem))
    response.status_code = _told_as(problem.status)
    more = _more_headers(error)
    response.headers.extend(more)
    g.retry_after = more.get("Retry-After")
    if isinstance(error, HTTPException):
        kept = [one for one in error.get_headers() if one[0] in _KEPT]
        response.headers.extend(kept)
    return response


_KEPT: Final = ("Allow", "Content-Range")


def _told_as(status: HTTPStatus) -> HTTPStatus:
    """OpenAI's clients know no other status of a question that cannot be answered like this."""
    theirs = request.path.startswith(_OPENAI) and status == HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.BAD_REQUEST if theirs else status


def as_openai(message: str, status: HTTPStatus, code: str | None) -> dict[str, object]:
    """An error as clients of OpenAI's API read it."""
    theirs = "invalid_request_error" if status < _OUR_FAULT else "api_error"
    kind = _KINDS.get(status, theirs)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def is_for_programs(path: str) -> bool:
    """Tell whether what answers at this path speaks to programs, not to people."""
    return path.startswith(_FOR_PROGRAMS)


def status_of(error: ApplianceError | None) -> int:
    """The status of a page that tells this error; 200 without one."""
    if error is None:
        return HTTPStatus.OK
    return _STATUS.get(type(error), HTTPStatus.UNPROCESSABLE_ENTITY)


def _unwell(error: ApplianceError) -> HTTPStatus:
    """The status of what is the box's own trouble: no room for what somebody brings, or busy."""
    brings = request.method not in ("GET", "HEAD", "OPTIONS")
    return _STATUS.get(type(error), _BUSY) if brings else _BUSY


def _more_headers(error: Exception) -> dict[str, str]:
    if isinstance(error, SignInNeeded | KeyRefused):
        return {"WWW-Authenticate": 'Bearer realm="appliance"'}
    if isinstance(error, SignInSlow | TooManyAtOnce | StillWorking):
        return {"Retry-After": str(math.ceil(float(error.detail["seconds"])))}
    return {}


def _problem(error: Exception) -> Problem:
    request_id = secrets.token_hex(4)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.code or 500)
        detail = _DETAILS.get(status, error.description or status.description)
        return Problem(status, status.phrase, detail, request_id)
    asks_wrongly = type(error) in _STATUS and not isinstance(error, NodeError)
    if isinstance(error, AccessError | UploadError) or asks_wrongly:
        assert isinstance(error, ApplianceError)  # noqa: S101 - of the table, too
        status, said = HTTPStatus(status_of(error)), spelled(error)
        facts = (said.sentence, request_id, error.code, said.next_step)
        return Problem(status, status.phrase, *facts)
    if isinstance(error, ApplianceError):
        log.warning("%s", error, extra={"code": error.code, "request_id": request_id})
        if isinstance(error, LedgerDamaged):
            db.lost()
        told = spelled(error)
        return Problem(
            _unwell(error),
            "The box cannot answer right now",
            *(told.sentence, request_id, error.code, told.next_step),
        )
    log.error("a page failed", exc_info=error, extra={"request_id": request_id})
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong inside this page",
        "Recordings are not affected: the box works without its pages.",
        request_id,
        "bug",
        f"Tell the administrator the number {request_id}; the journal holds the details.",
    )
