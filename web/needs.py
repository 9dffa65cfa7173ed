"""What needs a person, most urgent first: each with a sentence, a next step and where to look.

A job that waits, is retried or still arrives needs nobody.

Not here: finding it out (appliance.health.checks), repairing anything; a page only names the
command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.health.finding import Finding, Level
from appliance.report import shown
from appliance.store.alerts import Alert


@dataclass(frozen=True, slots=True)
class Need:
    """Something a person has to do."""

    name: str  # of the finding
    sentence: str
    step: str
    code: str | None = None  # of the catalogue: its help page
    link: str | None = None
    since_ms: int | None = None


def needs(found: Sequence[Finding], firing: Sequence[Alert] = ()) -> tuple[Need, ...]:
    """Everything that needs a person; failures first, in the order of the checks.

    `firing` are the alerts people were told of: they know since when.
    """
    since = {one.name: one.since_ms for one in firing}
    first = sorted(found, key=lambda one: one.level is not Level.FAIL)
    return tuple(_need(one, one.since_ms or since.get(one.name)) for one in first)


def _need(one: Finding, since_ms: int | None) -> Need:
    link = _LINKS.get(one.code)
    where = link.format(share=one.subject) if link else None
    return Need(one.name, shown(one.text), shown(one.remedy), one.error, where, since_ms)


_LINKS: Final = {
    "share": "#share-{share}",
    "adoption": "#shares",
    "jobs": "/jobs?state=failed&state=dead",
}
