"""What may be asked of the API: the shapes of addresses and questions.

What does not fit is refused by name (`policy.request-unfit`) before anything is looked up.

Not here: what is told (rows), whether somebody may ask it (access).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from flask import abort, request
from pydantic import BaseModel, BeforeValidator, Field

from appliance.report import shown
from appliance.states import State

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


class JobPath(BaseModel):
    """A job by its number."""

    number: Number


class AttemptPath(JobPath):
    """One attempt at a job."""

    attempt: Number


class JobsQuery(BaseModel):
    """Which jobs."""

    state: list[State] = Field([], description="In any of these states; none named: in every one.")
    share: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=MOST)
    cursor: Cursor = None


class AfterQuery(BaseModel):
    """From where on."""

    after: int = Field(0, ge=0, lt=_NUMBERS)


def asked_for() -> tuple[list[State], str | None, int | None]:
    """State, share and page in the address of a page for people; what is no state is told as 400.

    Raises ValueError for a page that is no number.
    """
    wanted = [word for word in request.args.getlist("state") if word]
    if unknown := [word for word in wanted if word not in set(State)]:
        abort(400, f"There is no state {shown(unknown[0])}; there are {', '.join(State)}.")
    share = request.args.get("share") or None
    return [State(word) for word in wanted], share, request.args.get("before", type=_number)


def _number(text: str) -> int:
    """A job's number as the ledger can hold it. Raises ValueError."""
    number = int(text)
    if not 0 <= number < _NUMBERS:
        raise ValueError(text)
    return number
