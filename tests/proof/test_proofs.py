"""The proofs of the pages, in little: each runs to its end, and what is no matter of time holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.rights import Role
from tests import effort, signed_in
from tests.proof import Figure, crowd, crowded, pages, sending
from tests.proof.pages import KINDS, Kind
from tests.web.box import Box, settings_of
from web import create_app, db

FREQUENT = "an admin, /api/v1/search, frequent words"


def but_for_time(figures: Iterable[Figure]) -> list[Figure]:
    """Those whose bar is no time: this machine may be busy."""
    return [one for one in figures if " ms" not in one.bar]


def test_pages_are_all_looked_at_and_none_fails() -> None:
    figures = list(pages.run(jobs=60, rounds=1))
    assert all(one.met for one in but_for_time(figures)), figures
    assert sum("p50 / p95" in one.what for one in figures) > 60
    (found,) = [one.value for one in figures if one.what.startswith(FREQUENT)]
    assert ", 0 of" in found


def test_a_crowd_makes_no_job_twice_and_is_told_each_step_once() -> None:
    figures = but_for_time(crowd.run(jobs=30, seconds=8, listeners=3, senders=2))
    assert all(one.met for one in figures), figures


def test_a_large_recording_is_cut_and_gone_on_with_in_little_memory() -> None:
    figures = list(sending.run(size=24 * sending.MB))
    assert all(one.met for one in figures), figures


# How many steps of SQLite's machine an address may take more for each job more in the ledger;
# what is not named here takes the same for two thousand as for a hundred thousand.
PER_JOB = {
    "/": 60,  # of those that ended in the last day: they are told, and judged by a check
    "/api/v1/status": 60,
    "/api/v1/system": 30,
    "/readyz": 30,
    "/api/v1/tags": 20,  # each tag with how many carry it
    "name=": 40,  # names are looked through
    "since=": 40,  # these are counted one by one
    "tag=": 40,
}
FEW, MANY = 2000, 4000
SLACK = 3000  # steps: lists that are a little longer


def grows_by(address: str) -> float:
    exact = PER_JOB.get(address, 0)
    return max(
        [exact, *(more for part, more in PER_JOB.items() if "=" in part and part in address)]
    )


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Box, Box]]:
    few, many = (filled(tmp_path_factory.mktemp(f"{n}"), n) for n in (FEW, MANY))
    yield few, many
    for box in (few, many):
        box.ledger.close()


def filled(folder: Path, count: int) -> Box:
    named = [{"name": one, "root": str(folder / one)} for one in crowded.SHARES]
    box = Box.made(settings_of(str(folder), share=named))
    crowded.fill(box.ledger, count)
    return box


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_page_looks_at_more_when_there_are_more_jobs(boxes: tuple[Box, Box], kind: Kind) -> None:
    few, many = (work(box, kind) for box in boxes)
    more = {address: many[address] - few[address] for address in many}
    grown = {
        address: steps
        for address, steps in more.items()
        if steps > SLACK + grows_by(address) * (MANY - FEW)
    }
    assert grown == {}


def work(box: Box, kind: Kind) -> dict[str, int]:
    """What every address makes SQLite do."""
    app = create_app(box.settings, clock=iter(range(1_000_000)).__next__, per_minute=1_000_000)
    ledger = app.extensions["appliance.ledger"]
    role = Role.ADMIN if kind.share is None else Role.VIEWER
    grants = None if kind.share is None else {kind.share: role}
    cookie = {
        "HTTP_COOKIE": signed_in.cookie(box.ledger, f"one-{kind.share}", role, grants)["Cookie"]
    }
    client = app.test_client(use_cookies=False)
    found = {}
    for address in pages.addresses(app, kind):
        ask = partial(client.get, address, environ_base=cookie, buffered=True)
        ask()
        found[address] = effort.steps(ledger, ask)
    db.close(app)
    return found
