"""What systemd is told, by the real library: ready, proof of progress, the end; and the journal."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.engine.__main__ import prove
from appliance.supervise import PROCESSES

TOP = Path(__file__).parents[1]
DEBIANS = Path("/usr/lib/python3/dist-packages/systemd")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What PYTHONPATH needs so that systemd-python is found: the extra, or Debian's package."""
    folder = tmp_path_factory.mktemp("library")
    if importlib.util.find_spec("systemd.daemon") is None:
        (folder / "systemd").symlink_to(DEBIANS)
    path = f"{TOP}:{folder}:{os.environ.get('PYTHONPATH', '')}"
    asked = subprocess.run(
        [sys.executable, "-c", "import systemd.daemon, systemd.journal"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode and DEBIANS.exists():
        pytest.skip(f"Debian's python3-systemd is for another Python: {asked.stderr[-200:]}")
    assert asked.returncode == 0, "these tests need python3-systemd: make programs"
    return path


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE)
        yield sock


def site(folder: Path) -> Path:
    """The settings of a box with a share, all of it in `folder`."""
    (folder / "share").mkdir()
    file = folder / "appliance.toml"
    file.write_text(
        f"[node]\nstate_dir = '{folder}/state'\n[engine]\ndevice = 'cpu'\n"
        f"[web]\nlisten = '{folder}/web.sock'\n"
        f"[[share]]\nname = 'inbox'\nroot = '{folder}/share'\n"
    )
    return file


def until(ear: socket.socket, wanted: str) -> list[str]:
    """What is said until something is."""
    said: list[str] = []
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        said += ear.recv(4096).decode().split("\n")
        if wanted in said:
            return said
    pytest.fail(f"{wanted} was not said, but {said}")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_ready_then_gets_on_and_says_when_it_ends(
    name: str, tmp_path: Path, ear: socket.socket, library: str
) -> None:
    file = site(tmp_path)
    told = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "3000000",
        "PYTHONPATH": library,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "appliance", "--settings", str(file), name],
        env={**os.environ, **told},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            said = until(ear, "READY=1")
            assert "WATCHDOG=1" not in said, "what is not ready proves nothing"
            said += until(ear, "WATCHDOG=1")
            assert any(line.startswith("STATUS=") for line in said)
            process.send_signal(signal.SIGTERM)
            until(ear, "STOPPING=1")
            assert process.wait(PATIENCE) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


TOLD_EARLY = """
import os, signal, sys, threading
from appliance import settings, tasks
from appliance.bell import Bell

class Slow:
    stop_flag = threading.Event()
    def run(self):
        os.kill(os.getpid(), signal.SIGTERM)
        assert self.stop_flag.wait(20)

Bell.consumer = lambda *_, **__: Slow()
tasks.work(settings.load(sys.argv[1]))
"""


def test_a_worker_that_is_ready_hears_term_before_its_consumer_listens(
    tmp_path: Path, ear: socket.socket, library: str
) -> None:
    file = site(tmp_path)
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PYTHONPATH": library}
    ended = subprocess.run(
        [sys.executable, "-c", TOLD_EARLY, str(file)],
        env={**os.environ, **told},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    until(ear, "STOPPING=1")


def test_the_pages_answer_at_a_door_that_systemd_holds_open(tmp_path: Path) -> None:
    activate = shutil.which("systemd-socket-activate")
    assert activate, "these tests need systemd-socket-activate: make programs"
    door = tmp_path / "door.sock"
    file = tmp_path / "appliance.toml"
    file.write_text(
        f"[node]\nstate_dir = '{tmp_path}/state'\n[web]\nlisten = '/nowhere/web.sock'\n"
    )
    command = [sys.executable, "-m", "appliance", "--settings", str(file), "web"]
    with subprocess.Popen(
        [activate, f"--listen={door}", f"--setenv=PYTHONPATH={TOP}", *command],
        cwd=TOP,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            begun = time.monotonic()
            while not door.exists() and time.monotonic() - begun < PATIENCE:
                time.sleep(0.05)
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(door))) as reader:
                answer = reader.get("http://localhost/healthz", timeout=PATIENCE)
            assert answer.json() == {"status": "pass"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert door.exists(), "it is systemd's to take away"


def test_an_engine_proves_nothing_by_being_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: list[str] = []
    monkeypatch.setattr("appliance.daemon.tell_systemd", proofs.append)
    facts = {"busy": 1, "waiting": 3}
    before = prove(7, None, facts)
    assert len(proofs) == 1, "a turn has ended since it was last asked"
    for _ in range(100):
        before = prove(7, before, facts)
    assert len(proofs) == 1, "windows wait and no turn ends"
    before = prove(8, before, facts)
    prove(None, before, facts)
    assert len(proofs) == 3, "a turn ended; then none was owed"
    assert proofs[0] == "WATCHDOG=1\nSTATUS=1 lanes busy, 3 windows wait"


def test_without_systemd_nobody_is_told_anything(tmp_path: Path) -> None:
    program = (
        "from appliance import daemon; daemon.systemd = None; daemon.ready(); daemon.progressed()"
    )
    told = {**os.environ, "PYTHONPATH": str(TOP), "NOTIFY_SOCKET": str(tmp_path / "nobody")}
    subprocess.run([sys.executable, "-c", program], env=told, check=True)


# --- the journal --------------------------------------------------------------------------------

_SAY = """
import logging, os, socket, sys
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("/run/systemd/journal/socket")
there = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{there.st_dev}:{there.st_ino}"
from appliance import journal
journal.to_stderr("worker")
with journal.about(job=7, attempt=2, share="inbox"):
    logging.getLogger("appliance.test").warning(
        "no room for %s", "a\\nMESSAGE=all is lost\\x1b", extra={"code": "node.disk-full"}
    )
sys.stdout.buffer.write(ear.recv(65536))
"""


def test_the_journal_gets_fields_one_can_ask_for(tmp_path: Path, library: str) -> None:
    if os.geteuid():
        pytest.skip("only root can have a journal of his own")
    script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec "$@"'
    errors = tmp_path / "stderr"
    with errors.open("wb") as stderr:
        ran = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", _SAY],
            env={**os.environ, "PYTHONPATH": library},
            stdout=subprocess.PIPE,
            stderr=stderr,
            check=False,
        )
    assert ran.returncode == 0, errors.read_text()
    entry = dict(line.split("=", 1) for line in ran.stdout.decode().splitlines() if "=" in line)
    assert (entry["JOB_ID"], entry["ATTEMPT"], entry["SHARE"]) == ("7", "2", "inbox")
    assert (entry["CODE"], entry["PRIORITY"]) == ("node.disk-full", "4")
    assert entry["SYSLOG_IDENTIFIER"] == "appliance-worker"
    assert entry["MESSAGE"] == "no room for a\\nMESSAGE=all is lost\\u001b"
    assert errors.read_text() == "", "said once, not twice"
