"""What was said: exports to fetch, the text to read and correct, who corrected it.

An edit names the text that it was made on (If-Match); one that was made on an older text is
refused with 412, and nobody's words are lost.

Not here: making an edit (appliance.revise), formats (appliance.export), the files beside the
recording (deliver).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from flask import Response, jsonify, request, send_file
from pydantic import BaseModel, ConfigDict, Field, model_validator

from appliance import __version__, export, revise
from appliance.errors import NothingToEdit, NotReady, RequestUnfit, TagMissing
from appliance.export.cues import rules_for
from appliance.nouns import Segment, Transcript, display
from appliance.report import shown
from appliance.revise import Opened, doubts
from appliance.revise.alignment import shown as text_of
from appliance.settings.sections import Format
from appliance.store import audit, revisions
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from web import bell, db, words
from web.access.asker import asker
from web.api.asked import JobPath
from web.api.document import part, problems, told
from web.api.found import operated, seen

bp = part("texts", "What was said in a recording.")

Task = Literal["transcribe", "translate"]
_MOST: Final = revise.MOST_LETTERS
_FILE: Final = {"schema": {"type": "string", "format": "binary"}}


# --- shapes -------------------------------------------------------------------------------------


class ExportQuery(BaseModel):
    """In which format, and of which text."""

    format: Format
    task: Task | None = Field(None, description="Where a job has both; else its only one.")


class TextQuery(BaseModel):
    """Of which text, and how much."""

    task: Task | None = Field(None, description="Where a job has both; else its only one.")
    words: bool = Field(False, description="Each word with its time, too.")
    doubts: bool = Field(False, description="What had better be listened to again, too.")


class EditHeader(BaseModel):
    """The text that an edit was made on."""

    if_match: str | None = Field(None, alias="If-Match", description="The ETag of that text.")


class EditBody(BaseModel):
    """Texts in the place of some segments: one for one, two part it, one for two joins them."""

    model_config = ConfigDict(extra="forbid")

    task: Task | None = None
    first: int = Field(ge=0, lt=1 << 31, description="The place of the first segment that goes.")
    count: int = Field(1, ge=1, le=revise.MOST_SEGMENTS)
    texts: list[Annotated[str, Field(max_length=_MOST)]] = Field(max_length=revise.MOST_SEGMENTS)


class ReplaceBody(BaseModel):
    """A word exchanged wherever it stands."""

    model_config = ConfigDict(extra="forbid")

    task: Task | None = None
    heard: str = Field(min_length=1, max_length=_MOST)
    written: str = Field(max_length=_MOST)
    whole_words: bool = True
    match_case: bool = False


class UndoBody(BaseModel):
    """Back to how it read at a revision; 0: as it was recorded."""

    model_config = ConfigDict(extra="forbid")

    to: int = Field(ge=0, lt=1 << 31)


class RevisionBody(BaseModel):
    """One of the three."""

    model_config = ConfigDict(extra="forbid")

    edit: EditBody | None = None
    replace: ReplaceBody | None = None
    undo: UndoBody | None = None

    @model_validator(mode="after")
    def _one(self) -> RevisionBody:
        if sum(one is not None for one in (self.edit, self.replace, self.undo)) != 1:
            raise ValueError("send one of edit, replace and undo")
        return self


class WordRow(BaseModel):
    """A spoken word; `word` keeps the space before it."""

    start: float
    end: float
    word: str
    probability: float


class SegmentRow(BaseModel):
    """A phrase."""

    n: int = Field(description="Its place, from 0: what an edit names.")
    start: float
    end: float
    text: str
    language: str | None
    words: list[WordRow] | None = Field(description="Where they were asked for.")


class DoubtRow(BaseModel):
    """A span to listen to again."""

    segment: int
    start: float
    end: float
    text: str
    doubt: float
    why: doubts.Why


class TextRow(BaseModel):
    """The text of a job as it reads now."""

    job: int
    revision: str = Field(description="The ETag, without its quotation marks.")
    task: str
    tasks: list[str] = Field(description="Of which there is a text.")
    language: str
    duration: float
    model: str
    segments: list[SegmentRow]
    doubts: list[DoubtRow] | None = Field(description="Where they were asked for.")


class RevisedRow(BaseModel):
    """What an edit has made."""

    job: int
    revision: str
    changed: bool


class RevisionRow(BaseModel):
    """An edit."""

    revision: str
    n: int
    kind: str
    same_as: int | None = Field(description="Of an undo: the revision it equals.")
    who: str
    at: str
    exported_at: str | None = Field(description="When the files said so; null: not yet.")


class RevisionPage(BaseModel):
    """Every edit of a text, newest first."""

    revisions: list[RevisionRow]


# --- told ---------------------------------------------------------------------------------------

_EXPORTED: Final[dict[Any, Any]] = {
    200: {
        "content": {
            kind.partition(";")[0]: _FILE for kind in dict.fromkeys(export.MEDIA_TYPES.values())
        }
    },
    304: {"description": "The asker has it already."},
    **problems(HTTPStatus.CONFLICT),
}


@bp.get("/jobs/<int:number>/export", responses=_EXPORTED)
def exported(path: JobPath, query: ExportQuery) -> Response:
    """The text as a file, as it reads now; 409 where there is none yet."""
    job = seen(path.number)
    opened = _opened(job)
    transcript = _of_task(opened, query.task)
    tag = f"{opened.tag}-{transcript.task}-{query.format}-{__version__}"
    if request.if_none_match.contains(tag):
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        rules = rules_for(transcript, job.options.subtitle_rules)
        content = export.EXPORTERS[query.format](transcript, rules)
        response = send_file(
            io.BytesIO(content),
            as_attachment=True,
            download_name=_name(job, export.suffix(transcript, query.format, job.options)),
            etag=False,
            max_age=None,
        )
        response.headers["Content-Type"] = export.MEDIA_TYPES[query.format]
        audit_it = {"format": query.format, "share": job.source.share}
        audit.add(db.ledger(), asker().actor, "export-fetched", str(job.id), **audit_it)
    response.set_etag(tag)
    return response


def _name(job: Job, suffix: str) -> str:
    """What a file is called that somebody saves: nothing in it leads anywhere, or is invisible."""
    stem = os.path.splitext(display(job.source.name))[0]
    safe = "".join(one if one.isprintable() and one not in '/\\"' else "_" for one in stem)
    return f"{safe}{suffix}"


@bp.get("/jobs/<int:number>/transcript", responses={200: TextRow, **problems(HTTPStatus.CONFLICT)})
def text(path: JobPath, query: TextQuery) -> Response:
    """The text of a job as it reads now; its ETag is what an edit of it has to name."""
    opened = _opened(seen(path.number))
    transcript = _of_task(opened, query.task)
    found = doubts.doubts(transcript) if query.doubts else None
    row = TextRow(
        job=opened.job.id,
        revision=opened.tag,
        task=transcript.task,
        tasks=[one.task for one in opened.transcripts],
        language=transcript.language,
        duration=transcript.duration,
        model=transcript.model,
        segments=[
            _segment(n, one, words_too=query.words) for n, one in enumerate(transcript.segments)
        ],
        doubts=None if found is None else [_doubt(one) for one in found],
    )
    response = jsonify(row.model_dump(mode="json"))
    response.set_etag(opened.tag)
    response.make_conditional(request)
    return response


def _segment(n: int, one: Segment, *, words_too: bool) -> SegmentRow:
    spoken = [
        WordRow(start=word.start, end=word.end, word=word.word, probability=word.probability)
        for word in one.words
    ]
    return SegmentRow(
        n=n,
        start=one.start,
        end=one.end,
        text=text_of(one),
        language=one.language,
        words=spoken if words_too else None,
    )


def _doubt(one: doubts.Doubt) -> DoubtRow:
    return DoubtRow(
        segment=one.segment,
        start=one.start,
        end=one.end,
        text=one.text,
        doubt=one.doubt,
        why=one.why,
    )


@bp.get("/jobs/<int:number>/revisions", responses={200: RevisionPage})
def history(path: JobPath) -> Response:
    """Who corrected the text, and when its files said so."""
    job = seen(path.number)
    return told(
        RevisionPage(
            revisions=[
                RevisionRow(
                    revision=one.tag,
                    n=one.n,
                    kind=one.kind,
                    same_as=one.same_as,
                    who=one.who,
                    at=words.iso(one.at_ms),
                    exported_at=None if one.exported_ms is None else words.iso(one.exported_ms),
                )
                for one in revisions.history(db.ledger(), job)
            ]
        )
    )


# --- corrected ----------------------------------------------------------------------------------

_REVISED: Final = {
    200: RevisedRow,
    **problems(
        HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED
    ),
}


@bp.patch("/jobs/<int:number>/transcript", responses=_REVISED)
def revised(path: JobPath, header: EditHeader, body: RevisionBody) -> Response:
    """Correct the text: its files are written anew. If-Match names the text it was made on."""
    job = operated(path.number)
    opened = _opened(job)
    on = _made_on(opened, header.if_match)
    tag = _change(opened, body)(db.ledger(), on, asker().who)
    if tag != opened.tag:
        bell.ring(job.id)
    response = told(RevisedRow(job=job.id, revision=tag, changed=tag != opened.tag))
    response.set_etag(tag)
    return response


def _made_on(opened: Opened, said: str | None) -> str:
    """The tag of the text that an edit was made on. Raises TagMissing."""
    sent = request.if_match
    if said is None or not (sent.star_tag or sent.as_set(include_weak=True)):
        raise TagMissing(job=opened.job.id)
    if sent.star_tag or sent.contains_weak(opened.tag):  # a proxy that packs an answer weakens it
        return opened.tag
    return min(sent.as_set(include_weak=True))


def _change(opened: Opened, body: RevisionBody) -> Callable[[Ledger, str, str], str]:
    """What the body asks for: on which ledger, made on which text, by whom → the new tag."""
    number = opened.job.id
    if (edit := body.edit) is not None:
        task = _of_task(opened, edit.task).task
        return lambda ledger, on, who: revise.edit(
            ledger,
            number,
            on=on,
            task=task,
            first=edit.first,
            count=edit.count,
            texts=edit.texts,
            who=who,
        )
    if (exchange := body.replace) is not None:
        task = _of_task(opened, exchange.task).task
        wanted = revise.Exchange(
            exchange.heard,
            exchange.written,
            whole_words=exchange.whole_words,
            match_case=exchange.match_case,
        )
        return lambda ledger, on, who: revise.replace_everywhere(
            ledger, number, on=on, task=task, exchange=wanted, who=who
        )
    assert body.undo is not None  # noqa: S101 - one of the three
    to = body.undo.to
    return lambda ledger, on, who: revise.undo(ledger, number, on=on, to=to, who=who)


def _opened(job: Job) -> Opened:
    """The newest text of a job. Raises NotReady."""
    try:
        return revise.opened(db.ledger(), job.id)
    except NothingToEdit as error:
        raise NotReady(job=job.id, state=job.state) from error


def _of_task(opened: Opened, task: str | None) -> Transcript:
    """The text of a task; without one, of the first. Raises RequestUnfit."""
    for one in opened.transcripts:
        if task in (None, one.task):
            return one
    raise RequestUnfit(where="task", why=f"there is no {shown(task or '')} of this recording")
