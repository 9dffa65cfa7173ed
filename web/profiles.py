"""Profiles and their vocabularies, for admins: plain forms, a page for each profile.

What is kept here stands over the settings' files, for recordings that are found afterwards; the
form carries what it was made on, so that nobody overwrites what somebody else did meanwhile.

Not here: what may be said (appliance.choices), the same for programs (web.api.profiles).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter, ValidationError

from appliance import weights
from appliance.choices import profiles
from appliance.choices.profiles import DEFAULT, Standing
from appliance.errors import ApplianceError, ChoiceError, ChoiceUnfit
from appliance.export.cues import RULES
from appliance.nouns import SEVERAL
from appliance.settings import AUTO, FORMATS, Glossary, Manner, Profile
from appliance.settings.sections import Name
from web import db
from web.access.asker import asker
from web.access.entry import field
from web.failures import status_of
from web.fitting import fitting
from web.openai.languages import NAMES

bp = Blueprint("profiles", __name__, url_prefix="/admin/profiles")

_DONE: Final = {
    "made": "The profile is there. A share gets it by its name in the settings file.",
    "changed": "Kept. It holds for recordings that are found from now on.",
    "words": "The vocabulary was kept. It holds for recordings that are found from now on.",
    "back": "What the files say holds again.",
    "gone": "That profile is gone. Jobs that were asked for by it keep their options.",
}
_TASKS: Final = {
    "transcribe": "in the language spoken",
    "translate": "in English",
    "both": "both",
}
_SUFFIXES: Final = {
    "translations": "of translations alone",
    "always": "always",
    "never": "never",
}
_TEXTS: Final = ("model", "task", "subtitle_rules", "language_suffix")
_LONGEST: Final = 60_000  # letters of a vocabulary; a request has 64 KiB
_SIGN: Final = "="


@bp.get("")
def listing() -> ResponseReturnValue:
    """Every profile, and a form for another one."""
    return _listing(None, {})


@bp.post("")
def make() -> ResponseReturnValue:
    """A new profile."""
    typed = _typed()
    name = field("name").strip()
    try:
        _name(name)
        manner = fitting(Manner, f"Profile {name}", typed)
        profiles.make(db.ledger(), db.files(), asker().actor, name, manner)
    except ChoiceError as error:
        return _listing(error, {**typed, "name": name})
    return redirect(url_for("profiles.one", name=name, done="made"), 303)


def _listing(error: ApplianceError | None, typed: Mapping[str, Any]) -> ResponseReturnValue:
    page = render_template(
        "access/profiles.html",
        profiles=profiles.listing(db.ledger(), db.files()),
        shares=_shares(),
        typed=profiles.plain(Manner, Profile()) | dict(typed),
        **_offered(),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


@bp.get("/<name>")
def one(name: str) -> ResponseReturnValue:
    """One profile, to be changed."""
    return _one(_seen(name), None)


@bp.post("/<name>")
def change(name: str) -> ResponseReturnValue:
    """Let it say something else."""
    seen, typed = _seen(name), _typed()
    try:
        manner = fitting(Manner, f"Profile {name}", typed)
        on = field("on")
        profiles.change(db.ledger(), db.files(), asker().actor, seen, manner, on=on)
    except ChoiceError as error:
        return _one(seen, error, manner=typed)
    return redirect(url_for("profiles.one", name=name, done="changed"), 303)


@bp.post("/<name>/words")
def reword(name: str) -> ResponseReturnValue:
    """Give it another vocabulary."""
    seen = _seen(name)
    typed = {key: request.form.get(key, "")[:_LONGEST] for key in ("vocabulary", "replacements")}
    try:
        glossary = fitting(Glossary, f"The vocabulary of {name}", _glossary(name, typed))
        on = field("on")
        profiles.reword(db.ledger(), db.files(), asker().actor, seen, glossary, on=on)
    except ChoiceError as error:
        return _one(seen, error, glossary=typed)
    return redirect(url_for("profiles.one", name=name, done="words"), 303)


@bp.post("/<name>/back")
def take_back(name: str) -> ResponseReturnValue:
    """Back to the files; a profile that is not in them goes."""
    seen = _seen(name)
    try:
        profiles.take_back(db.ledger(), db.files(), asker().actor, seen, on=field("on"))
    except ChoiceError as error:
        return _one(seen, error)
    if seen.in_files:
        return redirect(url_for("profiles.one", name=name, done="back"), 303)
    return redirect(url_for("profiles.listing", done="gone"), 303)


@bp.post("/<name>/words/back")
def unword(name: str) -> ResponseReturnValue:
    """Back to the vocabulary of the files."""
    seen = _seen(name)
    try:
        profiles.unword(db.ledger(), db.files(), asker().actor, seen, on=field("on"))
    except ChoiceError as error:
        return _one(seen, error)
    return redirect(url_for("profiles.one", name=name, done="back"), 303)


def _one(
    seen: Standing,
    error: ApplianceError | None,
    *,
    manner: Mapping[str, Any] | None = None,
    glossary: Mapping[str, str] | None = None,
) -> ResponseReturnValue:
    """Its page; after an error with what was typed there."""
    page = render_template(
        "access/profile.html",
        one=seen,
        built_in=seen.name == DEFAULT and DEFAULT not in db.files().profile,
        shares=_shares().get(seen.name, []),
        typed=profiles.plain(Manner, seen.profile) | dict(manner or {}),
        words=glossary or _as_lines(seen.profile),
        **_offered(),
        error=error,
        done=_DONE.get(request.args.get("done", "")),
    )
    return page, status_of(error)


def _seen(name: str) -> Standing:
    return profiles.get(db.ledger(), db.files(), name) or abort(404)


def _shares() -> dict[str, list[str]]:
    """Which shares have which profile."""
    found: dict[str, list[str]] = {}
    for share in db.files().share:
        found.setdefault(share.profile, []).append(share.name)
    return found


def _offered() -> dict[str, object]:
    """What may be chosen from."""
    there = (name for name, _path in weights.on_disk(db.files().model_dir))
    named = (one.profile.model for one in profiles.listing(db.ledger(), db.files()))
    languages = sorted((name.title(), code) for code, name in NAMES.items())
    return {
        "models": sorted({weights.SELFTEST, *there, *named}),
        "languages": [("listen and find out", AUTO), ("several in one", SEVERAL), *languages],
        "tasks": _TASKS,
        "formats": FORMATS,
        "rules": list(RULES),
        "suffixes": _SUFFIXES,
    }


def _typed() -> dict[str, Any]:
    """What the form says of how a recording is heard and written down."""
    return {
        **{key: field(key) for key in _TEXTS},
        "language": field("language") or AUTO,
        "initial_prompt": request.form.get("initial_prompt", "")[:_LONGEST].strip() or None,
        "beam": field("beam"),
        "vad": "vad" in request.form,
        "formats": request.form.getlist("formats")[: len(FORMATS)],
    }


def _as_lines(profile: Profile) -> dict[str, str]:
    pairs = (f"{heard} {_SIGN} {said}" for heard, said in profile.replacements.items())
    return {"vocabulary": "\n".join(profile.vocabulary), "replacements": "\n".join(pairs)}


def _glossary(name: str, typed: Mapping[str, str]) -> dict[str, object]:
    """The lines of two fields as a vocabulary. Raises ChoiceUnfit for one that is no pair."""
    pairs: dict[str, str] = {}
    for line in _lines(typed["replacements"]):
        heard, sign, said = (part.strip() for part in line.partition(_SIGN))
        if not sign or not heard:
            why = f"{line[:60]!r} is not what is heard, {_SIGN} and what is written"
            raise ChoiceUnfit(what=f"The vocabulary of {name}", where="replacements", why=why)
        pairs[heard] = said
    return {"vocabulary": _lines(typed["vocabulary"]), "replacements": pairs}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _name(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        why = "up to 63 small letters, digits, dots, dashes and underscores"
        raise ChoiceUnfit(what="The profile", where="name", why=why) from error
