"""Would people be told? Those who look after alerts and send messages, and the channels.

Not here: what they are told (alarm), sending it (notify).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from appliance.errors import ChannelPaused, TellerStopped
from appliance.health import alive
from appliance.health.finding import Finding, Level, named
from appliance.settings import Settings
from appliance.store import outbox
from appliance.store.ledger import Ledger

RESTS_AFTER: Final = 10  # failures in a row
TELLERS: Final = ("check", "notify")  # their locks lie in the run folder


def tellers(_ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Do they live who look after alerts and send messages, where there is whom to tell?"""
    if not settings.notify.channel or not alive.is_shown():
        return
    for name in TELLERS:
        if alive.held(settings.run_dir, name):
            yield Finding("telling", Level.OK, f"{name} runs", subject=name)
        else:
            yield named("telling", TellerStopped(what=name), subject=name, level=Level.WARN)


def channels(ledger: Ledger, settings: Settings) -> Iterator[Finding]:
    """Do messages arrive?"""
    for one in settings.notify.channel:
        fares = outbox.channel(ledger, one.name, most=RESTS_AFTER)
        if fares.failures >= RESTS_AFTER:
            error = ChannelPaused(channel=one.name, why=fares.why or "nobody knows why")
            yield named("channel", error, subject=one.name, level=Level.WARN)
        else:
            text = f"{one.name} takes messages" if not fares.failures else f"{fares.why}"
            yield Finding("channel", Level.OK, text, subject=one.name)
