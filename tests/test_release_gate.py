"""When a box is well, and when nobody need wait for it any longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image.release import gate
from image.release.gate import Part


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
    ("state", "counts", "seconds"),
    [
        ("failed", [0], 0),
        ("active", [5, 6, 7], 1),  # a look each half second
        ("active", [5, 0, 1, 2], 1.5),  # somebody started it meanwhile
    ],
)
def test_nobody_waits_for_a_part_that_is_lost(
    state: str, counts: list[int], seconds: float
) -> None:
    looks = iter(counts)
    wrong, after = waited(lambda _now: [*WELL, Part("appliance-web.service", state, next(looks))])
    assert wrong is not None
    assert wrong.startswith("appliance-web.service")
    assert after == seconds


def test_an_engine_that_was_idle_now_and_then_is_not_lost() -> None:
    """It ends by itself, and systemd counts that as it counts a crash."""
    assert waited(lambda _now: [*WELL, Part("appliance-engine.service", "active", 7)])[0] is None


def test_a_page_that_says_it_cannot_work_is_believed_where_it_could_before() -> None:
    asked = {True: lambda _now: 503, False: lambda _now: 200}
    assert waited(lambda _now: WELL, asked[True])[0] == "the page says 503 to /readyz"
    assert waited(lambda _now: WELL, asked[False], ready=False)[0] is None


def test_a_box_without_parts_is_not_well() -> None:
    assert waited(lambda _now: [])[0] == "there is nothing that runs"


@pytest.mark.parametrize(("told", "is_coming"), [("Job=123", True), ("Job=", False), ("", False)])
def test_a_target_with_a_job_is_coming(
    told: str, is_coming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemctl(1) shows it; where it cannot be asked, nothing is said."""
    command = tmp_path / "systemctl"
    command.write_text(f"#!/bin/sh\necho '{told}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gate.is_coming() is is_coming
