"""Messages that leave the box, and nothing else does: the one process with a way out.

In: letters of the outbox, channels of the settings. Out: nothing, or a sentence that says
why a letter did not arrive. A channel is a function in `NOTIFIERS`; where its host may be
is asked of `addresses` first, for every channel and every try.

    addresses   where a message may go
    secret      what a channel signs or logs in with
    webhook     a signed request, spoken by ourselves
    spoken      ntfy and e-mail, through apprise in a child with a limit of time
    post        which letters are due, and when to try again

Not here: what a message says (alarm), the outbox (store.outbox).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from appliance.notify import spoken, webhook
from appliance.settings import Channel
from appliance.store.outbox import Letter

# A channel, its secret, a letter, where messages may go → None, or why it did not arrive.
Notifier = Callable[[Channel, str, Letter, tuple[str, ...]], str | None]

NOTIFIERS: Final[Mapping[str, Notifier]] = {
    "ntfy": spoken.ntfy,
    "email": spoken.email,
    "webhook": webhook.send,
}

__all__ = ["NOTIFIERS", "Notifier"]
