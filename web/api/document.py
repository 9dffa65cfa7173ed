"""What every part of the API shares, and the document that programs read: OpenAPI 3.1.

The document is made of the views: their addresses, the shapes they take and tell, the first
line of what they say of themselves. `docs/openapi.json` is a copy, which a test compares.

Not here: any shape (asked, rows), how errors are told (web.failures).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from flask import Response, current_app, jsonify, request
from flask_openapi3 import APIBlueprint, Info, OpenAPI, SecurityScheme, Tag
from pydantic import BaseModel

from web import failures
from web.api.rows import ProblemRow

_PROBLEM: Final = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemRow"}}}
}
# What any address may answer instead: nobody, not you, not there, not like that, not so often.
_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_INFO: Final = Info(
    title="Transcription appliance",
    version="1",
    description=(
        "Everything the pages do, for programs. Errors are problem documents (RFC 9457) whose"
        " `code` is explained at `/help/<code>`."
    ),
)
_SCHEMES: Final[dict[str, SecurityScheme | dict[str, Any]]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of scope read, submit, operate or admin.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "appliance",
        "description": (
            "The cookie of somebody who is signed in. What changes something carries the word of"
            " the page's forms as X-CSRF-Token."
        ),
    },
}


def app_of(name: str) -> OpenAPI:
    """An app that can carry the API, of the package of that name."""
    return OpenAPI(
        name,
        info=_INFO,
        security_schemes=_SCHEMES,
        validation_error_model=ProblemRow,
        validation_error_callback=failures.refuse,
        doc_ui=False,
    )


def problems(*statuses: HTTPStatus) -> dict[str | int | HTTPStatus, Any]:
    """What an address may answer with these statuses: a problem document each."""
    return {status: {"description": status.phrase, **_PROBLEM} for status in statuses}


def _operation(*, bp_name: str, name: str, path: str, method: str) -> str:
    del path, method
    return f"{bp_name}_{name}"


def part(name: str, about: str) -> APIBlueprint:
    """A part of the API: its views are added to what is handed back."""
    return APIBlueprint(
        name,
        __name__,
        abp_tags=[Tag(name=name, description=about)],
        abp_security=[{"key": []}, {"session": []}],
        abp_responses=problems(*_ALWAYS),
        operation_id_callback=_operation,
    )


root: Final = APIBlueprint("api", __name__, url_prefix="/api/v1")


@root.get("/openapi.json", doc_ui=False)
def document() -> Response:
    """The document of this API."""
    app = current_app
    assert isinstance(app, OpenAPI)  # noqa: S101 - create_app made it
    return revalidated(jsonify(app.api_doc))


def told(row: BaseModel, status: int = HTTPStatus.OK) -> Response:
    """An answer: 304 where the asker has it already."""
    response = jsonify(row.model_dump(mode="json", by_alias=True))
    response.status_code = status
    return revalidated(response) if status == HTTPStatus.OK else response


def revalidated(response: Response) -> Response:
    """Answer 304 where the asker has it already."""
    if request.method in ("GET", "HEAD"):
        response.add_etag(weak=True)
        response.make_conditional(request)
    return response
