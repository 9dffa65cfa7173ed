"""The box for programs: `/api/v1`, whose document (OpenAPI) is made of the code that answers.

    document  what every part of it shares, and the document itself
    asked     what may be asked: shapes of addresses and questions
    rows      what is told: shapes of answers
    status    the box at one moment
    jobs      recordings and what became of them
    moves     what may be asked of a job
    texts     what was said: exports, the text itself, corrections
    events    what happens to jobs, as it happens
    streams   who listens to that
    queue     what is next, and whether it stands still
    finding   what was said, found again; tags
    site      shares, models, settings, the machine
    profiles  what a recording is asked for, and its vocabulary
    channels  those channels themselves: made, changed, taken back
    telling   alerts, channels, what was sent over them
    people    accounts, sessions, keys, the audit log
    found     the job that an address names

A program comes with a key, a page with its cookie; each is told of the shares it may see, and
anything else is not there. Times are RFC 3339 in UTC, names of files are spelt as in
`nouns.display`.

Not here: health for machines that watch the box (health), who may come (access).
"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import OpenAPI

from web.api import (
    channels,
    events,
    finding,
    moves,
    people,
    profiles,
    queue,
    site,
    status,
    streams,
    texts,
)
from web.api.asked import asked_for
from web.api.document import app_of, root
from web.api.rows import working_on
from web.api.status import page_of

__all__ = ["asked_for", "page_of", "register", "whole", "working_on"]

_REST = (finding.bp, site.bp, profiles.bp, channels.bp, people.bp)
for _part in (status.bp, moves.bp, texts.bp, queue.bp, events.bp, *_REST):
    root.register_api(_part)


def register(app: OpenAPI) -> None:
    """Give the app its API."""
    from web import uploads

    app.register_api(root)
    app.register_api(uploads.bp)
    streams.keep_for(app)


def whole() -> dict[str, Any]:
    """The document of the API, without any box."""
    app = app_of(__name__)
    register(app)
    found: dict[str, Any] = app.api_doc
    return found
