"""The page on which people send a recording: dropped on it or chosen, with or without JavaScript.

With it the recording goes in turns, survives a reload and says how far it is; without, as the
plain form that it is.

Not here: taking it (uploads), what the script does (static/upload.js).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance import receive
from appliance.nouns import UPLOADS
from appliance.rights import Right
from appliance.settings import GB
from appliance.store import uploads as rows
from web import db, uploads
from web.access.asker import asker
from web.openai.languages import NAMES
from web.uploads import wishes

bp = Blueprint("sending", __name__, url_prefix="/upload")

_TASKS: Final = (
    ("", "as the profile says"),
    ("transcribe", "in the language spoken"),
    ("translate", "in English"),
    ("both", "both"),
)


@bp.app_context_processor
def _offered() -> dict[str, object]:
    return {"takes_uploads": _takes_uploads}


def _takes_uploads() -> bool:
    """Whether the navigation offers this page to whoever asks."""
    who = asker()
    may = who.signed_in is not None and who.rights.may(Right.SUBMIT)
    return may and db.settings().share_named(UPLOADS) is not None


@bp.get("")
def page() -> ResponseReturnValue:
    """The form."""
    settings, who = db.settings(), uploads.sender()
    room = int(settings.uploads.per_person_gb * GB) - rows.held(db.ledger(), who).bytes
    return render_template(
        "upload.html",
        profiles=wishes.profiles(settings),
        languages=sorted((name.title(), code) for code, name in NAMES.items()),
        tasks=_TASKS,
        most=min(settings.uploads.max_bytes, max(room, 0)),
        days=settings.retention.uploads_days,
    )


@bp.post("")
def send() -> ResponseReturnValue:
    """Take the recording of the plain form; on to its job."""
    upload = uploads.whole(uploads.sender())
    job = receive.job_of(db.ledger(), upload)
    if job is None:
        return redirect(url_for("pages.listing"), 303)
    return redirect(url_for("pages.job", number=job.id), 303)
