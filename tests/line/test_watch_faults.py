"""The watch among real faults: a file server that hangs, a mount that goes, kill -9.

Run by name, `pytest -m line tests/line`. What needs mounts runs in a mount namespace of
its own, and is skipped where none can be had.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.settings import Settings
from appliance.store import jobs, schema, sightings
from appliance.store.ledger import Ledger
from appliance.watch import adopt

pytestmark = pytest.mark.line
HOUSE = Path(__file__).parent.parent.parent

HUNG = """
import ctypes, os, pathlib, sys, threading, time
from appliance.settings import Settings
from appliance.store import gates, jobs, shares
from appliance.store.ledger import Ledger
from appliance.watch import watch

folder = pathlib.Path(sys.argv[1])
roots = {name: folder / name for name in ("hung", "good")}
for root in roots.values():
    root.mkdir()
fuse = os.open("/dev/fuse", os.O_RDWR)  # a server that never answers, not even hello
facts = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
assert ctypes.CDLL(None).mount(b"none", os.fsencode(roots["hung"]), b"fuse", 0, facts) == 0
settings = Settings.model_validate(
    {
        "node": {"state_dir": str(folder / "state")},
        "share": [{"name": name, "root": str(root)} for name, root in roots.items()],
    }
)
stop = threading.Event()

def drop() -> None:
    time.sleep(8)
    (roots["good"] / "talk.wav").write_bytes(b"sound")
    time.sleep(4)
    stop.set()

threading.Thread(target=drop).start()
watch(settings, stop=stop, deadline=3)
with Ledger(settings.state_dir) as ledger:
    print(shares.get(ledger, "hung").why)
    print([gate.name for gate in gates.closed(ledger)])
    print([job.source.path for job in jobs.listing(ledger)])
"""

MOUNTS = """
import pathlib, subprocess, sys
from appliance.store import gates
from tests.watched import Watched, settings_for

folder = pathlib.Path(sys.argv[1])
nas = folder / "nas"
nas.mkdir()
box = Watched(folder, settings_for(folder))

def mount(*what: str) -> None:
    subprocess.run(["mount", *what, str(box.root)], check=True)

def umount() -> None:
    subprocess.run(["umount", str(box.root)], check=True)

def looks(state: str) -> None:
    box.skip(6)
    box.until(lambda: box.row.state == state)

mount("--bind", str(nas))
box.adopt()
for n in range(30):
    box.drop(f"{n}.wav")
box.until(lambda: len(box.rung) == 30)

umount()  # the empty folder below it shows
looks("offline")
box.skip(1000)
box.go_on(0.3)
assert len(box.rung) == 30
mount("--bind", str(nas))
looks("online")
box.drop("back.wav")  # events come from where the share is now
box.until(lambda: len(box.rung) == 31)

umount()  # gone and back while nobody looked
mount("--bind", str(nas))
box.skip(6)
box.drop("quick.wav")
box.until(lambda: len(box.rung) == 32)

mount("-t", "tmpfs", "none")  # something else on top of it
(box.root / "stranger.wav").write_bytes(b"sound")
looks("offline")
umount()
looks("online")
box.look_again()
assert "stranger.wav" not in box.jobs
assert set(box.jobs.values()) == {"queued"}, box.jobs
assert len(box.rung) == 32
(box.root / "disk").mkdir()  # another disk inside the share
subprocess.run(["mount", "-t", "tmpfs", "none", str(box.root / "disk")], check=True)
box.drop("disk/talk.wav")
box.look_again()
assert box.sightings["disk"] == "other-filesystem"
assert "disk/talk.wav" not in box.jobs
assert not list(gates.closed(box.ledger))
box.close()
print("well")
"""


def in_a_namespace(script: str, folder: Path) -> str:
    command = ["unshare", "-m"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace of our own to be had here")
    done = subprocess.run(
        [*command, sys.executable, "-c", script, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HOUSE,
        timeout=120,
    )
    return done.stdout


def test_a_server_that_hangs_stops_its_own_share_and_no_other(tmp_path: Path) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    assert in_a_namespace(HUNG, tmp_path).splitlines() == [
        "the file server does not answer",
        "['share:hung']",
        "[b'talk.wav']",
    ]


def test_mounts_may_come_and_go_and_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    assert in_a_namespace(MOUNTS, tmp_path).strip() == "well"


WATCH_SHARE = """
import os, sys
from appliance.watch import share
share.main(["s", sys.argv[1], str(os.getppid())])
"""


def test_a_thousand_files_survive_thirty_kills_of_the_watch(tmp_path: Path) -> None:
    root = tmp_path / "share"
    root.mkdir()
    facts = {"name": "s", "root": str(root), "quiet_seconds": 0.2}
    settings = Settings.model_validate(
        {"node": {"state_dir": str(tmp_path / "state")}, "share": [facts]}
    )
    schema.prepare(settings.state_dir)
    dropped = 0
    with Ledger(settings.state_dir) as ledger:
        adopt(ledger, settings.share[0], existing="process")
        for kill in range(31):
            process = _child(settings)
            until = time.monotonic() + (random.uniform(0.3, 1.5) if kill < 30 else 60)
            while time.monotonic() < until and process.poll() is None:
                if dropped < 1_000:
                    (root / f"{dropped % 40}").mkdir(exist_ok=True)
                    (root / f"{dropped % 40}" / f"{dropped}.wav").write_bytes(b"sound")
                    dropped += 1
                elif kill == 30 and len(jobs.listing(ledger, limit=2_000)) == 1_000:
                    break
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        paths = [job.source.path for job in jobs.listing(ledger, limit=3_000)]
        states = {seen.state for seen in sightings.of_share(ledger, "s")}
    assert (len(paths), len(set(paths)), states) == (1_000, 1_000, {"settled"})


def _child(settings: Settings) -> subprocess.Popen[bytes]:
    pulse, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH_SHARE, str(theirs)],
        stdin=subprocess.PIPE,
        pass_fds=[theirs],
        cwd=HOUSE,
    )
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(settings.model_dump_json().encode())
    process.stdin.close()
    os.set_inheritable(pulse, False)
    return process
