"""What the box is made of: shares, models, settings, the machine.

Shown here, changed in the settings' files: whoever holds a session or a key gets no way to
point the box at other folders.

Not here: profiles, which are changed by programs, too (profiles), how it fares (status), whom
it tells (telling).
"""

from __future__ import annotations

import platform
import time
from typing import Any, Final

from flask import Response, abort
from pydantic import BaseModel, Field

from appliance import __version__, export, pulse, weights
from appliance.errors import ModelCorrupt, NotAllowed
from appliance.health import room
from appliance.nouns import EXTENSIONS, LANGUAGES, SEVERAL
from appliance.rights import Right
from appliance.settings import Share, shown
from appliance.settings.sections import AUTO
from appliance.states import State
from appliance.store import audit, marks, shares
from web import asked, db, words
from web.access import sees
from web.access.asker import asker
from web.api.asked import MOST, NamePath
from web.api.document import part, told
from web.overview import in_sight

bp = part("site", "What the box is made of.")

_BEGUN: Final = time.time()


# --- shares -------------------------------------------------------------------------------------


class ShareRow(BaseModel):
    """A folder tree that is watched."""

    name: str
    root: str | None = Field(description="For admins.")
    kind: str
    profile: str
    formats: list[str]
    max_bytes: int
    max_hours: float
    state: str
    why: str | None
    found_by: str | None
    adopted: bool
    old_files: int
    scanned_at: str | None
    rescan_asked_at: str | None = Field(description="A scan was asked for and has not begun.")


class SharePage(BaseModel):
    """Every share that is seen."""

    shares: list[ShareRow]


@bp.get("/shares", responses={200: SharePage})
def all_shares() -> Response:
    """Every share that is seen."""
    seen = [one for one in db.settings().share if in_sight(one.name, sees())]
    return told(SharePage(shares=[_share_row(one) for one in seen]))


@bp.get("/shares/<name>", responses={200: ShareRow})
def one_share(path: NamePath) -> Response:
    """One share."""
    return told(_share_row(_share(path.name, Right.READ)))


@bp.post("/shares/<name>/rescan", responses={202: ShareRow})
def rescan(path: NamePath) -> Response:
    """Ask the watch for a full scan of a share; it begins within seconds."""
    one, ledger, who = _share(path.name, Right.OPERATE), db.ledger(), asker()
    with ledger.writing():
        shares.ask_for_scan(ledger, one.name)
        audit.add(ledger, who.actor, "rescan-asked", f"share:{one.name}")
    return told(_share_row(one), 202)


def _share(name: str, right: Right) -> Share:
    """The share of that name, where whoever asks may do that; else 404. Raises NotAllowed."""
    one = db.settings().share_named(name)
    rights = asker().rights
    if one is None or not (rights.may(Right.READ, name) or rights.may(right, name)):
        abort(404)
    if not rights.may(right, name):
        raise NotAllowed
    return one


def _share_row(one: Share) -> ShareRow:
    row = shares.get(db.ledger(), one.name)
    return ShareRow(
        name=one.name,
        root=one.root if asker().is_admin else None,
        kind=one.kind,
        profile=one.profile,
        formats=list(db.settings().options_for(one).formats),
        max_bytes=one.max_bytes,
        max_hours=one.max_hours,
        state=row.state,
        why=row.why,
        found_by=row.method,
        adopted=row.adopted_ms is not None,
        old_files=row.old_files,
        scanned_at=words.iso(row.scanned_ms) if row.scanned_ms else None,
        rescan_asked_at=words.iso(row.rescan_ms) if row.rescan_ms else None,
    )


# --- models and what there is -------------------------------------------------------------------


class ModelRow(BaseModel):
    """A model on this box."""

    name: str
    bytes: int | None
    sha256: str | None
    multilingual: bool | None
    damaged: str | None = Field(description="What is wrong with it; null: nothing.")


class ModelPage(BaseModel):
    """Every model on this box."""

    models: list[ModelRow]


class CapabilitiesRow(BaseModel):
    """What may be asked of this box."""

    version: str
    languages: list[str]
    tasks: list[str]
    formats: dict[str, str] = Field(description="Each with its media type.")
    suffixes: list[str] = Field(description="Of files that are taken for recordings.")
    models: list[str]
    states: list[State]
    scopes: list[Right]
    page_size: int
    tags_of_a_job: int


@bp.get("/models", responses={200: ModelPage})
def models() -> Response:
    """Every model on this box."""
    found = weights.listing(db.settings().model_dir)
    return told(ModelPage(models=[_model_row(one) for one in found]))


def _model_row(one: weights.ModelFolder | ModelCorrupt) -> ModelRow:
    if isinstance(one, ModelCorrupt):
        name = str(one.detail.get("model", ""))
        return ModelRow(name=name, bytes=None, sha256=None, multilingual=None, damaged=one.sentence)
    return ModelRow(
        name=one.name,
        bytes=one.size,
        sha256=one.sha256,
        multilingual=one.multilingual,
        damaged=None,
    )


@bp.get("/capabilities", responses={200: CapabilitiesRow})
def capabilities() -> Response:
    """What may be asked of this box: languages, formats, models, limits."""
    there = dict.fromkeys(name for name, _path in weights.on_disk(db.settings().model_dir))
    return told(
        CapabilitiesRow(
            version=__version__,
            languages=[AUTO, SEVERAL, *LANGUAGES],
            tasks=["transcribe", "translate", "both"],
            formats=dict(export.MEDIA_TYPES),
            suffixes=sorted(EXTENSIONS),
            models=[weights.SELFTEST, *there],
            states=list(State),
            scopes=list(Right),
            page_size=MOST,
            tags_of_a_job=marks.MOST_TAGS,
        )
    )


# --- for admins ---------------------------------------------------------------------------------


class SettingsRow(BaseModel):
    """The settings in force; of a channel's address only its host is told."""

    settings: dict[str, Any]


class FindingRow(BaseModel):
    """What one check found."""

    check: str
    subject: str
    level: str
    text: str
    next_step: str
    code: str | None


class RoomRow(BaseModel):
    """A disk that holds a folder of the box."""

    where: str
    free: int
    total: int


class SystemRow(BaseModel):
    """The machine and what the checks say of it."""

    version: str
    python: str
    machine: str
    pages_began_at: str
    ready: bool
    checks: list[FindingRow]
    disks: list[RoomRow]
    engine: dict[str, Any] = Field(description="What it last said of itself; {}: not lately.")


@bp.get("/settings", responses={200: SettingsRow})
def settings() -> Response:
    """The settings as they are in force."""
    return told(SettingsRow(settings=shown(db.settings())))


@bp.get("/system", responses={200: SystemRow})
def system() -> Response:
    """Versions, disks, the engine, and what every check found."""
    seen, site = asked.seen(), db.settings()
    return told(
        SystemRow(
            version=__version__,
            python=platform.python_version(),
            machine=platform.platform(),
            pages_began_at=words.iso(round(_BEGUN * 1000)),
            ready=seen.ready,
            checks=[
                FindingRow(
                    check=one.code,
                    subject=one.subject,
                    level=one.level.name.lower(),
                    text=one.text,
                    next_step=one.remedy,
                    code=one.error,
                )
                for one in seen.findings
            ],
            disks=[
                RoomRow(where=one.where, free=one.free, total=one.total) for one in room.rooms(site)
            ],
            engine=pulse.read(site.run_dir),
        )
    )
