"""A box with real parts that can be stopped, locked and filled, and everything that tells of it.

A real ledger, a real share with its marker and the rounds over it, the locks of worker and
watch, an engine's door, the pages, whoever opens alerts, and a channel to a real receiver.
Time passes when the test says so, ten seconds from look to look.

Not here: any test.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from appliance import alarm, daemon
from appliance.deliver import deliver
from appliance.errors import ShareError
from appliance.notify.post import Postman
from appliance.nouns import Export, Options, Source
from appliance.settings import Settings
from appliance.states import State, Verdict
from appliance.store import alerts, backups, jobs, schema
from appliance.store.ledger import Ledger, Moment, read_clock
from appliance.watch import adopt
from appliance.watch.rounds import Rounds
from tests import signed_in
from tests.notify.receivers import LOOPBACK, Web
from web import create_app, db

EVERY = alarm.EVERY_SECONDS
LEVELS = {"pass": 0, "warn": 1, "fail": 2}


class Tower:
    """The box, and whoever looks at it."""

    def __init__(self, folder: Path, receiver: Web, **more: object) -> None:
        self.folder = folder
        self.root = folder / "share"
        self.root.mkdir(exist_ok=True)
        secret = folder / "secret"
        secret.write_text("not to be told\n")
        secret.chmod(0o600)
        self.receiver = receiver
        url = f"http://{LOOPBACK}:{receiver.port}/alerts"
        channel = {"name": "desk", "kind": "webhook", "url": url, "secret": str(secret)}
        told = {
            "node": {"state_dir": str(folder / "state")},
            "share": [{"name": "inbox", "root": str(self.root), "existing": "process"}],
            "notify": {"channel": [channel], "allow": [LOOPBACK]},
        }
        self.settings = Settings.model_validate({**told, **more})
        schema.prepare(self.settings.state_dir)
        os.makedirs(self.settings.run_dir, exist_ok=True)
        self.ledger = Ledger(self.settings.state_dir, clock=self.now)
        self._later = self.wall_off = 0.0
        self._lives: dict[str, contextlib.ExitStack] = {}
        for part in ("worker", "watch", "engine", "check", "notify"):
            self.start(part)
        backups.make(self.ledger, self.utc)
        adopt(self.ledger, self.settings.share[0], existing="process")
        self.rounds = Rounds(
            self.ledger, self.settings, self.settings.share[0], ring=lambda _: None
        )
        self.app = create_app(self.settings, clock=lambda: self.now().boot_s)
        self.app.extensions["appliance.ledger"].clock = self.now
        self.client: FlaskClient = signed_in.client(self.app, self.ledger)
        self.alarm = alarm.Alarm(self.ledger, self.settings)
        self.postman = Postman(self.ledger, self.settings, self.settings.notify.channel[0])

    def close(self) -> None:
        """Take everything down."""
        self.rounds.close()
        for part in list(self._lives):
            self.stop(part)
        db.close(self.app)
        self.ledger.close()

    # --- time -----------------------------------------------------------------------------------

    def now(self) -> Moment:
        """Both clocks, as far on as the test said."""
        real = read_clock()
        wall = real.wall_ms + round((self._later + self.wall_off) * 1000)
        return replace(real, wall_ms=wall, boot_s=real.boot_s + self._later)

    @property
    def utc(self) -> datetime:
        """The wall's."""
        return datetime.fromtimestamp(self.now().wall_ms / 1000, UTC)

    def look(self, times: int = 1) -> None:
        """Let time pass to the next look, so many times: share, checks, post."""
        for _ in range(times):
            self._later += EVERY
            self.rounds.step(self.now().boot_s)
            self.alarm.look()
            self.postman.round()

    # --- parts ----------------------------------------------------------------------------------

    def start(self, part: str) -> None:
        """Have a part of the box live."""
        born = self._lives[part] = contextlib.ExitStack()
        if part != "engine":
            where = self.settings.state_dir if part == "worker" else self.settings.run_dir
            assert born.enter_context(daemon.only_one(where, part))
            return
        door = born.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        door.bind(self.settings.engine_socket)
        door.listen(64)
        born.callback(os.unlink, self.settings.engine_socket)

    def stop(self, part: str) -> None:
        """Have it live no more."""
        self._lives.pop(part).close()

    def carry(self, name: str) -> None:
        """Deliver a transcript beside a recording, as a worker does; the share may refuse."""
        file = self.root / name
        if not file.exists():
            file.write_bytes(b"sound")
        found = file.stat()
        source = Source("inbox", os.fsencode(name), found.st_size, found.st_mtime_ns)
        job = jobs.find(self.ledger, source) or jobs.add(
            self.ledger, source, Options(), correlation="c"
        )
        assert job is not None
        claimed = jobs.claim(self.ledger, job.id, owner="w")
        assert claimed is not None
        try:
            deliver(self.ledger, str(self.root), claimed, [Export("txt", ".txt", b"words" * 9000)])
        except ShareError as error:
            jobs.end(self.ledger, claimed, Verdict(State.WAITING), error, who="w")

    # --- what is told ---------------------------------------------------------------------------

    @property
    def page(self) -> str:
        """The text of the first page."""
        return html.unescape(self.client.get("/").text)

    @property
    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and checks of /readyz."""
        answer = self.client.get("/readyz")
        assert answer.json is not None
        return answer.status_code, answer.json["checks"]

    @property
    def figures(self) -> dict[str, float]:
        """Every sample of /metrics, spelt as it is there."""
        answer = self.client.get("/metrics")
        assert answer.status_code == 200
        return {
            sample.name
            + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): (
                sample.value
            )
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    @property
    def letters(self) -> list[dict[str, Any]]:
        """What arrived."""
        return [json.loads(one.body) for one in self.receiver.heard]

    def tells(self, check: str, words: str, *, code: str | None, level: str, ready: bool) -> None:
        """Within two looks all four say the same: page, /readyz, /metrics, and an alert, once."""
        self.look(2)
        (alert,) = alarm.firing(self.ledger, self.settings.run_dir)
        assert words in alert.text
        assert (alert.code, alert.error) == (check, code)
        assert alert.text in self.page
        assert alert.remedy.split("`")[0] in self.page
        status, checks = self.ready
        assert status == (200 if ready else 503)
        assert checks[check] == {"status": level} | ({"code": code} if code else {})
        figures = self.figures
        assert figures[f"appliance_check_status{{check={check}}}"] == LEVELS[level]
        assert figures[f"appliance_alerts_firing{{alert={check}}}"] == 1
        assert figures["appliance_ready"] == ready
        assert sum(n for name, n in figures.items() if "alerts_firing" in name) == 1
        (letter,) = self.letters
        assert (letter["kind"], letter["check"], letter["code"]) == ("alert", check, code)
        assert letter["cause"] == alert.text
        assert all(letter[part] for part in ("effect", "next_step", "since"))

    def recovers(self, check: str) -> None:
        """Within two looks all four say that it is over, and what it was."""
        cause = self.letters[0]["cause"]
        self.look(2)
        assert alarm.firing(self.ledger, self.settings.run_dir) == []
        assert "All good" in self.page
        status, checks = self.ready
        assert (status, checks.get(check, {"status": "pass"})["status"]) == (200, "pass")
        figures = self.figures
        assert figures[f"appliance_check_status{{check={check}}}"] == 0
        assert figures[f"appliance_alerts_firing{{alert={check}}}"] == 0
        assert figures["appliance_ready"] == 1
        _first, last = self.letters
        assert (last["kind"], last["cause"]) == ("recovery", self._last_told(check, cause))
        assert "This is over" in last["text"]

    def _last_told(self, check: str, cause: str) -> str:
        """Numbers in a sentence may have moved since it was told."""
        (closed,) = alerts.closed(self.ledger, limit=1)
        assert closed.code == check
        assert closed.text.split(" ")[:5] == cause.split(" ")[:5]
        return closed.text


@contextlib.contextmanager
def tower(folder: Path, receiver: Web, **more: object) -> Iterator[Tower]:
    """Lend a box that is well."""
    made = Tower(folder, receiver, **more)
    try:
        made.look(2)
        assert "All good" in made.page, [one["sentence"] for one in _needs(made)]
        assert made.letters == []
        yield made
    finally:
        made.close()


def _needs(made: Tower) -> list[dict[str, str]]:
    answer = made.client.get("/api/v1/status")
    assert answer.json is not None
    found: list[dict[str, str]] = answer.json["needs"]
    return found
