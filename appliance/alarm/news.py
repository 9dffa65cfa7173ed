"""What channels that want to know are told of jobs: those that ended, or the day's count.

Bookmarks in the ledger say how far was told; they move with the letters, in one transaction.

Not here: alerts about the box (steps).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from appliance.alarm import words
from appliance.settings import Channel, Settings
from appliance.states import State
from appliance.store import board, events, outbox
from appliance.store.ledger import Ledger, Moment

_DAY_MS: Final = 86_400_000
_FAILED: Final = (State.FAILED, State.DEAD)
_WANTED: Final[Mapping[str, tuple[State, ...]]] = {
    "failed": _FAILED,
    "all": (*_FAILED, State.DONE),
}


def tell(ledger: Ledger, settings: Settings, now: Moment) -> None:
    """Write letters about what jobs did since the last time. Raises node.*."""
    channels = settings.notify.channel
    if any(one.jobs in _WANTED for one in channels):
        _ended(ledger, settings, now)
    if any(one.jobs == "daily" for one in channels):
        _daily(ledger, settings, now)


def _ended(ledger: Ledger, settings: Settings, now: Moment) -> None:
    newest = events.newest(ledger)
    told = outbox.bookmark(ledger, outbox.JOBS)
    if told == newest:
        return
    begun = told is not None and told < newest  # else: a new channel, or an older ledger
    wanted = {state for one in settings.notify.channel for state in _WANTED.get(one.jobs, ())}
    ended = (
        events.ends(ledger, sorted(wanted), after=told, until=newest)
        if begun and told is not None
        else []
    )
    if begun and not ended:
        return  # moved with the next letter: no need to write every few seconds
    with ledger.writing():
        outbox.move_bookmark(ledger, outbox.JOBS, newest)
        for channel in settings.notify.channel:
            of_it = [one for one in ended if _wants(channel, one)]
            if of_it:
                body = words.of_jobs(of_it, channel, settings.notify, now.wall_ms)
                outbox.put(ledger, outbox.letters([channel.name], body, now.wall_ms))


def _daily(ledger: Ledger, settings: Settings, now: Moment) -> None:
    last = outbox.bookmark(ledger, outbox.DAILY)
    if last is not None and abs(now.wall_ms - last) < _DAY_MS:
        return
    with ledger.writing():
        outbox.move_bookmark(ledger, outbox.DAILY, now.wall_ms)
        if last is None:
            return
        for channel in settings.notify.channel:
            if channel.jobs == "daily":
                day = board.tally(ledger, since_ms=last, shares=frozenset(channel.shares) or None)
                body = words.of_the_day(day, settings.notify, last, now.wall_ms)
                outbox.put(ledger, outbox.letters([channel.name], body, now.wall_ms))


def _wants(channel: Channel, end: events.End) -> bool:
    here = not channel.shares or end.share in channel.shares
    return here and end.became in _WANTED.get(channel.jobs, ())
