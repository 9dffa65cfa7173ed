"""Ten browsers that listen and five senders at once, before a full ledger: does the box bear it?

Each browser listens to what happens and looks at the status every two seconds, as the page does;
each sender sends a short recording after the other and every third one again under the same key.
Bars: no 5xx, no job twice, no step told twice or out of order, and 99 of 100 looks at /healthz
under 200 ms.

Not here: one asker after the other (pages), one large recording (sending).
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx

from appliance.nouns import UPLOADS
from tests.proof import Figure
from tests.proof.served import Served, on, served

HEALTH_MS: Final = 200
_LOOKS_EVERY: Final = 2.0  # seconds; the page asks as often
_HEALTH_EVERY: Final = 0.05
_SENDS_EVERY: Final = 0.5
_BYTES: Final = 256 * 1024  # of a recording
_AGAIN: Final = 3  # each so many recordings one is sent twice


@dataclass
class Seen:
    """What all of them saw together."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    statuses: Counter[int] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)  # ms
    jobs: dict[str, set[int]] = field(default_factory=dict)  # by Idempotency-Key
    steps: list[list[int]] = field(default_factory=list)  # of each listener
    broken: list[str] = field(default_factory=list)

    def answered(self, answer: httpx.Response) -> None:
        with self.guard:
            self.statuses[answer.status_code] += 1

    @property
    def failures(self) -> int:
        return sum(
            n for code, n in self.statuses.items() if code >= HTTPStatus.INTERNAL_SERVER_ERROR
        )


def run(
    *, jobs: int = 100_000, seconds: float = 300, listeners: int = 10, senders: int = 5
) -> Iterator[Figure]:
    """Let them all loose for so long, then count."""
    with served(jobs) as box:
        yield on()
        seen, over = Seen(), threading.Event()
        before = _jobs_sent(box)
        work: list[Callable[[], None]] = [lambda: _watch_health(box, seen, over)]
        for number in range(listeners):
            work.append(_listener(box, seen, over, number))
            work.append(_looker(box, seen, over, number))
        work += [_sender(box, seen, over, number) for number in range(senders)]
        with _at_work(work, seen, over):
            over.wait(seconds)
        what = f"{listeners} listeners, {senders} senders, {jobs} jobs, {seconds:.0f} s"
        yield from _figures(what, seen, _jobs_sent(box) - before)


@contextlib.contextmanager
def _at_work(work: list[Callable[[], None]], seen: Seen, over: threading.Event) -> Iterator[None]:
    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except Exception as error:  # noqa: BLE001 - whoever breaks off is a figure of the proof
            with seen.guard:
                seen.broken.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _watch_health(box: Served, seen: Seen, over: threading.Event) -> None:
    with httpx.Client(base_url=box.address, timeout=60) as client:
        while not over.wait(_HEALTH_EVERY):
            begun = time.perf_counter()
            answer = client.get("/healthz")
            seen.health.append((time.perf_counter() - begun) * 1000)
            seen.answered(answer)


def _looker(box: Served, seen: Seen, over: threading.Event, number: int) -> Callable[[], None]:
    client = box.person(f"browser-{number}")

    def look() -> None:
        with client:
            while not over.wait(_LOOKS_EVERY):
                seen.answered(client.get("/api/v1/status"))
                seen.answered(client.get("/"))

    return look


def _listener(box: Served, seen: Seen, over: threading.Event, number: int) -> Callable[[], None]:
    client = box.person(f"browser-{number}")
    steps: list[int] = []
    seen.steps.append(steps)

    def listen() -> None:
        accept = {"Accept": "text/event-stream"}
        with client, client.stream("GET", "/api/v1/events", headers=accept, timeout=30) as stream:
            seen.answered(stream)
            for line in stream.iter_lines():  # a silent one shows every 15 s that it lives
                if line.startswith("id: "):
                    steps.append(int(line.removeprefix("id: ")))
                if over.is_set():
                    return

    return listen


def _sender(box: Served, seen: Seen, over: threading.Event, number: int) -> Callable[[], None]:
    client = box.program()

    def send() -> None:
        with client:
            count = 0
            while not over.wait(_SENDS_EVERY):
                key = f"{number}-{count // _AGAIN * _AGAIN if count % _AGAIN == 1 else count}"
                _send(client, seen, key)
                count += 1

    return send


def _send(client: httpx.Client, seen: Seen, key: str) -> None:
    sound = key.encode().ljust(_BYTES, b"\0")
    files = {"file": (f"{key}.wav", sound, "audio/wav")}
    answer = client.post("/api/v1/uploads", files=files, headers={"Idempotency-Key": key})
    seen.answered(answer)
    if answer.status_code == HTTPStatus.CREATED:
        told: dict[str, Any] = json.loads(answer.text)
        with seen.guard:
            seen.jobs.setdefault(key, set()).add(int(told["job"]))


def _jobs_sent(box: Served) -> int:
    row = box.ledger.row("SELECT count(*) AS n FROM job WHERE share = ?", [UPLOADS])
    return int(row["n"]) if row else 0


def _figures(what: str, seen: Seen, made: int) -> Iterator[Figure]:
    answers = ", ".join(f"{n} x {code}" for code, n in sorted(seen.statuses.items()))
    yield Figure(f"{what}: answers", answers, "no 5xx", met=seen.failures == 0)
    told = "; ".join(seen.broken) or "0"
    yield Figure("connections that broke off", told, "0", met=not seen.broken)
    twice = sum(len(numbers) - 1 for numbers in seen.jobs.values())
    yield Figure("keys that became two jobs", str(twice), "0", met=twice == 0)
    keys = len(seen.jobs)
    yield Figure("jobs made of so many keys", f"{made} of {keys}", "as many", met=made == keys > 0)
    odd = sum(steps != sorted(set(steps)) for steps in seen.steps)
    yield Figure("listeners told twice or out of order", str(odd), "0", met=odd == 0)
    least = min((len(steps) for steps in seen.steps), default=0)
    yield Figure("steps that each listener heard, at least", str(least), "> 0", met=least > 0)
    p99 = sorted(seen.health)[int(len(seen.health) * 0.99)] if seen.health else float("inf")
    told = f"{p99:.0f} ms of {len(seen.health)} looks"
    yield Figure("/healthz, 99 of 100", told, f"< {HEALTH_MS} ms", met=p99 < HEALTH_MS)
