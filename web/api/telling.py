"""Whom the box tells: alerts, channels, what was sent over them.

The pages have no way out of the box: a test is a letter like any other, which the one process
that may sends within seconds.

Not here: what a message says (alarm), sending it (notify).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Response, abort
from pydantic import BaseModel, Field

from appliance import alarm
from appliance.alarm.words import of_a_test
from appliance.health.finding import Level
from appliance.health.telling import RESTS_AFTER
from appliance.settings import Channel
from appliance.store import alerts, audit, outbox
from appliance.store.alerts import Alert
from appliance.store.outbox import Posted
from web import db, words
from web.access.asker import asker
from web.api.asked import DeliveryPath, LimitQuery, NamePath
from web.api.document import part, told

bp = part("telling", "Whom the box tells, and of what.")

_SHOWN: Final = 20


class AlertRow(BaseModel):
    """Something that is, or was, wrong with the box."""

    alert: str
    level: str
    sentence: str
    next_step: str
    code: str | None
    since: str
    over: str | None


class AlertPage(BaseModel):
    """What lasts, then what is over, the newest end first."""

    alerts: list[AlertRow]


class ChannelRow(BaseModel):
    """A way to people or programs."""

    name: str
    kind: str
    host: str | None
    alerts: bool
    jobs: str
    shares: list[str]
    rests: bool = Field(description="It failed too often and is left alone for a while.")
    failures: int = Field(description="In a row.")
    why: str | None = Field(description="Why it failed last.")
    letters: dict[str, int] = Field(description="How many are in each state.")


class ChannelPage(BaseModel):
    """Every channel."""

    channels: list[ChannelRow]


class DeliveryRow(BaseModel):
    """A message to one channel; its id is that of every try."""

    id: str
    kind: str
    title: str
    state: str
    tries: int
    why: str | None
    made_at: str
    ended_at: str | None


class DeliveryPage(BaseModel):
    """Messages to a channel, the newest first."""

    deliveries: list[DeliveryRow]


@bp.get("/alerts", responses={200: AlertPage})
def all_alerts(query: LimitQuery) -> Response:
    """What is wrong with the box, and what was."""
    lasting = alarm.firing(db.ledger(), db.settings().run_dir)
    over = alerts.closed(db.ledger(), limit=query.limit)
    return told(AlertPage(alerts=[_alert_row(one) for one in (*lasting, *over)]))


def _alert_row(one: Alert) -> AlertRow:
    return AlertRow(
        alert=one.name,
        level="failure" if one.level >= Level.FAIL else "warning",
        sentence=one.text,
        next_step=one.remedy,
        code=one.error,
        since=words.iso(one.since_ms),
        over=None if one.closed_ms is None else words.iso(one.closed_ms),
    )


@bp.get("/notifications", responses={200: ChannelPage})
def channels() -> Response:
    """Every channel, and how it fares."""
    return told(_channels(db.settings().notify.channel))


@bp.get("/webhooks", responses={200: ChannelPage})
def webhooks() -> Response:
    """The channels that lead to programs."""
    every = db.settings().notify.channel
    return told(_channels(tuple(one for one in every if one.kind == "webhook")))


def _channels(every: tuple[Channel, ...]) -> ChannelPage:
    counts: dict[str, dict[str, int]] = {}
    for name, state, count in outbox.counts(db.ledger()):
        counts.setdefault(name, {})[state] = count
    return ChannelPage(channels=[_channel_row(one, counts.get(one.name, {})) for one in every])


def _channel_row(one: Channel, letters: dict[str, int]) -> ChannelRow:
    fares = outbox.channel(db.ledger(), one.name, most=RESTS_AFTER)
    return ChannelRow(
        name=one.name,
        kind=one.kind,
        host=urlsplit(one.url).hostname,
        alerts=one.alerts,
        jobs=one.jobs,
        shares=list(one.shares),
        rests=fares.rests,
        failures=fares.failures,
        why=fares.why,
        letters=letters,
    )


@bp.post("/notifications/<name>/test", responses={202: DeliveryPage})
def test(path: NamePath) -> Response:
    """Send a test over a channel; what became of it stands among its deliveries."""
    channel, ledger = _channel(path.name), db.ledger()
    now = ledger.clock().wall_ms
    letters = outbox.letters([channel.name], of_a_test(db.settings().notify, now), now)
    with ledger.writing():
        outbox.put(ledger, letters)
        audit.add(ledger, asker().actor, "channel-tested", f"channel:{channel.name}")
    return told(_deliveries(channel, 1), 202)


@bp.get("/notifications/<name>/deliveries", responses={200: DeliveryPage})
def deliveries(path: NamePath, query: LimitQuery) -> Response:
    """What was sent over a channel, or is to be."""
    return told(_deliveries(_channel(path.name), query.limit))


@bp.post("/notifications/<name>/deliveries/<id>/redeliver", responses={202: DeliveryPage})
def redeliver(path: DeliveryPath) -> Response:
    """Send a message once more, under the id that it had."""
    channel, ledger = _channel(path.name), db.ledger()
    with ledger.writing():
        if not outbox.again(ledger, channel.name, path.id):
            abort(404)
        audit.add(ledger, asker().actor, "redelivered", f"channel:{channel.name}", id=path.id)
    return told(_deliveries(channel, _SHOWN), 202)


def _channel(name: str) -> Channel:
    found = next((one for one in db.settings().notify.channel if one.name == name), None)
    return found or abort(404)


def _deliveries(channel: Channel, limit: int) -> DeliveryPage:
    found = outbox.listing(db.ledger(), channel.name, limit=limit)
    return DeliveryPage(deliveries=[_delivery_row(one) for one in found])


def _delivery_row(one: Posted) -> DeliveryRow:
    return DeliveryRow(
        id=one.id,
        kind=str(one.body.get("kind", "")),
        title=str(one.body.get("title", "")),
        state=one.state,
        tries=one.tries,
        why=one.why,
        made_at=words.iso(one.made_ms),
        ended_at=None if one.ended_ms is None else words.iso(one.ended_ms),
    )
