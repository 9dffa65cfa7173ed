"""The supervisor of `appliance up`: what it starts does not outlive it, what it prints is shown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from appliance.supervise import Process, Supervisor

_UP = """
import sys, time
from appliance.supervise import Process, Supervisor
told = lambda name, line: print(line, flush=True)
child = [sys.executable, "-c", "import os, time; print(os.getpid()); time.sleep(600)"]
with Supervisor([Process("child", child, {})], told):
    time.sleep(600)
"""


def test_what_it_started_dies_with_a_supervisor_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _UP], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        child = supervisor.stdout.readline().decode().strip()
        assert _lives(child)
        supervisor.kill()
    until = time.monotonic() + 10.0
    while _lives(child):
        if time.monotonic() > until:
            os.kill(int(child), signal.SIGKILL)
            pytest.fail("it lives on")
        time.sleep(0.02)


def _lives(pid: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def printed(program: str, *, lines: int) -> list[str]:
    """The first lines that a process prints which then goes on without a word."""
    said: list[str] = []
    enough = threading.Event()

    def say(_name: str, line: str) -> None:
        said.append(line)
        if len(said) >= lines:
            enough.set()

    argv = [sys.executable, "-c", f"import os, time; {program}; time.sleep(600)"]
    with Supervisor([Process("loud", argv, {})], say):
        enough.wait(60)
    return said


def test_lines_that_come_together_are_shown_together() -> None:
    assert printed(r"os.write(1, b'one\ntwo\nthree\n')", lines=3)[:3] == ["one", "two", "three"]


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    program = r"os.write(1, b'be'); time.sleep(0.3); os.write(1, b'gin\nend\n')"
    assert printed(program, lines=2)[:2] == ["begin", "end"]


def test_a_line_without_an_end_is_shown_in_parts() -> None:
    process = Process("loud", [], {})
    assert process.lines(b"x" * 60_000) == []
    assert process.lines(b"x" * 60_000) == ["x" * 120_000]
    assert process.lines(b"last") == []
    assert process.lines(b"") == ["last"]
