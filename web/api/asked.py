"""What may be asked of the API: the shapes of addresses and questions.

What does not fit is refused by name (`policy.request-unfit`) before anything is looked up.

Not here: what is told (rows), whether somebody may ask it (access).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast

from flask import abort, request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from appliance.report import shown
from appliance.rights import Right, Role
from appliance.settings.sections import Formats, Language, Replacements, Vocabulary
from appliance.states import Stage, State
from appliance.store import marks
from appliance.store.board import Choice

MOST: Final = 200  # rows of a page
_NUMBERS: Final = 1 << 63  # that the ledger can hold


def _nothing(text: Any) -> Any:  # noqa: ANN401 - what was sent, as it was sent
    return None if text == "" else text


Number = Annotated[int, Field(ge=1, lt=_NUMBERS)]
Cursor = Annotated[
    Annotated[int, Field(ge=0, lt=_NUMBERS)] | None,
    BeforeValidator(_nothing),
    Field(description="`next_cursor` of the page before."),
]


Tag = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\s,/]([^,/]*[^\s,/])?$")]
Named = Annotated[str, Field(min_length=1, max_length=100)]


Grants = Annotated[
    dict[Named, Literal[Role.VIEWER, Role.OPERATOR]],
    Field(max_length=MOST, description="viewer or operator, by share."),
]


class JobPath(BaseModel):
    """A job by its number."""

    number: Number


class NumberPath(BaseModel):
    """Something by its number."""

    number: Number


class NamePath(BaseModel):
    """Something by its name."""

    name: Named


class DeliveryPath(NamePath):
    """A message to a channel."""

    id: Named


class TagPath(BaseModel):
    """A tag."""

    name: Tag


class AttemptPath(JobPath):
    """One attempt at a job."""

    attempt: Number


class _Chosen(BaseModel):
    """Which jobs are meant; what is left out chooses nothing out."""

    state: list[State] = Field([], description="In any of these states.")
    share: str | None = Field(None, max_length=100)
    tag: list[Tag] = Field([], max_length=20, description="With any of these tags.")
    since: AwareDatetime | None = Field(None, description="Found then or later.")
    until: AwareDatetime | None = Field(None, description="Found before then.")
    name: str = Field("", max_length=200, description="What its path holds somewhere.")

    def choice(self) -> Choice:
        """As the ledger is asked."""
        return Choice(
            share=self.share or None,
            tags=tuple(self.tag),
            since_ms=_ms(self.since),
            until_ms=_ms(self.until),
            named=self.name,
        )


class JobsQuery(_Chosen):
    """Which jobs, and where the page begins."""

    limit: int = Field(50, ge=1, le=MOST)
    cursor: Cursor = None
    counts: bool = Field(False, description="How many of the choice are in each state, too.")


class ForgetQuery(BaseModel):
    """Whether it is meant."""

    dry_run: bool = Field(False, description="Say what would go, and let it stay.")
    files: bool = Field(
        False,
        description="Files of ours go, too, that nobody changed: the worker takes them away.",
    )


class ChoiceQuery(_Chosen, ForgetQuery):
    """Which jobs are to be forgotten."""

    id: list[Number] = Field([], max_length=MOST)
    limit: int = Field(MOST, ge=1, le=MOST, description="So many at once.")

    def choice(self) -> Choice:
        """As the ledger is asked."""
        return replace(super().choice(), numbers=tuple(self.id))


class LimitQuery(BaseModel):
    """How much of it."""

    limit: int = Field(50, ge=1, le=MOST)


class SearchQuery(BaseModel):
    """What was said."""

    q: str = Field(min_length=1, max_length=500)
    share: list[Named] = Field([], max_length=MOST)
    limit: int = Field(50, ge=1, le=MOST)
    cursor: Cursor = None


class BeforeQuery(BaseModel):
    """Where a page begins."""

    before: int | None = Field(None, ge=1, lt=_NUMBERS)
    limit: int = Field(100, ge=1, le=MOST)


class EventsQuery(BaseModel):
    """From which number on."""

    after: int | None = Field(
        None, ge=0, lt=_NUMBERS, description="`next` of the page before; left out: from now on."
    )
    limit: int = Field(MOST, ge=1, le=MOST)


class LastEventHeader(BaseModel):
    """What a browser says when it comes back to a stream."""

    last_event_id: Annotated[
        Annotated[int, Field(ge=0, lt=_NUMBERS)] | None, BeforeValidator(_nothing)
    ] = Field(None, alias="Last-Event-ID", description="The last number that is known.")


class AfterQuery(BaseModel):
    """From where on."""

    after: int = Field(0, ge=0, lt=_NUMBERS)


class JobPatch(BaseModel):
    """What may be said of a job."""

    model_config = ConfigDict(extra="forbid")

    tags: list[Tag] | None = Field(None, max_length=marks.MOST_TAGS)
    priority: int | None = Field(
        None,
        ge=-marks.URGENCY,
        le=marks.URGENCY,
        description="The higher comes first; above 0 it goes before long recordings.",
    )


class Wishes(BaseModel):
    """Other options than a job had; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    profile: str | None = Field(None, max_length=63, description="Its options first, all of them.")
    model: str | None = Field(None, max_length=100)
    language: Language | None = None
    task: Literal["transcribe", "translate", "both"] | None = None
    vocabulary: Vocabulary | None = None
    replacements: Replacements | None = None
    initial_prompt: str | None = Field(None, max_length=800)
    beam: int | None = Field(None, ge=1, le=16)
    vad: bool | None = None
    formats: Formats | None = None


class _MayBeEmpty(BaseModel):
    """A body that may be left out. What is no JSON is not nothing."""

    model_config = cast(ConfigDict, {"extra": "forbid", "openapi_extra": {"required": False}})

    @model_validator(mode="before")
    @classmethod
    def _or_nothing(cls, sent: Any) -> Any:  # noqa: ANN401 - what was sent, as it was sent
        if sent is None and request.get_data():
            raise ValueError("the body is no JSON object")
        return {} if sent is None else sent


class RetryBody(_MayBeEmpty):
    """From where, or how otherwise, a job is done again; nothing said: as it was, all of it."""

    stage: Literal[Stage.STAGE, Stage.DELIVER] = Field(
        Stage.STAGE, description="deliver: only its files are written anew."
    )
    options: Wishes | None = None


class TagBody(BaseModel):
    """Another name for a tag."""

    model_config = ConfigDict(extra="forbid")

    name: Tag


class UserBody(BaseModel):
    """Somebody new."""

    model_config = ConfigDict(extra="forbid")

    name: Named
    role: Role
    grants: Grants = Field(default_factory=dict)


class UserPatch(BaseModel):
    """What becomes of somebody; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    grants: Grants | None = None


class KeyBody(BaseModel):
    """What a key is for, what it opens, and how long."""

    model_config = ConfigDict(extra="forbid")

    purpose: str = Field(min_length=1, max_length=200)
    scopes: list[Right] = Field(min_length=1, max_length=len(Right))
    shares: list[Named] = Field(min_length=1, max_length=MOST)
    days: int = Field(90, ge=1, le=3650)


class PauseBody(_MayBeEmpty):
    """Why the queue is to stand still."""

    why: str = Field("", max_length=200)


def asked_for() -> tuple[list[State], str | None, int | None]:
    """State, share and page in the address of a page for people; what is no state is told as 400.

    Raises ValueError for a page that is no number.
    """
    wanted = [word for word in request.args.getlist("state") if word]
    if unknown := [word for word in wanted if word not in set(State)]:
        abort(400, f"There is no state {shown(unknown[0])}; there are {', '.join(State)}.")
    share = request.args.get("share") or None
    return [State(word) for word in wanted], share, request.args.get("before", type=_number)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _number(text: str) -> int:
    """A job's number as the ledger can hold it. Raises ValueError."""
    number = int(text)
    if not 0 <= number < _NUMBERS:
        raise ValueError(text)
    return number
