"""What channels that want to know are told of jobs: those that failed, and the day's count.

Bookmarks in the ledger say how far was told; they move with the letters, in one transaction.

Not here: alerts about the box (steps).
"""

from __future__ import annotations

from typing import Final

from appliance.alarm import words
from appliance.settings import Channel, Settings
from appliance.store import board, events, outbox
from appliance.store.ledger import Ledger, Moment

_DAY_MS: Final = 86_400_000


def tell(ledger: Ledger, settings: Settings, now: Moment) -> None:
    """Write letters about what jobs did since the last time. Raises node.*."""
    channels = settings.notify.channel
    if any(one.jobs == "failed" for one in channels):
        _failed(ledger, settings, now)
    if any(one.jobs == "daily" for one in channels):
        _daily(ledger, settings, now)


def _failed(ledger: Ledger, settings: Settings, now: Moment) -> None:
    newest = events.newest(ledger)
    told = outbox.bookmark(ledger, outbox.JOBS)
    if told == newest:
        return
    begun = told is not None and told < newest  # else: a new channel, or an older ledger
    failed = events.failures(ledger, after=told, until=newest) if begun and told is not None else []
    if begun and not failed:
        return  # moved with the next letter: no need to write every few seconds
    with ledger.writing():
        outbox.move_bookmark(ledger, outbox.JOBS, newest)
        for channel in settings.notify.channel:
            of_it = [one for one in failed if _wants(channel, one.share)]
            if channel.jobs == "failed" and of_it:
                body = words.of_failures(of_it, channel, settings.notify, now.wall_ms)
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
                day = board.tally(ledger, since_ms=last, of=channel.shares)
                body = words.of_the_day(day, settings.notify, last, now.wall_ms)
                outbox.put(ledger, outbox.letters([channel.name], body, now.wall_ms))


def _wants(channel: Channel, share: str) -> bool:
    return not channel.shares or share in channel.shares
