"""What every named failure is made of: code, sentence, next step, and what repeats the job.

Not here: the failures themselves, a file for each whose turn it is.
"""

from __future__ import annotations

import enum
import string
from typing import ClassVar

from appliance.nouns import Detail


class Retry(enum.Enum):
    """What repeats a job that failed."""

    NEVER = "never"  # only a changed file or a person
    WHEN_WELL = "when-well"  # the gate of this error opens again; costs no attempt
    LATER = "later"  # time, a few times


class Budget(enum.Enum):
    """Which of a job's counters a failure is charged to."""

    NONE = "none"
    ERRORS = "errors"  # transient: five
    CRASHES = "crashes"  # a child that died, hung or outgrew its limits: three
    LOSSES = "losses"  # the worker or the box died: nothing, until the fifth within an hour


class _Facts(dict[str, object]):
    """The facts of an error; one that is missing reads as its own name, never as a KeyError."""

    def __missing__(self, key: str) -> object:
        return _Unknown(f"({key})")


class _Filler(string.Formatter):
    """Fills sentences; a fact of another kind than the sentence expects is shown as it is."""

    def format_field(self, value: object, format_spec: str) -> str:
        try:
            return str(super().format_field(value, format_spec))
        except ValueError:
            return str(value)


class _Unknown(str):
    """The name of a missing fact, whatever form a number was to take there."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        return str(self)


class ApplianceError(Exception):
    """A failure with a name. Facts come as keywords and fill the sentence.

    `ShareReadOnly(path="talk.mp4", share="meetings")`
    """

    code: ClassVar[str] = ""
    message: ClassVar[str] = ""
    hint: ClassVar[str] = ""
    retry: ClassVar[Retry] = Retry.NEVER
    budget: ClassVar[Budget] = Budget.NONE
    gate: ClassVar[str | None] = None  # name of the gate this closes, with facts in braces
    note: ClassVar[bool] = False  # a person in the folder can mend it: leave NAME.ERROR.txt

    def __init__(self, /, **detail: str | float) -> None:
        super().__init__(detail)
        self.detail: Detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return fill(self.message, self.detail)

    @property
    def next_step(self) -> str:
        """What the person can do about it."""
        return fill(self.hint, self.detail)

    @property
    def gate_name(self) -> str | None:
        """The gate that holds jobs back until this is well again."""
        return None if self.gate is None else fill(self.gate, self.detail)


def fill(template: str, detail: Detail) -> str:
    return _Filler().vformat(template, (), _Facts(detail))
