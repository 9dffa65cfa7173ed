"""The pages of the box: what it is doing, every job, and what each failure means.

`create_app` builds the whole of it. The pages read the ledger through `appliance.store`, as
far as whoever asks may see it (access), move jobs and correct texts as far as they may; what
programs ask is answered by `api` and `uploads`.

Not here: transcribing anything. The box runs without its pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from flask_openapi3 import OpenAPI

from appliance.settings import Settings
from web import (
    access,
    alerts,
    api,
    asked,
    channels,
    db,
    failures,
    finding,
    headers,
    health,
    media,
    metrics,
    moves,
    openai,
    pages,
    passes,
    profiles,
    recall,
    sending,
    shares,
    site,
    texts,
    words,
)
from web.access.limits import PER_MINUTE
from web.api import document
from web.openai import waiting
from web.uploads import slots


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.monotonic,
    per_minute: int = PER_MINUTE,
    file: str | None = None,
    patience: float = waiting.PATIENCE_SECONDS,
) -> OpenAPI:
    """Build the pages of one box. Its ledger must have been prepared.

    `file` is where the settings were read, to be shown; None: wherever they are found.
    `clock` in seconds, only ever growing; `per_minute`: requests one asker may send; `patience`:
    seconds that somebody waits for the text of a recording.
    """
    app = document.app_of(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    db.open_for(app, settings)
    asked.keep_for(app, clock)
    metrics.keep_for(app, clock)
    headers.guard(app, settings)
    failures.catch(app)
    words.teach(app)
    passes.keep_for(app)
    recall.keep_for(app)
    site.keep_for(app, file)
    media.keep_for(app, settings)
    access.guard(app, clock, per_minute=per_minute)
    slots.keep_for(app)
    waiting.keep_for(app, patience)
    for part in (
        *(pages.bp, moves.bp, media.bp, texts.bp, finding.bp, shares.bp, alerts.bp, site.bp),
        profiles.bp,
        channels.bp,
        *(sending.bp, openai.bp, health.bp, metrics.bp),
    ):
        app.register_blueprint(part)
    api.register(app)
    return app
