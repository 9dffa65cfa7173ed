"""Every page and every list of a box with 100,000 jobs: how long people wait for it.

The addresses come from the app itself, so that a new page is measured as soon as it is there;
one whose address holds something new breaks the proof until `KNOWN` says what to put there.
Admins see everything; viewers see one share: a large one, or one whose few recordings are the
oldest of all. Bars for 95 of 100: a page or list 100 ms, a search 300 ms, one for one or two
Japanese characters 600 ms. `/metrics` is for a program, once in a quarter of a minute, and is told.

Not here: many at once (crowd), sending (sending).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import httpx
from flask import Flask

from appliance.rights import Role
from appliance.states import State
from tests.bench import p95
from tests.proof import Figure, crowded
from tests.proof.served import Served, on, served
from web import create_app, db

PAGE_MS: Final = 100
SEARCH_MS: Final = 300
CHARACTERS_MS: Final = 600
_ASKERS: Final = 6  # of each kind, in turns: one may ask twenty times a second
_OF_A_KIND: Final = 40  # questions

# What stands in addresses, beside a job and a share that are seen.
KNOWN: Final[Mapping[str, object]] = {
    "attempt": 1,
    "code": "bug",
    "model": "selftest",
    "upload": "0" * 32,
    "text": "x",
}
_NOT_ASKED: Final = frozenset({"static", "metrics.metrics"})  # files; told apart
# What pages ask of themselves and people choose: in the address, too.
_CHOICES: Final = (
    *(f"/jobs?state={state}" for state in State),
    "/jobs?state=queued&state=waiting&state=retry-wait&state=discovered&state=held",
    "/jobs?state=failed&state=dead&share=quiet",
    "/jobs?share=meetings",
    "/jobs?name=recording+of+77",
    "/jobs?before=500",
    "/api/v1/jobs?limit=200&counts=true",
    "/api/v1/jobs?tag=board&counts=true",
    "/api/v1/jobs?since=2020-01-01T00:00:00Z&counts=true",
    "/api/v1/jobs?name=recording+of+77",
    "/api/v1/jobs?name=no+such+name&counts=true",
    "/api/v1/events?after=0",
    "/api/v1/audit?limit=200",
    "/api/v1/jobs/{number}/export?format=srt",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """Somebody who asks: what they see, and a job that is done among it."""

    name: str
    share: str | None  # the one that is seen; None: all are, as by an admin
    number: int

    def person(self, box: Served, number: int) -> httpx.Client:
        """One of them."""
        role = Role.ADMIN if self.share is None else Role.VIEWER
        return box.person(f"of-{self.share or 'all'}-{number}", role, self.share)


KINDS: Final = (
    Kind("an admin", None, 25),
    Kind("a viewer of much", "meetings", 25),
    Kind("a viewer of little", "quiet", 20),
)


def addresses(app: Flask, kind: Kind) -> list[str]:
    """Every address that is read, with something there; and what is chosen in some of them."""
    known = {**KNOWN, "number": kind.number, "name": kind.share or "meetings"}
    found = []
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint not in _NOT_ASKED:
            unknown = rule.arguments - known.keys()
            assert not unknown, f"what stands in {rule.rule}? Say so in tests.proof.pages.KNOWN"
            built = rule.build({name: known[name] for name in rule.arguments})
            assert built is not None
            found.append(built[1])
    return [*sorted(found), *(one.format(number=kind.number) for one in _CHOICES)]


@dataclass
class Looks:
    """How long each look took, in milliseconds, and what was answered."""

    took: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    empty: int = 0  # searches that found nothing

    def look(self, client: httpx.Client, address: str) -> None:
        begun = time.perf_counter()
        answer = client.get(address)
        self.took.setdefault(address, []).append((time.perf_counter() - begun) * 1000)
        self.empty += answer.content.startswith(b'{"hits":[]')
        # A share whose folder is not there is told so, as it should be.
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and not _is_told(answer):
            self.failed.append(f"{address}: {answer.status_code}")


def _is_told(answer: httpx.Response) -> bool:
    return answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE


def run(*, jobs: int = 100_000, rounds: int = 40) -> Iterator[Figure]:
    """Fill, serve, ask."""
    with served(jobs) as box:
        yield on()
        yield Figure("jobs and segments", f"{jobs} and {jobs * crowded.SEGMENTS}", "none", met=True)
        for kind in KINDS:
            clients = [kind.person(box, number) for number in range(_ASKERS)]
            used = box.cpu_seconds()
            looks = _looked(clients, _every(box, kind), rounds)
            yield from _pages(kind.name, looks, box.cpu_seconds() - used)
            yield from _searches(kind.name, clients, rounds)
            for client in clients:
                client.close()
        yield _metrics(box)


def _every(box: Served, kind: Kind) -> list[str]:
    app = create_app(box.box.settings)
    try:
        return addresses(app, kind)
    finally:
        db.close(app)


def _looked(clients: Sequence[httpx.Client], every: Sequence[str], rounds: int) -> Looks:
    for client in clients:
        client.get("/healthz")  # a thread's first look opens its ledger: not a page's time
    looks = Looks()
    for number in range(rounds):
        for place, address in enumerate(every):
            looks.look(clients[(number + place) % len(clients)], address)
    return looks


def _pages(who: str, looks: Looks, used: float) -> Iterator[Figure]:
    """The slowest by name, and all of them together."""
    slowest = sorted(looks.took, key=lambda one: p95(looks.took[one]), reverse=True)
    late = [one for one in slowest if p95(looks.took[one]) >= PAGE_MS]
    for address in [*late, *[one for one in slowest if one not in late][:5]]:
        took = looks.took[address]
        told = f"{_p50(took):.0f} / {p95(took):.0f} ms"
        met = address not in late
        yield Figure(f"{who}, {address}: p50 / p95", told, f"p95 < {PAGE_MS} ms", met=met)
    every = [one for took in looks.took.values() for one in took]
    told = f"{_p50(every):.0f} / {p95(every):.0f} ms of {len(looks.took)} addresses"
    yield Figure(f"{who}, all: p50 / p95", told, f"each p95 < {PAGE_MS} ms", met=not late)
    told = f"{1000 * used / len(every):.1f} ms each"
    yield Figure(f"{who}: CPU of the server", told, "told", met=True)
    told = ", ".join(sorted(set(looks.failed))) or "0"
    yield Figure(f"{who}: 5xx", told, "0", met=not looks.failed)


def _p50(numbers: Sequence[float]) -> float:
    return sorted(numbers)[len(numbers) // 2]


def _searches(who: str, clients: Sequence[httpx.Client], rounds: int) -> Iterator[Figure]:
    said = crowded.Language(seed=2)
    many = min(_OF_A_KIND, rounds)
    questions = {
        "frequent words": (said.frequent(many), SEARCH_MS),
        "words": ([said.words(1)[0] for _ in range(many)], SEARCH_MS),
        "two words": ([" ".join(said.words(2)) for _ in range(many)], SEARCH_MS),
        "beginnings of words": ([said.words(1)[0][:3] for _ in range(many)], SEARCH_MS),
        "three Japanese characters": ([said.kanji(3) for _ in range(many)], SEARCH_MS),
        "two Japanese characters": ([said.kanji(2) for _ in range(many)], CHARACTERS_MS),
        "one Japanese character": ([said.kanji(1) for _ in range(many)], CHARACTERS_MS),
    }
    for kind, (asked, bar) in questions.items():
        for place in ("/search?q=", "/api/v1/search?q="):
            looks = Looks()
            for number, question in enumerate(asked):
                looks.look(clients[number % len(clients)], place + quote(question))
            took = [one for some in looks.took.values() for one in some]
            told = f"{_p50(took):.0f} / {p95(took):.0f} ms"
            if place.startswith("/api"):
                told += f", {looks.empty} of {len(asked)} found nothing"
            met = p95(took) < bar and not looks.failed
            what = f"{who}, {place.partition('?')[0]}, {kind}: p50 / p95"
            yield Figure(what, told, f"p95 < {bar} ms", met=met)


def _metrics(box: Served) -> Figure:
    begun = time.perf_counter()
    with KINDS[0].person(box, 0) as client:
        answer = client.get("/metrics")
    took = (time.perf_counter() - begun) * 1000
    met = answer.status_code == HTTPStatus.OK
    return Figure("/metrics, once", f"{took:.0f} ms", "told, kept for 5 s", met=met)
