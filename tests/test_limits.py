"""A child that wants more than it may have, and a parent that dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import fields

import pytest

from appliance.limits import Child, Confinement, Limits, Verdict, spawn

CONFINED = """
import ctypes, os, signal, socket, sys, time
from appliance import limits
held_in = limits.given()
achieved = limits.confine(held_in)
"""


def child(program: str, *, limits: Limits | None = None, stderr: int | None = None) -> Child:
    """Start a child that confines itself and then does what `program` says."""
    argv = [sys.executable, "-c", CONFINED + textwrap.dedent(program)]
    return spawn(argv, pass_fds=[], limits=limits or Limits(), stderr=stderr)


def verdict(program: str, *, limits: Limits | None = None) -> Verdict:
    ended = child(program, limits=limits).wait(20)
    assert ended is not None
    return ended


def says(program: str) -> str:
    with tempfile.TemporaryFile() as log:
        ended = child(program, stderr=log.fileno()).wait(20)
        log.seek(0)
        said = log.read().decode()
    assert ended is not None
    assert ended.exit_code == 0, said
    return said


def test_the_exit_code_arrives() -> None:
    assert verdict("sys.exit(7)").exit_code == 7


def test_a_child_that_wants_too_much_memory_does_not_get_it() -> None:
    ended = verdict(
        """
        try:
            bytearray(300 << 20)
        except MemoryError:
            os._exit(limits.OUT_OF_MEMORY)
        """,
        limits=Limits(memory_mb=200),
    )
    assert ended.exit_code == 71
    assert ended.out_of_memory


def test_a_child_that_never_stops_computing_is_ended() -> None:
    ended = verdict("while True: pass", limits=Limits(cpu_seconds=1))
    assert ended.signal == signal.SIGXCPU
    assert ended.out_of_cpu


def test_a_child_that_sleeps_too_long_is_ended() -> None:
    program = "limits.start_clock(held_in); time.sleep(60)"
    ended = verdict(program, limits=Limits(wall_seconds=1))
    assert ended.signal == signal.SIGALRM
    assert ended.out_of_time


def test_a_child_cannot_fill_the_disk() -> None:
    program = "os.write(2, bytes(1 << 20)); os.write(2, b'more')"
    with tempfile.TemporaryFile() as log:
        ended = child(program, limits=Limits(file_bytes=1 << 20), stderr=log.fileno()).wait(20)
        assert os.fstat(log.fileno()).st_size == 1 << 20
    assert ended is not None
    assert ended.exit_code != 0


def test_it_cannot_open_more_than_a_few_files() -> None:
    assert "Too many open files" in says(
        """
        try:
            for _ in range(100): os.dup(2)
        except OSError as refused:
            os.write(2, str(refused).encode())
        """
    )


def test_a_killed_child_takes_its_children_along() -> None:
    with tempfile.TemporaryFile() as log:
        started = child(
            "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, file=sys.stderr,"
            " flush=True); time.sleep(60)",
            stderr=log.fileno(),
        )
        grandchild = int(_eventually(lambda: os.pread(log.fileno(), 20, 0)))
    started.kill()
    ended = started.wait(10)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    _eventually(lambda: _is_gone(grandchild))


def test_waiting_for_a_busy_child_gives_up_in_time() -> None:
    started = child("time.sleep(60)")
    assert started.wait(0.1) is None
    started.kill()
    assert started.wait(10) is not None
    assert started.wait() == started.wait(0)


PARENT = """
import sys, time
from appliance.limits import Limits, spawn
fd = int(sys.argv[1])
spawn([sys.executable, "-c", sys.argv[2], str(fd)], pass_fds=[fd], limits=Limits())
time.sleep(60)
"""


def test_a_child_dies_with_its_parent() -> None:
    program = CONFINED + "os.write(int(sys.argv[1]), b'up'); time.sleep(60)"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = [sys.executable, "-c", PARENT, str(theirs.fileno()), program]
        parent = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(10)
        assert ours.recv(2) == b"up"
        parent.kill()
        parent.wait()
        assert ours.recv(2) == b""  # the last who held the other end is gone


def test_a_sealed_child_opens_nothing_and_starts_nothing() -> None:
    achieved = says(
        """
        achieved = limits.seal(achieved)
        for look in (open, os.listdir):
            try:
                look('/usr' if look is os.listdir else sys.executable)
                os.write(2, b'allowed ')
            except OSError:
                os.write(2, b'denied ')
        os.write(2, str(achieved).encode())
        """
    )
    if "landlock=True" not in achieved:
        pytest.skip("this kernel has no Landlock")
    assert achieved.startswith("denied denied")


def test_a_confined_child_reads_libraries_and_nothing_else() -> None:
    with tempfile.NamedTemporaryFile(dir=os.path.expanduser("~")) as secret:
        said = says(
            f"""
            import json
            try:
                open({secret.name!r})
            except OSError:
                os.write(2, b'denied ')
            os.write(2, str(achieved).encode())
            """
        )
    if "reads_only_libraries=True" not in said:
        pytest.skip("this kernel has no Landlock")
    assert said.startswith("denied")


def test_a_confined_child_has_no_network() -> None:
    said = says(
        """
        os.write(2, f"{achieved.no_network} {socket.if_nameindex()}".encode())
        """
    )
    if said.startswith("False"):
        pytest.skip("this platform does not let us leave the network")
    assert said == "True [(1, 'lo')]"


def test_every_measure_is_reported() -> None:
    said = says("os.write(2, str(limits.seal(achieved)).encode())")
    for field in fields(Confinement):
        assert f"{field.name}=" in said
    assert "no_new_privileges=True" in said
    assert "dies_with_parent=True" in said


def test_a_child_started_by_hand_gets_the_usual_limits() -> None:
    program = "from appliance import limits; assert limits.given() == limits.Limits()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_secret_of_the_environment_reaches_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    assert "A_SECRET" not in says("os.write(2, ' '.join(os.environ).encode())")


def _eventually(question: object, *, patience: float = 10.0) -> bytes:
    assert callable(question)
    deadline = time.monotonic() + patience
    while not (answer := question()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return bytes(answer) if isinstance(answer, bytes) else b""


def _is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
