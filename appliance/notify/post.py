"""The round of the post: which letters are due, whether they arrived, when they are tried again.

A thread a channel, so that one that hangs keeps back no other. A letter is tried at once and
four times more; a channel that failed ten times in a row rests for an hour. A test goes
first, once, and to a channel that rests as well: somebody waits for it. What lies in
the run folder, because the ledger takes nothing, goes first and is tried until it is old.

Not here: sending (webhook, spoken), the letters (alarm).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from appliance import choices, daemon
from appliance.alarm import unsaved, words
from appliance.errors import ApplianceError, LedgerDamaged, NodeError
from appliance.health.telling import RESTS_AFTER
from appliance.notify import NOTIFIERS, secret
from appliance.settings import Channel, Settings
from appliance.store import outbox
from appliance.store.ledger import Ledger
from appliance.store.outbox import Letter, Posted

log = logging.getLogger("appliance.notify")
AGAIN_SECONDS: Final = (30.0, 120.0, 600.0, 3600.0)  # after the first try, the second, …
REST_SECONDS: Final = 3600.0
STALE_MS: Final = 86_400_000  # nobody needs to hear yesterday's news
ROUND_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.25
_ASIDE_SECONDS: Final = 30.0  # between tries of what the ledger does not have


class Postman:
    """Carries the letters of one channel."""

    def __init__(self, ledger: Ledger, settings: Settings, channel: Channel) -> None:
        self._ledger = ledger
        self._settings = settings
        self.channel = channel  # as it is now; `carry` says when it is another
        self.gone = threading.Event()
        self._noted: dict[str, Letter] = {}  # arrived, and the ledger could not be told
        self._aside_due = 0.0
        self.steps = 0  # letters tried and rounds ended: who hangs makes none

    def round(self) -> int:
        """Send what is due; says how many arrived. Raises node.*."""
        arrived = self._aside()
        for letter in list(self._noted.values()):
            outbox.sent(self._ledger, letter)
            del self._noted[letter.id]
        for letter in self._due():
            fares = outbox.channel(self._ledger, self.channel.name, most=RESTS_AFTER)
            if fares.rests and not letter.is_test:
                break
            arrived += self._carry(letter)
        return arrived

    def _due(self) -> list[Letter]:
        """The next letters; those that are stale end, and say nothing of how the channel fares."""
        due = outbox.due(self._ledger, self.channel.name)
        if not due or not self._is_stale(due[0]):
            return due
        before_ms = self._ledger.clock().wall_ms - STALE_MS
        name, why = self.channel.name, "it is older than a day"
        count = outbox.give_up(self._ledger, name, why, before_ms=before_ms)
        log.warning("%s: letters older than a day, not sent: %d", name, count)
        return outbox.due(self._ledger, name)

    def _aside(self) -> int:
        """What lies in the run folder: no ledger is needed to send it."""
        if time.monotonic() < self._aside_due:
            return 0
        arrived = 0
        for letter in unsaved.letters(self._settings.run_dir, self.channel.name):
            why = None if self._is_stale(letter) else self._try(letter)
            if why is not None:
                self._aside_due = time.monotonic() + _ASIDE_SECONDS
                break
            unsaved.sent(self._settings.run_dir, letter)
            arrived += 1
        return arrived

    def _carry(self, letter: Letter) -> bool:
        self.steps += 1
        why = self._try(letter)
        if why is None:
            self._noted[letter.id] = letter
            outbox.sent(self._ledger, letter)
            del self._noted[letter.id]
            return True
        last = letter.is_test or self._is_stale(letter) or letter.tries >= len(AGAIN_SECONDS)
        again = None if last else AGAIN_SECONDS[letter.tries]
        rest = (RESTS_AFTER, REST_SECONDS)
        outbox.failed(self._ledger, letter, why, again=again, rest=rest)
        return False

    def _is_stale(self, letter: Letter) -> bool:
        return self._ledger.clock().wall_ms - letter.made_ms > STALE_MS

    def _try(self, letter: Letter) -> str | None:
        why = deliver(self.channel, letter, self._settings.notify.allow)
        facts = {"channel": self.channel.name, "letter": letter.id, "try": letter.tries + 1}
        if why is None:
            log.info("sent", extra=facts)
        else:
            log.warning("%s: %s", self.channel.name, why, extra=facts)
        return why


def deliver(channel: Channel, letter: Letter, allow: Sequence[str]) -> str | None:
    """Send one letter, now; says why it did not arrive."""
    kept = secret.read(channel.secret)
    if kept.trouble is not None:
        return kept.trouble
    return NOTIFIERS[channel.kind](channel, kept.text, letter, tuple(allow))


def test(ledger: Ledger, settings: Settings, channel: Channel) -> str | None:
    """Send a test through a channel; where it arrives, the channel rests no more."""
    now = ledger.clock().wall_ms
    (letter,) = outbox.letters([channel.name], words.of_a_test(settings.notify, now), now)
    why = deliver(channel, letter, settings.notify.allow)
    if why is None:
        outbox.sent(ledger, letter)
    return why


def ask(ledger: Ledger, settings: Settings, channel: Channel, *, seconds: float) -> Posted | None:
    """Have whoever sends on this box send a test, and wait so long for what becomes of it."""
    now = ledger.clock().wall_ms
    letters = outbox.letters([channel.name], words.of_a_test(settings.notify, now), now)
    outbox.put(ledger, letters)
    end = time.monotonic() + seconds
    while True:
        found = outbox.posted(ledger, letters[0].id)
        if found is None or found.state != outbox.WAITING or time.monotonic() > end:
            return found
        time.sleep(_LOOK_SECONDS)


class Office:
    """The postmen of the channels that there are at this moment, each in a thread of its own."""

    def __init__(self, ledger: Ledger, files: Settings, stop: threading.Event) -> None:
        self._ledger = ledger
        self._files = files
        self._stop = stop
        self._staff: dict[str, tuple[Postman, threading.Thread]] = {}
        self._before: dict[str, int] = {}
        self.damaged = threading.Event()

    def employ(self) -> None:
        """One for each channel that is new; whose channel is gone ends after this letter."""
        settings = choices.in_force(self._ledger, self._files)
        channels = {one.name: one for one in settings.notify.channel}
        for name in self._staff.keys() - channels.keys():
            self._staff.pop(name)[0].gone.set()
        for name, channel in channels.items():
            if name in self._staff:
                self._staff[name][0].channel = channel
                continue
            postman = Postman(self._ledger, settings, channel)
            ends = (self._stop, self.damaged, postman.gone)
            thread = threading.Thread(target=_rounds, args=(postman, ends), name=name)
            self._staff[name] = postman, thread
            thread.start()

    def progress(self) -> None:
        """Tell systemd, where each has done something since it was last told."""
        now = {name: postman.steps for name, (postman, _thread) in self._staff.items()}
        if all(steps > self._before.get(name, -1) for name, steps in now.items()):
            self._before = now
            daemon.progressed(f"channels: {len(now)}")

    def close(self) -> None:
        """Wait for each to end its round."""
        for _postman, thread in self._staff.values():
            thread.join()


def carry(ledger: Ledger, settings: Settings, stop: threading.Event) -> None:
    """Carry letters until told to stop. Raises LedgerDamaged: only a start mends it."""
    office = Office(ledger, settings, stop)
    while not stop.is_set() and not office.damaged.is_set():
        _employ(office)
        stop.wait(ROUND_SECONDS)
        office.progress()
    office.close()
    if office.damaged.is_set():
        raise LedgerDamaged(where=settings.state_dir, why="a letter could not be read")


def _employ(office: Office) -> None:
    try:
        office.employ()
    except LedgerDamaged:
        office.damaged.set()
    except NodeError as error:  # a locked ledger: those who are there go on
        log.warning("channels: %s", error, extra={"code": error.code})


def _rounds(postman: Postman, ends: tuple[threading.Event, ...]) -> None:
    stop, damaged, _gone = ends
    while not stop.wait(ROUND_SECONDS) and not any(end.is_set() for end in ends):
        postman.steps += 1
        try:
            postman.round()
        except LedgerDamaged:
            damaged.set()
        except ApplianceError as error:  # a locked ledger: the next round may be luckier
            log.warning("%s: %s", postman.channel.name, error, extra={"code": error.code})
