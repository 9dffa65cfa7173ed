"""Whatever moment an attempt dies at, the next one leaves one file of each, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.deliver import deliver, place
from appliance.errors import ApplianceError, ShareFull
from appliance.nouns import Export
from appliance.store import exports as table
from appliance.store.jobs import Job
from appliance.store.ledger import Ledger
from tests.folder import SOUND, Folder, export, lent
from tests.witness import CRASHED, SHARE_STEPS, Stepwise, die, in_child

RUNGS = ("rename", "link", "claim")
OLD = [export(".json", b"old json"), export(".srt", b"old text")]
NEW = [export(".json", b"new json"), export(".srt", b"new text")]
NEWEST = [export(".json", b"newest json"), export(".srt", b"newest text")]


@pytest.fixture
def share() -> Iterator[Folder]:
    with lent() as folder:
        yield folder


@pytest.fixture(params=RUNGS)
def _rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems whose rename knows no flags, and those without hard links too."""

    def refuse(code: int) -> Callable[..., None]:
        def step(*_args: Any, **_options: Any) -> None:
            raise OSError(code, os.strerror(code))

        return step

    if request.param in ("link", "claim"):
        monkeypatch.setattr(place, "_rename", refuse(errno.EINVAL))
    if request.param == "claim":
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))


def crash(share: Folder, job: Job, exports: list[Export], n: int) -> bool:
    """Deliver in a child that dies at its n-th moment; False when it finished before that."""

    def work() -> None:
        with Ledger(share.state) as ledger, Stepwise(n, die).following():
            deliver(ledger, share.root, job, exports)

    outcome = in_child(work)
    assert outcome in (0, CRASHED)
    return outcome == CRASHED


def wanted(exports: list[Export]) -> dict[bytes, bytes]:
    return {b"talk" + one.suffix.encode(): one.content for one in exports} | {b"talk.mp4": SOUND}


def crash_everywhere(
    share: Folder, *, first: list[Export], dying: list[Export], after: list[Export]
) -> int:
    """For every moment: deliver `first`, die delivering `dying`, deliver `after`; look."""
    n = 0
    crashed = True
    while crashed:
        n += 1
        folder = b"%d" % n
        job = share.drop(folder + b"/talk.mp4")
        if first:
            share.deliver(job, first)
        crashed = crash(share, job, dying, n)
        whole = [one.content for one in (*first, *dying)]
        for name, content in share.exports(folder).items():
            hidden = name.startswith(b".~") or not content  # b"": a name we have only claimed
            assert hidden or content in whole, (n, name)
        share.deliver(share.again(job), after)
        assert share.contents(folder) == wanted(after), f"died at moment {n}"
        rows = list(table.of_job(share.ledger, job.id))
        assert {row.path for row in rows} == {folder + b"/talk.srt", folder + b"/talk.json"}
        assert {row.state for row in rows} == {"published"}
    return n


@pytest.mark.usefixtures("_rung")
def test_a_first_delivery_may_die_at_any_moment(share: Folder) -> None:
    assert crash_everywhere(share, first=[], dying=NEW, after=NEW) > 40


def test_a_replacement_may_die_at_any_moment(share: Folder) -> None:
    assert crash_everywhere(share, first=OLD, dying=NEW, after=NEW) > 40


def test_another_version_may_take_over_from_a_dead_one(share: Folder) -> None:
    assert crash_everywhere(share, first=OLD, dying=NEW, after=NEWEST) > 40


@pytest.mark.usefixtures("_rung")
def test_any_step_may_fail_for_want_of_room(share: Folder) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failures = 0
    for n in range(1, 200):
        folder = b"%d" % n
        job = share.drop(folder + b"/talk.mp4")
        stepwise = Stepwise(n, full, SHARE_STEPS)
        error: ApplianceError | None = None
        try:
            with stepwise.following():
                share.deliver(job, NEW)
        except ShareFull as caught:
            error = caught
        failures += error is not None
        left = share.exports(folder)
        assert not [name for name in left if name.startswith(b".~")] or error is None
        share.deliver(share.again(job), NEW)
        assert share.contents(folder) == wanted(NEW), f"failed at moment {n}"
        if not stepwise.came:
            break
    assert failures > 10
