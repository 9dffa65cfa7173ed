"""The lane of power: it is cut while recordings are dropped and worked on, again and again.

The guest's disk keeps what was flushed and forgets the rest (no cache of the machine around it).
Before each cut we read what the box has acknowledged; after the boot it must know all of it. In the
end every recording is done once and whole (the judge of tests/faults).

Not here: what is dropped (inside.drip), a cut of a box's disk under a living kernel (tests/faults).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
from typing import Final

from tests.box.guest import lab
from tests.box.guest.inside import drip
from tests.box.guest.lab import Drop
from tests.box.guest.lane import Lane
from tests.box.guest.machine import AS_A_BOX, Guest

_SAID: Final = os.environ.get("APPLIANCE_POWER_SEED")  # of a run that is to come again
SEED: Final = int(_SAID) if _SAID else random.SystemRandom().getrandbits(32)
SHARE: Final = "dictation"
ROOT: Final = f"/srv/{SHARE}"
_EACH: Final = 5  # recordings a cut
# After recordings come, by its clock: a busy machine does little by ours.
_CUT_SECONDS: Final = (2.0, 20.0)
_PATIENCE: Final = 600.0
_SETTINGS: Final = f"""
[web]
listen = "/run/appliance/web.sock"
[[share]]
name = "{SHARE}"
root = "{ROOT}"
existing = "process"
formats = ["txt", "srt", "json"]
"""
# Each says when it is ready, and this waits for all.
_UP: Final = "systemctl start appliance-engine appliance-worker appliance-watch"
_START: Final = f"install -d -o appliance -g appliance -m 2775 {ROOT}; {_UP}"
_TIMES: Final = f"cd {ROOT}; stat -c '%n %.9Y' *.wav"  # in nanoseconds, with a point


def prepare(guest: Guest) -> None:
    """Have a box with a share of its own, at rest and on its disk."""
    lab.bring(guest, _SETTINGS)
    guest.run(_START)
    lab.until(guest, "well", SHARE, seconds=_PATIENCE)
    guest.run("sync")


def cuts(guest: Guest, count: int) -> str:
    """Cut the power so often; every recording is done once in the end. Raises AssertionError."""
    chance = random.Random(SEED)
    before = int(guest.run(f"ls {ROOT} | grep -c wav || true"))
    wanted = before + count * _EACH
    wrong: list[str] = []
    facts = 0
    for number in range(1, count + 1):
        _drip(guest, before + number * _EACH)
        guest.run(f"sleep {chance.uniform(*_CUT_SECONDS):.1f}")
        said = lab.said(guest)
        facts += sum(map(len, json.loads(said).values()))
        guest.end()
        guest.power_up()
        guest.run(_UP)
        wrong += [f"cut {number}: {one}" for one in lab.kept(guest, said, ROOT)]
    _drip(guest, wanted)
    names = [drip.name_of(number) for number in range(wanted)]
    lab.until(guest, "done", *names, seconds=_PATIENCE)
    wrong += lab.judged(guest, {SHARE: ROOT}, _dropped(guest, wanted), paid=True)
    figures = (
        f"{count} cuts (seed {SEED}), {facts} facts read before them, {wanted} done once in all"
    )
    if not facts:
        wrong.append("nothing was acknowledged before a cut, so nothing could be lost")
    assert not wrong, f"{wrong}; {figures}"
    return figures


def _drip(guest: Guest, count: int) -> None:
    """Have recordings dropped from now on, until there are so many."""
    command = f"{lab.PYTHON} -m tests.box.guest.inside.drip {ROOT} {count} {SEED}"
    run = f"systemd-run --quiet --collect --unit=lab-drip --working-directory={lab.LAB}"
    guest.run(f"systemctl stop lab-drip 2>/dev/null || true; {run} {command}")


def _dropped(guest: Guest, count: int) -> list[Drop]:
    """Every recording as it must be: its bytes follow from its number."""
    when = dict(line.split() for line in guest.run(_TIMES).splitlines())
    made = []
    for number in range(count):
        path, content = drip.name_of(number), drip.content_of(number, SEED)
        digest = hashlib.sha256(content).hexdigest()
        moment = int(when[path].replace(".", ""))
        made.append(Drop(SHARE, path, digest, len(content), moment))
    return made


LANE: Final = Lane(
    "whatever is done when the power goes, nothing is lost, nothing is done twice",
    prepare,
    {"three cuts": functools.partial(cuts, count=3)},
    {"twenty cuts": functools.partial(cuts, count=20)},
    shift=AS_A_BOX,
    careful=True,
)
