"""Which lanes there are, and that commands beside each other are told, counted and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.box import lanes, together
from tests.box.guest import __main__ as guests

WAITS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
RUNS = f"""
import sys
from tests.box import together
from tests.box.guest.machine import stop_on_term
stop_on_term()
together.run({{name: [sys.executable, "-c", {WAITS!r}] for name in ("one", "two", "late")}}, 2)
"""


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_every_lane_of_the_guest_runs_and_once() -> None:
    commands = lanes.beside(full=True)
    once = {"provision", "image"}
    named = [word for command in commands.values() for word in command if word in guests.LANES]
    assert sorted(named) == sorted(guests.LANES)
    assert all(guests.FULL in command for name, command in commands.items() if name not in once)


def test_a_guest_without_a_case_is_not_made() -> None:
    assert "nfs" in lanes.beside(full=True)
    short = lanes.beside(full=False)
    assert "nfs" not in short
    assert {"provision", "nas", "power", "limits", "image"} == short.keys()


def test_what_is_told_by_our_clock_goes_first_and_nothing_takes_its_processor() -> None:
    commands = lanes.beside(full=True)
    assert next(iter(commands)) == "provision"
    assert [name for name, command in commands.items() if command[0] != "nice"] == ["provision"]


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


def test_who_ends_it_ends_all_of_them() -> None:
    with subprocess.Popen([sys.executable, "-c", RUNS], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        told = sorted(run.stdout.readline().split() for _ in range(2))
        assert [name for name, _pid in told] == ["one|", "two|"]
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
    for _name, pid in told:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


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
