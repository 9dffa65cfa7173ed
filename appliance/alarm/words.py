"""What a message says: cause, effect, next step; what is over, by its name; which jobs failed.

A message is a flat object, the same for every channel: a program gets it as it is, people
get its `title` and its `text`. Nothing in it disturbs a page of text. A recording is named
only where the channel's settings say so, and no message ever holds a word of a transcript.

Not here: when there is something to tell (steps, news), sending it (notify).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from appliance.alarm.steps import Kind
from appliance.health.checks import NAMED
from appliance.health.finding import Level
from appliance.health.keeping import spell
from appliance.nouns import display
from appliance.report import shown
from appliance.settings import Channel, NotifySettings
from appliance.states import State
from appliance.store.alerts import Alert
from appliance.store.board import Tally
from appliance.store.events import End

_HEADS: Final = {Kind.ALERT: "", Kind.WORSE: "Worse: ", Kind.RECOVERY: "Well again: "}
_MOST_NAMED: Final = 20
_BAD: Final = (State.FAILED, State.DEAD)


def of_alert(kind: Kind, alert: Alert, notify: NotifySettings, now_ms: int) -> dict[str, Any]:
    """Tell of an alert. Times are milliseconds since 1970."""
    check = NAMED[alert.code]
    cause, step = shown(alert.text), shown(alert.remedy)
    since = alert.since_ms if alert.opened_ms is None else min(alert.since_ms, alert.opened_ms)
    facts = {
        **_about(kind, f"{_HEADS[kind]}{cause}", now_ms),
        "alert": alert.name,
        "check": alert.code,
        "code": alert.error,
        "level": "failure" if alert.level >= Level.FAIL else "warning",
        "cause": cause,
        "effect": check.effect,
        "next_step": step,
        "since": iso(since),
        "url": _address(notify, f"/help/{alert.error}" if alert.error else "/"),
    }
    if kind is Kind.RECOVERY:
        lasted = spell(max(now_ms - since, 0) / 1000)
        lines = [f"This is over: {cause}", f"It was so since {_clock(since)}, {lasted} in all."]
    else:
        lines = [cause, f"What it means: {check.effect}", f"What to do: {step}"]
        lines.append(f"Since {_clock(since)}.")
    return facts | {"text": _text([*lines, facts["url"]])}


def of_jobs(
    ended: Sequence[End], channel: Channel, notify: NotifySettings, now_ms: int
) -> dict[str, Any]:
    """Tell which jobs ended without a transcript, and which with one."""
    failed = [one for one in ended if one.became != State.DONE]
    done = len(ended) - len(failed)
    heads = [f"{_count(done)} done"] if done else []
    heads += [f"{_count(len(failed))} could not be transcribed"] if failed else []
    head = ", ".join(heads)
    only = "?" + "&".join(f"state={state}" for state in _BAD)
    url = _address(notify, "/jobs" if done else f"/jobs{only}")
    lines = [f"{head}." + (" A note with the reason lies beside each of them." if failed else "")]
    told = sorted(ended, key=lambda one: one.became == State.DONE)
    for one in told[:_MOST_NAMED]:
        what = shown(display(one.path)) if channel.names else f"job {one.job}"
        lines.append(f"{one.share}: {what} ({one.code or one.became})")
    if len(told) > _MOST_NAMED:
        lines.append(f"and {len(told) - _MOST_NAMED:,} more")
    rows = [
        {"job": one.job, "share": one.share, "state": one.became, "code": one.code} for one in told
    ]
    facts = {"done": done, "failed": len(failed), "jobs": rows, "url": url}
    return _about("jobs", head, now_ms) | facts | {"text": _text([*lines, url])}


def of_the_day(day: Tally, notify: NotifySettings, since_ms: int, now_ms: int) -> dict[str, Any]:
    """Tell how many jobs ended since the last time, and how."""
    stretch = spell(max(now_ms - since_ms, 0) / 1000)
    head = f"{_count(day.done)} done in {stretch}, {day.failed:,} failed"
    lines = [f"{head}.", f"{day.warned:,} of those done carry a warning."]
    url = _address(notify, "/")
    facts = {"done": day.done, "warned": day.warned, "failed": day.failed, "url": url}
    return _about("digest", head, now_ms) | facts | {"text": _text([*lines, url])}


def of_a_test(notify: NotifySettings, now_ms: int) -> dict[str, Any]:
    """Tell that a channel works."""
    url = _address(notify, "/")
    text = _text(["If you read this, messages of the transcription box arrive here.", url])
    return _about("test", "A test of this channel", now_ms) | {"url": url, "text": text}


def _about(kind: str, head: str, now_ms: int) -> dict[str, Any]:
    box = socket.gethostname()
    return {"kind": str(kind), "box": box, "title": f"{box}: {head}", "at": iso(now_ms)}


def iso(ms: int) -> str:
    """A moment as programs read it: RFC 3339, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _count(number: int) -> str:
    return "1 recording" if number == 1 else f"{number:,} recordings"


def _address(notify: NotifySettings, path: str) -> str | None:
    return f"{notify.page.rstrip('/')}{path}" if notify.page else None


def _text(lines: Sequence[str | None]) -> str:
    return "\n\n".join(filter(None, lines))
