"""Every lane, in short, with each change; and what the driver makes of a lane's figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.faults import Amount, Figures
from tests.faults import __main__ as driver

LISTED = driver.lanes()


@pytest.mark.timeout(600)  # they bring their own work for several processors
@pytest.mark.parametrize("name", LISTED)
def test_nothing_is_lost_and_nothing_done_twice(name: str) -> None:
    figures = driver.run(name, Amount.SHORT, seed=1).figures
    assert not figures.violations
    assert all(figures.controls.values()), figures.controls
    assert figures.count > 0


# --- the driver ---------------------------------------------------------------------------------


def a_run(figures: Figures, commit: str | None = "c0ffee") -> driver.Run:
    return driver.Run("kill", Amount.LONG, 1, figures, 3.0, commit)


GOOD = Figures("5 kills over 9 jobs", 5, ())


@pytest.fixture
def _at_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "_commit", lambda: "c0ffee")


@pytest.mark.parametrize(
    "bad",
    [
        Figures("", 5, ("job 3: lost",)),
        Figures("", 5, (), controls={"without fsync": False}),
        Figures("", 0, ()),
    ],
)
def test_a_violation_a_silent_control_and_doing_nothing_do_not_pass(bad: Figures) -> None:
    assert not bad.passed


@pytest.mark.usefixtures("_at_a_commit")
def test_a_long_run_goes_on_where_it_stopped() -> None:
    driver.keep(a_run(GOOD))
    found = driver.kept("kill", Amount.LONG, 1)
    assert found is not None
    assert (found.figures, found.seconds) == (GOOD, 3.0)
    assert driver.kept("kill", Amount.LONG, 2) is None
    assert driver.kept("kill", Amount.FULL, 1) is None


@pytest.mark.usefixtures("_at_a_commit")
@pytest.mark.parametrize("commit", [None, "another"])
def test_what_was_done_at_another_commit_is_done_again(commit: str | None) -> None:
    driver.keep(a_run(GOOD, commit))
    assert driver.kept("kill", Amount.LONG, 1) is None


@pytest.mark.usefixtures("_at_a_commit")
def test_what_did_not_pass_is_done_again() -> None:
    driver.keep(a_run(Figures("", 5, ("job 3: lost",))))
    assert driver.kept("kill", Amount.LONG, 1) is None


@pytest.mark.usefixtures("_at_a_commit")
def test_a_torn_result_is_done_again() -> None:
    done = a_run(GOOD)
    driver.keep(done)
    with open(done.file, encoding="utf-8") as stream:
        half = stream.read()[:20]
    with open(done.file, "w", encoding="utf-8") as stream:
        stream.write(half)
    assert driver.kept("kill", Amount.LONG, 1) is None


@pytest.mark.usefixtures("_at_a_commit")
def test_a_result_names_its_commit() -> None:
    done = a_run(GOOD)
    driver.keep(done)
    with open(done.file, encoding="utf-8") as stream:
        assert json.load(stream)["commit"] == "c0ffee"
    assert os.listdir(driver.KEPT) == ["long-kill-1.json"]


def test_a_lane_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.main(["no-such-lane"]) == 2
    assert "no-such-lane" in capsys.readouterr().out
