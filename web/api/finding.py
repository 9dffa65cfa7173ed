"""Finding again: what was said, and by which tag.

Not here: the index (store.search), giving a job its tags (moves).
"""

from __future__ import annotations

from typing import Final

from flask import Response, abort
from pydantic import BaseModel, Field

from appliance.nouns import display
from appliance.report import shown
from appliance.rights import Right
from appliance.store import audit, marks, search
from web import db
from web.access import sees
from web.access.asker import asker
from web.api.asked import SearchQuery, TagBody, TagPath
from web.api.document import part, told
from web.overview import in_sight

bp = part("finding", "What was said, and tags.")
_MOST: Final = 1 << 62


class HitRow(BaseModel):
    """A phrase in which every word of the question stands."""

    job: int
    share: str
    recording: str
    task: str
    segment: int
    start: float = Field(description="Seconds: where to play.")
    text: str


class HitPage(BaseModel):
    """Phrases, of the newest recordings first."""

    hits: list[HitRow]
    next_cursor: str | None
    whole: bool = Field(description="false: older recordings are still being indexed.")


class TagRow(BaseModel):
    """A tag, and how many jobs carry it."""

    name: str
    jobs: int


class TagPage(BaseModel):
    """Every tag."""

    tags: list[TagRow]


@bp.get("/search", responses={200: HitPage})
def find(query: SearchQuery) -> Response:
    """Phrases in which every word stands; in quotation marks words follow each other."""
    seen = sees()
    if query.share:
        seen = frozenset(share for share in query.share if in_sight(share, seen))
    found = search.find(
        db.ledger(),
        query.q,
        shares=seen,
        limit=query.limit + 1,
        below=query.cursor,
    )
    hits = found[: query.limit]
    page = HitPage(
        hits=[
            HitRow(
                job=hit.job,
                share=hit.share,
                recording=display(hit.path),
                task=hit.task,
                segment=hit.segment,
                start=hit.start,
                text=shown(hit.text),
            )
            for hit in hits
        ],
        next_cursor=str(hits[-1].id) if len(found) > query.limit else None,
        whole=search.left(db.ledger()) is None,
    )
    return told(page)


@bp.get("/tags", responses={200: TagPage})
def tags() -> Response:
    """Every tag, and how many of the jobs that are seen carry it."""
    return told(_tags())


@bp.patch("/tags/<name>", responses={200: TagPage})
def rename(path: TagPath, body: TagBody) -> Response:
    """Another name for a tag, on every job that whoever asks may move."""
    ledger, who = db.ledger(), asker()
    may = who.rights.shares(Right.OPERATE)
    with ledger.writing():
        if path.name not in marks.counts(ledger, shares=may):
            abort(404)
        marks.rename(ledger, path.name, body.name, shares=may)
        audit.add(ledger, who.actor, "tag-renamed", path.name, to=body.name)
    return told(_tags())


@bp.delete("/tags/<name>", responses={200: TagPage})
def drop(path: TagPath) -> Response:
    """Take a tag off every job that whoever asks may move."""
    ledger, who = db.ledger(), asker()
    may = who.rights.shares(Right.OPERATE)
    with ledger.writing():
        if not marks.drop(ledger, path.name, shares=may):
            abort(404)
        audit.add(ledger, who.actor, "tag-dropped", path.name)
    return told(_tags())


def _tags() -> TagPage:
    found = marks.counts(db.ledger(), shares=sees())
    return TagPage(tags=[TagRow(name=name, jobs=jobs) for name, jobs in found.items()])
