"""The lane of limits: a worker under its real unit, and decoders that have been taken over.

Each case begins with a worker that is warm, drops one recording that turns its decoder, and
then a good one, which must come out well. Times are told by the guest's clock.

Not here: what such a decoder does (hostile), the machine (machine).
"""

from __future__ import annotations

import functools
import io
import json
import os
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tests.box import units
from tests.box.guest.lane import Lane
from tests.box.guest.machine import Guest

UNIT: Final = "/sys/fs/cgroup/appliance.slice/appliance-worker.service"
MEMORY_MB: Final = 256
CPUS: Final = 0.5
DEADLINE_SECONDS: Final = 12.0
WITHIN_SECONDS: Final = 1.0
BOMB_SECONDS: Final = 5.0  # for sixty processes to be taken apart by one emulated processor
_LAB: Final = "/opt/lab"
_WAIT_SECONDS: Final = 240
_SETTINGS: Final = f"""
[worker]
count = 2
require_cgroups = true
job_timeout_least_s = {DEADLINE_SECONDS}
[[share]]
name = "meetings"
root = "/srv/meetings"
existing = "process"
quiet_seconds = 1
job_memory_mb = {MEMORY_MB}
job_cpu = {CPUS}
formats = ["txt"]
"""
_WORKER: Final = f"""
[Service]
Environment=PYTHONPATH={_LAB}/decoder
"""
_TEST_ENGINE: Final = "python -m tests.engines counts /etc/appliance/appliance.toml"
_ENGINE: Final = f"""
[Service]
Type=simple
Environment=PYTHONPATH={_LAB}
Environment="APPLIANCE_ENGINE_CMD=/opt/appliance/current/bin/{_TEST_ENGINE}"
"""
_START: Final = """
install -d -o appliance -g appliance -m 2775 /srv/meetings
systemctl daemon-reload
systemctl start appliance-engine appliance-worker appliance-watch
"""
# In there: wait for the end of the newest job of a recording, and tell all there is of it.
_TELL: Final = """
import json, os, sqlite3, sys, time
name, until = sys.argv[1], time.monotonic() + float(sys.argv[2])
db = sqlite3.connect("file:/var/lib/appliance/ledger.db?mode=ro", uri=True)
db.row_factory = sqlite3.Row
def rows(question, *values):
    return [dict(row) for row in db.execute(question, values)]
while True:
    found = rows("SELECT id, state, code, attempt FROM job WHERE path = ?", name.encode())
    # A try that ended is enough: whether it is tried again is not what is asked here.
    if found:
        tries = rows("SELECT * FROM attempt WHERE job = ? AND ended_ms IS NOT NULL", found[0]["id"])
        if tries and (tries[0]["outcome"] != "running"):
            break
    if time.monotonic() > until:
        sys.exit(f"{name}: {found}")
    time.sleep(0.2)
log = open(f"/var/lib/appliance/logs/{found[0]['id']}/{tries[0]['n']}.jsonl").read().splitlines()
print(json.dumps({**found[0], "try": tries[0], "log": [json.loads(line) for line in log]}))
"""
# When the kernel ended somebody for want of memory, by the clock of the wall: its log has a clock
# of its own, so it is asked to note a moment that we know.
_OOM: Final = r"""
import json, subprocess, time
with open("/dev/kmsg", "w") as kernel:
    now = time.time()
    kernel.write("the time is known now")
subprocess.run(["journalctl", "--sync"])
told = subprocess.run(["journalctl", "-k", "-o", "json"], capture_output=True, text=True).stdout
at = {"Killed process": None, "the time is known now": None}
for line in map(json.loads, told.splitlines()):
    for what in at:
        if what in line["MESSAGE"]:
            at[what] = int(line["_SOURCE_MONOTONIC_TIMESTAMP"]) / 1e6
print(now - at["the time is known now"] + at["Killed process"])
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What a decoder does, and what must come of it."""

    name: str
    sealed: bool  # its walls stood before it turned
    judge: Callable[[Guest, Told], str]  # the figures; raises AssertionError


class Told:
    """What the box wrote down about one try at one recording."""

    def __init__(self, text: str) -> None:
        told: dict[str, Any] = json.loads(text)
        self.code: str | None = told["code"]
        self.state: str = told["state"]
        self.attempt: dict[str, Any] = told["try"]
        self.log: list[dict[str, Any]] = told["log"]

    def line(self, event: str) -> dict[str, Any]:
        """The first line of the log of that name."""
        return next(line for line in self.log if line["event"] == event)

    def said(self) -> list[str]:
        """What the decoder said."""
        return [line["line"] for line in self.log if line["event"] == "said"]


def prepare(guest: Guest) -> None:
    """Put all in its place, start the units, and keep the machine."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/hostile.py", "rb") as stream:
        guest.put(f"{_LAB}/decoder/sitecustomize.py", stream.read())
    for file in ("tests/engines/__main__.py", "tests/engines/fake_gpu.py"):
        with open(os.path.join(units.TOP, file), "rb") as stream:
            guest.put(f"{_LAB}/{file}", stream.read())
    guest.put(f"{_LAB}/tell.py", _TELL.encode())
    guest.put("/etc/appliance/conf.d/limits.toml", _SETTINGS.encode())
    guest.put("/etc/systemd/system/appliance-worker.service.d/99-lab.conf", _WORKER.encode())
    guest.put("/etc/systemd/system/appliance-engine.service.d/99-lab.conf", _ENGINE.encode())
    guest.run(_START)
    _is_fine(guest, "first")
    guest.keep("sealed")


def _take_the_walls_down(guest: Guest) -> None:
    """Have a template that puts up no walls, once for all cases that want one."""
    guest.go_back("sealed")
    guest.run(f"touch {_LAB}/decoder/unsealed; pkill -KILL -f 'appliance[.]decode'")
    _is_fine(guest, "second")
    guest.keep("unsealed")


def run(guest: Guest, case: Case) -> str:
    """One case from its snapshot on; the figures come back. Raises AssertionError."""
    if not case.sealed and "unsealed" not in guest.kept:
        _take_the_walls_down(guest)
    guest.go_back("sealed" if case.sealed else "unsealed")
    before = _worker(guest)
    drop(guest, f"{case.name}.wav")
    told = tell(guest, f"{case.name}.wav")
    figures = case.judge(guest, told)
    left = guest.run(f"ls -d {UNIT}/job-* 2>/dev/null || true").split()
    assert not left, f"groups left behind: {left}"
    took = _is_fine(guest, "afterwards")
    assert _worker(guest) == before, "another worker"
    return f"{figures}; the next recording done in {took:.1f} s, worker {before}"


def drop(guest: Guest, name: str) -> None:
    """Put a recording of its own content into the share, in one step."""
    guest.put(f"/srv/{name}", recording(name))
    guest.run(f"mv /srv/{name} /srv/meetings/; chown appliance: /srv/meetings/{name}")


def recording(name: str) -> bytes:
    """Three seconds of a hum that no other name has."""
    out = io.BytesIO()
    pitch = 40 + sum(name.encode()) % 60
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        samples = (int(9_000 * ((n % pitch) / pitch - 0.5)) for n in range(48_000))
        sound.writeframes(b"".join(n.to_bytes(2, "little", signed=True) for n in samples))
    return out.getvalue()


def tell(guest: Guest, name: str) -> Told:
    """What became of a recording's first try, once it has ended."""
    python = "runuser -u appliance -- /usr/bin/python3"
    return Told(guest.run(f"{python} {_LAB}/tell.py {name} {_WAIT_SECONDS}"))


def _is_fine(guest: Guest, name: str) -> float:
    """A good recording comes out well; how many seconds its try took."""
    drop(guest, f"{name}.wav")
    told = tell(guest, f"{name}.wav")
    assert told.state == "done", (told.state, told.code, told.log)
    return float(told.attempt["ended_ms"] - told.attempt["began_ms"]) / 1000


def _worker(guest: Guest) -> int:
    return int(guest.run("systemctl show appliance-worker -P MainPID"))


# --- the cases ----------------------------------------------------------------------------------


def _memory(guest: Guest, told: Told) -> str:
    assert told.code == "source.over-memory", (told.code, told.log)
    decoder = told.line("decoder")
    peak = decoder["memory_peak"]
    assert 0.9 * (MEMORY_MB << 20) < peak <= MEMORY_MB << 20, peak
    killed = float(guest.run("/usr/bin/python3 -", data=_OOM.encode()))
    after = _seconds(decoder["at"]) - killed
    # Between the two the kernel takes a quarter of a gigabyte back.
    assert -0.1 < after <= WITHIN_SECONDS, (after, told.attempt, told.log)
    return f"verdict {after:.2f} s after the kernel ended it, peak {peak / (1 << 20):.0f} MB"


def _processors(_guest: Guest, told: Told) -> str:
    used = told.attempt
    share = used["cpu_seconds"] / used["wall_seconds"]
    assert used["throttled_seconds"] > 1, used
    assert 0.8 * CPUS < share <= 1.1 * CPUS, used
    return f"{share:.3f} of a processor ({used['throttled_seconds']:.1f} s held back)"


def _bomb(_guest: Guest, told: Told) -> str:
    assert told.code == "source.timeout", told.code
    refused = told.line("decoder")["how"].partition("refused_tasks=")[2].partition(")")[0]
    assert int(refused) > 0
    return f"ended at its deadline, {_late(told, BOMB_SECONDS):.2f} s late, {refused} forks refused"


def _fled(guest: Guest, told: Told) -> str:
    assert told.code == "source.timeout", told.code
    decoders = guest.run("pgrep -fc 'appliance[.]decode'").strip()
    assert decoders == "1", f"{decoders} decoders; the template alone should be there"
    return f"everybody gone {_late(told):.2f} s after the deadline"


def _late(told: Told, most: float = WITHIN_SECONDS) -> float:
    late = float(told.attempt["wall_seconds"]) - DEADLINE_SECONDS
    assert -0.1 < late <= most, (late, told.attempt, told.log)
    return late


def _shut(guest: Guest, told: Told) -> str:
    said = told.said()
    assert len(said) >= 10, told.log
    opened = [line for line in said if line.endswith(": open")]
    assert not opened, opened
    assert "left-by-a-decoder" not in guest.run("ls /srv/meetings")
    return f"{len(said)} doors tried, none opened"


def _open(_guest: Guest, told: Told) -> str:
    """The control: without walls the account's own rights are what is left."""
    opened = [line.partition(":")[0] for line in told.said() if line.endswith(": open")]
    assert {"raise its limit", "leave its group", "read the ledger"} <= set(opened), told.said()
    return f"without its walls {len(opened)} of {len(told.said())} doors open: the tries notice"


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


CASES: Final[Sequence[Case]] = (
    Case("eats-memory", sealed=True, judge=_memory),
    Case("eats-processors", sealed=True, judge=_processors),
    Case("pries", sealed=True, judge=_shut),
    Case("pries", sealed=False, judge=_open),
    Case("forks", sealed=False, judge=_bomb),
    Case("flees", sealed=False, judge=_fled),
)


LANE: Final = Lane(
    "a job that wants more than it may have is alone with that",
    prepare,
    {
        f"{case.name}{'' if case.sealed else ', without its walls'}": functools.partial(
            run, case=case
        )
        for case in CASES
    },
)
