"""`/metrics` for Prometheus: how the box is and what it has done, read when it is asked.

Worker, watch and engine are other processes: everything comes from the ledger, from what
the checks see, and from what the engine says of itself. Labels hold names of shares,
models, channels, checks and codes, which the settings and the catalogue bound; never the
name of a file, a path or a person.

Not here: the questions (appliance.health), the sums (appliance.store.figures), who may ask
(access).
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, cast

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from appliance import __version__, alarm, pulse
from appliance.health import alive, room
from appliance.health.checks import CHECKS
from appliance.health.finding import Level
from appliance.settings import Settings
from appliance.states import State
from appliance.store import backups, figures, jobs, outbox, shares
from appliance.store.ledger import Ledger
from web import asked, db

bp = Blueprint("metrics", __name__)

_KEPT_SECONDS: Final = 5.0
_BOUNDS: Final = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_ENDS: Final = frozenset(
    {State.DONE, State.FAILED, State.DEAD, State.CANCELLED, State.SOURCE_MISSING}
)
_TIMES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@bp.get("/metrics")
def metrics() -> Response:
    """Every figure, in Prometheus' text format."""
    figures_ = cast(Figures, current_app.extensions["appliance.figures"])
    return Response(figures_.text(), content_type=CONTENT_TYPE_LATEST)


def keep_for(app: Flask, clock: Callable[[], float]) -> None:
    """Give the app its figures, and have it time its answers. `clock` in seconds."""
    kept = Figures(clock)
    app.extensions["appliance.figures"] = kept
    app.before_request(_begin)
    app.after_request(kept.took)


def _begin() -> None:
    g.began = time.perf_counter()


class Figures:
    """What was told last, for a few seconds: two who scrape cost the ledger as much as one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._text: bytes | None = None
        self._at = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(Box())
        self._requests = Histogram(
            "appliance_http_request_duration_seconds",
            "How long answers of the pages took.",
            ["endpoint", "method", "status"],
            buckets=_TIMES,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Everything, at most five seconds old."""
        with self._guard:
            if self._text is None or self._clock() - self._at >= _KEPT_SECONDS:
                self._text = generate_latest(self._registry)
                self._at = self._clock()
            return self._text

    def took(self, response: Response) -> Response:
        """Note how long an answer took; an address that is none of ours has no name."""
        endpoint = request.endpoint or "none"
        method = request.method if request.method in ("GET", "HEAD", "POST") else "other"
        status = f"{response.status_code // 100}xx"
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        self._requests.labels(endpoint, method, status).observe(seconds)
        return response


class Box(Collector):
    """The box, as it is when somebody asks."""

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: there is no app yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every figure. Raises what reading the ledger raises."""
        ledger, settings = db.ledger(), db.settings()
        yield _one("build_info", "The version that runs.", 1, version=__version__)
        yield from _health(ledger, settings)
        yield from _jobs(ledger)
        yield from _work(ledger, settings)
        yield from _shares(ledger, settings)
        yield from _keeping(ledger, settings)


def _gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"appliance_{name}", told, labels=labels)


def _counter(name: str, told: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"appliance_{name}", told, labels=labels)


def _one(name: str, told: str, value: float, **labels: str) -> GaugeMetricFamily:
    family = _gauge(name, told, *labels)
    family.add_metric(list(labels.values()), value)
    return family


def _health(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """What the checks see, and what people were told."""
    seen = asked.seen()
    yield _one("ready", "Whether the box can take work: 1 or 0.", seen.ready)
    status = _gauge(
        "check_status", "What a check found: 0 well, 1 a warning, 2 a failure.", "check"
    )
    worst = seen.worst
    for check in CHECKS:
        if check.code not in seen.silent:
            level = worst[check.code].level if check.code in worst else Level.OK
            status.add_metric([check.code], level)
    yield status
    firing = Counter(one.code for one in alarm.firing(ledger, settings.run_dir))
    alerts = _gauge("alerts_firing", "Alerts that people were told of and that last.", "alert")
    for check in CHECKS:
        if check.news:
            alerts.add_metric([check.code], firing[check.code])
    yield alerts
    dead = alive.not_running(settings.state_dir, settings.run_dir)
    for name in ("worker", "watch"):
        yield _one(f"{name}_up", f"Whether the {name} lives: 1 or 0.", name not in dead)
    engine = worst.get("engine")
    up = engine is not None and engine.level is Level.OK
    yield _one("engine_up", "Whether the engine opens its door: 1 or 0.", up)


def _jobs(ledger: Ledger) -> Iterator[Metric]:
    """How many jobs there are, and how attempts at them ended."""
    now = _gauge("jobs", "Jobs in each state.", "state")
    counts = jobs.counts(ledger)
    for state in State:
        now.add_metric([state], counts.get(state, 0))
    yield now
    ended: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    again: Counter[str] = Counter()
    for one in figures.ends(ledger):
        if one.outcome in _ENDS:
            ended[one.outcome, one.share] += one.count
        if one.outcome in (State.FAILED, State.DEAD):
            failed[one.code or "bug", one.stage or "none"] += one.count
        elif one.outcome == State.RETRY_WAIT:
            again[one.code or "bug"] += one.count
    total = _counter("jobs_ended", "Attempts that ended a job, by how.", "state", "share")
    for (state_, share), count in sorted(ended.items()):
        total.add_metric([state_, share], count)
    failures = _counter("job_failures", "Jobs that failed or were given up.", "code", "stage")
    for (code, stage), count in sorted(failed.items()):
        failures.add_metric([code, stage], count)
    retries = _counter("job_retries", "Attempts that are tried again.", "code")
    for code, count in sorted(again.items()):
        retries.add_metric([code], count)
    yield from (total, failures, retries)


def _work(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """How fast it goes, and how much waits."""
    spread = figures.spread(ledger, _BOUNDS)
    bounds = [(str(bound), float(n)) for bound, n in zip(_BOUNDS, spread.up_to, strict=True)]
    yield HistogramMetricFamily(
        "appliance_attempt_duration_seconds",
        "How long attempts took that ended as done.",
        buckets=[*bounds, ("+Inf", float(spread.count))],
        sum_value=spread.seconds,
    )
    audio = _counter("audio_seconds", "Sound in the recordings that are done.")
    audio.add_metric([], figures.heard(ledger))
    yield audio
    factor = _gauge("realtime_factor", "Seconds of sound heard in a second.", "model")
    for model, facts in sorted(pulse.read(settings.run_dir).get("models", {}).items()):
        if speed := facts.get("speed"):
            factor.add_metric([model], speed)
    yield factor
    short, long, since = figures.queue(ledger)
    depth = _gauge("queue_depth", "Jobs that wait for their turn.", "lane")
    depth.add_metric(["short"], short)
    depth.add_metric(["long"], long)
    yield depth
    oldest = 0.0 if since is None else max(ledger.clock().wall_ms - since, 0) / 1000
    yield _one("queue_oldest_seconds", "How long the first of them has waited.", oldest)


def _shares(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """How the shares are, and what was seen there."""
    down = {one.subject for one in asked.seen().findings if _is_down(one.code, one.level)}
    up = _gauge("share_up", "Whether a share is there and takes files: 1 or 0.", "share")
    scanned = _gauge(
        "share_last_scan_timestamp_seconds", "When a share was last looked through.", "share"
    )
    for share in settings.watched:
        row = shares.get(ledger, share.name)
        up.add_metric([share.name], row.state == "online" and share.name not in down)
        if row.scanned_ms is not None:
            scanned.add_metric([share.name], row.scanned_ms / 1000)
    files = _gauge("watch_files", "Files of the shares, as far as they have come.", "state")
    for state, count in sorted(figures.sighted(ledger).items()):
        files.add_metric([state], count)
    yield from (up, scanned, files)


def _is_down(code: str, level: Level) -> bool:
    return code == "share" and level is Level.FAIL


def _keeping(ledger: Ledger, settings: Settings) -> Iterator[Metric]:
    """Disks, backups, messages."""
    free = _gauge("disk_free_bytes", "Room on the disk of a folder of ours.", "mount")
    size = _gauge("disk_size_bytes", "The size of that disk.", "mount")
    for one in room.rooms(settings):
        mount = "state" if one.where == settings.state_dir else "spool"
        free.add_metric([mount], one.free)
        size.add_metric([mount], one.total)
    yield from (free, size)
    now = datetime.fromtimestamp(ledger.clock().wall_ms / 1000, UTC)
    if there := backups.listed(settings.state(backups.FOLDER), now):
        at = there[0].at.timestamp()
        yield _one("backup_timestamp_seconds", "When the newest backup was made.", at)
    letters = _gauge("messages", "Messages of the last months, by channel.", "channel", "state")
    known = {one.name for one in settings.notify.channel}
    for channel, state, count in outbox.counts(ledger):
        if channel in known:
            letters.add_metric([channel, re.sub(r"\W", "_", state)], count)
    yield letters
