"""The supervisor of `appliance up`: what it starts does not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
