"""What was typed into a form → what is kept, or policy.choice-unfit with the first wrong field.

Not here: what programs send (failures.refuse).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.errors import ChoiceUnfit

T = TypeVar("T", bound=BaseModel)


def fitting(kind: type[T], what: str, typed: Mapping[str, Any]) -> T:
    """`typed` as a `kind`; `what` names it in the error. Raises ChoiceUnfit."""
    try:
        return kind.model_validate(dict(typed))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100] or "its fields"
        why = first["msg"].removeprefix("Value error, ").replace("\n", "; ")
        raise ChoiceUnfit(what=what, where=where, why=why) from error
