"""From what was found to what people are told: alerts that open, get worse, clear and close. Pure.

In: the alerts that live, what the checks found, the time. Out: how the alerts change, and
which of the changes are news. What passes within a check's patience is never told. What is
well again is told after a calm, and the calm is longer the more often the same thing came
back within the hour: nobody is told the same thing every minute.

Not here: finding out (health.checks), the words (words), writing it down (the package).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.health.checks import NAMED, Seen
from appliance.health.finding import Finding
from appliance.store.alerts import Alert, Phase
from appliance.store.ledger import Moment

CALM_SECONDS: Final = (8.0, 8.0, 60.0, 300.0, 900.0)  # by how often it was over in the hour
LATELY_MS: Final = 3_600_000


class Kind(enum.StrEnum):
    """What there is to tell of an alert."""

    ALERT = "alert"
    WORSE = "worse"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Step:
    """How the alerts change."""

    changed: tuple[Alert, ...] = ()
    passed: tuple[str, ...] = ()  # names of those that went before anybody was told
    news: tuple[tuple[Kind, Alert], ...] = ()


def advance(
    live: Sequence[Alert], seen: Seen, now: Moment, *, endings: Callable[[Alert], int]
) -> Step:
    """Take every alert one step further.

    `endings(alert)` tells how often this alert, of this cause, was over within the last hour.
    """
    found = {one.name: one for one in seen.news}
    changed: list[Alert] = []
    passed: list[str] = []
    news: list[tuple[Kind, Alert]] = []
    known = [*live, *(_new(one, now) for one in found.values() if one.name not in _names(live))]
    for before in known:
        finding = found.get(before.name)
        if finding is not None:
            after, kind = _still(before, finding, now)
        elif before.code in seen.silent and before.phase is not Phase.PENDING:
            continue  # nobody asked: its cause is named
        elif before.phase is Phase.PENDING:
            passed.append(before.name)
            continue
        else:
            after, kind = _gone(before, now, endings)
        if after != before or before not in live:
            changed.append(after)
        if kind is not None:
            news.append((kind, after))
    return Step(tuple(changed), tuple(passed), tuple(news))


def applied(live: Sequence[Alert], step: Step) -> list[Alert]:
    """The alerts that live after a step."""
    after = {one.name: one for one in live if one.name not in step.passed}
    after |= {one.name: one for one in step.changed}
    return [one for one in after.values() if one.phase is not Phase.CLOSED]


def _names(live: Sequence[Alert]) -> frozenset[str]:
    return frozenset(one.name for one in live)


def _new(finding: Finding, now: Moment) -> Alert:
    return Alert(
        name=finding.name,
        code=finding.code,
        level=finding.level,
        text=finding.text,
        remedy=finding.remedy,
        error=finding.error,
        phase=Phase.PENDING,
        since_ms=now.wall_ms if finding.since_ms is None else finding.since_ms,
        phase_bt=now.boot_s,
        boot_id=now.boot_id,
    )


def _still(before: Alert, finding: Finding, now: Moment) -> tuple[Alert, Kind | None]:
    """It is so, or so again."""
    after = replace(
        before,
        level=int(finding.level),
        text=finding.text,
        remedy=finding.remedy,
        error=finding.error,
    )
    match before.phase:
        case Phase.PENDING:
            if _lasted(before, now) < NAMED[before.code].patience:
                return _marked(after, now), None
            return _into(Phase.OPEN, after, now, opened_ms=now.wall_ms), Kind.ALERT
        case Phase.CLEARING:
            after = _into(Phase.OPEN, after, now)  # it came back before anybody was told
    return after, Kind.WORSE if finding.level > before.level else None


def _gone(before: Alert, now: Moment, endings: Callable[[Alert], int]) -> tuple[Alert, Kind | None]:
    """It is well, or stays so."""
    if before.phase is Phase.OPEN:
        return _into(Phase.CLEARING, before, now), None
    calm = CALM_SECONDS[min(endings(before), len(CALM_SECONDS) - 1)]
    if _lasted(before, now) < calm:
        return _marked(before, now), None
    return _into(Phase.CLOSED, before, now, closed_ms=now.wall_ms), Kind.RECOVERY


def _lasted(alert: Alert, now: Moment) -> float:
    """Seconds in this phase; after a start of the box they are counted anew."""
    return now.boot_s - alert.phase_bt if alert.boot_id == now.boot_id else 0.0


def _marked(alert: Alert, now: Moment) -> Alert:
    if alert.boot_id == now.boot_id:
        return alert
    return replace(alert, phase_bt=now.boot_s, boot_id=now.boot_id)


def _into(phase: Phase, alert: Alert, now: Moment, **times: int) -> Alert:
    told = replace(alert, phase=phase, phase_bt=now.boot_s, boot_id=now.boot_id)
    return replace(told, **times)  # type: ignore[arg-type]
