"""Finding what was said: a question, and the passages that answer it, each with its second.

Not here: how it is looked up (appliance.store.search), playing it (pages, media).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.store import search
from appliance.store.search import Hit, Term
from web import db
from web.access import sees
from web.overview import in_sight

bp = Blueprint("finding", __name__)

_PAGE: Final = 30
_LONGEST: Final = 300  # characters of a question
_AROUND: Final = 160  # characters that are shown before what was found


@dataclass(frozen=True, slots=True)
class Bit:
    """A stretch of a passage, found or around it."""

    text: str
    found: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that answers."""

    hit: Hit
    bits: tuple[Bit, ...]


@bp.get("/search", endpoint="search")
def ask() -> ResponseReturnValue:
    """The field for a question; and what answers it."""
    question = request.args.get("q", "")[:_LONGEST]
    share = request.args.get("share") or None
    seen = sees()
    shares = [one.name for one in db.settings().share if in_sight(one.name, seen)]
    within = seen
    if share is not None:
        within = frozenset({share} if in_sight(share, seen) else ())
    below = request.args.get("below", type=int)
    asked = search.find(db.ledger(), question, shares=within, limit=_PAGE + 1, below=below)
    more = None
    if len(asked) > _PAGE:
        more = url_for("finding.search", q=question, share=share, below=asked[_PAGE - 1].id)
    terms = search.terms(question)
    return render_template(
        "search.html",
        question=question,
        share=share,
        shares=shares,
        found=[Found(hit, tuple(_bits(hit.text, terms))) for hit in asked[:_PAGE]],
        more=more,
        below=below,
        asks=bool(terms),
        whole=search.left(db.ledger()) is None,
    )


def _bits(text: str, terms: Sequence[Term]) -> Iterator[Bit]:
    """A passage, taken apart where what was asked for stands."""
    plain = _plain(text)
    places = sorted(place for term in terms for place in _places(plain, term))
    at = 0
    if places and places[0][0] > _AROUND:
        at = places[0][0] - _AROUND
        yield Bit("…", found=False)
    for begins, ends in places:
        if begins < at:
            continue
        yield Bit(text[at:begins], found=False)
        yield Bit(text[begins:ends], found=True)
        at = ends
    yield Bit(text[at:], found=False)


def _places(plain: str, term: Term) -> Iterator[tuple[int, int]]:
    """Where a term stands: at the beginning of a word, but for scripts that have none."""
    wanted = _plain(term.text)
    at = plain.find(wanted)
    while at >= 0 and wanted:
        ends = at + len(wanted)
        if term.unspaced or at == 0 or not plain[at - 1].isalnum():
            yield at, ends
        at = plain.find(wanted, ends)


def _plain(text: str) -> str:
    """A text without case and accents, each character where it was."""
    return "".join(unicodedata.normalize("NFD", one)[0].lower()[:1] or one for one in text)
