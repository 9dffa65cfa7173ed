"""Alerts open after their patience, close after a calm, and never flap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from appliance.alarm.steps import CALM_SECONDS, LATELY_MS, Kind, advance, applied
from appliance.health.checks import CHECKS, Seen
from appliance.health.finding import Finding, Level
from appliance.store.alerts import Alert, Phase
from appliance.store.ledger import Moment

EVERY = 10.0
ENGINE = Finding("engine", Level.FAIL, "No engine answers on this box.", "Start it.")
LOW = Finding("disk", Level.WARN, "It is getting full.", "Make room.")
FULL = Finding("disk", Level.FAIL, "It is full.", "Make room.")
QUEUE = Finding("queue", Level.FAIL, "Nobody works.", "Start it.")


def seen(*findings: Finding, silent: frozenset[str] = frozenset()) -> Seen:
    return Seen(findings, silent, ready=True)


@dataclass
class Story:
    """Looks, one every ten seconds, and what was told."""

    live: list[Alert] = field(default_factory=list)
    closed: list[Alert] = field(default_factory=list)
    told: list[tuple[float, Kind, str]] = field(default_factory=list)
    at: float = 0.0
    boot: str = "a"

    def look(self, what: Seen, *, after: float = EVERY) -> None:
        self.at += after
        now = Moment(round(self.at * 1000), self.at, self.boot)
        step = advance(self.live, what, now, endings=self._endings)
        self.live = applied(self.live, step)
        self.closed += [one for one in step.changed if one.phase is Phase.CLOSED]
        self.told += [(self.at, kind, alert.name) for kind, alert in step.news]

    def looks(self, whats: Sequence[Seen]) -> None:
        for what in whats:
            self.look(what)

    def _endings(self, alert: Alert) -> int:
        since = self.at * 1000 - LATELY_MS
        alike = [one for one in self.closed if (one.name, one.error) == (alert.name, alert.error)]
        return sum((one.closed_ms or 0) >= since for one in alike)

    @property
    def kinds(self) -> list[Kind]:
        return [kind for _, kind, _ in self.told]


def test_what_lasts_is_told_within_twenty_seconds_and_so_is_its_end() -> None:
    story = Story()
    story.looks([seen(ENGINE)] * 6)
    story.looks([seen()] * 6)
    assert story.told == [(20, Kind.ALERT, "engine"), (80, Kind.RECOVERY, "engine")]
    assert story.live == []


def test_what_passes_between_two_looks_is_told_to_nobody() -> None:
    story = Story()
    story.looks([seen(ENGINE), seen()] * 20)
    assert story.told == []
    assert story.live == story.closed == []


def test_what_comes_back_before_its_end_was_told_is_the_same_alert() -> None:
    story = Story()
    story.looks([seen(ENGINE)] * 2 + [seen(), seen(ENGINE)] * 20 + [seen()] * 2)
    assert story.kinds == [Kind.ALERT, Kind.RECOVERY]


def test_the_more_often_it_comes_back_the_longer_it_must_be_well() -> None:
    story = Story()
    story.looks(([seen(ENGINE)] * 2 + [seen()] * 3) * 72)  # an hour: 20 s unwell, 30 s well
    assert len(story.told) <= 5, story.told
    story.looks([seen()] * round(CALM_SECONDS[-1] / EVERY + 1))
    assert story.kinds.count(Kind.ALERT) == story.kinds.count(Kind.RECOVERY)
    assert story.live == []


@given(st.lists(st.booleans(), max_size=400))
def test_it_never_tells_much_and_never_stays_silent(bad: list[bool]) -> None:
    story = Story()
    story.looks([seen(ENGINE) if one else seen() for one in bad])
    kinds = story.kinds
    assert kinds == [Kind.ALERT, Kind.RECOVERY] * (len(kinds) // 2) + [Kind.ALERT] * (
        len(kinds) % 2
    ), "one end for each beginning"
    hours = len(bad) * EVERY / 3600
    assert kinds.count(Kind.ALERT) <= 1 + len(CALM_SECONDS) * (1 + hours)
    story.looks([seen()] * round(CALM_SECONDS[-1] / EVERY + 2))
    assert story.live == []
    story.looks([seen(ENGINE)] * 2)
    assert [one.phase for one in story.live] == [Phase.OPEN]


def test_what_gets_worse_is_told_again_and_what_gets_better_is_not() -> None:
    story = Story()
    story.looks([seen(LOW)] * 3 + [seen(FULL)] * 3 + [seen(LOW)] * 3 + [seen()] * 3)
    assert story.kinds == [Kind.ALERT, Kind.WORSE, Kind.RECOVERY]


def test_two_shares_are_two_alerts() -> None:
    story = Story()
    first, second = (Finding("share", Level.FAIL, "away", "look", name) for name in "ab")
    story.looks([seen(first)] * 3 + [seen(first, second)] * 3 + [seen(second)] * 3)
    assert [(kind, name) for _, kind, name in story.told] == [
        (Kind.ALERT, "share a"),
        (Kind.ALERT, "share b"),
        (Kind.RECOVERY, "share a"),
    ]


def test_a_check_that_is_silent_because_its_cause_is_named_ends_nothing() -> None:
    story = Story()
    story.looks([seen(QUEUE)] * 8)
    assert story.kinds == [Kind.ALERT]
    story.looks([seen(ENGINE, silent=frozenset({"queue"}))] * 5)
    assert (Kind.RECOVERY, "queue") not in [(kind, name) for _, kind, name in story.told]
    story.looks([seen()] * 3)
    assert sorted(name for _, kind, name in story.told if kind is Kind.RECOVERY) == [
        "engine",
        "queue",
    ]


def test_a_start_of_the_box_counts_time_anew_and_forgets_nothing() -> None:
    story = Story()
    story.looks([seen(ENGINE)] * 3)
    story.boot, story.at = "b", 0.0
    story.look(seen())
    assert [one.phase for one in story.live] == [Phase.CLEARING]
    story.look(seen())
    assert story.kinds == [Kind.ALERT, Kind.RECOVERY]


def test_what_needs_nobody_is_told_to_nobody() -> None:
    quiet = [check for check in CHECKS if not check.news]
    findings = [Finding(check.code, Level.FAIL, "so", "do") for check in quiet]
    mild = [
        Finding(check.code, Level.WARN, "so", "do")
        for check in CHECKS
        if check.news and check.needs is Level.FAIL
    ]
    story = Story()
    story.looks([seen(*findings, *mild)] * 5)
    assert story.told == []
    assert quiet
    assert mild


def test_every_check_says_what_it_is_about_what_it_means_and_what_to_do() -> None:
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.title
        assert check.effect.endswith("."), check.code
        assert check.patience <= 8, "two looks, and thirty seconds are kept"
        assert set(check.after) <= {one.code for one in CHECKS}
