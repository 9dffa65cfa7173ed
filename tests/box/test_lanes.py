"""Which lanes there are, and that commands beside each other are told, counted and ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.box import lanes, together
from tests.box.guest import __main__ as guests

WAITS = "import sys, time; print('here', flush=True); time.sleep(600)"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_every_lane_of_the_guest_runs_and_once() -> None:
    commands = lanes.beside(full=True)
    named = [word for command in commands.values() for word in command if word in guests.LANES]
    assert sorted(named) == sorted(guests.LANES)
    assert all(guests.FULL in command for name, command in commands.items() if name != "image")


def test_a_guest_without_a_case_is_not_made() -> None:
    assert "nfs" in lanes.beside(full=True)
    short = lanes.beside(full=False)
    assert "nfs" not in short
    assert {"nas", "power", "limits", "image"} == short.keys()


def test_a_lane_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert lanes.run(["guests"], full=False) == 2
    assert "no lane guests" in capsys.readouterr().out


def test_each_is_told_with_its_name_and_has_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    found = together.run({"one": python("print('a'); print('b')"), "two": python("exit('c')")})
    assert found == {"one": 0, "two": 1}
    assert sorted(capsys.readouterr().out.splitlines()) == ["one| a", "one| b", "two| c"]


def test_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    """Each would find the mark of another."""
    mark = str(tmp_path / "mark")
    alone = python(f"import os, time; os.mkdir({mark!r}); time.sleep(0.05); os.rmdir({mark!r})")
    assert set(together.run({str(n): alone for n in range(3)}, at_once=1).values()) == {0}


def test_who_ends_it_ends_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    def both_are_here() -> None:
        while len(told) < 2:
            told.extend(capsys.readouterr().out.splitlines())
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    told: list[str] = []
    threading.Thread(target=both_are_here).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        together.run({"one": python(WAITS), "two": python(WAITS), "late": python(WAITS)}, at_once=2)
    assert time.monotonic() - begun < 300
    assert sorted(told) == ["one| here", "two| here"]


def test_one_has_a_lock_and_the_next_waits(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "lock"
    order: list[str] = []

    def second() -> None:
        with together.alone(lock):
            order.append("second")

    waits = threading.Thread(target=second)
    with together.alone(lock):
        waits.start()
        time.sleep(0.05)
        order.append("first")
    waits.join()
    assert order == ["first", "second"]
