"""What of a release lies elsewhere on the box, when a box is well, and a trial that was cut off."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from image.release import gate, install, places, report, switch
from image.release.bundle import Refused
from image.release.gate import Part


def release(top: Path, version: str, *units: str) -> Path:
    """A release with these units, complete."""
    path = Path(install.folder(str(top), version))
    for unit in units:
        file = path / "share/appliance/systemd" / unit
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# of {version}\n")
    (path / "complete").touch()
    return path


# --- places -------------------------------------------------------------------------------------


def test_what_a_release_does_not_have_any_more_goes_and_the_rest_is_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "usr/local/lib/systemd/system"
    folder.mkdir(parents=True)
    (folder / "others.service").write_text("# not ours\n")
    one = release(tmp_path, "1", "appliance-web.service", "appliance-old.service")
    two = release(tmp_path, "2", "appliance-web.service", "appliance-web.service.d/60-needs.conf")
    assert places.place(str(one), root=str(tmp_path))
    assert not places.place(str(one), root=str(tmp_path))
    assert places.place(str(two), root=str(tmp_path))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {
        "others.service",
        "appliance-web.service",
        "appliance-web.service.d/60-needs.conf",
    }
    assert (folder / "appliance-web.service").read_text() == "# of 2\n"


# --- the gate -----------------------------------------------------------------------------------


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(
    look: Callable[[float], list[Part]],
    ask: Callable[[float], int] = lambda _now: 200,
    *,
    ready: bool = True,
) -> tuple[str | None, float]:
    clock = Clock()
    wrong = gate.wait(
        45,
        ready=ready,
        look=lambda: look(clock.now),
        ask=lambda _path: ask(clock.now),
        clock=lambda: clock.now,
        sleep=clock.sleep,
    )
    return wrong, clock.now


WELL = [Part("appliance-worker.service", "active", 0)]


def test_a_box_is_well_when_it_has_been_so_for_a_while() -> None:
    wrong, after = waited(lambda _now: WELL)
    assert wrong is None
    assert 5 < after < 10


def test_a_box_that_is_well_for_a_moment_is_not() -> None:
    def look(now: float) -> list[Part]:
        return WELL if now % 4 < 2 else [Part("appliance-worker.service", "activating", 1)]

    wrong, after = waited(look)
    assert wrong == "appliance-worker.service is activating"
    assert after < 60


@pytest.mark.parametrize(
    "part", [Part("appliance-web.service", "failed", 0), Part("appliance-web.service", "active", 2)]
)
def test_nobody_waits_for_a_part_that_is_lost(part: Part) -> None:
    wrong, after = waited(lambda _now: [*WELL, part])
    assert wrong is not None
    assert wrong.startswith("appliance-web.service")
    assert after == 0


def test_a_page_that_says_it_cannot_work_is_believed_where_it_could_before() -> None:
    asked = {True: lambda _now: 503, False: lambda _now: 200}
    assert waited(lambda _now: WELL, asked[True])[0] == "the page says 503 to /readyz"
    assert waited(lambda _now: WELL, asked[False], ready=False)[0] is None


def test_a_box_without_parts_is_not_well() -> None:
    assert waited(lambda _now: [])[0] == "there is nothing that runs"


# --- a trial ------------------------------------------------------------------------------------


def test_a_trial_that_a_power_cut_ended_ends_with_the_release_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[str] = []
    monkeypatch.setattr(places, "place", placed.append)
    monkeypatch.setattr(places, "take_effect", lambda: None)
    one = release(tmp_path, "1", "appliance-web.service")
    release(tmp_path, "2", "appliance-web.service")
    os.symlink("releases/2", tmp_path / "current")
    (tmp_path / "trial").write_text("1\n")
    assert switch.settle(str(tmp_path)) == "1"
    assert switch.current(str(tmp_path)) == "1"
    assert placed == [str(one)]
    assert switch.settle(str(tmp_path)) is None


def test_what_is_not_installed_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not installed"):
        switch.activate(str(tmp_path), "9")
    with pytest.raises(Refused, match="no release before"):
        switch.back(str(tmp_path))


# --- the figures --------------------------------------------------------------------------------


def test_a_box_that_has_nothing_yet_says_so(tmp_path: Path) -> None:
    told = report.report(str(tmp_path), str(tmp_path / "state"))
    assert (told["jobs"], told["failing"], told["models"]) == ({}, [], {})
    assert told["backup hours"] is told["free gb"] is None


def test_models_are_known_by_their_digests_and_backups_by_their_age(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "large@0123456789ab"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"digest": "0123456789abcdef"}')
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "ledger-1.db").touch()
    assert report.models(str(tmp_path)) == {"large": "0123456789ab"}
    assert report.backup_hours(str(tmp_path)) == 0.0
