"""Whoever watches over the box: looks every few seconds, opens and closes alerts, writes letters.

A letter is written in the transaction of what it tells of, so that neither is there without
the other; `notify` sends it. While the ledger takes nothing, both are kept aside and written
when it does again.

    steps     how an alert opens and closes without flapping
    words     what a message says
    news      what is told of jobs
    unsaved   where everything lies while the ledger takes nothing

Not here: the questions (health.checks), sending (notify).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from appliance import choices, daemon
from appliance.alarm import news, steps, unsaved, words
from appliance.errors import ApplianceError, LedgerDamaged, NodeError, on_the_box
from appliance.health import checks, models
from appliance.health.checks import Seen
from appliance.health.finding import Level
from appliance.settings import Settings
from appliance.store import alerts, clocks, outbox
from appliance.store.alerts import Alert
from appliance.store.ledger import Ledger, Moment
from appliance.store.outbox import Letter

log = logging.getLogger("appliance.alarm")
EVERY_SECONDS: Final = 10.0
_READ_SECONDS: Final = 3.0  # that a look waits for models; the watchdog ends us after 90
_JOBS_EVERY_SECONDS: Final = 300.0  # a hundred bad recordings are one message


class Alarm:
    """What is remembered from one look to the next."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._files = settings
        self._settings = settings  # in force, as far as the ledger could be read
        # While the ledger does not have them; also of a process that died before it did.
        self._live: list[Alert] | None = unsaved.alerts(settings.run_dir)
        self._owed: list[Alert] = list(self._live or [])  # written when it takes them again
        self._passed: list[str] = []
        self._unsent: list[Letter] = []
        self._news_due = 0.0
        self._reading: threading.Thread | None = None  # models

    def look(self) -> Seen:
        """Look once, and write down what follows. Raises LedgerDamaged: only a start mends it."""
        with contextlib.suppress(NodeError):
            self._settings = choices.in_force(self._ledger, self._files)
        self._read_models()
        seen = self._seen()
        now = self._ledger.clock()
        if any(one.code == "ledger" and one.level is Level.FAIL for one in seen.findings):
            self._hold(seen, now)
            return seen
        try:
            self._ledger.insist(lambda: self._keep(seen, now))
        except LedgerDamaged:
            raise
        except ApplianceError as error:
            log.warning("alerts: %s", error, extra={"code": error.code})
            self._hold(seen, now)
        else:
            self._settled(now)
        return seen

    def _read_models(self) -> None:
        """Have changed models read through. Where that takes long, looks go on meanwhile."""
        if self._reading is None or not self._reading.is_alive():
            self._reading = threading.Thread(
                target=_ask, args=(self._settings,), name="models", daemon=True
            )
            self._reading.start()
        self._reading.join(_READ_SECONDS)

    def _seen(self) -> Seen:
        try:
            return checks.look(self._ledger, self._settings)
        except LedgerDamaged:
            raise
        except ApplianceError as error:
            return checks.unreadable(error, self._settings)

    def _step(
        self, live: Sequence[Alert], seen: Seen, now: Moment
    ) -> tuple[steps.Step, list[Letter]]:
        lately = now.wall_ms - steps.LATELY_MS
        step = steps.advance(
            live,
            seen,
            now,
            endings=lambda alert: alerts.endings(self._ledger, alert, since_ms=lately),
        )
        wanted = [one.name for one in self._settings.notify.channel if one.alerts]
        posted = []
        for kind, alert in step.news:
            log.warning(
                "%s: %s", kind, alert.text, extra={"alert": alert.name, "code": alert.error}
            )
            body = words.of_alert(kind, alert, self._settings.notify, now.wall_ms)
            posted += outbox.letters(wanted, body, now.wall_ms)
        return step, posted

    def _keep(self, seen: Seen, now: Moment) -> None:
        """One step, in one transaction; without change nothing is written."""
        with self._ledger.writing():
            live = self._live if self._live is not None else alerts.live(self._ledger)
            step, posted = self._step(live, seen, now)
            changed, passed = [*self._owed, *step.changed], [*self._passed, *step.passed]
            alerts.keep(self._ledger, changed, passed)
            outbox.put(self._ledger, [*self._unsent, *posted])
            clocks.note(self._ledger, now)

    def _hold(self, seen: Seen, now: Moment) -> None:
        """One step, kept aside: the ledger takes nothing, and people must be told so."""
        if self._live is None:
            self._live = alerts.live(self._ledger)
        step, posted = self._step(self._live, seen, now)
        self._live = steps.applied(self._live, step)
        self._owed += step.changed
        self._passed += step.passed
        self._unsent += posted
        try:
            with on_the_box(self._settings.run_dir):
                unsaved.keep_letters(self._settings.run_dir, self._unsent)
                unsaved.keep_alerts(self._settings.run_dir, self._live)
        except NodeError as error:  # that disk is full as well: they wait in here
            log.warning("alerts: %s", error, extra={"code": error.code})
        else:
            self._unsent = []

    def _settled(self, now: Moment) -> None:
        """The ledger has everything."""
        if self._live is not None:
            self._live, self._owed, self._passed, self._unsent = None, [], [], []
            unsaved.forget_alerts(self._settings.run_dir)
        if now.boot_s >= self._news_due:
            news.tell(self._ledger, self._settings, now)
            self._news_due = now.boot_s + _JOBS_EVERY_SECONDS


def _ask(settings: Settings) -> None:
    try:
        with on_the_box(settings.run_dir):
            models.ask(settings)
    except NodeError as error:  # a full disk: names and sizes must do
        log.warning("models: %s", error, extra={"code": error.code})


def stay(ledger: Ledger, settings: Settings, *, every: float, stop: threading.Event) -> None:
    """Look every so many seconds until told to stop. Raises LedgerDamaged."""
    alarm = Alarm(ledger, settings)
    pause = every  # not at once: what starts with us is to be up first
    while not stop.wait(pause):
        begun = time.monotonic()
        try:
            alarm.look()
        except LedgerDamaged:
            raise
        except ApplianceError as error:  # the next look may be luckier
            log.warning("alerts: %s", error, extra={"code": error.code})
        daemon.progressed()
        pause = max(every - (time.monotonic() - begun), 1.0)


def firing(ledger: Ledger, run_dir: str) -> list[Alert]:
    """The alerts that people have been told of and that are not over."""
    aside = unsaved.alerts(run_dir)
    live = alerts.live(ledger) if aside is None else aside
    return [one for one in live if one.phase is not alerts.Phase.PENDING]
