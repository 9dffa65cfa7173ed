"""Profiles and their vocabularies: what a kind of recording is asked for.

Who sees a share sees its profile; admins of every share change them. What they say stands over
the settings' files from then on, for recordings that are found afterwards. A change names what
it was made on (If-Match).

Not here: what may be said (appliance.choices), the pages' forms (web.profiles).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal

from flask import Response, abort, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.choices import profiles
from appliance.choices.profiles import Standing
from appliance.errors import ChoiceUnread
from appliance.report import shown
from appliance.settings import AUTO, Glossary, Manner
from appliance.settings.sections import Name, Replacements, Vocabulary
from appliance.store.choices import Choice
from web import db, failures, words
from web.access import sees
from web.access.asker import asker
from web.api.asked import NamePath
from web.api.document import part, problems, told
from web.overview import in_sight

bp = part("profiles", "What a kind of recording is asked for.")

_CHANGED: Final = problems(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
_CONFLICT: Final = problems(HTTPStatus.CONFLICT)


class SaidRow(BaseModel):
    """Whose word something is."""

    said_by: Literal["page", "files", "built-in"] = Field(
        description="page: it was chosen, here or on the page, and stands over the files."
    )
    in_files: bool = Field(description="There is something to go back to when it is deleted.")
    changed_by: str | None = Field(description="For admins.")
    changed_at: str | None


class ProfileRow(SaidRow):
    """How a kind of recording is transcribed."""

    name: str
    model: str
    language: str | None = Field(description="null: the box listens and finds out.")
    task: str
    initial_prompt: str | None
    beam: int
    vad: bool
    subtitle_rules: str
    formats: list[str]
    language_suffix: str
    shares: list[str] = Field(description="Those that are seen and use it.")


class ProfilePage(BaseModel):
    """Every profile that a share which is seen uses; for who sees every share, all."""

    profiles: list[ProfileRow]


class VocabularyRow(SaidRow):
    """Names and words that the model should expect, and spellings that people want."""

    profile: str
    words: list[str]
    replacements: dict[str, str] = Field(description="What is heard, what is written.")


class VocabularyPage(BaseModel):
    """The vocabulary of each profile."""

    vocabularies: list[VocabularyRow]


class MadeOnHeader(BaseModel):
    """What a change was made on."""

    if_match: str | None = Field(None, alias="If-Match", description="The ETag of what was read.")


class ProfileBody(Manner):
    """A new profile; what is left out is as the box has it by itself."""

    name: Name


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class ProfilePatch(Manner):
    """What becomes of a profile; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class VocabularyBody(BaseModel):
    """All of a vocabulary."""

    model_config = ConfigDict(extra="forbid")

    words: Vocabulary = ()
    replacements: Replacements = Field(default_factory=dict)


# --- profiles -----------------------------------------------------------------------------------


@bp.get("/profiles", responses={200: ProfilePage})
def listing() -> Response:
    """Every profile."""
    return _page()


@bp.post("/profiles", responses={201: ProfileRow, **_CONFLICT})
def make(body: ProfileBody) -> Response:
    """A profile under a name that none has yet."""
    manner = Manner.model_validate(body.model_dump(exclude={"name"}))
    profiles.make(db.ledger(), db.files(), asker().actor, body.name, manner)
    return _profile(body.name, HTTPStatus.CREATED)


@bp.get("/profiles/<name>", responses={200: ProfileRow})
def one(path: NamePath) -> Response:
    """One profile; its ETag is what a change of it has to name."""
    return _profile(path.name)


@bp.patch("/profiles/<name>", responses={200: ProfileRow, **_CHANGED})
def change(path: NamePath, header: MadeOnHeader, body: ProfilePatch) -> Response:
    """Let a profile say something else, for recordings that are found from now on.

    One of the files stays in them; what is chosen here stands over it, as a whole.
    """
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.tag, f"profile {seen.name}")
    now = profiles.plain(Manner, seen.profile) | body.model_dump(exclude_unset=True)
    profiles.change(db.ledger(), db.files(), asker().actor, seen, _manner(now), on=on)
    return _profile(path.name)


@bp.delete("/profiles/<name>", responses={200: ProfilePage, **_CHANGED, **_CONFLICT})
def take_back(path: NamePath, header: MadeOnHeader) -> Response:
    """Back to what the files say of a profile; one that is not in them is gone.

    Jobs keep the options they have.
    """
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.tag, f"profile {seen.name}")
    profiles.take_back(db.ledger(), db.files(), asker().actor, seen, on=on)
    return _page()


def _page() -> Response:
    return told(ProfilePage(profiles=[_profile_row(one) for one in _in_sight()]))


def _manner(plain: dict[str, Any]) -> Manner:
    try:
        return Manner.model_validate(plain)
    except ValidationError as error:
        failures.refuse(error)


def _profile(name: str, status: int = HTTPStatus.OK) -> Response:
    seen = _seen(name)
    return tagged(_profile_row(seen), seen.tag, status)


def _profile_row(one: Standing) -> ProfileRow:
    manner = profiles.plain(Manner, one.profile)
    if manner["language"] == AUTO:
        manner["language"] = None
    used = [
        share.name
        for share in db.files().share
        if share.profile == one.name and in_sight(share.name, sees())
    ]
    return ProfileRow(name=one.name, shares=used, **manner, **_said(one, one.manner))


# --- vocabularies -------------------------------------------------------------------------------


@bp.get("/vocabularies", responses={200: VocabularyPage})
def vocabularies() -> Response:
    """The vocabulary of each profile."""
    return told(VocabularyPage(vocabularies=[_vocabulary_row(one) for one in _in_sight()]))


@bp.get("/vocabularies/<name>", responses={200: VocabularyRow})
def vocabulary(path: NamePath) -> Response:
    """The vocabulary of the profile of that name; its ETag is what a change has to name."""
    return _vocabulary(path.name)


@bp.put("/vocabularies/<name>", responses={200: VocabularyRow, **_CHANGED})
def reword(path: NamePath, header: MadeOnHeader, body: VocabularyBody) -> Response:
    """Give a profile another vocabulary, all of it, for recordings found from now on."""
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.words_tag, f"the vocabulary of {seen.name}")
    glossary = Glossary(vocabulary=body.words, replacements=body.replacements)
    profiles.reword(db.ledger(), db.files(), asker().actor, seen, glossary, on=on)
    return _vocabulary(path.name)


@bp.delete("/vocabularies/<name>", responses={200: VocabularyRow, **_CHANGED, **_CONFLICT})
def unword(path: NamePath, header: MadeOnHeader) -> Response:
    """Back to the vocabulary that the files say; none where they say none."""
    seen = _seen(path.name)
    on = made_on(header.if_match, seen.words_tag, f"the vocabulary of {seen.name}")
    profiles.unword(db.ledger(), db.files(), asker().actor, seen, on=on)
    return _vocabulary(path.name)


def _vocabulary(name: str) -> Response:
    seen = _seen(name)
    return tagged(_vocabulary_row(seen), seen.words_tag, HTTPStatus.OK)


def _vocabulary_row(one: Standing) -> VocabularyRow:
    return VocabularyRow(
        profile=one.name,
        words=list(one.profile.vocabulary),
        replacements=dict(one.profile.replacements),
        **_said(one, one.glossary),
    )


# --- of both ------------------------------------------------------------------------------------


def _in_sight() -> list[Standing]:
    used = {one.profile for one in db.files().share if in_sight(one.name, sees())}
    every = profiles.listing(db.ledger(), db.files())
    return [one for one in every if sees() is None or one.name in used]


def _seen(name: str) -> Standing:
    return next((one for one in _in_sight() if one.name == name), None) or abort(404)


def _said(one: Standing, choice: Choice | None) -> dict[str, Any]:
    by = "page" if choice else "files" if one.name in db.files().profile else "built-in"
    told_who = choice is not None and asker().is_admin
    return {
        "said_by": by,
        "in_files": one.in_files,
        "changed_by": shown(choice.who) if choice and told_who else None,
        "changed_at": words.iso(choice.at_ms) if choice else None,
    }


def made_on(said: str | None, tag: str, what: str) -> str:
    """The tag that a change was made on. Raises ChoiceUnread."""
    sent = request.if_match
    if said is None or not (sent.star_tag or sent.as_set(include_weak=True)):
        raise ChoiceUnread(what=what)
    if sent.star_tag or sent.contains_weak(tag):  # a proxy that packs an answer weakens it
        return tag
    return min(sent.as_set(include_weak=True))


def tagged(row: BaseModel, tag: str, status: int) -> Response:
    """An answer that says what a change of it has to name."""
    response = jsonify(row.model_dump(mode="json"))
    response.status_code = status
    response.set_etag(tag)
    if request.method in ("GET", "HEAD"):
        response.make_conditional(request)
    return response
