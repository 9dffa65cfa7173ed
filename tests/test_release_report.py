"""What a box says of itself for the table of a fleet; and that it says when it does not know."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest

from image.release import report

TABLE = Path(__file__).parents[1] / "ansible" / "templates" / "fleet.txt.j2"
WELL = {"code": "disk", "level": "OK"}
ILL = [
    {"code": "share hearings", "level": "FAIL"},
    WELL,
    {"code": "engine", "level": "FAIL"},
    {"code": "jobs", "level": "WARN"},
]


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The release runs as whoever runs the tests: another account is root's to take."""
    run = subprocess.run

    def as_it_is(argv: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        for name in ("user", "group", "extra_groups"):
            more.pop(name, None)
        return run(argv, **more)

    monkeypatch.setattr(subprocess, "run", as_it_is)


def box(top: Path, said: str, status: int) -> dict[str, object]:
    """The report of a box whose `appliance check` prints this, and ends so."""
    command = top / "current" / "bin" / "appliance"
    command.parent.mkdir(parents=True)
    (top / "said").write_text(said)
    jobs = json.dumps([{"state": "queued"}, {"state": "failed"}, {"state": "queued"}])
    command.write_text(
        "#!/bin/sh\n"
        f"case \"$*\" in *jobs*) echo '{jobs}'; exit 0;; esac\n"
        f"cat {top}/said; exit {status}\n"
    )
    command.chmod(0o755)
    return report.report(str(top), str(top / "state"))


def line(told: dict[str, object] | None) -> str:
    """What the table says of a box; by the rules that ansible sets for a template."""
    there = jinja2.Environment(trim_blocks=True, autoescape=False)  # noqa: S701 - plain text
    more = {"current": "0.2.0", "leaks": 0, "free gb": 12.5}
    said = None if told is None else {**told, **more}
    return there.from_string(TABLE.read_text()).render(fleet_rows={"box": said}).strip()


def test_what_fails_is_told_though_the_check_then_ends_with_1(tmp_path: Path) -> None:
    told = box(tmp_path, json.dumps(ILL), 1)
    assert told["failing"] == ["engine", "share hearings"]
    assert told["jobs"] == {"queued": 2, "failed": 1}
    assert "FAILING: engine, share hearings" in line(told)
    assert ", waiting 2, running 0, failed 1, " in line(told)


def test_a_box_on_which_nothing_fails_has_an_empty_list(tmp_path: Path) -> None:
    told = box(tmp_path, json.dumps([WELL]), 0)
    assert told["failing"] == []
    assert "FAILING" not in line(told)
    assert "SAY" not in line(told)


@pytest.mark.parametrize(
    ("said", "status"), [("", 1), ("", 0), ("half of a [", 1), ("{}", 0), ("[]", 78)]
)
def test_no_answer_is_not_taken_for_a_good_one(tmp_path: Path, said: str, status: int) -> None:
    told = box(tmp_path, said, status)
    assert told["failing"] is None
    assert "DOES NOT SAY what fails" in line(told)


def test_a_box_that_cannot_be_asked_stands_in_the_table_too() -> None:
    assert line(None).endswith("does not answer")


def test_a_box_that_has_nothing_yet_says_so(tmp_path: Path) -> None:
    told = report.report(str(tmp_path), str(tmp_path / "state"))
    assert (told["jobs"], told["failing"], told["models"]) == (None, None, {})
    assert "does not say what waits" in line(told)
    assert told["backup hours"] is told["free gb"] is None


def test_models_are_known_by_their_digests_and_backups_by_their_age(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "large@0123456789ab"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"digest": "0123456789abcdef"}')
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "ledger-1.db").touch()
    assert report.models(str(tmp_path)) == {"large": "0123456789ab"}
    assert report.backup_hours(str(tmp_path)) == 0.0


def test_what_is_no_small_manifest_hangs_and_fills_nothing(tmp_path: Path) -> None:
    """The account of the service writes there, and root reads."""
    made = {name: tmp_path / "models" / name / "manifest.json" for name in "abcdef"}
    for file in made.values():
        file.parent.mkdir(parents=True)
    os.mkfifo(made["a"])
    made["b"].symlink_to("/dev/zero")
    (tmp_path / "other.json").write_text('{"digest": "of another"}')
    made["c"].symlink_to(tmp_path / "other.json")
    made["d"].write_text('["no table"]')
    made["e"].write_text("[" * 100_000)
    made["f"].write_text('{"digest": "0123", "more": "' + "x" * report._MOST + '"}')
    (tmp_path / "models" / "g").mkdir()
    (tmp_path / "models" / "g" / "manifest.json").write_text('{"digest": "0123"}')
    assert report.models(str(tmp_path)) == {"g": "0123"}
